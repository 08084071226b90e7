"""Snapshots: the ELF of a handful of frames, spread evenly over a run of unknown length."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ase_elf.errors import FormatError
from ase_elf.storage.atomic import replacing
from ase_elf.storage.npz import read_arrays

if TYPE_CHECKING:
    from ase_elf.grid import ELFGrid
    from ase_elf.topology import Networking

CAPACITY = 8
"""Most snapshots a report shows; at 48 grid points per edge some 0.5 MB each."""

EDGE = 48
"""Most grid points along an edge of a snapshot."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """What the 3D view shows of one frame.

    Parameters
    ----------
    frame : int
    time_fs : float
    numbers : ndarray, shape (n_atoms,)
    positions : ndarray, shape (n_atoms, 3), Å
    cell : ndarray, shape (3, 3), Å
    values : ndarray, shape (nx, ny, nz), uint8
        ELF times 255, thinned.
    passes : ndarray, shape (n, 3), Å
        Bond points of the ELF, with ``pass_values``.
    pass_values : ndarray, shape (n,)
    """

    frame: int
    time_fs: float
    numbers: np.ndarray
    positions: np.ndarray
    cell: np.ndarray
    values: np.ndarray
    passes: np.ndarray
    pass_values: np.ndarray

    @classmethod
    def of(cls, frame: int, time_fs: float, grid: ELFGrid, network: Networking) -> Snapshot:
        shape = tuple(min(n, EDGE) for n in grid.shape)
        coarse = grid if shape == grid.shape else grid.resample(shape)
        saddles = network.saddles
        high = saddles.values > 0.2
        return cls(
            frame=frame,
            time_fs=time_fs,
            numbers=grid.atoms.numbers,
            positions=grid.atoms.get_positions(wrap=True),
            cell=grid.cell,
            values=np.round(coarse.values * 255).astype(np.uint8),
            passes=(saddles.u[high] / network.basins.field.shape) % 1 @ grid.cell,
            pass_values=saddles.values[high],
        )

    def write(self, path: Path) -> None:
        with replacing(path) as part, part.open("wb") as stream:
            np.savez_compressed(stream, **{n: getattr(self, n) for n in self.__dataclass_fields__})

    @classmethod
    def read(cls, path: Path) -> Snapshot:
        """The snapshot in a file; :class:`FormatError` where there is none."""
        try:
            with path.open("rb") as stream:
                stored = read_arrays(stream)
            arrays = {name: stored[name] for name in cls.__dataclass_fields__}
            scalars = {"frame": int(arrays["frame"]), "time_fs": float(arrays["time_fs"])}
        except (KeyError, TypeError, ValueError) as error:
            raise FormatError(f"{path} is no snapshot ({error}); remove it.") from error
        return cls(**arrays | scalars)


def stride_after(n: int, capacity: int = CAPACITY) -> int:
    """Distance of the snapshots kept of ``n`` frames: a power of two, at most ``capacity``.

    Frame ``k`` is kept after n frames when it is a multiple of this. Since strides only
    double, a frame that is kept later was also taken when it came.
    """
    stride = 1
    while (n + stride - 1) // stride > capacity:
        stride *= 2
    return stride
