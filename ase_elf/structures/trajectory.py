"""Trajectory: one streaming source of frames for anything ASE or MDAnalysis reads."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from ase_elf.errors import FormatError, InputError
from ase_elf.storage.unpacking import Room, check_packed
from ase_elf.structures.ase_json import check_database, open_traj
from ase_elf.structures.cells import cell_of, put_in
from ase_elf.structures.detection import UNIVERSE, UNPACKING, VASPOUT, format_of, reason
from ase_elf.structures.readers import lammps, other, universe, vasp, vaspout, xyz
from ase_elf.structures.species import Species
from ase_elf.structures.splitting import SPLITTERS, Damage
from ase_elf.structures.times import Clock, TimeCheck

if TYPE_CHECKING:
    import numpy as np
    from ase import Atoms

DATABASES = ("db", "json")
"""ASE's names of its databases in a file: SQLite and JSON."""

Read = tuple[int, "Atoms", float, float]
"""Index, atoms, time in fs and step of a frame; NaN for what the file does not state."""

_FIRST = 4
"""Frames from which the interval of a file is taken; the first may be repeated by a restart."""


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

    Streams extended XYZ and XYZ (of CP2K and i-PI too), ASE ``.traj``, LAMMPS text dumps,
    XDATCAR, ``vasprun.xml``, ``vaspout.h5``, PDB and every format of MDAnalysis; text also
    compressed (gz, bz2, xz). Other formats of ASE are read as ASE reads them, which for some
    means all at once.

    Parameters
    ----------
    path : str or Path
    start, stop, step : int
        Slice of frames, as in Python, from 0; no negative numbers.
    topology : str or Path, optional
        Topology or structure file for formats without elements; selects MDAnalysis.
    timestep : float, optional
        fs between the first two frames stored in the file. It holds before what the file
        states; where the file counts steps or times (LAMMPS, CP2K, i-PI, ``info["time_fs"]``
        or ``info["time"]``), later frames follow that count, so a gap remains a gap. Without
        it times are those of the file.
    elements : tuple of str, optional
        Chemical symbols of atom types 1, 2, ... in files which know only types, or
        ``label=symbol`` for single labels. Isotopes (``D``, ``H1``) need none.
    cell : sequence of float, optional
        Cell of all frames where the file states none: three lengths (Å), three lengths and
        three angles (degrees), or nine numbers. The frames are periodic then.

    Raises
    ------
    InputError
        For a slice or an option that cannot be meant; from iteration for elements or a cell
        that are missing, or given to a file that states its own.
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
    cell: tuple[float, ...] | np.ndarray | None = None

    def __post_init__(self) -> None:
        for name, lowest in (("start", 0), ("stop", 0), ("step", 1)):
            value = getattr(self, name)
            if value is not None and value < lowest:
                raise InputError(
                    f"{name} = {value}: frames are counted from the beginning of the file; "
                    f"give a number of at least {lowest}."
                )
        if self.timestep is not None and not 0 < self.timestep < math.inf:
            raise InputError(f"timestep = {self.timestep} fs must be positive.")
        Species(self.elements)  # or raises
        if self.cell is not None:
            object.__setattr__(self, "cell", cell_of(self.cell))
        if not Path(self.path).exists():
            raise InputError(f"there is no file {str(self.path)!r}.")

    def __iter__(self) -> Iterator[Frame]:
        clock = self._clock()
        check = TimeCheck(self.path, self.timestep)
        found = None
        for found in self._read():
            index, atoms, stated, step = found
            time = stated
            if clock is not None and not (math.isnan(step) and clock.agrees()):
                time = clock.time(index, stated if math.isnan(step) else step)
            check.compare(index, time, stated)
            yield Frame(index, time, atoms)
        if found is None:
            raise NoFrames(self._nothing())

    def _read(self) -> Iterator[Read]:
        """What the file holds in the slice, with elements and cell as they are given."""
        species = Species(self.elements)
        checked = False
        index = self.start
        try:
            for index, atoms, time, step in self._source(species):
                if not checked:
                    species.check_used(atoms.get_chemical_symbols())
                    checked = True
                if self.cell is not None:
                    put_in(atoms, self.cell)
                yield index, atoms, time, step
                index += self.step
        except (FormatError, InputError) as error:
            raise type(error)(self._located(str(error), index)) from error
        except Exception as error:  # the readers of other packages raise anything
            raise FormatError(
                f"{str(self.path)!r} cannot be read at frame {index}: {reason(error)}."
            ) from error

    def _located(self, message: str, index: int) -> str:
        """The message with file and frame, where it does not name them."""
        if str(self.path) in message or Path(self.path).name in message:
            return message
        where = "" if "frame" in message else f", frame {index}"
        return f"{str(self.path)!r}{where}: {message}"

    def _source(self, species: Species) -> Iterator[Read]:
        readers: dict[str, Callable[[Species], Iterator[Read]]] = {
            UNIVERSE: self._from_universe,
            VASPOUT: self._from_vaspout,
            "traj": self._from_traj,
            "vasp-xml": self._from_vasprun,
            "vasp": self._from_poscar,
        }
        default = self._from_text if self.format in SPLITTERS else self._from_ase
        return readers.get(self.format, default)(species)

    @cached_property
    def format(self) -> str:
        """ASE's name of the format, ``universe`` where MDAnalysis reads it, or ``vaspout``."""
        return format_of(Path(self.path), topology=self.topology is not None)

    def count(self) -> int | None:
        """Number of frames in the slice, None where only reading them would tell.

        For text formats the file is scanned without being parsed.
        """
        total: int | None = None
        try:
            if self.format == UNIVERSE:
                total = len(universe.open_universe(self.path, self.topology).trajectory)
            elif self.format == VASPOUT:
                total = vaspout.count(Path(self.path))
            elif self.format == "traj":
                with open_traj(Path(self.path)) as (traj, _):
                    total = len(traj)
            elif self.format in SPLITTERS:
                total = 0
                for _ in self._texts():
                    total += 1
        except Exception:  # whatever is wrong, reading the frames will say it better
            if self.format not in SPLITTERS:
                return None
        return None if total is None else len(range(*self._slice().indices(total)))

    def _slice(self) -> slice:
        return slice(self.start, self.stop, self.step)

    def _clock(self) -> Clock | None:
        """The clock of a given timestep: its zero and unit are those of the first frames."""
        if self.timestep is None:
            return None
        first = replace(self, start=0, stop=_FIRST, step=1, timestep=None)
        marks = []
        try:
            for _, _, time, step in first._read():
                marks.append(time if math.isnan(step) else step)
        except (FormatError, InputError):  # said when the frames themselves are read
            pass
        return Clock.of(self.timestep, marks)

    def _from_text(self, species: Species) -> Iterator[Read]:
        """Split the text into frames here, and parse one at a time."""
        parse = _PARSERS[self.format]
        for index, text in islice(enumerate(self._texts()), self.start, self.stop, self.step):
            try:
                yield index, *parse(text, species)
            except (FormatError, InputError) as error:
                raise type(error)(f"{str(self.path)!r} cannot be read at frame {index}: {error}") from error
            except Exception as error:
                raise FormatError(
                    f"{str(self.path)!r} cannot be read at frame {index}: {reason(error)}."
                ) from error

    def _texts(self) -> Iterator[str]:
        """The text of every frame; :class:`FormatError` where one takes too much memory."""
        from ase.io.formats import open_with_compression

        room = Room(self.path, "a frame of ")
        index = 0
        with open_with_compression(str(self.path), "r") as stream:
            try:
                for text in SPLITTERS[self.format](room.lines(stream)):
                    yield text
                    index += 1
                    room.empty()
            except Damage as error:
                raise FormatError(f"{str(self.path)!r}: {error}") from error
            except (*UNPACKING, UnicodeDecodeError) as error:
                raise FormatError(
                    f"{str(self.path)!r} cannot be read at frame {index}: {reason(error)}."
                ) from error

    def _from_traj(self, species: Species) -> Iterator[Read]:
        with open_traj(Path(self.path)) as (traj, check):
            for index in range(*self._slice().indices(len(traj))):
                try:
                    check(index)
                    atoms = traj[index]
                except Exception as error:
                    raise FormatError(
                        f"{str(self.path)!r} cannot be read at frame {index}: {reason(error)}."
                    ) from error
                yield index, atoms, xyz.stated_time(atoms), math.nan

    def _from_vasprun(self, species: Species) -> Iterator[Read]:
        from ase.io.formats import open_with_compression

        with open_with_compression(str(self.path), "r") as stream:
            frames = enumerate(vasp.read_vasprun(stream, species))
            for index, found in islice(frames, self.start, self.stop, self.step):
                yield index, *found

    def _from_poscar(self, species: Species) -> Iterator[Read]:
        from ase.io.formats import open_with_compression

        check_packed(self.path)
        with open_with_compression(str(self.path), "r") as stream:
            text = stream.read()
        if range(1)[self._slice()]:
            yield 0, *vasp.parse_poscar(text, species)

    def _from_vaspout(self, species: Species) -> Iterator[Read]:
        return vaspout.read(Path(self.path), self._slice(), species)

    def _from_ase(self, species: Species) -> Iterator[Read]:
        check_packed(self.path)
        if self.format in DATABASES:
            check_database(Path(self.path))
        indices = range(self.start, self.stop or 2**62, self.step)
        images = other.read(Path(self.path), self.format, self._slice(), species)
        for index, atoms in zip(indices, images, strict=False):
            yield index, atoms, xyz.stated_time(atoms), math.nan

    def _from_universe(self, species: Species) -> Iterator[Read]:
        opened = universe.open_universe(self.path, self.topology)
        return universe.read(opened, self._slice(), species)

    def _nothing(self) -> str:
        if self.start == 0 and self.stop is None:
            return f"{str(self.path)!r} holds no frames."
        return (
            f"{str(self.path)!r} has no frames in {self.start}:"
            f"{'' if self.stop is None else self.stop}:{self.step}; choose another slice."
        )


def _pdb(text: str, species: Species) -> tuple[Atoms, float, float]:
    return other.parse_pdb(text, species), math.nan, math.nan


_PARSERS = {
    "extxyz": xyz.parse,
    "xyz": xyz.parse,
    "lammps-dump-text": lammps.parse,
    "vasp-xdatcar": vasp.parse_xdatcar,
    "proteindatabank": _pdb,
}
