"""`ase-elf compare`: two ELF of one structure, or two analysed trajectories."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ase_elf.cli import options, records

if TYPE_CHECKING:
    from ase_elf.grid import ELFGrid


@click.command(name="compare", context_settings=options.CONTEXT)
@click.argument("a", type=click.Path(exists=True, path_type=Path))
@click.argument("b", required=False, type=click.Path(exists=True, path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(file_okay=False, path_type=Path),
    help="Directory for report.html, plots and comparison.json; new or empty.",
)  # fmt: skip
@records.as_json
@options.domain
@options.device
@options.together(*options.grids)
@click.option("--elements", help="Elements of the species of an ELFCAR that names none, as A,B.")
@options.config
@click.pass_context
def command(ctx: click.Context, a: Path, b: Path | None, **given) -> None:
    """Compare B with A, which is the reference.

    Each is an ELF file (ELFCAR, cube, XSF, vaspout.h5), a structure, whose ELF is predicted, or an
    output directory of `analyze`. Without B, the ELF in A is compared with the prediction for its
    structure.
    """
    from ase_elf.runs.comparison import compare_elf, compare_runs
    from ase_elf.runs.opened import is_run, open_run

    output = given["output"]
    if output and output.exists() and any(output.iterdir()):
        raise click.BadParameter(f"{output} is not empty; choose a new directory.", param_hint="-o")
    packs, warnings = {}, []
    if is_run(a) or (b is not None and is_run(b)):
        if b is None or not (is_run(a) and is_run(b)):
            raise click.UsageError("an output directory of `analyze` is compared with another one.")
        runs = open_run(a), open_run(b)
        comparison = compare_runs(*runs, (str(a), str(b)))
        packs = {run.domain.name: list(run.weights) for run in runs}
        warnings = [
            f"{name}: {line}" for name, run in zip("AB", runs, strict=True) for line in run.warnings()
        ]
    else:
        names, grids = _grids(a, b, given)
        comparison = compare_elf(*grids, names)
        for name, grid in zip("AB", grids, strict=True):
            if "domain" in grid.info:
                packs[grid.info["domain"]] = [grid.info["weights"]]
                warnings += [f"{name} lies outside the trained range: {why}"
                             for why in grid.info.get("out_of_domain") or ()]  # fmt: skip
    if output:
        from ase_elf.report.comparison import write_comparison

        output.mkdir(parents=True, exist_ok=True)
        write_comparison(output, comparison, warnings=warnings, packs=packs)
        records.write_options(ctx, output / "config.yaml")
    records.say("\n".join(_lines(comparison)), comparison.record(), machine=given["as_json"])
    if output and not given["as_json"]:
        click.echo(f"report in {output / 'report.html'}")


def _grids(a: Path, b: Path | None, given: dict) -> tuple[tuple[str, str], tuple[ELFGrid, ELFGrid]]:
    """Names and ELF of both: read where there is one, else predicted, where possible on the other's grid."""
    from ase_elf.formats import holds_elf, read_elf

    reading = options.reading(given)
    found = {path: read_elf(path, **reading) for path in (a, b) if path is not None and holds_elf(path)}
    if b is None:
        if a not in found:
            raise click.UsageError(f"{a} holds no ELF, and there is no second one to compare with.")
        return (str(a), "prediction"), (found[a], _predicted(found[a].atoms, found[a].shape, given))
    if a in found and b in found:
        return (str(a), str(b)), (found[a], found[b])
    shape = next((grid.shape for grid in found.values()), None)
    names = tuple(str(path) if path in found else f"prediction for {path}" for path in (a, b))
    grids = tuple(found[p] if p in found else _predicted(_structure(p), shape, given) for p in (a, b))
    return names, grids


def _predicted(atoms, shape, given: dict) -> ELFGrid:
    from ase_elf import ELFCalculator

    calculator = ELFCalculator(domain=given["domain"], device=given["device"])
    return calculator.get_elf(atoms, shape=shape)


def _structure(path: Path):
    from ase_elf.structures.trajectory import Trajectory

    return next(iter(Trajectory(path))).atoms


WIDEST = 48
"""Letters of a name in a terminal; the report has the rest."""


def _lines(comparison) -> list[str]:
    table = [
        (row[0] if len(row[0]) <= WIDEST else f"{row[0][:WIDEST]}…", *row[1:]) for row in comparison.rows()
    ]
    if len(table[0]) == 4:
        table.insert(0, ("", "A", "B", "B - A"))
    width = [max(len(row[k]) for row in table) for k in range(len(table[0]))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, width, strict=True)).rstrip() for row in table]
    return [f"A  {comparison.names[0]}", f"B  {comparison.names[1]}", *lines]
