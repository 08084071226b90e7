"""All files of a run, made from its journal alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase_elf.plotting.figure import save, style
from ase_elf.report.html import write_report
from ase_elf.report.results import RunResults, read_results
from ase_elf.report.snapshots import Snapshot
from ase_elf.report.tables import Tables, write_json
from ase_elf.storage.atomic import replacing

if TYPE_CHECKING:
    from ase_elf.statistics.run import StatisticsPlan
    from ase_elf.storage.journal import Journal


def write_results(
    directory: Path,
    journal: Journal,
    plan: StatisticsPlan,
    *,
    report: bool = True,
    **what: Any,
) -> RunResults:
    """Write all results into ``directory``, each file at once or not at all.

    Parameters
    ----------
    directory : Path
    journal : Journal
    plan : StatisticsPlan
    report : bool
        Also plots and report, which cost a few seconds; parts to be merged need none.
    **what
        Passed on to :func:`read_results`.
    """
    snapshots = sorted((directory / "snapshots").glob("*.npz"))
    what["shown"] = frozenset(int(path.stem) for path in snapshots)
    frames, bonds = directory / "frames.csv", directory / "bonds.csv"
    with replacing(frames) as frames_part, replacing(bonds) as bonds_part:
        with Tables(frames_part, bonds_part, list(what["symbols"])) as tables:
            results = read_results(journal, plan, tables=tables, **what)
    if report:
        _write_report(directory, results, snapshots)
    with replacing(directory / "summary.json") as part:
        write_json(part, results.summary())
    return results


def _write_report(directory: Path, results: RunResults, snapshots: list[Path]) -> None:
    folder = directory / "plots"
    folder.mkdir(exist_ok=True)
    for name, figure in results.figures().items():
        with style():
            save(figure, folder / name)
    with replacing(directory / "report.html") as part:
        write_report(part, results, folder, [Snapshot.read(path) for path in snapshots])
