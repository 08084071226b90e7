"""ELFGrid: an ELF on a periodic grid, with its cell and atoms, wherever it came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ase import Atoms


@dataclass(frozen=True)
class ELFGrid:
    """An ELF on a periodic grid.

    Parameters
    ----------
    values : ndarray, shape (nx, ny, nz), float32, dimensionless in [0, 1]
        ``values[ix, iy, iz]`` is the ELF at fractional coordinate
        ``(ix/nx, iy/ny, iz/nz)``; periodic, end plane excluded.
    atoms : ase.Atoms
        Supplies cell (Å) and periodicity.
    info : dict
        Provenance: domain pack or DFT recipe, file name, and so on.
    """

    values: np.ndarray
    atoms: Atoms
    info: dict = field(default_factory=dict)

    @property
    def cell(self) -> np.ndarray:
        """ndarray, shape (3, 3), Å; rows are the cell vectors."""
        return self.atoms.cell.array

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.values.shape
