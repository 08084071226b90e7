"""Trajectory: one streaming source of frames for anything ASE or MDAnalysis reads."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ase_elf.errors import FormatError, InputError
from ase_elf.formats.ase_json import check_database, open_traj
from ase_elf.formats.unpacking import Room, check_packed

if TYPE_CHECKING:
    import MDAnalysis
    from ase import Atoms

UNIVERSE_SUFFIXES = frozenset(
    (".dcd", ".xtc", ".trr", ".h5md", ".ncdf", ".nc", ".tng", ".coor", ".namdbin")
)
"""Binary trajectories without chemistry: MDAnalysis reads them, with a topology."""

DATABASES = ("db", "json")
"""ASE's names of its databases in a file: SQLite and JSON."""


class _Damage(ValueError):
    """Where text cannot be split into frames."""


class NoFrames(FormatError):
    """The file, or the slice of it that was asked for, holds no frame."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame of a trajectory.

    Parameters
    ----------
    index : int
        Position in the file, from 0, whatever slice is read.
    time_fs : float
        Time in fs; NaN where neither the file nor the caller states one.
    atoms : ase.Atoms
        Positions and cell in Å.
    """

    index: int
    time_fs: float
    atoms: Atoms


@dataclass(frozen=True)
class Trajectory:
    """Frames of a file, one at a time: memory does not grow with their number.

    Streams extended XYZ and XYZ (also compressed), ASE ``.traj``, LAMMPS text dumps, XDATCAR
    and every format of MDAnalysis. Other formats of ASE are read as ASE reads them, which
    for some means all at once.

    Parameters
    ----------
    path : str or Path
    start, stop, step : int
        Slice of frames, as in Python, from 0; no negative numbers.
    topology : str or Path, optional
        Topology or structure file for formats without elements; selects MDAnalysis.
    timestep : float, optional
        fs between frames stored in the file, used where frames carry no time themselves
        (``atoms.info["time_fs"]`` or ``["time"]``, in fs).
    elements : tuple of str, optional
        Chemical symbols of atom types 1, 2, ... in files which know only types.

    Raises
    ------
    InputError
        For a slice or an option that cannot be meant.
    FormatError
        From iteration, when the file is empty, damaged or truncated; the frames before the
        damage have been yielded by then.

    Examples
    --------
    >>> from ase import Atoms
    >>> from ase.io import write
    >>> frames = [Atoms("H2", [(0, 0, 0), (0, 0, z)], cell=[3] * 3, pbc=True) for z in (0.7, 0.8)]
    >>> path = getfixture("tmp_path") / "run.extxyz"
    >>> write(path, frames)
    >>> [(f.index, f.time_fs, float(f.atoms.get_distance(0, 1).round(2)))
    ...  for f in Trajectory(path, timestep=2.0)]
    [(0, 0.0, 0.7), (1, 2.0, 0.8)]
    """

    path: str | Path
    start: int = 0
    stop: int | None = None
    step: int = 1
    topology: str | Path | None = None
    timestep: float | None = None
    elements: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for name, lowest in (("start", 0), ("stop", 0), ("step", 1)):
            value = getattr(self, name)
            if value is not None and value < lowest:
                raise InputError(
                    f"{name} = {value}: frames are counted from the beginning of the file; "
                    f"give a number of at least {lowest}."
                )
        if self.timestep is not None and not self.timestep > 0:
            raise InputError(f"timestep = {self.timestep} fs must be positive.")
        if not Path(self.path).exists():
            raise InputError(f"there is no file {str(self.path)!r}.")

    def __iter__(self) -> Iterator[Frame]:
        empty = True
        try:
            for index, atoms, time_fs in self._source():
                empty = False
                yield Frame(index, self._time(index, atoms, time_fs), self._named(atoms))
        except (FormatError, InputError):
            raise
        except Exception as error:  # the readers of other packages raise anything
            raise FormatError(f"cannot read {str(self.path)!r}: {_reason(error)}") from error
        if empty:
            raise NoFrames(self._nothing())

    def _source(self) -> Iterator[tuple[int, Atoms, float]]:
        if self.format == "universe":
            return self._from_universe()
        if self.format == "traj":
            return self._from_traj()
        if self.format in _SPLITTERS:
            return self._from_text()
        return self._from_ase()

    @cached_property
    def format(self) -> str:
        """ASE's name of the file format, or ``universe`` where MDAnalysis reads it."""
        from ase.io.formats import UnknownFileTypeError, filetype, ioformats

        path = Path(self.path)
        if self.topology is not None or path.suffix.lower() in UNIVERSE_SUFFIXES:
            return "universe"
        if path.is_file() and path.stat().st_size == 0:
            raise FormatError(f"{str(path)!r} is empty.")
        try:
            name = filetype(str(path))
            if name in ioformats:  # an unknown suffix comes back as its own format
                return name
            raise UnknownFileTypeError(name)
        except UnknownFileTypeError as error:
            raise FormatError(
                f"{str(path)!r} is of no format that ASE knows. Give a topology file "
                "(--topology) to read it with MDAnalysis, or convert it to extended XYZ."
            ) from error
        except Exception as error:  # damaged content confuses the detection
            raise FormatError(f"cannot read {str(path)!r}: {_reason(error)}") from error

    def count(self) -> int | None:
        """Number of frames in the slice, None where only reading them would tell.

        For text formats the file is scanned without being parsed.
        """
        total: int | None = None
        try:
            if self.format == "universe":
                total = len(self._universe().trajectory)
            elif self.format == "traj":
                with open_traj(Path(self.path)) as (traj, _):
                    total = len(traj)
            elif self.format in _SPLITTERS:
                total = 0
                for _ in self._texts():
                    total += 1
        except Exception:  # whatever is wrong, reading the frames will say it better
            if self.format not in _SPLITTERS:
                return None
        return None if total is None else len(range(*self._slice().indices(total)))

    def _slice(self) -> slice:
        return slice(self.start, self.stop, self.step)

    def _from_text(self) -> Iterator[tuple[int, Atoms, float]]:
        """Split the text into frames here, and let ASE parse one at a time."""
        from ase.io import read

        is_xyz = _SPLITTERS[self.format] is _split_xyz
        index = self.start
        try:
            for index, text in islice(enumerate(self._texts()), self.start, self.stop, self.step):
                if is_xyz:
                    check_columns(text.split("\n", 3)[1:])
                atoms = read(StringIO(text), format=self.format, index=0)
                if is_xyz:
                    check_count(text, atoms)
                yield index, atoms, math.nan
        except FormatError:
            raise
        except Exception as error:
            raise FormatError(
                f"{str(self.path)!r} cannot be read at frame {index}: {_reason(error)}"
            ) from error

    def _texts(self) -> Iterator[str]:
        """The text of every frame; :class:`FormatError` where one takes too much memory."""
        from ase.io.formats import open_with_compression

        room = Room(self.path, "a frame of ")
        with open_with_compression(str(self.path), "r") as stream:
            try:
                for text in _SPLITTERS[self.format](room.lines(stream)):
                    yield text
                    room.empty()
            except _Damage as error:
                raise FormatError(f"{str(self.path)!r}: {error}") from error

    def _from_traj(self) -> Iterator[tuple[int, Atoms, float]]:
        with open_traj(Path(self.path)) as (traj, check):
            for index in range(*self._slice().indices(len(traj))):
                try:
                    check(index)
                    atoms = traj[index]
                except Exception as error:
                    raise FormatError(
                        f"{str(self.path)!r} cannot be read at frame {index}: {_reason(error)}"
                    ) from error
                yield index, atoms, math.nan

    def _from_ase(self) -> Iterator[tuple[int, Atoms, float]]:
        from ase.io import iread

        check_packed(self.path)
        if self.format in DATABASES:
            check_database(Path(self.path))
        indices = range(self.start, self.stop or 2**62, self.step)
        images = iread(
            str(self.path), self._slice(), format=self.format, do_not_split_by_at_sign=True
        )
        for index, atoms in zip(indices, images, strict=False):
            yield index, atoms, math.nan

    def _universe(self) -> MDAnalysis.Universe:
        import MDAnalysis

        files = [str(self.path)] if self.topology is None else [self.topology, self.path]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # guesses about masses and the like
                return MDAnalysis.Universe(*map(str, files))
        except Exception as error:
            hint = "" if self.topology else " Give the atoms in a topology file (--topology)."
            raise FormatError(
                f"MDAnalysis cannot read {' with '.join(map(str, files))}: "
                f"{_reason(error)}.{hint}"
            ) from error

    def _from_universe(self) -> Iterator[tuple[int, Atoms, float]]:
        from ase import Atoms

        universe = self._universe()
        symbols = self.elements and self._symbols_of_types(universe.atoms.types)
        symbols = symbols or symbols_of(universe)
        known = states_time(universe.trajectory)
        for step in universe.trajectory[self._slice()]:
            box = step.dimensions
            cell = None if box is None else step.triclinic_dimensions.astype(float)
            atoms = Atoms(symbols, step.positions.astype(float), cell=cell, pbc=box is not None)
            yield step.frame, atoms, 1000.0 * step.time if known else math.nan

    def _time(self, index: int, atoms: Atoms, time_fs: float) -> float:
        for stated in (atoms.info.get("time_fs"), atoms.info.get("time"), time_fs):
            if isinstance(stated, int | float | np.number) and math.isfinite(stated):
                return float(stated)
        return math.nan if self.timestep is None else index * self.timestep

    def _named(self, atoms: Atoms) -> Atoms:
        """Replace type numbers, which ASE reads as atomic numbers, by elements."""
        if self.elements and self.format != "universe":
            atoms.symbols = self._symbols_of_types(atoms.numbers)
        return atoms

    def _symbols_of_types(self, types: np.ndarray) -> list[str]:
        try:
            numbers = np.asarray(types, dtype=int)
            return [self.elements[k - 1] for k in numbers if k > 0 or 1 / 0]
        except (ValueError, IndexError, ZeroDivisionError) as error:
            raise InputError(
                f"atom types {sorted(set(map(str, types)))[:8]} do not fit the "
                f"{len(self.elements)} elements given ({', '.join(self.elements)})."
            ) from error

    def _nothing(self) -> str:
        if self.start == 0 and self.stop is None:
            return f"{str(self.path)!r} holds no frames."
        return (
            f"{str(self.path)!r} has no frames in {self.start}:"
            f"{'' if self.stop is None else self.stop}:{self.step}; choose another slice."
        )


def _reason(error: Exception) -> str:
    return str(error).strip().rstrip(".") or type(error).__name__


def _split_xyz(stream: Iterator[str]) -> Iterator[str]:
    """Frames of an (extended) XYZ file: a number of atoms, a comment, and the atoms."""
    for index, first in enumerate(stream):
        if not first.strip():
            continue
        try:
            n_atoms = count_of(first)
        except ValueError as error:
            raise _Damage(
                f"frame {index} begins with {first.strip()[:40]!r} instead of the number of "
                "atoms; the file is damaged there."
            ) from error
        lines = list(islice(stream, n_atoms + 1))
        if len(lines) < n_atoms + 1 or is_cut_short(lines):
            complete = f"frames 0 to {index - 1} are complete" if index else "no frame is complete"
            raise _Damage(f"the file ends within frame {index} (of {n_atoms} atoms); {complete}.")
        yield first + "".join(lines)


def count_of(line: str | bytes) -> int:
    """The number of atoms that a frame of an XYZ file begins with; ValueError for none."""
    n_atoms = int(line[:100])
    if not 0 <= n_atoms < 2**40:
        raise ValueError(n_atoms)
    return n_atoms


def check_count(text: str, atoms: Atoms) -> None:
    """Raise :class:`FormatError` where ASE made of an XYZ frame fewer atoms than it has.

    It does so for comments in which it finds no positions among the columns.
    """
    n_atoms = count_of(text[: text.index("\n")])
    if len(atoms) != n_atoms:
        raise FormatError(
            f"{len(atoms)} of {n_atoms} atoms can be read; the comment of the frame is damaged."
        )


_COLUMNS = 100
"""Columns that a frame without atoms may declare."""


def check_columns(lines: list[str]) -> None:
    """Raise :class:`FormatError` for a frame whose comment declares more columns than it has.

    ASE makes a list of the declared columns before it looks at the atoms. Which of several
    declarations holds, however they are quoted, its own parser of comments knows.
    """
    from ase.io.extxyz import key_val_str_to_dict

    declared = key_val_str_to_dict(lines[0]).get("Properties")
    if not isinstance(declared, str):
        return
    counts = declared.split(":")[2::3]
    there = len("".join(lines[1:2]).split()) or _COLUMNS
    if not all(len(n) <= 6 and n.isdecimal() for n in counts) or sum(map(int, counts)) > there:
        raise FormatError(
            f"the comment declares the columns {declared!r:.200}, where there are {there} at most."
        )


def is_cut_short(lines: list[str]) -> bool:
    """Whether the last line of a frame was cut short, as by a writer that was killed."""
    if lines[-1].endswith("\n") or len(lines) < 3:
        return False
    last, others = lines[-1], lines[1:-1]
    fewer_columns = len(last.split()) < len(others[0].split())
    return fewer_columns or len(last) < min(len(line.rstrip()) for line in others)


def _split_lammps(stream: Iterator[str]) -> Iterator[str]:
    """Frames of a LAMMPS text dump."""
    text: list[str] = []
    for line in stream:
        if line.startswith("ITEM: TIMESTEP") and text:
            yield "".join(text)
            text = []
        text.append(line)
    if text:
        yield "".join(text)


def _split_xdatcar(stream: Iterator[str]) -> Iterator[str]:
    """Frames of an XDATCAR, each with the header that holds for it."""
    header: list[str] = []
    for line in stream:
        if "Direct configuration=" not in line:
            header = [line, *islice(stream, 6)]
            line = next(stream, "")
        if len(header) < 7 or not line:
            return
        n_atoms = sum(int(word) for word in header[6].split())
        body = list(islice(stream, n_atoms))
        if len(body) < n_atoms:
            raise _Damage("the file ends within a configuration.")
        yield "".join([*header, line, *body])


_SPLITTERS = {
    "extxyz": _split_xyz,
    "xyz": _split_xyz,
    "lammps-dump-text": _split_lammps,
    "vasp-xdatcar": _split_xdatcar,
}


def symbols_of(universe: MDAnalysis.Universe) -> list[str]:
    """Chemical symbols from the topology, guessed from names and types where it has none."""
    from ase.data import atomic_numbers

    if not hasattr(universe.atoms, "elements"):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what cannot be guessed is reported below
                universe.guess_TopologyAttrs(to_guess=["elements"])
        except ValueError as error:
            raise InputError(
                "the trajectory names no atoms; give them in a topology file (--topology)."
            ) from error
    symbols = [str(element).capitalize() for element in universe.atoms.elements]
    unknown = sorted({s for s in symbols if s not in atomic_numbers})
    if unknown:
        types = sorted(set(map(str, universe.atoms.types)))
        raise InputError(
            f"the topology names no elements for atom types {', '.join(types[:8])}; "
            "give them in order (--elements)."
        )
    return symbols


def states_time(trajectory: MDAnalysis.coordinates.base.ReaderBase) -> bool:
    """Whether times come from the file; MDAnalysis invents 1 ps per frame where not."""
    if "time" in trajectory.ts.data:
        return True
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        _ = trajectory.ts.dt
    return not any("dt" in str(warning.message) for warning in caught)
