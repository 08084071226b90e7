"""Which atoms a point sees: padded neighbour tables in a periodic cell of any shape.

Lengths in bohr. A grid point and an atom are both just points here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from scipy.spatial import cKDTree


@dataclass(frozen=True)
class Surroundings:
    """A periodic structure ready to be asked who is near a point.

    Parameters
    ----------
    cell : ndarray, shape (3, 3), bohr
    cutoff : float, bohr
    images, origin : ndarray, shapes (n, 3) bohr and (n,)
        Places of atoms and images that may be near, and which atom each is of.
    home : ndarray, shape (n_atoms, 3), bohr
        Places of the atoms in the cell.
    tree : cKDTree
        Of the images.
    """

    cell: np.ndarray
    cutoff: float
    images: np.ndarray
    origin: np.ndarray
    home: np.ndarray
    tree: cKDTree

    @classmethod
    def of(cls, cell: np.ndarray, positions: np.ndarray, cutoff: float) -> Surroundings:
        inverse = np.linalg.inv(cell)
        wrapped = (positions @ inverse) % 1.0
        # A sphere of the cutoff reaches this far in fractional coordinates.
        reach = cutoff * np.linalg.norm(inverse, axis=0)
        steps = [np.arange(-np.ceil(m), np.ceil(m) + 1) for m in reach]
        shifts = np.stack(np.meshgrid(*steps, indexing="ij"), -1).reshape(-1, 3)
        images = (wrapped[None] + shifts[:, None]).reshape(-1, 3)
        origin = np.tile(np.arange(len(positions)), len(shifts))
        keep = ((images > -reach - 1e-9) & (images < 1 + reach + 1e-9)).all(1)
        images = images[keep] @ cell
        return cls(cell, cutoff, images, origin[keep], wrapped @ cell, cKDTree(images))

    @classmethod
    def isolated(cls, positions: np.ndarray, points: np.ndarray, cutoff: float) -> Surroundings:
        """Of atoms that repeat nowhere: a box so large that no point in it sees an image."""
        everything = np.concatenate([positions, points])
        return cls.of(np.diag(np.ptp(everything, axis=0) + 2 * cutoff), positions, cutoff)

    def around(self, points: np.ndarray, *, skip_self: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Neighbours of each point within the cutoff.

        Parameters
        ----------
        points : ndarray, shape (n, 3), bohr
        skip_self : bool
            Leave out an atom that sits exactly on the point (but not its images).

        Returns
        -------
        index : ndarray, shape (n, width), int64
            Atom numbers; padding repeats atom 0.
        vectors : ndarray, shape (3, n, width), float64, bohr
            From point to neighbour; padding lies beyond the cutoff, where every basis
            function is exactly zero.
        """
        inverse = np.linalg.inv(self.cell)
        inside = ((points @ inverse) % 1.0) @ self.cell
        width = int(self.tree.query_ball_point(inside, self.cutoff, return_length=True).max())
        width = max(width, 2)  # cKDTree drops the axis when asked for a single neighbour
        lengths, found = self.tree.query(inside, k=width, distance_upper_bound=self.cutoff)
        missing = found == len(self.images)
        if skip_self:
            missing |= lengths < 1e-6
        found = np.where(missing, 0, found)
        vectors = self.images[found] - inside[:, None]
        vectors[missing] = 2 * self.cutoff
        return np.where(missing, 0, self.origin[found]), np.moveaxis(vectors, -1, 0).copy()


def joined(tables: list[tuple[np.ndarray, np.ndarray]], cutoff: float) -> tuple[np.ndarray, np.ndarray]:
    """Neighbour tables of several structures as one.

    Parameters
    ----------
    tables : list of (index, vectors)
        As :meth:`Surroundings.around` gives them for the atoms of each structure.
    cutoff : float, bohr

    Returns
    -------
    index, vectors
        As one structure has them whose atoms are those of the first, then of the next; rows
        are padded to the longest.
    """
    width = max(index.shape[1] for index, _ in tables)
    indices, vectors, first = [], [], 0
    for index, away in tables:
        missing = (0, width - index.shape[1])
        indices.append(np.pad(index + first, ((0, 0), missing)))
        vectors.append(np.pad(away, ((0, 0), (0, 0), missing), constant_values=2 * cutoff))
        first += len(index)
    return np.concatenate(indices), np.concatenate(vectors, axis=1)


def nearest_core(atoms: Atoms, points: np.ndarray, reach: float) -> np.ndarray:
    """Å from each point (Å, Cartesian) to the nearest nucleus that is not hydrogen.

    Parameters
    ----------
    reach : float, Å
        What is farther away may come out as infinity.
    """
    heavy = atoms[atoms.numbers != 1]
    if not len(heavy):
        return np.full(len(points), np.inf)
    if not atoms.pbc.any():
        return cKDTree(heavy.positions).query(points)[0]
    near = Surroundings.of(atoms.cell.array, heavy.positions, reach + 0.1)
    inside = near.cell.T @ ((np.linalg.inv(near.cell).T @ points.T) % 1.0)
    return near.tree.query(inside.T)[0]
