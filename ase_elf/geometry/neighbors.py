"""Neighbor list: that of vesin, fit for a process that asks for one in every of a million frames."""

from __future__ import annotations

import ctypes
import sys
from typing import TYPE_CHECKING

from ase_elf.geometry.lattice import upright

if TYPE_CHECKING:
    import numpy as np
    from ase import Atoms

# vesin's arrays come through ctypes, which makes a type for every new number of pairs, and a
# pointer to it. Before Python 3.14 it keeps them for ever (CPython issue 100926): a kilobyte or
# more per frame.
_POINTERS: dict[type, type] = {} if sys.version_info >= (3, 14) else vars(ctypes)["_pointer_type_cache"]


def neighbor_list(quantities: str, atoms: Atoms, cutoff: float) -> tuple[np.ndarray, ...]:
    """Pairs of atoms closer than ``cutoff`` (Å), both ways, as :func:`ase.neighborlist.neighbor_list`.

    Parameters
    ----------
    quantities : str
        Of "i", "j" (atoms), "d" (distance, Å), "D" (vector, Å), "S" (lattice cell of the second).

    Returns
    -------
    tuple of ndarray
        One for each quantity, sorted by i and in no order otherwise.
    """
    import vesin

    # A long oblique cell is thin, and vesin works through it in steps of its thickness.
    cell, turn = upright(atoms.cell.array) if atoms.pbc.all() else (atoms.cell.array, None)
    if turn is not None:
        atoms = atoms.copy()
        atoms.set_cell(cell)
    before = set(_POINTERS)
    found = vesin.ase_neighbor_list(quantities, atoms, cutoff)
    if turn is not None:
        found = [part @ turn if name == "S" else part for name, part in zip(quantities, found, strict=True)]
    for kind in set(_POINTERS) - before:
        if isinstance(kind, type) and issubclass(kind, ctypes.Array):
            _POINTERS.pop(kind, None)
    return found
