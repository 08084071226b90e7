"""`ase-elf topology`: critical points, networking value and network of ELF files."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ase_elf.cli import options


@click.command(name="topology", context_settings=options.CONTEXT)
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--isovalue", type=click.FloatRange(0, 1),
    help="ELF of the network and its domains.  [default: phi]",
)  # fmt: skip
@click.option(
    "--persistence", type=click.FloatRange(min=0), default=1e-3, show_default=True,
    help="Cancel critical points that a smaller change of the ELF removes.",
)  # fmt: skip
@click.option("--rescale", is_flag=True, help="Correct the ELF of Quantum ESPRESSO 6.8 to 7.5.")
@click.option(
    "--h-dos", type=click.FloatRange(0, 1), help="Hydrogen's share of the DOS at the Fermi level."
)
@click.option("--dos", type=click.Path(path_type=Path), help="DOSCAR, or prefix of *.pdos_tot.")
@click.option("--fermi", type=float, help="Fermi level in eV, for --dos of projwfc.x.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable, one object per grid.")
@click.option(
    "--graph", type=click.Path(path_type=Path),
    help="Write the network (.graphml, .json); of several grids numbered.",
)  # fmt: skip
@click.option(
    "--points", type=click.Path(path_type=Path), help="Write the critical points as CSV."
)
def command(files: tuple[Path, ...], **given) -> None:
    """Critical points, networking value and network of ELF FILES (ELFCAR, cube, XSF, store).

    Without --h-dos or --dos no critical temperature is estimated.
    """
    from ase_elf.topology.summary import lines_of, summarize, tc_lines

    several = len(files) > 1
    for number, (name, grid) in enumerate(_grids(files)):
        if given["rescale"]:
            grid = _rescaled(grid)
        record, net, points = summarize(
            grid, isovalue=given["isovalue"], persistence=given["persistence"]
        )
        estimates = _temperatures(record, grid, given)
        if given["graph"]:
            from ase_elf.topology import write_graph

            write_graph(net.graph(record["isovalue"]), _numbered(given["graph"], number))
        if given["points"]:
            _write_points(points, _numbered(given["points"], number))
        if given["as_json"]:
            record = {"file": name, **record, "tc_kelvin": {e.name: e.kelvin for e in estimates}}
            click.echo(json.dumps(record, allow_nan=False))
            continue
        if several or number:
            click.echo(f"{name}:")
        click.echo("\n".join(lines_of(record) + (tc_lines(estimates) if estimates else [])))


def _grids(files: tuple[Path, ...]):
    """(name, grid) of every file, and of every frame of a store."""
    from ase_elf import read_elf
    from ase_elf.formats import detect

    for path in files:
        if detect(path) == "store":
            from ase_elf.formats.store import ELFStore

            store = ELFStore(path)
            for frame in store.frames:
                yield f"{path}[{frame}]", store[frame]
        else:
            yield str(path), read_elf(path)


def _rescaled(grid):
    from ase_elf import ELFGrid
    from ase_elf.topology import rescaled

    return ELFGrid(rescaled(grid.values), grid.atoms, {**grid.info, "rescaled": True}, grid.sigma)


def _temperatures(record: dict, grid, given: dict) -> list:
    from ase_elf.errors import InputError
    from ase_elf.topology import estimate_tc, hydrogen_share

    if given["h_dos"] is None and given["dos"] is None:
        return []
    if record["phi_star"] is None:
        raise InputError("the structure holds no hydrogen; the Tc formulas are for hydrides.")
    share = given["h_dos"]
    if share is None:
        symbols = grid.atoms.get_chemical_symbols()
        share = hydrogen_share(given["dos"], symbols, fermi=given["fermi"])
    return estimate_tc(record["phi"], record["phi_star"], record["hydrogen_fraction"], share)


def _write_points(points, path: Path) -> None:
    import csv

    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["kind", "x", "y", "z", "elf", "gradient", "curvature_1", "curvature_2",
             "curvature_3", "persistence"]
        )  # fmt: skip
        for i in range(len(points)):
            numbers = [
                *points.positions[i], points.values[i], points.gradient[i],
                *points.eigenvalues[i], points.persistence[i],
            ]  # fmt: skip
            writer.writerow([points.kind[i], *(f"{x:.8g}" for x in numbers)])


def _numbered(path: Path, number: int) -> Path:
    return path if number == 0 else path.with_name(f"{path.stem}-{number:06d}{path.suffix}")
