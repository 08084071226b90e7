"""Join the output directories of parts of one trajectory into one, as if it were one run."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ase_elf.errors import OutputError
from ase_elf.report.run import write_results
from ase_elf.report.snapshots import CAPACITY
from ase_elf.runs.opened import parts_of, stopped_by
from ase_elf.runs.provenance import JOURNAL, SNAPSHOTS, read_provenance, write_config
from ase_elf.runs.trajectory import quantities, snapshot_path
from ase_elf.statistics.frame import FrameResult
from ase_elf.storage.atomic import writing_into
from ase_elf.storage.journal import Journal

OWN = ("start", "stop", "first_frame", "batch")
"""What parts of one run may differ in."""


@dataclass(frozen=True, eq=False)
class Part:
    """An output directory and the frames it covers."""

    directory: Path
    identity: dict[str, Any]
    first: int
    last: int
    n: int

    @classmethod
    def read(cls, directory: Path) -> Part:
        identity = read_provenance(directory)["identity"]
        if identity.get("kind") == "bonds":
            raise OutputError(
                f"{directory} holds bonds of a molecule or cluster, whose runs are not merged: analyse the whole "
                "trajectory in one run."
            )
        frames = [result.frame for result in Journal(directory / JOURNAL, FrameResult)]
        if not frames:
            raise OutputError(f"{directory} holds no analysed frame; run that part again.")
        return cls(directory, identity, frames[0], frames[-1], len(frames))


def merge_runs(directories: Sequence[Path], output: Path) -> int:
    """Write the results of all parts together.

    Parameters
    ----------
    directories : sequence of Path
        Output directories of `analyze`, in any order.
    output : Path
        New or empty.

    Returns
    -------
    int
        Number of frames.

    Raises
    ------
    OutputError
        When parts differ in their options, overlap, or leave a gap; when the disk is full or
        read-only.
    """
    output = Path(output)
    if output.exists() and any(output.iterdir()):
        raise OutputError(f"{output} is not empty; choose a new output directory (-o).")
    parts = sorted((Part.read(Path(d)) for d in directories), key=lambda part: part.first)
    _check(parts)
    with writing_into(output, "Make room, or see that it is writable; then merge into a new directory."):
        return _merged(parts, output)


def _merged(parts: Sequence[Part], output: Path) -> int:
    output.mkdir(parents=True, exist_ok=True)
    identity = {
        **parts[0].identity,
        "stop": parts[-1].identity["stop"],
        "parts": [part.directory.name for part in parts],
    }
    write_config(output, {}, identity)
    with Journal(output / JOURNAL, FrameResult) as journal:
        for part in parts:
            for result in Journal(part.directory / JOURNAL, FrameResult):
                journal.append([result])
        _copy_snapshots(parts, output / SNAPSHOTS)
        what, plan = parts_of(identity)
        write_results(output, journal, plan, failure=stopped_by(parts[-1].directory), **what)
    return sum(part.n for part in parts)


def _check(parts: Sequence[Part]) -> None:
    first = parts[0]
    if first.identity.get("quantities") != quantities():
        raise OutputError(
            f"{first.directory} was made by ase_elf {first.identity.get('ase_elf', 'unknown')}, which "
            "wrote down other quantities of a frame; merge with that version, or analyse again."
        )
    step = first.identity["step"]
    for before, part in pairwise(parts):
        keys = first.identity.keys() - set(OWN)
        different = sorted(k for k in keys if part.identity.get(k) != first.identity[k])
        if different:
            details = ", ".join(f"{k} {first.identity[k]} and {part.identity.get(k)}" for k in different)
            raise OutputError(f"{first.directory} and {part.directory} are not parts of one run: {details}.")
        if part.first != before.last + step:
            kind = "overlap" if part.first <= before.last else "leave a gap"
            raise OutputError(
                f"{before.directory} (frames {before.first} to {before.last}) and "
                f"{part.directory} (from {part.first}) {kind}; with step {step} the second must "
                f"begin at frame {before.last + step}."
            )


def _copy_snapshots(parts: Sequence[Part], folder: Path) -> None:
    """At most as many snapshots as one run keeps, spread over all parts."""
    offset, found = 0, []
    for part in parts:
        for path in sorted((part.directory / SNAPSHOTS).glob("*.npz")):
            found.append((offset + int(path.stem), path))
        offset += part.n
    folder.mkdir(exist_ok=True)
    for k in np.unique(np.linspace(0, len(found) - 1, min(CAPACITY, len(found))).round().astype(int)):
        ordinal, path = found[k]
        shutil.copyfile(path, snapshot_path(folder, ordinal))
