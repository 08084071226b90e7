"""`ase-elf analyze`: a trajectory, or a collection of structures, to tables and a report."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ase_elf.cli import options

if TYPE_CHECKING:
    from ase_elf.formats.own_table import OwnTable
    from ase_elf.structures.trajectory import Trajectory

NOT_IN_CONFIG = ("output", "overwrite", "progress", "device", "workers", "report")
"""Options that do not change a number: a run may be continued with others."""

OF_TRAJECTORIES = ("topology", "timestep", "cell", "isovalue", "bond", "rulers", "r_max", "max_lag")
"""Options that mean nothing for structures that do not follow each other."""

SETTINGS = ("isovalue", "r_max", "spacing", "shape", "rulers", "max_lag")
"""Options that are settings of an analysis (:class:`~ase_elf.analysis.settings.AnalysisSettings`)."""

OF_READING = ("spin", "grid", "end_plane")
"""Options that mean nothing where no ELF is read."""

OF_RANKING = ("rank_by", "table", "where")
"""Options that mean nothing along a trajectory."""

OF_PREDICTION = ("domain", "spacing", "shape")
"""Options that mean nothing where nothing is predicted."""


@click.command(name="analyze", context_settings=options.CONTEXT)
@click.argument("trajectory", type=click.Path(exists=True, path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(file_okay=False, path_type=Path),
    help="Output directory. [default: the name of the trajectory with -elf]",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Start over where the output directory holds a run.")
@options.together(*options.frames)
@click.option("--isovalue", type=float, help="ELF at which domains are counted. [default: 0.8]")
@click.option(
    "--bond", "bond", multiple=True, metavar="A-B=LENGTH",
    help="Longest bond length in Å of a pair of elements, instead of the domain pack's.",
)  # fmt: skip
@click.option("--rulers", is_flag=True, help="Read the length of every bond off its ELF too.")
@click.option("--r-max", type=float, help="Range of g(r) in Å. [default: half the cell width]")
@click.option("--max-lag", type=click.IntRange(min=1), default=200,
              help="Longest lag of bond correlation functions, in frames.")  # fmt: skip
@options.together(options.domain, options.engine, options.device, options.spacing, options.shape)
@options.together(*options.grids)
@click.option("--predict", is_flag=True, help="Predict the ELF even where a file holds one.")
@click.option("--batch", type=click.IntRange(min=1), help="Frames predicted together.")
@options.workers
@click.option("--report/--no-report", default=True, help="Also plots and report.html.")
@click.option(
    "--screen/--trajectory", default=None,
    help="Rank unrelated structures, or follow one substance in time. [default: rank folders, "
    "databases, and files in which the atoms differ from frame to frame]",
)  # fmt: skip
@click.option("--rank-by", type=click.Choice(["phi", "tc"]), default="phi",
              help="Networking value, or critical temperature of hydrides by formula SR5.")  # fmt: skip
@click.option(
    "--table", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="CSV with a row for structures that are ranked; its columns are added to the ranking.",
)  # fmt: skip
@click.option("--where", multiple=True, metavar="COLUMN<=VALUE",
              help="Rank only structures whose column of --table is so (<, <=, =, !=, >=, >).")  # fmt: skip
@options.progress
@options.config
@click.pass_context
def command(ctx: click.Context, trajectory: Path, output: Path | None, **given) -> None:
    """Analyse the ELF network along TRAJECTORY, any format of ASE or MDAnalysis.

    Writes summary.json, frames.csv, bonds.csv, plots, report.html and config.yaml.

    Of a molecule or cluster, which is periodic nowhere, bonds are analysed: what rulers read, by type and in
    time, bonds that change their type, outliers, motifs.

    A folder of structure files, an ASE database or a file of mixed structures is ranked by the
    networking value instead: screening.csv, screening.json, report.html and config.yaml. Of ELF
    files (ELFCAR, cube, XSF, vaspout.h5, store), in a folder or alone, their own ELF is analysed.

    Can be killed at any moment: the same command goes on where it was.
    """
    from ase_elf.formats.collection import is_collection, is_elf_file

    screen = given.pop("screen")
    source = options.open_trajectory(trajectory, given)
    if screen is None:
        # What names the atoms or the cell is of trajectories, and some are unreadable without; an
        # ELF stays one however its atoms are named.
        named = any(given[name] is not None for name in ("topology", "elements", "cell"))
        if named:
            screen = trajectory.is_file() and not given["predict"] and is_elf_file(trajectory)
        else:
            screen = is_collection(source, predict=given["predict"])
    if screen:
        _screen(ctx, trajectory, output, given)
    else:
        _follow(ctx, source, output, given)


def _follow(ctx: click.Context, source: Trajectory, output: Path | None, given: dict) -> None:
    """One substance in time."""
    from ase_elf.formats import holds_elf
    from ase_elf.runs.bonds import TrajectoryRun

    _refuse(ctx, OF_READING, "for ELF files, and none is read here.")
    _refuse(ctx, OF_RANKING, "for structures that are ranked; add --screen to rank those of a file.")
    trajectory = Path(source.path)
    if trajectory.is_file() and holds_elf(trajectory):
        click.echo(f"the ELF in {trajectory} is not used: that of its structures is predicted anew", err=True)
    directory = _directory(trajectory, output)
    run = TrajectoryRun(
        source,
        given["domain"],
        directory,
        chosen={name: given[name] for name in SETTINGS} | {"bonds": _bonds(given["bond"])},
        batch=given["batch"],
        device=given["device"],
        workers=given["workers"],
        report=given["report"],
        overwrite=given["overwrite"],
        options=options.resolved(ctx, *NOT_IN_CONFIG, *OF_READING, *OF_RANKING),
        sources=options.sources(ctx, *NOT_IN_CONFIG, *OF_READING, *OF_RANKING),
    )
    _execute(run, run.trajectory, given["progress"], "frame")
    click.echo(_result(directory))
    click.echo(f"results in {directory / ('report.html' if given['report'] else 'summary.json')}")


def _result(directory: Path) -> str:
    """φ in one line; of a run over bonds how many were read."""
    import json

    summary = json.loads((directory / "summary.json").read_text(encoding="utf-8"))
    n = summary["frames"]
    if "types" in summary:
        read, bonds = (sum(kind[name] for kind in summary["types"].values()) for name in ("read", "bonds"))
        return f"{read} of {bonds} bonds read in {n} frame{'s' if n != 1 else ''}"
    return f"φ = {summary['averages']['elf_phi']['text']}, mean of {n} frame{'s' if n != 1 else ''}"


def _screen(ctx: click.Context, path: Path, output: Path | None, given: dict) -> None:
    """Structures of any kind, ranked."""
    from ase_elf.formats.collection import Collection, is_elf_file
    from ase_elf.runs.screening import Screener, ScreeningRun

    _refuse(ctx, OF_TRAJECTORIES, f"of no use for structures that are ranked one by one. Is {path} a "
            "trajectory? Then add --trajectory.")  # fmt: skip
    single = not given["predict"] and is_elf_file(path)
    if single:
        _refuse(ctx, OF_PREDICTION, f"of no use for the ELF in {path}. To predict it anew add --predict.")
    directory = _directory(path, output)
    leave_out = (*NOT_IN_CONFIG, *OF_TRAJECTORIES)
    how = {name: given[name] for name in ("domain", "device", "spacing", "shape")}
    run = ScreeningRun(
        Collection(
            path, given["start"], given["stop"], given["step"],
            predict=given["predict"], reading=options.reading(given), table=_own_table(given),
        ),
        directory,
        Screener(**how),
        batch=given["batch"],
        workers=given["workers"],
        report=given["report"],
        overwrite=given["overwrite"],
        by=given["rank_by"],
        options=options.resolved(ctx, *leave_out),
        sources=options.sources(ctx, *leave_out),
    )  # fmt: skip
    ranked = _execute(run, run.collection, given["progress"], "structure")
    tell(run, ranked)
    if single and len(ranked) == 1:
        _details(path, directory, given)


def _own_table(given: dict) -> OwnTable | None:
    """The user's columns, and what of them is asked for."""
    from ase_elf.formats.own_table import Condition, OwnTable

    if given["table"] is None:
        if given["where"]:
            raise click.UsageError("--where: of which table? Give it with --table.")
        return None
    return OwnTable(given["table"], [Condition.parse(text) for text in given["where"]])


def _refuse(ctx: click.Context, names: tuple[str, ...], why: str) -> None:
    chosen = options.sources(ctx)
    useless = [name for name in names if chosen.get(name, "default") != "default"]
    if useless:
        named = ", ".join("--" + name.replace("_", "-") for name in useless)
        raise click.UsageError(f"{named}: {why}")


def tell(run, ranked: list) -> None:
    """What came of a ranking, and what did not; ends the command where nothing did."""
    from collections import Counter

    from ase_elf.cli.topology import table_lines

    failed = [row for row in ranked if row.error is not None]
    if left := run.collection.left_out():
        names = ", ".join(sorted({file.name for file in left}))
        click.echo(f"left out: {len(left)} files of runs whose ELF is read ({names})", err=True)
    if failed:
        click.echo(f"warning: {len(failed)} of {len(ranked)} structures could not be analysed", err=True)
        for row in failed[:MOST_REASONS]:
            click.echo(f"  {row.name}: {row.error}", err=True)
        if len(failed) > MOST_REASONS:
            click.echo(f"  and {len(failed) - MOST_REASONS} more, in screening.csv", err=True)
    for row in ranked:
        for note in row.notes if len(ranked) == 1 else ():
            click.echo(f"warning: {row.name}: {note}", err=True)
    if noted := sum(bool(row.notes) for row in ranked if len(ranked) > 1):
        click.echo(f"warning: {noted} of {len(ranked)} have notes, in screening.csv", err=True)
    if len(failed) == len(ranked):
        click.echo(
            f"error: nothing could be analysed; reasons are in {run.directory / 'screening.csv'}", err=True
        )
        raise SystemExit(1)
    kinds = Counter(row.elf for row in ranked if row.error is None)
    click.echo("ELF: " + ", ".join(f"{n} from {'files' if elf == 'file' else elf.removeprefix('predicted by ')}"
                                   for elf, n in kinds.items()))  # fmt: skip
    good = [row for row in ranked if row.error is None]
    click.echo("\n".join(table_lines(good[:MOST_ROWS])))
    if len(good) > MOST_ROWS:
        click.echo(f"and {len(good) - MOST_ROWS} more")
    click.echo(f"ranking in {run.directory / ('report.html' if run.report else 'screening.csv')}")


MOST_REASONS = 10
"""Failures that are printed."""

MOST_ROWS = 5
"""First rows of a ranking that are printed."""


def _details(path: Path, directory: Path, given: dict) -> None:
    """Critical points, basins and network of a single ELF, beside its row."""
    from ase_elf.cli.topology import write_results
    from ase_elf.formats import iread_elf
    from ase_elf.report.tables import write_json
    from ase_elf.topology.record import lines_of, summarize

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # said with the row
        ((_, grid),) = iread_elf(path, **options.reading(given))
        record, net, points = summarize(grid)
    files = {"graph": directory / "network.graphml", "points": directory / "points.csv",
             "basins": directory / "basins.csv", "density": None,
             "persistence": record["persistence"]}  # fmt: skip
    write_results(net, points, record["isovalue"], 0, files)
    write_json(directory / "topology.json", record)
    click.echo("\n".join(lines_of(record)))
    click.echo(f"critical points, basins and network in {directory}")


def _directory(path: Path, output: Path | None) -> Path:
    return output or Path(f"{path.resolve().name.split('.')[0]}-elf")


def _execute(run, source, shown: bool | None, unit: str):
    """Run with a progress bar on stderr: on a terminal, or when asked for."""
    import sys

    from tqdm import tqdm

    from ase_elf.errors import OutputError
    from ase_elf.runs.provenance import OtherRun

    show = sys.stderr.isatty() if shown is None else shown
    total = source.count() if show else None
    with tqdm(total=total, unit=unit, disable=not show, file=sys.stderr) as bar:

        def advance(done: int) -> None:
            if show and bar.n == 0 and bar.last_print_n == 0 and done:
                bar.initial = done
            bar.update(done - bar.n)

        try:
            return run.execute(advance)
        except OtherRun as other:
            raise OutputError(other.told("--overwrite", "another output directory (-o)")) from other


def _bonds(texts: tuple[str, ...]) -> dict[tuple[str, str], float]:
    """``A-B=1.2`` as a dictionary."""
    from ase_elf.geometry.pairs import pair_of

    bonds = {}
    for text in texts:
        name, _, length = text.partition("=")
        try:
            pair, cut = pair_of(name), float(length)
        except ValueError:  # InputError is one
            cut = -1.0
        if not cut > 0:
            raise click.BadParameter(f"{text!r} is not of the form A-B=1.2", param_hint="--bond")
        bonds[pair] = cut
    return bonds
