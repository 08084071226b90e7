"""The one orientation of a cell that simulation programs agree on, and the turn into it."""

from __future__ import annotations

import numpy as np

from ase_elf.errors import InputError


def oriented(cell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The cell with **a** along x, **b** in the upper xy half-plane and **c** above it.

    MDAnalysis and most trajectory formats keep lengths and angles of a cell only, and take
    this orientation for granted; coordinates have to be turned with the cell.

    Parameters
    ----------
    cell : array_like, shape (3, 3), Å
        Rows are the cell vectors. A left-handed set is replaced by its negative, which spans
        the same lattice, so that nothing is mirrored.

    Returns
    -------
    cell : ndarray, shape (3, 3), Å
        Lower triangular, positive diagonal.
    rotation : ndarray, shape (3, 3)
        Proper: ``xyz @ rotation`` are the coordinates (or velocities, forces) that belong
        to the new cell. Exactly the identity for a cell that is oriented already.

    Raises
    ------
    InputError
        If the three vectors do not span a volume.
    """
    cell = np.asarray(cell, dtype=float)
    volume = np.linalg.det(cell)
    if abs(volume) < 1e-6:
        raise InputError(f"the cell {cell.tolist()} Å has no volume; give three vectors that do.")
    if (np.triu(cell, 1) == 0).all() and (np.diag(cell) > 0).all():
        return cell.copy(), np.eye(3)
    rotation, upper = np.linalg.qr(np.sign(volume) * cell.T)
    signs = np.sign(np.diag(upper))
    return (signs[:, None] * upper).T, rotation * signs
