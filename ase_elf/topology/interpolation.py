"""How far the spline is from the field between the voxels: what a spline of higher order says."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.interpolate import BSpline, make_interp_spline

from ase_elf.topology.field import SplineField

REACH = 10
"""Voxels to each side that the quintic spline is made of: what lies beyond weighs 2e-4."""


def interpolation_gap(field: SplineField, u: np.ndarray) -> np.ndarray:
    """Difference of the quintic and the cubic spline through the voxels.

    The quintic is two orders of the spacing closer to a smooth field, so this is the error of
    the cubic one but for a small rest; where the grid is too coarse for both it is its size.

    Parameters
    ----------
    field : SplineField
    u : ndarray, shape (n, 3), voxels

    Returns
    -------
    ndarray, shape (n,), float64, not negative
    """
    base = np.floor(u).astype(int)
    weights = _cardinal()(u - base + REACH - 1)
    around = np.arange(1 - REACH, REACH + 1)
    ix, iy, iz = np.moveaxis((base[:, :, None] + around) % field.shape[:, None], 1, 0)
    values = field.values[ix[:, :, None, None], iy[:, None, :, None], iz[:, None, None, :]]
    along_z = np.einsum("nxyz,nz->nxy", values, weights[:, 2])
    quintic = np.einsum("nxy,nx,ny->n", along_z, weights[:, 0], weights[:, 1])
    return np.abs(quintic - field.value(u))


@lru_cache(maxsize=1)
def _cardinal() -> BSpline:
    """Weights of the values at 0, 1, ... in the quintic spline at a place among them."""
    return make_interp_spline(np.arange(2 * REACH), np.eye(2 * REACH), k=5)
