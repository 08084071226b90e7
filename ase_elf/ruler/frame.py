"""Where an image of a bond looks: a frame that turns and moves with the molecule.

Owns the geometry of bond images. Takes structures, returns points; knows no ELF.
"""

from __future__ import annotations

from dataclasses import dataclass

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
        return cls(origin, length, x, _planes(atoms, np.asarray(i), np.asarray(j), x))

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


def _planes(atoms: Atoms, i: np.ndarray, j: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The two directions across every bond, shape (2, n, 3)."""
    centre, other, vectors, lengths = neighbor_list("ijDd", atoms, NEIGHBOURS)
    order = np.lexsort((lengths, centre))
    starts = np.searchsorted(centre[order], np.arange(len(atoms) + 1))
    # Of every bond the neighbours of its second atom, nearest first: all of them one after the other.
    number = starts[j + 1] - starts[j]
    bond = np.repeat(np.arange(len(i)), number)
    near = order[np.arange(len(bond)) - np.repeat(np.cumsum(number) - number, number) + starts[j][bond]]
    # The first atom itself lies at -x from the second; all else may span a plane.
    vectors = vectors[near]
    across = vectors - (vectors * x[bond]).sum(1, keepdims=True) * x[bond]
    usable = np.linalg.norm(across, axis=1) > COLLINEAR * lengths[near]
    same = atoms.numbers[other[near]] == atoms.numbers[i][bond]
    first = _perpendicular(x)
    for wanted in (usable, usable & ~same):  # the second is preferred
        _put_first(first, across, bond, wanted)
    second = np.cross(x, first)
    _put_first(second, across, bond, usable & same)
    return np.stack([first, second])


def _put_first(planes: np.ndarray, across: np.ndarray, bond: np.ndarray, wanted: np.ndarray) -> None:
    """Set the direction of each bond to the first of ``across`` that is wanted, where there is one."""
    bonds, at = np.unique(bond[wanted], return_index=True)
    found = across[wanted][at]
    planes[bonds] = found / np.linalg.norm(found, axis=1, keepdims=True)


def _perpendicular(x: np.ndarray) -> np.ndarray:
    """Any direction across bonds without other atoms: their ELF is the same all around."""
    axis = np.eye(3)[np.abs(x).argmin(1)]
    y = axis - (axis * x).sum(1, keepdims=True) * x
    return y / np.linalg.norm(y, axis=1, keepdims=True)
