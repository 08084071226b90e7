"""Plane: points of a plane through a cell, in its own coordinates."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

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
