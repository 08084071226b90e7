"""Binary store: a directory with one small HDF5 file per frame.

HDF5 cannot append to a file so that killing the process at any moment leaves it readable,
so nothing is ever changed in place: a frame is written under another name, put on disk,
and renamed. What bears a frame's name is finished. It also lets several processes write
into one store: a frame that one of them writes is locked, and the others go on with the next
number. Only on a file system without locks they must say their numbers.

A frame holds ``elf`` (and ``sigma`` where known) as uint16 with the attribute ``scale``:
value = integer * scale, error at most scale / 2 (7.6e-6 for the ELF); where that leaves something of
an ELF near 1, ``fine`` (int8) holds it (:mod:`ase_elf.storage.quantization`); ``cell``,
``positions`` (Å), ``numbers``, ``pbc``, ``info`` (JSON, as bytes) and the attribute ``frame``.
"""

from __future__ import annotations

import json
import os
import re
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_elf.errors import FormatError, InputError, OutputError
from ase_elf.storage.atomic import Taken, replacing
from ase_elf.storage.quantization import FULL_SCALE, coarse, fine, restored

if TYPE_CHECKING:
    import h5py

    from ase_elf.grid import ELFGrid

__all__ = ["LAYOUT", "ELFStore", "check_head", "read_frame", "read_store", "write_frame"]

LAYOUT = "ase_elf frame 2"
"""Written into every frame; the number changes when an old reader would misread it."""

_NAME = re.compile(r"frame-(\d{9})\.h5")
_CONVENTION = "elf[ix, iy, iz] at fractional (ix/nx, iy/ny, iz/nz); periodic, end plane excluded"
_DEFLATE_LIMIT = 1100
"""Deflate shrinks by at most 1032; a data set claiming more was never written."""


class ELFStore:
    """ELF grids of many frames, in a directory.

    Parameters
    ----------
    path : path-like
        The directory, by custom named ``*.elfstore``; made when the first frame is written.

    Raises
    ------
    OutputError
        If ``path`` is a file, or a directory that holds something else.

    Examples
    --------
    >>> import numpy as np, tempfile, os
    >>> from ase.build import bulk
    >>> from ase_elf import ELFGrid
    >>> store = ELFStore(os.path.join(tempfile.mkdtemp(), "run.elfstore"))
    >>> store.append(ELFGrid(np.full((4, 4, 4), 0.25), bulk("Al")))
    0
    >>> store.append(ELFGrid(np.full((4, 4, 4), 0.5), bulk("Al")), frame=10)
    10
    >>> store.frames, store[10]
    ([0, 10], ELFGrid(Al, shape=(4, 4, 4), ELF 0.500 to 0.500))
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._next: int | None = None
        if self.path.exists() and not self.path.is_dir():
            raise OutputError(f"{self.path} is a file; a store is a directory. Choose a new name.")
        foreign = [p.name for p in self._listing() if not p.name.startswith("frame-")]
        if foreign:
            raise OutputError(
                f"{self.path} holds {foreign[0]!r} and is not an ELF store; choose an empty or new directory."
            )

    @property
    def frames(self) -> list[int]:
        """Numbers of the finished frames, ascending."""
        matches = (_NAME.fullmatch(p.name) for p in self._listing())
        return sorted(int(match[1]) for match in matches if match)

    def __len__(self) -> int:
        return len(self.frames)

    def __iter__(self) -> Iterator[ELFGrid]:
        return (self[frame] for frame in self.frames)

    def __contains__(self, frame: int) -> bool:
        return self.file(frame).is_file()

    def __getitem__(self, frame: int) -> ELFGrid:
        file = self.file(frame)
        if not file.is_file():
            raise KeyError(
                f"{self.path} has no frame {frame}; it holds {len(self)} frames"
                + (f", {self.frames[0]} to {self.frames[-1]}." if len(self) else ".")
            )
        return read_frame(file)

    def __repr__(self) -> str:
        return f"ELFStore({str(self.path)!r}, {len(self)} frames)"

    def file(self, frame: int) -> Path:
        """Where ``frame`` is, or would be."""
        if int(frame) != frame or not 0 <= frame < 10**9:
            raise InputError(f"a frame number is an integer from 0 to 999999999, not {frame!r}.")
        return self.path / f"frame-{int(frame):09d}.h5"

    def append(self, grid: ELFGrid, frame: int | None = None, *, replace: bool = False) -> int:
        """Write one frame; when this returns, the frame is on disk.

        Parameters
        ----------
        grid : ELFGrid
        frame : int, optional
            Its number, by default one more than the largest there is, or the next that no
            other process is writing.
        replace : bool
            Whether a frame of that number may be overwritten.

        Returns
        -------
        int
            The number of the frame.

        Raises
        ------
        OutputError
            If the frame exists and ``replace`` is false, another process is writing it, or it
            cannot be written.
        """
        if frame is not None:
            return self._write(grid, frame, replace)
        while True:
            free = self._next_frame()
            with suppress(Taken):
                return self._write(grid, free, replace=False)
            self._next = free + 1

    def _write(self, grid: ELFGrid, frame: int, replace: bool) -> int:
        """Write a frame under its number; :class:`Taken` if that is another's."""
        file = self.file(frame)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make {self.path}: {error.strerror or error}.") from error
        with replacing(file) as part:
            if file.exists() and not replace:  # asked here, where no other process can write it
                raise Taken(f"{file} exists already; pass replace=True or another frame number.")
            write_frame(part, grid, frame=int(frame))
        if self._next is not None:
            self._next = max(self._next, int(frame) + 1)
        return int(frame)

    def _next_frame(self) -> int:
        """One more than the largest; the directory is listed once, not at every append."""
        if self._next is None:
            self._next = max(self.frames, default=-1) + 1
        while self._next in self:  # another process writes here too
            self._next += 1
        return self._next

    def _listing(self) -> list[Path]:
        return list(self.path.iterdir()) if self.path.is_dir() else []


def write_frame(path: Path, grid: ELFGrid, *, frame: int | None = None) -> None:
    """Write ``grid`` to one HDF5 file, in place; callers rename it.

    HDF5 makes the file in memory: its library takes the process down when a disk is full.
    """
    import h5py

    with h5py.File(path, "w", driver="core", backing_store=False) as file:
        file.attrs["layout"] = np.bytes_(LAYOUT)
        file.attrs["convention"] = np.bytes_(_CONVENTION)
        info = json.dumps(grid.info, default=_plain).encode()
        file["info"] = np.frombuffer(info, np.uint8)
        if frame is not None:
            file.attrs["frame"] = frame
        _write_integers(file, "elf", coarse(grid.values)).attrs["scale"] = 1.0 / FULL_SCALE
        if (parts := fine(grid.values)).any():
            _write_integers(file, "fine", parts)
        if grid.sigma is not None:
            scale = float(grid.sigma.max()) / FULL_SCALE or 1.0
            steps = np.rint(grid.sigma.astype(np.float64) / scale).astype(np.uint16)
            _write_integers(file, "sigma", steps).attrs["scale"] = scale
        file["cell"] = grid.cell
        file["positions"] = grid.atoms.positions
        file["numbers"] = grid.atoms.numbers.astype(np.int32)
        file["pbc"] = grid.atoms.pbc
        file.flush()
        image = file.id.get_file_image()
    path.write_bytes(image)


def read_frame(path: Path) -> ELFGrid:
    """The grid in one HDF5 file; :class:`FormatError` where it is not a whole frame."""
    import h5py

    from ase_elf.formats.structure import sound_atoms
    from ase_elf.grid import ELFGrid

    try:
        check_head(path)
        with h5py.File(path, "r") as file:
            layout = _attribute(file, "layout", "S")
            if layout != np.bytes_(LAYOUT):
                raise FormatError(f"{path}: layout {layout!r:.80}, expected {LAYOUT!r}.")
            info = json.loads(_read_written(file, "info", "u").tobytes())
            if "frame" in file.attrs:
                info["frame"] = int(_attribute(file, "frame", "iu"))
            values = _read_scaled(file, "elf", "fine" if "fine" in file else None)
            sigma = _read_scaled(file, "sigma") if "sigma" in file else None
            numbers = _read_written(file, "numbers", "iu")
            positions, cell = (_read_written(file, name, "f") for name in ("positions", "cell"))
            pbc = _read_written(file, "pbc", "b")
        atoms = sound_atoms(numbers, positions, cell, pbc)
        return ELFGrid(values, atoms, {"source": str(path), "format": "hdf5", **info}, sigma)
    except FormatError:
        raise
    except FileNotFoundError:
        raise
    except (
        ArithmeticError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError,
    ) as error:  # fmt: skip
        raise FormatError(
            f"{path}: not a whole frame of the binary store ({error}); remove it and write that frame again."
        ) from error


def read_store(path: Path, frame: int | None) -> ELFGrid:
    """One grid of a store, the only one where ``frame`` is not given."""
    try:
        frames = ELFStore(path).frames
    except OutputError as error:
        raise FormatError(f"{path}: not an ELF store.") from error
    if not frames:
        raise FormatError(f"{path}: holds no frames of an ELF store.")
    if frame is None:
        if len(frames) > 1:
            raise InputError(
                f"{path} holds {len(frames)} frames, {frames[0]} to {frames[-1]}; say which with frame=."
            )
        frame = frames[0]
    if frame not in frames:
        raise InputError(f"{path} has no frame {frame}; it holds {frames[0]} to {frames[-1]}.")
    return ELFStore(path)[frame]


def _write_integers(file: h5py.File, name: str, integers: np.ndarray) -> h5py.Dataset:
    return file.create_dataset(name, data=integers, chunks=integers.shape, compression="gzip", shuffle=True)


def _read_scaled(file: h5py.File, name: str, finer: str | None = None) -> np.ndarray:
    integers = _read_written(file, name, "u")
    if integers.dtype != np.uint16 or integers.ndim != 3:
        raise FormatError(
            f"{file.filename}: {name} is {integers.ndim}-dimensional {integers.dtype}, expected a "
            "grid of uint16."
        )
    scale = float(_attribute(file[name], "scale", "f"))
    if finer is None:
        return (integers * scale).astype(np.float32)
    if scale != 1.0 / FULL_SCALE:
        raise FormatError(f"{file.filename}: {finer} beside {name} in steps of {scale}.")
    return restored(integers, _read_written(file, finer, "i"))


def check_head(path: Path) -> None:
    """Raise for a head that no frame has: HDF5 takes as much memory as blocks named there declare.

    Bytes as in the superblock of version 0 of the HDF5 file format: sizes of addresses at 13, at
    24 where the file begins, where free space and its end are listed, and a block of its driver.
    """
    with path.open("rb") as file:
        head = file.read(56)
    if not head.startswith(b"\x89HDF\r\n\x1a\n") or len(head) < 56:
        raise FormatError(f"{path}: no HDF5 file begins like this.")
    if head[8] >= 2:  # has a checksum, and names no such blocks
        return
    start, free, _, driver = struct.unpack("<4Q", head[24:])
    if (head[8], head[13:15], start, free, driver) != (0, b"\x08\x08", 0, _NOWHERE, _NOWHERE):
        raise FormatError(f"{path}: the head of the HDF5 file is not that of a frame.")


_NOWHERE = 2**64 - 1


def _attribute(owner: h5py.File | h5py.Dataset, name: str, kinds: str) -> Any:
    """An attribute of one of the ``kinds`` of dtype.

    Never text of variable length: HDF5 keeps that in a heap, of which a damaged one takes the
    process down.
    """
    if owner.attrs.get_id(name).dtype.kind not in kinds:
        raise FormatError(f"{owner.file.filename}: {name} is of another type than ever written.")
    return owner.attrs[name]


def _read_written(file: h5py.File, name: str, kinds: str) -> np.ndarray:
    """A data set of this very file, of one of the ``kinds`` of dtype.

    Refused before anything is allocated if its bytes are not in the file, and if it is a
    link to something else: HDF5 would open whatever file that names.
    """
    import h5py

    data = file.get(name) if isinstance(file.get(name, getlink=True), h5py.HardLink) else None
    own = isinstance(data, h5py.Dataset) and not data.is_virtual and data.external is None
    if data is None or not own or data.dtype.kind not in kinds:
        raise FormatError(f"{file.filename}: {name} is no array of numbers in this file.")
    # One piece or none: over pieces of another rank than the array HDF5 takes memory for ever.
    if data.chunks not in (None, data.shape):
        raise FormatError(f"{file.filename}: {name} of shape {data.shape} is in pieces of {data.chunks}.")
    limit = _DEFLATE_LIMIT if data.chunks else 1
    # What a damaged file says about its storage is as good as what it says about its shape.
    stored = min(data.id.get_storage_size(), file.id.get_filesize())
    if data.size * data.dtype.itemsize > limit * stored + 64:
        raise FormatError(f"{file.filename}: {name} declares shape {data.shape} but stores {stored} bytes.")
    return data[()]


def _plain(value: Any) -> Any:
    """NumPy values and paths in ``info`` as JSON; the rest by its repr, never an error."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return str(value)
