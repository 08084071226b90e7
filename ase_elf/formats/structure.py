"""Atoms from arrays that stand in a file."""

from __future__ import annotations

import numpy as np
from ase import Atoms

from ase_elf.errors import FormatError


def sound_atoms(numbers: np.ndarray, positions: np.ndarray, cell: np.ndarray, pbc: object = True) -> Atoms:
    """Atoms (Å); :class:`FormatError` for NaN or an unknown element.

    Parameters
    ----------
    numbers : ndarray, shape (n,)
    positions : ndarray, shape (n, 3), Å
    cell : ndarray, shape (3, 3), Å
    pbc : bool or array of three, optional
    """
    numbers, positions, cell = numbers.astype(int), positions.astype(float), cell.astype(float)
    if numbers.ndim != 1 or positions.shape != (len(numbers), 3) or cell.shape != (3, 3):
        raise FormatError(
            f"{numbers.shape} elements, positions {positions.shape} and cell {cell.shape} do not "
            "make a structure."
        )
    if not (np.isfinite(positions).all() and np.isfinite(cell).all()):
        raise FormatError("positions or cell hold NaN or infinity.")
    if len(numbers) and not 0 <= numbers.min() <= numbers.max() <= 118:
        raise FormatError(f"holds atomic numbers {numbers.min()} to {numbers.max()}.")
    return Atoms(numbers, positions, cell=cell, pbc=pbc)
