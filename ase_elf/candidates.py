"""Candidates: unrelated structures from a folder, a database, or a file of mixed frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from ase_elf.errors import FormatError, InputError
from ase_elf.formats.ase_json import check_database
from ase_elf.trajectory import DATABASES, NoFrames, Trajectory

if TYPE_CHECKING:
    from ase import Atoms

LOOKED_AT = 20
"""Frames of a file that are compared to tell a mixture from a trajectory."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """One structure to be screened, or the reason why it could not be read.

    Parameters
    ----------
    name : str
        Where it is from: the file below the folder, with ``#k`` for frame k of several;
        ``id=k`` in a database; ``#k`` in a single file.
    atoms : ase.Atoms or None
    error : str or None
    """

    name: str
    atoms: Atoms | None
    error: str | None = None

    def __post_init__(self) -> None:
        # Names of files are bytes, and tables are text: what is none is shown escaped.
        for part in ("name", "error"):
            if (text := getattr(self, part)) is not None:
                shown = text.encode("utf-8", "backslashreplace").decode()
                object.__setattr__(self, part, shown)


def is_collection(path: str | Path) -> bool:
    """Whether ``path`` holds unrelated structures rather than a trajectory.

    True for a folder (other than ASE's bundle of a trajectory), an ASE database, and a file
    in which one of the first 20 frames differs from the first in its atoms.

    Raises
    ------
    FormatError, InputError
        When the file cannot be read at all.
    """
    path = Path(path)
    if path.is_dir():
        from ase.io.bundletrajectory import BundleTrajectory

        return not BundleTrajectory.is_bundle(str(path))
    form = Trajectory(path).format
    if form in (*DATABASES, "universe"):  # a binary trajectory cannot even be read alone
        return form != "universe"
    first = None
    try:
        for frame in islice(Trajectory(path), LOOKED_AT):
            numbers = sorted(frame.atoms.numbers.tolist())
            first = first or numbers
            if numbers != first:
                return True
    except FormatError:
        if first is None:
            raise
    return False


@dataclass(frozen=True)
class Collection:
    """Structures of a folder, a database or a file, one at a time, the unreadable ones too.

    Parameters
    ----------
    path : str or Path
        Folder (all files in it and below, in order of their names, but none that are
        hidden, and no results of an analysis), ASE database, or any file :class:`~ase_elf.trajectory.Trajectory` reads.
    start, stop, step : int
        Slice of the structures, counted from 0.

    Examples
    --------
    >>> from ase.build import bulk
    >>> folder = getfixture("tmp_path") / "crystals"
    >>> folder.mkdir()
    >>> bulk("Si").write(folder / "silicon.cif")
    >>> _ = (folder / "broken.cif").write_text("data_")
    >>> [(c.name, c.error is None) for c in Collection(folder)]
    [('broken.cif', False), ('silicon.cif', True)]
    """

    path: str | Path
    start: int = 0
    stop: int | None = None
    step: int = 1

    def __iter__(self) -> Iterator[Candidate]:
        found = islice(self._all(), self.start, self.stop, self.step)
        empty = True
        for candidate in found:
            empty = False
            yield candidate
        if empty:
            raise NoFrames(f"{str(self.path)!r} holds no structures in the slice asked for.")

    def count(self) -> int | None:
        """Number of structures, None where only reading them would tell."""
        path = Path(self.path)
        total: int | None
        if path.is_dir():
            total = len(_files(path))  # a file with several frames makes it more
        elif Trajectory(path).format in DATABASES:
            total = None
        else:
            total = Trajectory(path).count()
        return None if total is None else len(range(total)[self.start : self.stop : self.step])

    def _all(self) -> Iterator[Candidate]:
        path = Path(self.path)
        if path.is_dir():
            for file in _files(path):
                yield from _of_file(file, str(file.relative_to(path)))
        elif Trajectory(path).format in DATABASES:
            yield from _of_database(path)
        else:
            yield from _of_file(path, "", single=False)


def _files(folder: Path) -> list[Path]:
    """Files of a folder, without what is hidden and without results of this package."""
    results = {journal.parent for journal in folder.rglob("journal.jsonl")}
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and results.isdisjoint(path.parents)
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def _of_file(path: Path, name: str, *, single: bool = True) -> Iterator[Candidate]:
    """Frames of one file; what it breaks off with is the last of them."""
    waiting: Candidate | None = None
    k = 0
    try:
        for k, frame in enumerate(Trajectory(path), 1):
            if waiting is not None:
                yield waiting
                single = False
            # A single frame takes the name of its file, and that it is single shows late.
            waiting = Candidate(f"{name}#{k - 1}", frame.atoms)
    except (FormatError, InputError) as error:
        if waiting is not None:
            yield waiting
        yield Candidate(f"{name}#{k}" if waiting is not None else name or path.name, None, str(error))
        return
    if waiting is not None:
        yield Candidate(name, waiting.atoms) if single else waiting


def _of_database(path: Path) -> Iterator[Candidate]:
    from ase.db import connect

    try:
        check_database(path)
        rows = iter(connect(path).select())
        while True:
            try:
                row = next(rows)
            except StopIteration:
                return
            name = f"id={row.id}"
            try:
                candidate = Candidate(name, row.toatoms())
            except Exception as error:  # a damaged row must not hide those after it
                candidate = Candidate(name, None, f"cannot read the row: {error}")
            yield candidate
    except Exception as error:  # SQLite, JSON, and what ASE makes of them
        raise FormatError(f"cannot read {str(path)!r}: {error}") from error
