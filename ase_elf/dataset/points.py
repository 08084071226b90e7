"""Which points of a structure are kept when the whole grid would be too much."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.geometry import find_mic

from ase_elf.dataset.config import PointChoice
from ase_elf.errors import InputError
from ase_elf.grid import ELFGrid


def generator(choice: PointChoice, key: str) -> np.random.Generator:
    """Random numbers that depend on the seed and on the structure, and on nothing else."""
    return np.random.default_rng([choice.seed, int(key[:12], 16)])


def points_near(atoms: Atoms, choice: PointChoice, *, key: str) -> np.ndarray:
    """Random points within ``choice.within`` of an atom, uniform over that volume.

    Returns
    -------
    ndarray, shape (count, 3), float64, Å, Cartesian
    """
    if choice.within is None:
        raise InputError(
            "points: `within` (Å) is needed for an engine without a grid: it says how far from "
            "the atoms points are drawn."
        )
    random = generator(choice, key)
    kept = np.empty((0, 3))
    while len(kept) < choice.count:
        # Uniform in a random atom's ball; thinned by how many balls hold the point, which
        # makes the density uniform over their union.
        centres = atoms.positions[random.integers(len(atoms), size=choice.count)]
        directions = random.normal(size=(choice.count, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        radii = choice.within * random.random((choice.count, 1)) ** (1 / 3)
        drawn = centres + radii * directions
        covering = (_distances(drawn, atoms) <= choice.within).sum(axis=1)
        accepted = random.random(choice.count) < 1 / np.maximum(covering, 1)
        kept = np.concatenate([kept, drawn[accepted]])
    return kept[: choice.count]


def subset_of_grid(
    grid: ELFGrid, density: np.ndarray | None, choice: PointChoice, *, key: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Random points of a grid, without repetition.

    Returns
    -------
    points : ndarray, shape (n, 3), float64, Å, Cartesian
    values : ndarray, shape (n,), float32
    density : ndarray, shape (n,), or None
        n is ``choice.count``, or fewer where the grid holds fewer (near the atoms).
    """
    shape = np.array(grid.shape)
    order = generator(choice, key).permutation(grid.values.size)
    if choice.within is not None:
        order = order[_near(grid, order, choice)]
    chosen = order[: choice.count]
    index = np.array(np.unravel_index(chosen, grid.shape)).T
    points = (index / shape) @ grid.cell
    return (
        points,
        grid.values.reshape(-1)[chosen],
        None if density is None else density.reshape(-1)[chosen],
    )


def _near(grid: ELFGrid, order: np.ndarray, choice: PointChoice) -> np.ndarray:
    """Which grid points, in this order, are near an atom; stops when there are enough."""
    keep = np.zeros(len(order), bool)
    chunk = max(choice.count, 1024)
    for start in range(0, len(order), chunk):
        part = order[start : start + chunk]
        index = np.array(np.unravel_index(part, grid.shape)).T / np.array(grid.shape)
        distances = _distances(index @ grid.cell, grid.atoms)
        keep[start : start + chunk] = distances.min(axis=1) <= choice.within
        if keep.sum() >= choice.count:
            break
    return keep


def _distances(points: np.ndarray, atoms: Atoms) -> np.ndarray:
    """Å, shape (n_points, n_atoms), to the nearest image of each atom."""
    vectors = (points[:, None] - atoms.positions[None]).reshape(-1, 3)
    if atoms.pbc.any():
        return find_mic(vectors, atoms.cell, atoms.pbc)[1].reshape(len(points), -1)
    return np.linalg.norm(vectors, axis=1).reshape(len(points), -1)
