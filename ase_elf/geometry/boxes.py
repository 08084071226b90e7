"""Boxes around what is not periodic, so that a grid can lie on it."""

from __future__ import annotations

import numpy as np
from ase import Atoms

__all__ = ["VACUUM", "boxed"]

VACUUM = 3.5
"""Å on either side of what is not periodic: twice that is farther than any model looks."""


def boxed(
    atoms: Atoms, vacuum: float = VACUUM, *, centre: bool = False, around: np.ndarray | None = None
) -> Atoms:
    """A structure that is periodic in all directions, with vacuum along those that were open.

    A cell vector along an open direction is kept where it leaves enough vacuum, and else made
    longer. Atoms stay where they are, so that a position means the same place before and after.

    Parameters
    ----------
    atoms : ase.Atoms
        Periodic in any directions; without a cell where it is periodic in none.
    vacuum : float
        Å on either side.
    centre : bool
        Move the atoms to the middle of the box, for looking at.
    around : ndarray, shape (n, 3), Å, optional
        Points that the box is to hold as well, so that none is nearer to an image of the atoms
        than to the atoms.

    Returns
    -------
    ase.Atoms
        ``atoms`` itself where it is periodic in all directions, holds no atoms, or positions that
        are not finite.
    """
    if atoms.pbc.all() or not len(atoms) or not np.isfinite(atoms.positions).all():
        return atoms
    box = atoms.copy()
    box.calc = None
    held = box.copy() if around is None else box + Atoms(np.zeros(len(around), int), around)
    short = [k for k in range(3) if not atoms.pbc[k] and _gap(held, k) < 2 * vacuum]
    if short:
        # ASE makes vectors of an empty cell, and keeps the direction of those there are.
        held.center(vacuum=vacuum, axis=tuple(short))
        box.cell = held.cell
    if centre:
        box.center(axis=tuple(np.flatnonzero(~atoms.pbc)))
    box.pbc = True
    return box


def _gap(atoms: Atoms, axis: int) -> float:
    """Å between a structure and its image along a cell vector, across the plane of the other two."""
    cell = atoms.cell.complete().array
    if not atoms.cell.array[axis].any():
        return 0.0
    normal = np.cross(cell[axis - 2], cell[axis - 1])
    across = atoms.positions @ (normal / np.linalg.norm(normal))
    return float(abs(cell[axis] @ normal) / np.linalg.norm(normal) - np.ptp(across))
