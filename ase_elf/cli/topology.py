"""`ase-elf topology`: critical points, networking value and network of ELF files."""

from __future__ import annotations

import json
import math
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
@click.option("--h-dos", type=click.FloatRange(0, 1), help="Hydrogen's share of the DOS at the Fermi level.")
@click.option("--dos", type=click.Path(path_type=Path), help="DOSCAR, or prefix of *.pdos_tot.")
@click.option("--fermi", type=float, help="Fermi level in eV, for --dos of projwfc.x.")
@records.as_json
@click.option(
    "--graph", type=click.Path(path_type=Path),
    help="Write the network (.graphml, .json); of several grids numbered.",
)  # fmt: skip
@click.option("--points", type=click.Path(path_type=Path), help="Write the critical points as CSV.")
@click.option(
    "--basins", type=click.Path(path_type=Path),
    help="Write attractors, basin volumes and what joins what as CSV.",
)  # fmt: skip
@click.option(
    "--density", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Electron density (cube, CHGCAR, vaspwave.h5): adds populations to --basins.",
)  # fmt: skip
@options.together(*options.grids)
@click.option("--elements", help="Elements of the species of an ELFCAR that names none, as A,B.")
@click.option(
    "-o", "--output", type=click.Path(file_okay=False, path_type=Path),
    help="Directory for table and report of the ranking of a folder.",
)  # fmt: skip
@options.config
@click.pass_context
def command(ctx: click.Context, files: tuple[Path, ...], **given) -> None:
    """Critical points, networking value and network of ELF FILES (ELFCAR, cube, XSF, vaspout.h5, store).

    A folder is ranked by the networking value of the ELF files in it; -o writes the ranking as
    `analyze` does. With several ELF a density of states beside one gives its critical temperature;
    with one it is given by --dos or --h-dos. With --json one object per grid is printed. Beside each
    file that is written stand the options in force, in FILE.config.yaml.
    """
    from ase_elf.formats import holds_elf

    folders = [path for path in files if path.is_dir() and not holds_elf(path)]
    if folders:
        _refuse_for_folders(ctx, files)
        _rank_folder(ctx, *folders, given)
        return
    if given["output"]:
        raise click.UsageError(
            "-o is for the ranking of a folder; write files with --points, --basins, --graph."
        )
    if given["density"] and not given["basins"]:
        raise click.UsageError("--density is for populations, which --basins FILE.csv writes.")
    if given["dos"] and len(files) > 1:
        raise click.UsageError(
            "--dos belongs to a single ELF; of several each DOS is looked for beside its file."
        )
    rows = _each(files, given)
    for result in ("graph", "points", "basins"):
        if given[result]:
            records.write_beside(ctx, given[result])
    good = [row for row in rows if row.error is None]
    if len(rows) > 1 and good and not given["as_json"]:
        click.echo("\n".join(table_lines(rows)))
    if not good:
        raise SystemExit(1)


def _each(files: tuple[Path, ...], given: dict) -> list:
    """Print what there is to say about every grid; the rows of their ranking.

    What is wrong with one of several files is printed and stops nothing.
    """
    from ase_elf.analysis.screening import Screened, rank
    from ase_elf.errors import ElfError

    rows = []
    several = len(files) > 1
    number = 0
    for path in files:
        try:
            for name, grid in _grids(path, given):
                rows.append(_one(name, path, grid, number, several, given))
                number += 1
        except ElfError as error:
            if not several:
                raise
            if given["as_json"]:
                click.echo(json.dumps({"file": str(path), "error": str(error)}))
            click.echo(f"error: {error}", err=True)
            rows.append(Screened(str(path), error=str(error)))
    return rank(rows)


def _one(name: str, path: Path, grid, number: int, several: bool, given: dict):
    """Print one grid, write what was asked for, and return its row."""
    from ase_elf.analysis.screening import Screened, temperatures
    from ase_elf.topology.record import lines_of, summarize, tc_lines

    if given["rescale"]:
        grid = _rescaled(grid)
    record, net, points = summarize(grid, isovalue=given["isovalue"], persistence=given["persistence"])
    write_results(net, points, record["isovalue"], number, given)
    beside, notes = _beside(path, net) if several and given["h_dos"] is None else ({}, ())
    if given["as_json"]:
        estimates = _temperatures(record, grid, given)
        kelvin = {e.name: e.kelvin for e in estimates} or temperatures(beside)
        record = {"file": name, **record, "tc_kelvin": kelvin}
        click.echo(json.dumps(record, allow_nan=False))
    else:
        if several or number:
            click.echo(f"{name}:")
        click.echo("\n".join(lines_of(record)))
        # Last, since it may be refused.
        estimates = _temperatures(record, grid, given)
        if estimates:
            click.echo("\n".join(tc_lines(estimates)))
    if estimates:
        beside = {"h_dos": given["h_dos"], **{f"tc_{e.name.lower()}": e.kelvin for e in estimates}}
    values = {
        "elf_phi": net.phi, "elf_phi_uncertainty": net.uncertainty, "elf_phi_star": net.phi_star,
        "elf_phi_star_uncertainty": net.uncertainties.get("phi_star", math.nan), **beside,
    }  # fmt: skip
    return Screened(name, record["formula"], len(grid.atoms), values=values, elf="file", notes=notes)


def _beside(path: Path, net):
    from ase_elf.analysis.critical_temperature import tc_beside

    return tc_beside(path, net)


OF_GRIDS = ("isovalue", "persistence", "rescale", "h_dos", "dos", "fermi", "graph", "points", "basins",
            "density")  # fmt: skip
"""Options that mean nothing for the ranking of a folder."""


def _refuse_for_folders(ctx: click.Context, files: tuple[Path, ...]) -> None:
    if len(files) > 1:
        raise click.UsageError("give one folder to rank, or ELF files; not both, and no two folders.")
    chosen = options.sources(ctx)
    useless = [name for name in OF_GRIDS if chosen.get(name, "default") != "default"]
    if useless:
        named = ", ".join("--" + name.replace("_", "-") for name in useless)
        raise click.UsageError(
            f"{named}: not for a folder, which is ranked; give the ELF files in it instead."
        )


def _rank_folder(ctx: click.Context, folder: Path, given: dict) -> None:
    """ELF files of a folder by their networking value: a table, and a directory where one is given."""
    from ase_elf.analysis.screening import rank
    from ase_elf.formats.collection import Collection
    from ase_elf.report.tables import plain
    from ase_elf.runs.screening import Screener, ScreeningRun

    collection = Collection(folder, reading=options.reading(given), only_elf=True)
    if given["output"]:
        run = ScreeningRun(
            collection, given["output"], options=options.resolved(ctx, *OF_GRIDS, "as_json", "output"),
            sources=options.sources(ctx, *OF_GRIDS, "as_json", "output"),
        )  # fmt: skip
        ranked = run.execute()
    else:
        ranked = rank(row for rows in Screener().screen(collection) for row in rows)
    if given["as_json"]:
        for row in ranked:
            click.echo(json.dumps(plain(json.loads(row.to_json())), allow_nan=False))
    else:
        if any(row.error is None for row in ranked):
            click.echo("\n".join(table_lines(ranked)))
        for row in ranked:
            for note in row.notes:
                click.echo(f"warning: {row.name}: {note}", err=True)
            if row.error is not None:
                click.echo(f"error: {row.name}: {row.error}", err=True)
    failed = sum(row.error is not None for row in ranked)
    if failed == len(ranked):
        click.echo("error: nothing could be analysed", err=True)
        raise SystemExit(1)
    if given["output"] and not given["as_json"]:
        click.echo(f"ranking in {given['output'] / 'report.html'}")


def table_lines(ranked) -> list[str]:
    """The ranking as lines of text: φ, φ*, and estimates of Tc where there are any."""
    from ase_elf.analysis.screening import temperatures

    good = [row for row in ranked if row.error is None]
    head = ["", "phi", "phi*", "h_dos", "Tc / K", "formula", "file"]
    table = [head]
    for place, row in enumerate(good, 1):
        v = row.values
        kelvin = temperatures(v).values()
        table.append([
            str(place),
            f"{v['elf_phi']:.4f} ± {v['elf_phi_uncertainty']:.4f}",
            "" if math.isnan(v["elf_phi_star"]) else f"{v['elf_phi_star']:.4f}",
            f"{v['h_dos']:.3f}" if v.get("h_dos") else "",
            f"{min(kelvin):.0f} to {max(kelvin):.0f}" if kelvin else "",
            row.formula, row.name,
        ])  # fmt: skip
    used = [k for k in range(len(head)) if k in (0, 1) or any(row[k] for row in table[1:])]
    width = [max(len(row[k]) for row in table) for k in used]
    lines = ["  ".join(row[k].ljust(w) for k, w in zip(used, width, strict=True)).rstrip() for row in table]
    failed = len(ranked) - len(good)
    return lines + ([f"{failed} of {len(ranked)} could not be analysed"] if failed else [])


def write_results(net, points, isovalue: float, number: int, given: dict) -> None:
    """Files of one grid that ``given`` names; those of further ones are numbered."""
    from ase_elf.topology import read_density, write_graph
    from ase_elf.topology.record import basin_rows, point_rows

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


def _grids(path: Path, given: dict):
    """(name, grid) of a file, or of every frame of a store."""
    from ase_elf.formats import iread_elf

    for frame, grid in iread_elf(path, **options.reading(given)):
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

    from ase_elf.storage.atomic import replacing

    with replacing(path) as part, part.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0] if rows else ())
        writer.writeheader()
        for row in rows:
            writer.writerow({k: f"{v:.8g}" if isinstance(v, float) else v for k, v in row.items()})


def _numbered(path: Path, number: int) -> Path:
    return path if number == 0 else path.with_name(f"{path.stem}-{number:06d}{path.suffix}")
