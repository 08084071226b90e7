"""Lattices: the shortest vectors of one, and what a grid along other vectors of it can hold.

A wave of length G advances by at most G|a|/n from point to point along an edge of length |a| with
n points. Grids are therefore sized by edges, and edges are shortest in a reduced cell. Any unit.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import product

import numpy as np
from ase.geometry import minkowski_reduce
from scipy.spatial import cKDTree

from ase_elf.errors import InputError

NEARLY = 1.1
"""A cell whose edges multiply to at most this many times those of the reduced one is taken as it is."""

OBLIQUE = 1.3
"""Edge of a voxel over the longest edge of the reduced voxel, above which an interpolation along the edges
loses what the points hold."""

MOST_POINTS = 2**25
"""Of a grid that is refined because its cell is oblique."""


def heights(cell: np.ndarray) -> np.ndarray:
    """Distances between opposite faces of a cell, (3, 3) to (3,)."""
    return 1 / np.linalg.norm(np.linalg.inv(cell), axis=0)


def lengths(cell: np.ndarray) -> np.ndarray:
    """Lengths of the vectors of a cell, (3, 3) to (3,)."""
    return np.linalg.norm(cell, axis=1)


def upright(cell: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """A cell of the same lattice with edges about as short as they can be.

    Parameters
    ----------
    cell : ndarray, shape (3, 3)
        Rows are the cell vectors; of either handedness.

    Returns
    -------
    cell : ndarray, shape (3, 3)
        The cell itself if its edges are short already (:data:`NEARLY`), else the Minkowski-reduced
        one, of the same handedness.
    turn : ndarray, shape (3, 3), int, or None
        ``turn @ cell`` is the cell returned; None if that is ``cell``.

    Raises
    ------
    InputError
        The vectors are so long for their volume that double precision does not tell the shortest ones.
    """
    cell = np.asarray(cell, float)
    # No cell of a lattice has edges whose product is below its volume.
    if lengths(cell).prod() <= NEARLY * abs(np.linalg.det(cell)):
        return cell, None
    try:
        reduced, turn = shortest(cell)
    except (RuntimeError, ValueError, OverflowError) as error:
        raise InputError(
            f"the cell vectors {cell.tolist()} are too oblique for their shortest combinations to be found; "
            "take another cell of the lattice."
        ) from error
    if lengths(cell).prod() <= NEARLY * lengths(reduced).prod():
        return cell, None
    return reduced, turn


def shortest(cell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The Minkowski-reduced cell of a lattice, and what times ``cell`` it is: kept, as each step of a prediction asks
    for that of the same cell, and it takes a millisecond.
    """
    reduced, turn = _shortest(np.asarray(cell, float).tobytes())
    return reduced.copy(), turn.copy()


@lru_cache(maxsize=64)
def _shortest(cell: bytes) -> tuple[np.ndarray, np.ndarray]:
    reduced, turn = minkowski_reduce(np.frombuffer(cell).reshape(3, 3))
    return np.array(reduced, float), np.array(turn)


def adequate_shape(cell: np.ndarray, shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """Multiples of ``shape`` whose voxels have no edge longer than the points require.

    The points of a grid form a lattice themselves. If an edge of its voxel is longer than those of
    the reduced voxel (:data:`OBLIQUE`), splines along the edges lose what the points hold.
    """
    voxel = np.asarray(cell) / np.array(shape)[:, None]
    longest = lengths(upright(voxel)[0]).max()
    nx, ny, nz = (
        int(n) if edge <= OBLIQUE * longest else int(n * np.ceil(edge / longest - 1e-6))
        for n, edge in zip(shape, lengths(voxel), strict=True)
    )
    return nx, ny, nz


def interpolate(field: np.ndarray, cell: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """The smoothest waves through the values of a periodic field, on another grid of the same cell.

    Points of a grid tell a wave from no other that differs by a reciprocal vector of their own lattice:
    each is taken for the shortest of them, and for all of these alike where several are.

    Parameters
    ----------
    field : ndarray, shape (nx, ny, nz)
    cell : ndarray, shape (3, 3)
    shape : tuple of int
        New (nx, ny, nz).
    """
    old = np.array(field.shape)
    waves = np.indices(field.shape).reshape(3, -1).T
    reciprocal = np.linalg.inv(cell).T
    # Waves that coincide differ by whole multiples of these, in units of the reciprocal vectors of the cell.
    between, _ = minkowski_reduce(old[:, None] * reciprocal)
    as_waves = np.rint(between @ np.linalg.inv(reciprocal)).astype(int)
    waves -= np.rint(waves @ reciprocal @ np.linalg.inv(between)).astype(int) @ as_waves
    away, steps = waves @ reciprocal, np.array(list(product((-1, 0, 1), repeat=3)))
    farther = steps @ between
    # Of squared lengths, what a step adds.
    added = away @ (2 * farther.T) + (farther**2).sum(1)
    slack = 1e-9 * (between**2).sum()
    wave, step = np.nonzero(added <= added.min(1, keepdims=True) + slack)
    amplitudes = np.fft.fftn(field).ravel()[wave] / np.bincount(wave)[wave]
    place = np.ravel_multi_index(tuple(((waves[wave] + (steps @ as_waves)[step]) % shape).T), shape)
    real, imaginary = (
        np.bincount(place, part, math.prod(shape)) for part in (amplitudes.real, amplitudes.imag)
    )
    return np.fft.ifftn((real + 1j * imaginary).reshape(shape), norm="forward").real / field.size


def fourier_interpolate(field: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """The trigonometric interpolant of a periodic ``field``, axis by axis, at the points of ``shape``."""
    for axis, new in enumerate(shape):
        field = np.moveaxis(field, axis, -1)
        old = field.shape[-1]
        waves = np.fft.rfft(field) / old
        # The highest wave of an even grid stands for +k and -k together.
        weight = np.full(waves.shape[-1], 2.0)
        weight[0] = 1.0
        if old % 2 == 0:
            weight[-1] = 1.0
        spectrum = np.zeros((*field.shape[:-1], new), dtype=complex)
        for start in range(0, waves.shape[-1], new):
            # Waves the new grid cannot tell apart coincide at its points: add them.
            part = waves[..., start : start + new] * weight[start : start + new]
            spectrum[..., : part.shape[-1]] += part
        field = np.moveaxis(np.fft.ifft(spectrum).real * new, -1, axis)
    return field


def primitive(cell: np.ndarray, positions: np.ndarray, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """The smallest cell that repeats as a structure of one element does, and the atoms in it.

    Parameters
    ----------
    cell : ndarray, shape (3, 3)
    positions : ndarray, shape (n, 3)
    tolerance : float
        By how much, along each vector of the cell, an atom may be off its place.

    Returns
    -------
    cell : ndarray, shape (3, 3)
        Upright; of the same lattice as ``cell`` where there is no smaller one.
    positions : ndarray, shape (m, 3)
        m divides n.
    """
    cell, _ = upright(cell)
    fractional, edges = positions @ np.linalg.inv(cell), lengths(cell)
    places = _Places(fractional, edges, tolerance)
    moves = fractional[1:] - fractional[0]
    for atom in fractional:
        if len(moves):  # none are left of a fluid after two atoms
            moves = moves[places.hold(atom + moves)]
    if not len(moves):
        return cell, positions
    order = len(moves) + 1
    # The moves are a group: each is a whole number of its order's parts of the cell.
    whole = np.rint(moves * order).astype(int)
    smaller, _ = upright(_basis(np.concatenate([whole, order * np.eye(3, dtype=int)])) / order @ cell)
    within = positions @ np.linalg.inv(smaller)
    own = _Places(within, lengths(smaller), 3 * tolerance)
    first = [min(found) for found in own.near(within)]
    kept = np.unique(first)
    if abs(moves * order - whole).max() > order * tolerance / edges.min() or len(kept) * order != len(
        positions
    ):
        return cell, positions
    return smaller, positions[kept]


class _Places:
    """Points in a periodic cell, to be asked whether others are among them."""

    def __init__(self, fractional: np.ndarray, edges: np.ndarray, tolerance: float) -> None:
        self.edges, self.tolerance = edges, tolerance
        self.tree = cKDTree(self._inside(fractional), boxsize=edges)

    def _inside(self, fractional: np.ndarray) -> np.ndarray:
        inside = fractional % 1.0
        return np.where(inside < 1.0, inside, 0.0) * self.edges

    def near(self, fractional: np.ndarray) -> list[list[int]]:
        return self.tree.query_ball_point(self._inside(fractional), self.tolerance, p=np.inf)

    def hold(self, fractional: np.ndarray) -> np.ndarray:
        return self.tree.query(self._inside(fractional), p=np.inf)[0] <= self.tolerance


def _basis(rows: np.ndarray) -> np.ndarray:
    """Three vectors that span what integer vectors of full rank span, by Euclid's algorithm."""
    found = []
    for column in range(3):
        while np.count_nonzero(rows[:, column]) > 1:
            size = np.where(rows[:, column], abs(rows[:, column]), np.iinfo(int).max)
            least = size.argmin()
            times = rows[:, column] // rows[least, column]
            times[least] = 0
            rows = rows - times[:, None] * rows[least]
        pivot = rows[:, column] != 0
        found.append(rows[pivot][0])
        rows = rows[~pivot]
    return np.array(found)
