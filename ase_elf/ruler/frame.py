"""Where an image of a bond looks: a frame that turns and moves with the molecule.

Owns the geometry of bond images. Takes structures, returns points; knows no ELF.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from ase import Atoms

from ase_elf.geometry.neighbors import neighbor_list

NEIGHBOURS = 4.0
"""Å. Third atoms are looked for this far from the second atom of a bond."""

COLLINEAR = 0.17
"""Sine of the smallest angle to the bond (10 degrees) at which an atom spans a plane with it."""


@dataclass(frozen=True)
class BondFrames:
    """The frames of all bonds of a structure.

    The origin is the middle of the bond, x runs from its first to its second atom, y to the
    side of a third atom, z = x × y. ``planes`` holds two directions y for every bond:

    0. towards the nearest neighbour of the second atom that is not of the first atom's
       element (in a thiolate: the carbon of the same SR);
    1. towards the nearest neighbour of the second atom that is (the second gold on S).

    Where there is no such atom, plane 0 takes the nearest atom of any element and plane 1
    is perpendicular to plane 0; atoms within 10 degrees of the bond are passed over.

    Parameters
    ----------
    origin : ndarray, shape (n, 3), Å
    length : ndarray, shape (n,), Å
    x : ndarray, shape (n, 3)
        Unit vectors.
    planes : ndarray, shape (2, n, 3)
        Unit vectors perpendicular to ``x``.
    """

    origin: np.ndarray
    length: np.ndarray
    x: np.ndarray
    planes: np.ndarray

    @classmethod
    def of_bonds(cls, atoms: Atoms, i: np.ndarray, j: np.ndarray, vectors: np.ndarray):
        """Frames of the bonds from atoms ``i`` to ``j``.

        Parameters
        ----------
        atoms : ase.Atoms
            Its ``pbc`` says which directions repeat.
        i, j : ndarray, shape (n,), int
        vectors : ndarray, shape (n, 3), Å
            From atom i to the image of atom j that is meant.
        """
        length = np.linalg.norm(vectors, axis=1)
        x = vectors / length[:, None]
        origin = atoms.positions[i] + vectors / 2
        neighbours = _neighbours(atoms)
        planes = np.empty((2, len(i), 3))
        for k in range(len(i)):
            planes[:, k] = _planes(atoms.numbers, int(i[k]), int(j[k]), vectors[k], neighbours)
        return cls(origin, length, x, planes)

    def pixels(
        self, plane: int, *, size: int, half_width: float, reference: float | None = None
    ) -> np.ndarray:
        """Centres of the pixels of square images.

        Parameters
        ----------
        plane : int
            0 or 1.
        size : int
            Pixels along x and along y.
        half_width : float
            Å from the middle of the bond to the edge of the image.
        reference : float, optional
            Å. With it the image is normalised: its width is stretched by
            length / reference, so that both nuclei fall on the same pixels in every image.

        Returns
        -------
        ndarray, shape (n, size, size, 3), float64, Å, Cartesian
            ``[bond, row, column]``: rows run along y, columns along x.
        """
        steps = ((np.arange(size) + 0.5) / size * 2 - 1) * half_width
        scale = np.ones(len(self.length)) if reference is None else self.length / reference
        along = scale[:, None, None] * steps[None, :, None]
        columns = (along * self.x[:, None])[:, None, :]
        rows = (along * self.planes[plane][:, None])[:, :, None]
        return self.origin[:, None, None] + columns + rows


def _neighbours(atoms: Atoms) -> list[tuple[np.ndarray, np.ndarray]]:
    """Of every atom its neighbours and the vectors to them, nearest first."""
    i, j, vectors, lengths = neighbor_list("ijDd", atoms, NEIGHBOURS)
    order = np.lexsort((lengths, i))
    i, j, vectors = i[order], j[order], vectors[order]
    starts = np.searchsorted(i, np.arange(len(atoms) + 1))
    return [(j[a:b], vectors[a:b]) for a, b in pairwise(starts)]


def _planes(
    numbers: np.ndarray, i: int, j: int, bond: np.ndarray, neighbours: list
) -> tuple[np.ndarray, np.ndarray]:
    x = bond / np.linalg.norm(bond)
    others, vectors = neighbours[j]
    # The first atom itself lies at -bond from the second; all else may span a plane.
    across = vectors - np.outer(vectors @ x, x)
    width = np.linalg.norm(across, axis=1)
    usable = width > COLLINEAR * np.linalg.norm(vectors, axis=1)
    same = numbers[others] == numbers[i]
    first = _first(across, usable & ~same)
    if first is None:
        first = _first(across, usable)
    if first is None:
        first = _perpendicular(x)
    second = _first(across, usable & same)
    if second is None:
        second = np.cross(x, first)
    return first, second


def _first(across: np.ndarray, wanted: np.ndarray) -> np.ndarray | None:
    found = np.flatnonzero(wanted)
    if not len(found):
        return None
    return across[found[0]] / np.linalg.norm(across[found[0]])


def _perpendicular(x: np.ndarray) -> np.ndarray:
    """Any direction across a bond without other atoms: its ELF is the same all around."""
    axis = np.eye(3)[np.abs(x).argmin()]
    y = axis - (axis @ x) * x
    return y / np.linalg.norm(y)
