"""Periodic cubic B-splines on a regular grid: values and derivatives at any point.

Pure functions on arrays in fractional coordinates; the cell belongs to the caller.
SciPy filters and evaluates the spline; the derivatives, which it does not offer, are
taken here from the same coefficients.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import map_coordinates, spline_filter

_CHUNK = 16384
"""Points evaluated at once: 64 coefficients each in float64 make 8 MiB."""


def coefficients(values: np.ndarray) -> np.ndarray:
    """ndarray, shape of ``values``, float64: coefficients of the interpolating spline."""
    return spline_filter(values, order=3, output=np.float64, mode="grid-wrap")


def evaluate(coeffs: np.ndarray, fractional: np.ndarray) -> np.ndarray:
    """ndarray, shape (n,), float64: the spline at ``fractional`` points (n, 3)."""
    index = (fractional % 1.0) * coeffs.shape
    return map_coordinates(coeffs, index.T, order=3, mode="grid-wrap", prefilter=False)


def jet(coeffs: np.ndarray, fractional: np.ndarray, order: int) -> np.ndarray:
    """Partial derivatives of the spline along the three fractional coordinates.

    Parameters
    ----------
    coeffs : ndarray, shape (nx, ny, nz)
        From :func:`coefficients`.
    fractional : ndarray, shape (n, 3)
        Points, any periodic image.
    order : int
        Highest order per axis, 0 to 2 (the second derivative of a cubic spline is
        continuous, the third is not).

    Returns
    -------
    ndarray, shape (n, order + 1, order + 1, order + 1), float64
        ``[:, i, j, k]`` is the derivative of order i, j and k along the first, second
        and third axis, in units of one cell vector.
    """
    out = np.empty((len(fractional), *[order + 1] * 3))
    for start in range(0, len(fractional), _CHUNK):
        part = slice(start, start + _CHUNK)
        out[part] = _jet(coeffs, fractional[part], order)
    return out


def _jet(coeffs: np.ndarray, fractional: np.ndarray, order: int) -> np.ndarray:
    index = (fractional % 1.0) * coeffs.shape
    base = np.floor(index).astype(int)
    weights = _weights(index - base)[:, :, : order + 1]
    weights = weights * np.power.outer(coeffs.shape, np.arange(order + 1.0))[:, :, None]
    near = (base[:, :, None] + np.arange(-1, 3)) % np.array(coeffs.shape)[:, None]
    ix, iy, iz = near.swapaxes(0, 1)
    local = coeffs[ix[:, :, None, None], iy[:, None, :, None], iz[:, None, None, :]]
    along_z = local @ weights[:, None, 2].swapaxes(-1, -2)
    along_yz = weights[:, None, 1] @ along_z
    return np.einsum("nia,najk->nijk", weights[:, 0], along_yz)


def _weights(t: np.ndarray) -> np.ndarray:
    """B-spline weights of the four coefficients around a point, and their derivatives.

    Returns shape (n, 3, 3, 4): point, axis, order of derivative, neighbour -1 to 2.
    """
    s = 1 - t
    value = [s**3, 3 * t**3 - 6 * t**2 + 4, 3 * s**3 - 6 * s**2 + 4, t**3]
    first = [-(s**2), 3 * t**2 - 4 * t, 4 * s - 3 * s**2, t**2]
    second = [s, 3 * t - 2, 3 * s - 2, t]
    scaled = np.array([np.array(value) / 6, np.array(first) / 2, second])
    return np.moveaxis(scaled, (0, 1), (-2, -1))
