"""The field topology is read from: the periodic cubic spline through the voxel values.

Coordinates here are voxels: ``u`` is the fractional coordinate times ``(nx, ny, nz)`` and
is not wrapped, so that a path that leaves the cell keeps count of the image it is in.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ase_elf.errors import ElfWarning, InputError
from ase_elf.geometry import spline
from ase_elf.geometry.lattice import adequate_shape

if TYPE_CHECKING:
    from ase_elf.grid import ELFGrid

OVERSHOOT = 0.02
"""How far values may leave [0, 1]: interpolation and output formats ring by about this."""

MIN_VOXELS = 4
"""Voxels per direction: below four a cubic spline window meets its own image."""


def check_grid(grid: ELFGrid) -> None:
    """Raise :class:`InputError` for a grid whose topology has no meaning.

    Refused: other than three directions, fewer than four voxels in one of them, NaN or
    infinity, values outside [0, 1], a constant field, a cell without volume.
    """
    values = grid.values
    if values.ndim != 3 or min(values.shape) < MIN_VOXELS:
        raise InputError(
            f"the grid has shape {values.shape}; its topology needs three directions of at "
            f"least {MIN_VOXELS} voxels each. Recompute the ELF on a finer grid."
        )
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        bad = np.argwhere(~np.isfinite(values))
        raise InputError(
            f"{len(bad)} of {values.size} voxels are NaN or infinite, the first at index "
            f"{tuple(bad[0].tolist())}; the file or the run that made it is damaged."
        )
    if low < -OVERSHOOT or high > 1 + OVERSHOOT:
        raise InputError(
            f"values run from {low:.4g} to {high:.4g}, but an ELF lies in [0, 1]. "
            "Is this a charge density, or an ELF multiplied by the cell volume?"
        )
    if low < 0 or high > 1:
        warnings.warn(
            f"values run from {low:.4g} to {high:.4g}, slightly outside [0, 1]; they are used as they are.",
            ElfWarning,
            stacklevel=3,
        )
    if high - low < 1e-6:
        raise InputError(
            f"the field is constant ({low:.6g} everywhere to within {high - low:.1g}): "
            "it has no critical points and no network."
        )
    if abs(np.linalg.det(grid.cell)) < 1e-6:
        raise InputError(f"the cell {grid.cell.tolist()} Å has no volume; set the cell of grid.atoms.")


@dataclass(frozen=True)
class SplineField:
    """Periodic cubic spline through the voxels: C2, exact at the voxels.

    Parameters
    ----------
    values : ndarray, shape (nx, ny, nz), floating point
    cell : ndarray, shape (3, 3), Å
        Rows are the cell vectors.
    """

    values: np.ndarray
    cell: np.ndarray

    @classmethod
    def of(cls, grid: ELFGrid) -> SplineField:
        """The spline of an :class:`~ase_elf.ELFGrid`, after :func:`check_grid`.

        Of a grid that is coarse along an oblique direction it is that of
        :meth:`~ase_elf.ELFGrid.refined`, which has more points in the same cell.
        """
        check_grid(grid)
        if adequate_shape(grid.cell, grid.values.shape) != grid.values.shape:
            grid = grid.refined()
        values = np.ascontiguousarray(grid.values)
        if values.dtype not in (np.float32, np.float64):
            values = values.astype(np.float64)
        return cls(values, np.asarray(grid.cell, float))

    @property
    def shape(self) -> np.ndarray:
        """ndarray (3,), int: voxels per direction."""
        return np.array(self.values.shape)

    @cached_property
    def coefficients(self) -> np.ndarray:
        """ndarray, shape (nx, ny, nz), float64: B-spline coefficients."""
        return spline.coefficients(self.values)

    @cached_property
    def voxel_vectors(self) -> np.ndarray:
        """ndarray (3, 3), Å: rows are the edges of one voxel."""
        return self.cell / self.shape[:, None]

    @cached_property
    def inverse_metric(self) -> np.ndarray:
        """ndarray (3, 3), Å^-2: turns a gradient by voxel coordinate into an ascent step."""
        return np.linalg.inv(self.voxel_vectors @ self.voxel_vectors.T)

    @cached_property
    def to_cartesian(self) -> np.ndarray:
        """ndarray (3, 3), 1/Å: Cartesian gradient = this @ gradient by voxel coordinate."""
        return np.linalg.inv(self.voxel_vectors)

    def voxel_of(self, positions: np.ndarray) -> np.ndarray:
        """Voxel coordinates (n, 3) of Cartesian ``positions`` (n, 3) in Å, unwrapped."""
        return np.linalg.solve(self.cell.T, np.asarray(positions, float).T).T * self.shape

    def position_of(self, u: np.ndarray) -> np.ndarray:
        """Cartesian positions (n, 3) in Å of voxel coordinates ``u``, not wrapped."""
        return np.asarray(u) @ self.voxel_vectors

    def within(self, values: np.ndarray) -> np.ndarray:
        """``values`` cut off at the lowest and the highest voxel, which a spline may exceed."""
        return np.clip(values, float(self.values.min()), float(self.values.max()))

    def value(self, u: np.ndarray) -> np.ndarray:
        """ndarray (n,): the spline at voxel coordinates ``u`` (n, 3)."""
        return self._derivatives(u, 0)[0]

    def gradient(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Value (n,) and gradient (n, 3), per voxel."""
        value, gradient = self._derivatives(u, 1)
        return value, gradient

    def hessian(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Value (n,), gradient (n, 3) and Hessian (n, 3, 3), per voxel and voxel squared."""
        value, gradient, hessian = self._derivatives(u, 2)
        return value, gradient, hessian

    def _derivatives(self, u: np.ndarray, order: int) -> tuple[np.ndarray, ...]:
        return spline.derivatives(self.coefficients, np.asarray(u, float), order)
