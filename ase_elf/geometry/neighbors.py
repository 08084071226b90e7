"""Neighbor list: that of vesin, fit for a process that asks for one in every of a million frames."""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from ase_elf.geometry.lattice import upright

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["Neighbors", "Pairs", "neighbor_list"]

# vesin's arrays come through ctypes, which makes a type for every new number of pairs, and a
# pointer to it. Before Python 3.14 it keeps them for ever (CPython issue 100926): a kilobyte or
# more per frame.
_POINTERS: dict[type, type] = {} if sys.version_info >= (3, 14) else vars(ctypes)["_pointer_type_cache"]


def neighbor_list(
    quantities: str, atoms: Atoms, cutoff: float, *, once: bool = False
) -> tuple[np.ndarray, ...]:
    """Pairs of atoms closer than ``cutoff`` (Å), both ways, as :func:`ase.neighborlist.neighbor_list`.

    Parameters
    ----------
    quantities : str
        Of "i", "j" (atoms), "d" (distance, Å), "D" (vector, Å), "S" (lattice cell of the second).
    once : bool
        Every pair by one of its two ends, in no order.

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
    search = vesin.NeighborList(cutoff=float(cutoff), full_list=not once, sorted=not once)
    found = search.compute(
        points=atoms.positions, box=atoms.cell.array, periodic=atoms.pbc, quantities=quantities
    )
    if turn is not None:
        found = [part @ turn if name == "S" else part for name, part in zip(quantities, found, strict=True)]
    for kind in set(_POINTERS) - before:
        if isinstance(kind, type) and issubclass(kind, ctypes.Array):
            _POINTERS.pop(kind, None)
    return found


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of atoms, each once per end, sorted by i, j and image.

    Parameters
    ----------
    i, j : ndarray, shape (n,), int64
    length : ndarray, shape (n,), Å
    vector : ndarray, shape (n, 3), Å
        From atom i to the image of atom j.
    once : ndarray, shape (n,), bool
        One of the two ends of every pair.
    """

    i: np.ndarray
    j: np.ndarray
    length: np.ndarray
    vector: np.ndarray
    once: np.ndarray


@dataclass(frozen=True, eq=False)
class Neighbors:
    """Which atoms of a structure are near each other, searched for once, when first asked for.

    What is kept does not grow with the range of ``edges``.

    Parameters
    ----------
    atoms : ase.Atoms
        Its ``pbc`` says which directions repeat.
    reach : float, optional
        Å, of :attr:`pairs`. By default so far that a shortest distance is found, in most structures
        at once.
    edges : ndarray, shape (n + 1,), Å, optional
        Bins of distance in which pairs are counted.
    """

    atoms: Atoms
    reach: float | None = None
    edges: np.ndarray | None = None

    @property
    def pairs(self) -> Pairs:
        """Pairs not further apart than ``reach``."""
        return self._searched[0]

    def counts(self, pair: tuple[str, str]) -> np.ndarray:
        """Unordered pairs of these elements per bin of ``edges``; ndarray, shape (n,), int64."""
        first, second = sorted(pair)
        found = self._searched[1].get((first, second))
        if found is not None:
            return found
        return np.zeros(0 if self.edges is None else len(self.edges) - 1, dtype=np.int64)

    @cached_property
    def shortest(self) -> float:
        """Distance of the closest two nuclei in Å, images of one atom included."""
        if not self.atoms.pbc.any():
            positions = self.atoms.positions
            return float(cKDTree(positions).query(positions, k=2)[0][:, 1].min())
        lengths, cutoff = self.pairs.length, self._reach
        while not len(lengths):
            cutoff *= 1.5
            (lengths,) = neighbor_list("d", self.atoms, cutoff)
        return float(lengths.min())

    @property
    def _reach(self) -> float:
        # A sphere of twice the Wigner-Seitz radius always holds a second atom somewhere.
        return self.reach or (self.atoms.get_volume() / len(self.atoms)) ** (1 / 3)

    @cached_property
    def _searched(self) -> tuple[Pairs, dict[tuple[str, str], np.ndarray]]:
        reach = self._reach
        furthest = reach if self.edges is None else max(reach, float(self.edges[-1]))
        i, j, length, vector, shift = neighbor_list("ijdDS", self.atoms, furthest)
        counts = {} if self.edges is None else _counted(self.atoms, i, j, length, self.edges)
        near = np.flatnonzero(length <= reach)
        i, j, length, vector, shift = (part[near] for part in (i, j, length, vector, shift))
        order = np.lexsort((*shift.T[::-1], j, i))  # the library states no order
        i, j, length, vector, shift = (part[order] for part in (i, j, length, vector, shift))
        i, j = i.astype(np.int64), j.astype(np.int64)
        # Of an atom and its own image keep the lattice vector that is positive in some fixed sense.
        sign = shift @ np.array([10**8, 10**4, 1], dtype=np.int64)
        return Pairs(i, j, length, vector, (i < j) | ((i == j) & (sign > 0))), counts


def _counted(
    atoms: Atoms, i: np.ndarray, j: np.ndarray, length: np.ndarray, edges: np.ndarray
) -> dict[tuple[str, str], np.ndarray]:
    symbols = np.array(atoms.get_chemical_symbols())
    found = {}
    for a, b in combinations_with_replacement(sorted(set(symbols.tolist())), 2):
        counts = np.histogram(length[(symbols == a)[i] & (symbols == b)[j]], edges)[0]
        found[a, b] = counts // 2 if a == b else counts  # like atoms come from both ends
    return found
