"""Periodic cubic B-splines on a regular grid: values and derivatives at any point.

Pure functions on arrays; they do not depend on the cell. SciPy filters and evaluates the spline; the
derivatives, which it does not offer, are computed here from the same coefficients.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import map_coordinates, spline_filter

_CHUNK = 8192
"""Points evaluated at once: 64 coefficients each in float64 make 4 MiB."""


def coefficients(values: np.ndarray) -> np.ndarray:
    """ndarray, shape of ``values``, float64: coefficients of the interpolating spline."""
    return spline_filter(values, order=3, output=np.float64, mode="grid-wrap")


def evaluate(coeffs: np.ndarray, fractional: np.ndarray) -> np.ndarray:
    """ndarray, shape (n,), float64: the spline at ``fractional`` points (n, 3)."""
    index = (fractional % 1.0) * coeffs.shape
    return map_coordinates(coeffs, index.T, order=3, mode="grid-wrap", prefilter=False)


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
    if len(u) <= _CHUNK:
        return _derivatives(coeffs, u, order)
    parts = [_derivatives(coeffs, u[i : i + _CHUNK], order) for i in range(0, len(u), _CHUNK)]
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))


def _derivatives(coeffs: np.ndarray, u: np.ndarray, order: int) -> tuple[np.ndarray, ...]:
    base = np.floor(u).astype(np.intp)
    wx, wy, wz = np.moveaxis(_weights(u - base, order), 1, 0)
    nx, ny, nz = coeffs.shape
    reach = np.arange(-1, 3)
    ix = (base[:, :1] + reach) % nx
    iy = (base[:, 1:2] + reach) % ny
    iz = (base[:, 2:] + reach) % nz
    rows = (ix[:, :, None] * ny + iy[:, None, :]) * nz
    local = coeffs.take(rows[:, :, :, None] + iz[:, None, None, :])
    # (n, 4, 4, 4) -> (n, 4, 4, d) -> (n, 4, d, d) -> (n, d, d, d), d = order + 1
    along_z = local.reshape(len(u), 16, 4) @ wz
    along_yz = np.swapaxes(wy, 1, 2)[:, None] @ along_z.reshape(len(u), 4, 4, order + 1)
    d = order + 1
    full = np.swapaxes(wx, 1, 2) @ along_yz.reshape(len(u), 4, d * d)
    full = full.reshape(len(u), d, d, d)
    result = [full[:, 0, 0, 0]]
    if order >= 1:
        result.append(np.stack([full[:, 1, 0, 0], full[:, 0, 1, 0], full[:, 0, 0, 1]], 1))
    if order >= 2:
        hessian = np.empty((len(u), 3, 3))
        hessian[:, 0, 0] = full[:, 2, 0, 0]
        hessian[:, 1, 1] = full[:, 0, 2, 0]
        hessian[:, 2, 2] = full[:, 0, 0, 2]
        hessian[:, 0, 1] = hessian[:, 1, 0] = full[:, 1, 1, 0]
        hessian[:, 0, 2] = hessian[:, 2, 0] = full[:, 1, 0, 1]
        hessian[:, 1, 2] = hessian[:, 2, 1] = full[:, 0, 1, 1]
        result.append(hessian)
    return tuple(result)


def _weights(t: np.ndarray, order: int) -> np.ndarray:
    """Cubic B-spline weights and their derivatives up to ``order``.

    ``t`` (n, 3) in [0, 1); returns (n, 3, 4, order + 1).
    """
    s = 1 - t
    out = np.empty((*t.shape, 4, order + 1))
    out[..., 0, 0] = s**3 / 6
    out[..., 1, 0] = 2 / 3 - t * t * (1 - t / 2)
    out[..., 2, 0] = 2 / 3 - s * s * (1 - s / 2)
    out[..., 3, 0] = t**3 / 6
    if order >= 1:
        out[..., 0, 1] = -s * s / 2
        out[..., 1, 1] = t * (1.5 * t - 2)
        out[..., 2, 1] = -s * (1.5 * s - 2)
        out[..., 3, 1] = t * t / 2
    if order >= 2:
        out[..., 0, 2] = s
        out[..., 1, 2] = 3 * t - 2
        out[..., 2, 2] = 3 * s - 2
        out[..., 3, 2] = t
    return out
