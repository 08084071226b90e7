"""Planes through a cell, of two of its vectors or through three atoms, in their own coordinates."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ase_elf.errors import InputError

__all__ = ["Plane", "PlaneThrough"]

POINTS = 120
"""Points along each edge of a plane: finer than a screen shows at this size."""

NEAR = 0.35
"""Å. Nuclei this close to a plane are marked in it."""


@dataclass(frozen=True, eq=False)
class Plane:
    """The plane of two cell vectors.

    Parameters
    ----------
    cell : ndarray, shape (3, 3)
        Å, vectors in rows.
    normal : int
        Cell vector that is not in the plane: 0, 1 or 2.
    at : float
        Fractional coordinate along it.
    """

    cell: np.ndarray
    normal: int
    at: float

    @property
    def _edges(self) -> tuple[int, int]:
        first, second = (axis for axis in range(3) if axis != self.normal)
        return first, second

    @cached_property
    def _fractional(self) -> np.ndarray:
        first, second = self._edges
        steps = np.linspace(0, 1, POINTS)
        fractional = np.empty((POINTS, POINTS, 3))
        fractional[..., self.normal] = self.at % 1.0
        fractional[..., first], fractional[..., second] = np.meshgrid(steps, steps, indexing="ij")
        return fractional

    @cached_property
    def _frame(self) -> np.ndarray:
        """Two orthonormal vectors in the plane, the first along its first edge; shape (2, 3)."""
        u, v = (self.cell[axis] for axis in self._edges)
        x = u / np.linalg.norm(u)
        y = v - (v @ x) * x
        return np.stack([x, y / np.linalg.norm(y)])

    @property
    def points(self) -> np.ndarray:
        """Shape (POINTS², 3), Å, Cartesian; the last index of the plane runs fastest."""
        return (self._fractional @ self.cell).reshape(-1, 3)

    @property
    def xy(self) -> np.ndarray:
        """The same points within the plane, shape (POINTS, POINTS, 2), Å."""
        return (self._fractional - self._fractional[0, 0]) @ self.cell @ self._frame.T

    def nuclei(self, scaled: np.ndarray) -> np.ndarray:
        """Of fractional positions, shape (n, 3), those near the plane, within it; shape (k, 2), Å."""
        height = 1 / np.linalg.norm(np.linalg.inv(self.cell)[:, self.normal])
        apart = (scaled[:, self.normal] - self.at + 0.5) % 1 - 0.5
        near = scaled[np.abs(apart) * height < NEAR]
        near[:, self.normal] = 0
        return near @ self.cell @ self._frame.T

    @property
    def x_label(self) -> str:
        return f"along {'abc'[self._edges[0]]} / Å"

    @property
    def title(self) -> str:
        first, second = self._edges
        return f"plane {'abc'[first]}{'abc'[second]} at {self.at:.2f} {'abc'[self.normal]}"


@dataclass(frozen=True, eq=False)
class PlaneThrough:
    """The plane through three points, as far as some way around them.

    Parameters
    ----------
    cell : ndarray, shape (3, 3)
        Å, vectors in rows.
    corners : ndarray, shape (3, 3)
        The points, Å; x runs from the first to the second.
    names : tuple of str
        Of the three.
    margin : float
        Å around them.

    Raises
    ------
    InputError
        The points lie on a line.
    """

    cell: np.ndarray
    corners: np.ndarray
    names: tuple[str, str, str]
    margin: float = 1.5

    def __post_init__(self) -> None:
        u, v = self.corners[1:] - self.corners[0]
        if np.linalg.norm(np.cross(u, v)) < 1e-2 * max(u @ u, v @ v):
            raise InputError(
                f"{', '.join(self.names)} lie on a line, through which there is more than one plane; "
                "choose another atom."
            )

    @cached_property
    def _frame(self) -> np.ndarray:
        """Orthonormal: two vectors in the plane, and its normal; shape (3, 3)."""
        u, v = self.corners[1:] - self.corners[0]
        x = u / np.linalg.norm(u)
        y = v - (v @ x) * x
        y /= np.linalg.norm(y)
        return np.stack([x, y, np.cross(x, y)])

    @cached_property
    def xy(self) -> np.ndarray:
        """Points within the plane, from the first atom, shape (POINTS, POINTS, 2), Å."""
        at = (self.corners - self.corners[0]) @ self._frame[:2].T
        ends = zip(at.min(axis=0) - self.margin, at.max(axis=0) + self.margin, strict=True)
        return np.stack(np.meshgrid(*(np.linspace(*end, POINTS) for end in ends), indexing="ij"), axis=-1)

    @property
    def points(self) -> np.ndarray:
        """The same, shape (POINTS², 3), Å, Cartesian; the last index of the plane runs fastest."""
        return (self.corners[0] + self.xy @ self._frame[:2]).reshape(-1, 3)

    def nuclei(self, scaled: np.ndarray) -> np.ndarray:
        """Of fractional positions, shape (n, 3), all images near the drawn part; shape (k, 2), Å."""
        fractional = self.points @ np.linalg.inv(self.cell)
        low, high = np.floor(fractional.min(axis=0)) - 1, np.ceil(fractional.max(axis=0)) + 1
        images = np.stack(
            np.meshgrid(*(np.arange(a, b + 1) for a, b in zip(low, high, strict=True)), indexing="ij"),
            axis=-1,
        ).reshape(-1, 1, 3)
        at = ((scaled % 1 + images).reshape(-1, 3) @ self.cell - self.corners[0]) @ self._frame.T
        first, last = self.xy[0, 0], self.xy[-1, -1]
        inside = (at[:, :2] >= first).all(axis=1) & (at[:, :2] <= last).all(axis=1)
        return at[inside & (np.abs(at[:, 2]) < NEAR), :2]

    @property
    def x_label(self) -> str:
        return f"from {self.names[0]} to {self.names[1]} / Å"

    @property
    def title(self) -> str:
        return f"plane through {', '.join(self.names)}"
