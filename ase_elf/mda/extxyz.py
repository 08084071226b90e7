"""Extended XYZ for MDAnalysis: the cell, the time and everything else of every frame.

Registered under ``format="EXTXYZ"`` when :mod:`ase_elf.mda` is imported, so that
``MDAnalysis.Universe("run.extxyz")`` works, also for ``run.extxyz.gz``. Frames are parsed by
ASE. MDAnalysis' own XYZ reader sees neither cell nor time nor velocities.
"""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import IO, Any

import numpy as np
from ase import Atoms
from MDAnalysis.coordinates.base import ReaderBase
from MDAnalysis.coordinates.timestep import Timestep
from MDAnalysis.core.topology import Topology
from MDAnalysis.lib.util import anyopen, store_init_arguments
from MDAnalysis.topology.base import TopologyReaderBase

from ase_elf.errors import ElfWarning, FormatError
from ase_elf.geometry.orientation import arrays_of, check_directions, check_vectors
from ase_elf.mda.bridge import topology_of
from ase_elf.storage.unpacking import Room
from ase_elf.structures.endings import is_cut_short
from ase_elf.structures.readers import xyz
from ase_elf.structures.species import Species
from ase_elf.structures.splitting import count_of

__all__ = ["EXTXYZParser", "EXTXYZReader"]

_TIMES = ("time", "time_fs", "dt", "time_offset")


class EXTXYZReader(ReaderBase):
    """Frames of an extended XYZ file.

    Parameters
    ----------
    filename : str
        ``.extxyz``, plain or compressed, or any file with ``format="EXTXYZ"``.
    dt : float, optional
        ps between frames, where the frames do not state ``time_fs`` or ``time`` (fs).

    Notes
    -----
    ``ts.dimensions`` is the cell of that frame, ``ts.time`` its time in ps. Cells which are
    not in MDAnalysis' orientation are turned, with positions, velocities and forces.
    ``ts.data`` holds the scalars of the comment line and of the energy of that frame under
    their names in the file. Velocities are read from ``momenta``.

    The file is scanned once for where its frames begin, and each is parsed when it is asked
    for: memory does not grow with their number.

    Raises
    ------
    FormatError
        If the file is damaged, or the atoms change from frame to frame. A last frame which
        was cut off, as in a file that is still being written, is left out with an
        :class:`~ase_elf.errors.ElfWarning`.
    """

    format = "EXTXYZ"
    units = {
        "time": "ps",
        "length": "Angstrom",
        "velocity": "Angstrom/ps",
        "force": "kJ/(mol*Angstrom)",
    }

    @store_init_arguments
    def __init__(self, filename: str, **kwargs: Any) -> None:
        super().__init__(filename, **kwargs)
        self._stream: IO[bytes] | None = None
        self._names: tuple[str, ...] = ()
        self.n_atoms, self._offsets = _scan(self.filename)
        first = self._parse(0)
        self._numbers = first.numbers
        arrays = arrays_of(first)
        self.ts = Timestep(
            self.n_atoms,
            velocities=arrays.velocities is not None,
            forces=arrays.forces is not None,
            reader=self,
            **self._ts_kwargs,
        )
        self._read_frame(0)

    @property
    def n_frames(self) -> int:
        return len(self._offsets)

    def _get_dt(self) -> float:
        """ps between the first two frames; MDAnalysis takes AttributeError for unknown."""
        times = [xyz.stated_time(self._parse(k)) for k in range(min(2, self.n_frames))]
        if len(times) < 2 or not np.isfinite(times).all():
            raise AttributeError("the frames state no times")
        return 1e-3 * (times[1] - times[0])

    def close(self) -> None:
        if getattr(self, "_stream", None) is not None:
            self._stream.close()
            self._stream = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_stream": None}

    def _reopen(self) -> None:
        self.close()
        self.ts.frame = -1

    def _read_next_timestep(self, ts: Timestep | None = None) -> Timestep:
        if self.ts.frame + 1 >= self.n_frames:
            raise EOFError
        return self._read_frame(self.ts.frame + 1)

    def _read_frame(self, frame: int) -> Timestep:
        atoms, ts = self._parse(frame), self.ts
        if not np.array_equal(atoms.numbers, self._numbers):
            raise FormatError(
                f"frame {frame} of {self.filename!r} ({atoms.symbols}) lists other atoms than "
                "frame 0; a Universe has one list of atoms. ase_elf.structures.trajectory.Trajectory reads such files."
            )
        arrays = arrays_of(atoms)
        ts.frame = frame
        ts.positions = arrays.positions
        ts.dimensions = arrays.dimensions
        for name in ("velocities", "forces"):
            values = getattr(arrays, name)
            setattr(ts, f"has_{name}", values is not None)
            if values is not None:
                setattr(ts, name, values)
        self._describe(atoms)
        return ts

    def _describe(self, atoms: Atoms) -> None:
        """Replace what the last frame left in ``ts.data``, which is one dict for all."""
        for name in self._names:
            self.ts.data.pop(name, None)
        scalars = {name: v for name, v in atoms.info.items() if name not in _TIMES}
        if atoms.calc is not None:
            scalars |= atoms.calc.results
        scalars = {n: v for n, v in scalars.items() if np.isscalar(v)}
        time = xyz.stated_time(atoms)
        if np.isfinite(time):
            scalars["time"] = 1e-3 * time
        self.ts.data.update(scalars)
        self._names = tuple(scalars)

    def _parse(self, frame: int) -> Atoms:
        if self._stream is None:
            self._stream = anyopen(self.filename, mode="rb")
        start, size = self._offsets[frame]
        self._stream.seek(start)
        return _parsed(self._stream.read(size), self.filename, frame)


class EXTXYZParser(TopologyReaderBase):
    """Elements, masses and charges from the first frame of an extended XYZ file."""

    format = "EXTXYZ"

    def parse(self, **kwargs: Any) -> Topology:
        """The topology: one residue of all atoms."""
        with _opened(self.filename) as stream:
            _, (start, size) = next(_frames(stream, self.filename))
            stream.seek(start)
            return topology_of(_parsed(stream.read(size), self.filename, 0))


@contextmanager
def _opened(filename: str) -> Iterator[IO[bytes]]:
    """The file, unpacked; :class:`FormatError` where it cannot be."""
    try:
        with anyopen(filename, mode="rb") as stream:
            yield stream
    except FileNotFoundError:
        raise
    except (EOFError, OSError, zlib.error) as error:
        raise FormatError(f"{filename!r} cannot be read: {error}.") from error


def _parsed(text: bytes, filename: str, frame: int) -> Atoms:
    try:
        atoms, time, _ = xyz.parse(text.decode(), Species())
        if np.isfinite(time):
            atoms.info["time_fs"] = time
        check_vectors(atoms)
        check_directions(atoms)
        return atoms
    except Exception as error:  # the parser raises anything
        raise FormatError(f"{filename!r} cannot be read at frame {frame}: {error}") from error


def _scan(filename: str) -> tuple[int, list[tuple[int, int]]]:
    """Number of atoms, and first byte and length of every complete frame."""
    offsets = []
    n_atoms = None
    with _opened(filename) as stream:
        for number, place in _frames(stream, filename):
            n_atoms = number if n_atoms is None else n_atoms
            if number != n_atoms:
                raise FormatError(
                    f"frame {len(offsets)} of {filename!r} has {number} atoms, frame 0 has "
                    f"{n_atoms}; a Universe has one list of atoms. ase_elf.structures.trajectory.Trajectory reads "
                    "such files."
                )
            offsets.append(place)
    return n_atoms, offsets


def _frames(stream: IO[bytes], filename: str) -> Iterator[tuple[int, tuple[int, int]]]:
    """Number of atoms, and first byte and length, of each complete frame."""
    place, index = 0, 0
    room = Room(filename, "a frame of ")
    unpacked = room.lines(stream)
    for first in unpacked:
        if not first.strip():
            place += len(first)
            continue
        try:
            n_atoms = count_of(first)
        except ValueError as error:
            raise FormatError(
                f"frame {index} of {filename!r} begins with {first.strip()[:40]!r} instead of "
                "the number of atoms; the file is damaged there."
            ) from error
        lines = list(islice(unpacked, n_atoms + 1))
        if _is_cut(lines, n_atoms):
            _report_cut(filename, index)
            return
        size = len(first) + sum(map(len, lines))
        yield n_atoms, (place, size)
        place, index = place + size, index + 1
        room.empty()
    if index == 0:
        raise FormatError(f"{filename!r} holds no frames.")


def _is_cut(lines: list[bytes], n_atoms: int) -> bool:
    if len(lines) < n_atoms + 1:
        return True
    # Decoding every frame only to look at its last line would double the time of the scan.
    if lines[-1].endswith(b"\n"):
        return False
    return is_cut_short([line.decode(errors="replace") for line in lines[1:]])


def _report_cut(filename: str, index: int) -> None:
    if index == 0:
        raise FormatError(f"{filename!r} ends within its first frame.")
    warnings.warn(
        f"{filename!r} ends within frame {index}; frames 0 to {index - 1} are used.",
        ElfWarning,
        stacklevel=4,
    )
