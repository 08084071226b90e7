"""Results of a finished run, read back from its directory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase_elf import domains
from ase_elf.analysis.screening import Screened, rank
from ase_elf.analysis.settings import AnalysisSettings
from ase_elf.errors import OutputError
from ase_elf.report.results import RunResults, read_results
from ase_elf.runs.provenance import CONFIG, JOURNAL, SNAPSHOTS, read_provenance
from ase_elf.runs.trajectory import quantities
from ase_elf.statistics.frame import FrameResult
from ase_elf.storage.journal import Journal

if TYPE_CHECKING:
    from ase_elf.report.snapshots import Snapshot

__all__ = ["is_run", "open_ranking", "open_run", "parts_of", "snapshots_of"]


def is_run(path: Path) -> bool:
    """Whether a path is the output directory of `analyze`."""
    return (Path(path) / CONFIG).is_file() and (Path(path) / JOURNAL).is_file()


def open_run(directory: Path) -> RunResults:
    """Results of an analysed trajectory.

    Raises
    ------
    OutputError
        The directory holds no analysed frame, or one of a version that wrote down other quantities.
    """
    directory = Path(directory)
    identity = read_provenance(directory)["identity"]
    if "trajectory" not in identity:
        raise OutputError(f"{directory} holds a ranking, not an analysed trajectory.")
    if identity.get("quantities") != quantities():
        raise OutputError(
            f"{directory} was made by ase_elf {identity.get('ase_elf', 'unknown')}, which "
            "wrote down other quantities of a frame; use that version, or analyse again."
        )
    journal = Journal(directory / JOURNAL, FrameResult)
    if not len(journal):
        raise OutputError(f"{directory} holds no analysed frame; run `analyze` again.")
    shown = frozenset(int(path.stem) for path in _snapshot_files(directory))
    what, plan = parts_of(identity)
    return read_results(journal, plan, failure=stopped_by(directory), shown=shown, **what)


def open_ranking(directory: Path) -> list[Screened] | None:
    """Rows of a ranking in its own order; None where the directory holds an analysed trajectory."""
    provenance = read_provenance(Path(directory))
    if "collection" not in provenance["identity"]:
        return None
    return rank(Journal(Path(directory) / JOURNAL, Screened))


def snapshots_of(directory: Path) -> list[Snapshot]:
    """Frames whose ELF was kept, in order."""
    from ase_elf.report.snapshots import Snapshot

    return [Snapshot.read(path) for path in _snapshot_files(Path(directory))]


def parts_of(identity: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
    """Settings, domain pack and symbols of the identity of a run, and its plan of statistics."""
    from ase.symbols import string2symbols

    symbols = string2symbols(identity["formula"])
    names = [f.name for f in fields(AnalysisSettings) if f.name in identity]
    given = {name: identity[name] for name in names} | {"elements": sorted(set(symbols))}
    settings = AnalysisSettings.from_dict(given)
    what = {"settings": settings, "domain": domains.get_domain(identity["domain"]), "symbols": symbols}
    return what, settings.plan(step=identity["step"])


def stopped_by(directory: Path) -> str | None:
    """What stopped a run before its end."""
    try:
        return json.loads((directory / "summary.json").read_text())["stopped_by"]
    except (OSError, ValueError, KeyError):
        return f"{directory} has no summary; its run did not finish."


def _snapshot_files(directory: Path) -> list[Path]:
    return sorted((directory / SNAPSHOTS).glob("*.npz"))
