"""`ase-elf topology`: critical points, networking value and network of ELF files."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ase_elf.cli import options, records


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
@records.as_json
@click.option(
    "--graph", type=click.Path(path_type=Path),
    help="Write the network (.graphml, .json); of several grids numbered.",
)  # fmt: skip
@click.option(
    "--points", type=click.Path(path_type=Path), help="Write the critical points as CSV."
)
@click.option(
    "--basins", type=click.Path(path_type=Path),
    help="Write attractors, basin volumes and what joins what as CSV.",
)  # fmt: skip
@click.option(
    "--density", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Electron density (cube, CHGCAR): adds populations to --basins.",
)  # fmt: skip
@click.option("--spin", type=click.Choice(["up", "down"]), help="Block of a spin-polarised ELFCAR.")
@options.config
@click.pass_context
def command(ctx: click.Context, files: tuple[Path, ...], **given) -> None:
    """Critical points, networking value and network of ELF FILES (ELFCAR, cube, XSF, store).

    Without --h-dos or --dos no critical temperature is estimated. With --json one object per
    grid is printed. Beside each file that is written stand the options in force, in
    FILE.config.yaml.
    """
    from ase_elf.topology.summary import lines_of, summarize, tc_lines

    if given["density"] and not given["basins"]:
        raise click.UsageError("--density is for populations, which --basins FILE.csv writes.")
    several = len(files) > 1
    for number, (name, grid) in enumerate(_grids(files, given["spin"])):
        if given["rescale"]:
            grid = _rescaled(grid)
        record, net, points = summarize(
            grid, isovalue=given["isovalue"], persistence=given["persistence"]
        )
        _write(net, points, record["isovalue"], number, given)
        if given["as_json"]:
            estimates = _temperatures(record, grid, given)
            record = {"file": name, **record, "tc_kelvin": {e.name: e.kelvin for e in estimates}}
            click.echo(json.dumps(record, allow_nan=False))
            continue
        if several or number:
            click.echo(f"{name}:")
        click.echo("\n".join(lines_of(record)))
        # Last, since it may be refused.
        estimates = _temperatures(record, grid, given)
        if estimates:
            click.echo("\n".join(tc_lines(estimates)))
    for result in ("graph", "points", "basins"):
        if given[result]:
            records.write_beside(ctx, given[result])


def _write(net, points, isovalue: float, number: int, given: dict) -> None:
    from ase_elf.topology import read_density, write_graph
    from ase_elf.topology.summary import basin_rows, point_rows

    density = None
    if given["density"]:
        density = read_density(given["density"], net.basins.field.cell)
    if given["graph"]:
        write_graph(net.graph(isovalue), _numbered(given["graph"], number))
    if given["points"]:
        _write_table(point_rows(points), _numbered(given["points"], number))
    if given["basins"]:
        rows = basin_rows(net, density, persistence=given["persistence"])
        _write_table(rows, _numbered(given["basins"], number))


def _grids(files: tuple[Path, ...], spin: str | None):
    """(name, grid) of every file, and of every frame of a store."""
    from ase_elf.formats import iread_elf

    for path in files:
        for frame, grid in iread_elf(path, spin=spin):
            yield str(path) if frame is None else f"{path}[{frame}]", grid


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


def _write_table(rows: list[dict], path: Path) -> None:
    import csv

    from ase_elf.formats import replacing

    with replacing(path) as part, part.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0] if rows else ())
        writer.writeheader()
        for row in rows:
            writer.writerow({k: f"{v:.8g}" if isinstance(v, float) else v for k, v in row.items()})


def _numbered(path: Path, number: int) -> Path:
    return path if number == 0 else path.with_name(f"{path.stem}-{number:06d}{path.suffix}")
