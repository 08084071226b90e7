"""Periodic cubic B-splines on a regular grid: values and derivatives at any point.

Functions of arrays; they do not depend on the cell. What computes is in
:mod:`ase_elf.geometry.spline_point`, which is loaded on first use.
"""

from __future__ import annotations

import numpy as np

__all__ = ["coefficients", "derivatives", "evaluate"]


def coefficients(values: np.ndarray) -> np.ndarray:
    """ndarray, shape of ``values`` (nx, ny, nz), float64: coefficients of the interpolating spline."""
    from ase_elf.geometry.spline_point import prefilter

    return prefilter(np.ascontiguousarray(values))


def evaluate(coeffs: np.ndarray, fractional: np.ndarray) -> np.ndarray:
    """ndarray, shape (n,), float64: the spline at ``fractional`` points (n, 3)."""
    return derivatives(coeffs, (fractional % 1.0) * coeffs.shape, 0)[0]


def derivatives(coeffs: np.ndarray, u: np.ndarray, order: int) -> tuple[np.ndarray, ...]:
    """Value, gradient and Hessian of the spline, as far as ``order`` goes.

    Parameters
    ----------
    coeffs : ndarray, shape (nx, ny, nz), float64
        From :func:`coefficients`.
    u : ndarray, shape (n, 3), float64
        Points in voxels (fractional coordinates times the shape), any periodic image.
    order : int
        0 to 2 (the second derivative of a cubic spline is continuous, the third is not).

    Returns
    -------
    tuple of ndarray, shapes (n,), (n, 3), (n, 3, 3), float64
        Per voxel, and voxel squared.
    """
    from ase_elf.geometry.spline_point import evaluate_many

    n = len(u)
    value, gradient, hessian = np.empty(n), np.empty((n, 3)), np.empty((n if order > 1 else 1, 3, 3))
    evaluate_many(coeffs, np.ascontiguousarray(u), order, value, gradient, hessian)
    return (value, gradient, hessian)[: order + 1]
