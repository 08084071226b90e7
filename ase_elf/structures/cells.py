"""A cell given by the user, for files which state none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ase_elf.errors import InputError, remedy

if TYPE_CHECKING:
    from ase import Atoms


def cell_of(numbers: Sequence[float] | np.ndarray) -> tuple[float, ...]:
    """Nine numbers, the cell vectors in Å one after the other.

    Parameters
    ----------
    numbers : sequence of float
        Three lengths (Å), three lengths and three angles (degrees), or three vectors.

    Raises
    ------
    InputError
        For any other number of numbers, or a cell without volume.
    """
    from ase.geometry import cellpar_to_cell

    try:
        values = np.asarray(numbers, dtype=float).ravel()
    except (TypeError, ValueError):
        values = np.zeros(0)
    if len(values) in (3, 6) and not (values > 0).all():
        values = np.zeros(0)
    if len(values) == 3:
        cell = np.diag(values)
    elif len(values) == 6:
        cell = cellpar_to_cell(values)
    elif len(values) == 9:
        cell = values.reshape(3, 3)
    else:
        cell = np.zeros((3, 3))
    if not np.isfinite(cell).all() or abs(np.linalg.det(cell)) < 1e-6:
        raise InputError(
            f"cell = {numbers!s:.100}: give three lengths in Å, three lengths and three angles in degrees, or the "
            "nine numbers of three vectors; they must span a volume."
        )
    return tuple(cell.ravel().tolist())


def put_in(atoms: Atoms, cell: Sequence[float] | np.ndarray) -> None:
    """Give ``atoms`` the cell, periodic in all directions.

    Raises
    ------
    InputError
        If they have one that is periodic already.
    """
    if atoms.pbc.all() and atoms.cell.rank == 3:
        raise InputError(
            f"a cell is given, but the file states its own ({np.round(atoms.cell.cellpar(), 4).tolist()} Å, °); "
            f"leave out {remedy('cell=', '--cell')}."
        )
    atoms.set_cell(np.reshape(cell, (3, 3)))
    atoms.pbc = True
