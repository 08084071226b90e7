"""Candidates: unrelated structures, some with their ELF, from a folder, a database or one file."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase_elf.errors import ElfError, ElfWarning, FormatError, InputError
from ase_elf.formats import detect, holds_elf, iread_elf
from ase_elf.formats.opening import bare_name, unpacked
from ase_elf.formats.store import ELFStore
from ase_elf.formats.vasp_h5 import n_steps
from ase_elf.storage.atomic import PART
from ase_elf.structures.ase_json import check_database
from ase_elf.structures.trajectory import DATABASES, NoFrames, Trajectory

if TYPE_CHECKING:
    from ase import Atoms

    from ase_elf.grid import ELFGrid

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
    grid : ELFGrid, optional
        The ELF that the file holds; without it the ELF is to be predicted.
    path : Path, optional
        The file, where it holds nothing else.
    notes : tuple of str
        What reading it warned of.
    """

    name: str
    atoms: Atoms | None
    error: str | None = None
    grid: ELFGrid | None = None
    path: Path | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        # Names of files are bytes, and tables are text: what is none is shown escaped.
        for part in ("name", "error"):
            if (text := getattr(self, part)) is not None:
                shown = text.encode("utf-8", "backslashreplace").decode()
                object.__setattr__(self, part, shown)


def is_collection(path: str | Path, *, predict: bool = False) -> bool:
    """Whether ``path`` holds unrelated structures rather than a trajectory.

    True for a folder (other than ASE's bundle of a trajectory), an ASE database, a file
    in which one of the first 20 frames differs from the first in its atoms, and, unless all is
    to be predicted, for an ELF file or store.

    Raises
    ------
    FormatError, InputError
        When the file cannot be read at all.
    """
    path = Path(path)
    if not predict and is_elf_file(path):
        return True
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


def is_elf_file(path: Path) -> bool:
    """Whether ``path`` is a file or store of ELF, rather than a run that also left the last one."""
    if not holds_elf(path):
        return False
    if path.is_dir() or detect(path) != "vasp-h5":
        return True
    with unpacked(path) as plain:
        return n_steps(plain) == 1


@dataclass(frozen=True)
class Collection:
    """Structures of a folder, a database or a file, one at a time, the unreadable ones too.

    Parameters
    ----------
    path : str or Path
        Folder (all files in it and below, in order of their names, but none that are
        hidden, and no results of an analysis), ASE database, any file
        :class:`~ase_elf.structures.trajectory.Trajectory` reads, ELF file or store.
    start, stop, step : int
        Slice of the structures, counted from 0.
    predict : bool
        Whether the ELF that files hold is left aside, for their structures alone.
    reading : mapping
        Arguments of :func:`ase_elf.read_elf`, used where they apply to the format.
    only_elf : bool
        Whether files that hold no ELF are left out.

    Notes
    -----
    Left out are, beside an ``ELFCAR``, the other files of that run (:meth:`left_out`), and files of
    VASP that hold no structure.

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
    predict: bool = False
    reading: Mapping[str, Any] = field(default_factory=dict)
    only_elf: bool = False

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
        if self._is_elf(path):
            total = len(ELFStore(path)) if path.is_dir() else 1
        elif path.is_dir():
            total = len(self._files())  # a file with several frames makes it more
        elif Trajectory(path).format in DATABASES:
            total = None
        else:
            total = Trajectory(path).count()
        return None if total is None else len(range(total)[self.start : self.stop : self.step])

    def left_out(self) -> list[Path]:
        """Files of runs whose ELF is read, which are no structures of their own."""
        path = Path(self.path)
        if not path.is_dir() or self.predict or self._is_elf(path):
            return []
        return sorted(set(_files(path)) - set(self._files()))

    def _all(self) -> Iterator[Candidate]:
        path = Path(self.path)
        if self._is_elf(path):
            yield from _of_elf(path, "", self.reading)
        elif path.is_dir():
            for file in self._files():
                name = str(file.relative_to(path))
                if self._is_elf(file):
                    yield from _of_elf(file, name, self.reading)
                elif not self.only_elf:
                    yield from _of_file(file, name)
        elif Trajectory(path).format in DATABASES:
            yield from _of_database(path)
        else:
            yield from _of_file(path, "", single=False)

    def _is_elf(self, path: Path) -> bool:
        return not self.predict and is_elf_file(path)

    def _files(self) -> list[Path]:
        files = _files(Path(self.path))
        if self.predict:
            return files
        runs = {f.parent for f in files if bare_name(f) == "ELFCAR"}
        return [f for f in files if not (f.parent in runs and bare_name(f) in _OF_RUN)]


_NO_STRUCTURES = ("INCAR", "KPOINTS", "POTCAR", "DOSCAR", "EIGENVAL", "IBZKPT", "OSZICAR", "PCDAT",
                  "PROCAR", "REPORT", "WAVECAR", "WAVEDER")  # fmt: skip
"""Files of VASP without a structure."""

_OF_RUN = ("POSCAR", "CONTCAR", "XDATCAR", "OUTCAR", "vasprun.xml", "vaspout.h5", "vaspwave.h5",
           "CHG", "CHGCAR", "AECCAR0", "AECCAR1", "AECCAR2", "LOCPOT", "PARCHG")  # fmt: skip
"""Files of VASP that repeat the structure of the ELFCAR beside them, or hold its last steps."""


def _is_other(path: Path) -> bool:
    """Whether a file is known to hold no structure: of a density of states, or made by this package."""
    name = bare_name(path)
    parts = (name.split(".")[0].split("_")[0], name.rsplit(".")[-1])
    return (
        any(part in _NO_STRUCTURES for part in parts)
        or ".pdos_" in name
        or path.name.endswith((".config.yaml", PART))
    )


def _files(folder: Path) -> list[Path]:
    """Files of a folder, without what is hidden and without results of this package."""
    results = {journal.parent for journal in folder.rglob("journal.jsonl")}
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and results.isdisjoint(path.parents)
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and not _is_other(path)
    )


def _of_elf(path: Path, name: str, reading: Mapping[str, Any]) -> Iterator[Candidate]:
    """The ELF of one file, or of every frame of a store; errors are rows like any other.

    In a folder, where files have names, an option may be meant for others than this one.
    """
    frames = iread_elf(path, lenient=bool(name), **reading)
    while True:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ElfWarning)
            try:
                frame, grid = next(frames)
            except StopIteration:
                return
            except (ElfError, OSError) as error:
                reason = str(error).removeprefix(f"{path}: ")
                yield Candidate(name or path.name, None, reason, path=path)
                return
        notes = tuple(str(w.message).removeprefix(f"{path}: ") for w in caught
                      if issubclass(w.category, ElfWarning))  # fmt: skip
        which = name or path.name
        which = which if frame is None else f"{which}#{frame}"
        yield Candidate(which, grid.atoms, grid=grid, path=path, notes=notes)


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
        yield Candidate(name, waiting.atoms, path=path) if single else waiting


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
