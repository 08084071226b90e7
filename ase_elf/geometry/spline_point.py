"""The periodic cubic B-spline: its coefficients, and its value and derivatives at a point, compiled."""

from __future__ import annotations

import numpy as np

from ase_elf.geometry.compiled import compiled

__all__ = ["evaluate_many", "evaluate_one", "prefilter"]

_POLE = np.sqrt(3.0) - 2.0
_MEMORY = 40
"""Points after which nothing is left of one: the pole to this power is 1e-23."""


@compiled
def prefilter(values: np.ndarray) -> np.ndarray:
    """Coefficients of the spline through values (nx, ny, nz) of float32 or float64: the same shape, float64.

    Recursive filter along one axis after the other, M. Unser, IEEE Signal Processing Magazine 16 (6), 22
    (1999), section "B-spline coefficients", with periodic ends.
    """
    nx, ny, nz = values.shape
    c, turned = np.empty((nx, ny, nz)), np.empty((nz, ny))
    for x in range(nx):
        for y in range(ny):
            for z in range(nz):
                turned[z, y] = values[x, y, z]
        _filter(turned)
        for y in range(ny):
            for z in range(nz):
                c[x, y, z] = turned[z, y]
        _filter(c[x])
    _filter(c.reshape((nx, ny * nz)))
    return c


@compiled
def _filter(a):
    """Along the first axis of ``a`` (n, m), in place."""
    n = len(a)
    memory = min(n, _MEMORY)
    start = np.zeros(a.shape[1])
    for k in range(memory - 1, -1, -1):
        _add(start, _POLE, start, 1.0, a[-k % n])
    _add(a[0], 1 / (1 - _POLE**n), start, 0.0, start)
    for i in range(1, n):
        _add(a[i], _POLE, a[i - 1], 1.0, a[i])
    start[:] = 0.0
    for k in range(memory - 1, -1, -1):
        _add(start, _POLE, start, 1.0, a[(n - 1 + k) % n])
    _add(a[n - 1], -6 * _POLE / (1 - _POLE**n), start, 0.0, start)
    for i in range(n - 2, -1, -1):
        _add(a[i], _POLE, a[i + 1], -6 * _POLE, a[i])


@compiled
def _add(to, p, one, q, two):
    for w in range(len(to)):
        to[w] = p * one[w] + q * two[w]


@compiled
def evaluate_one(
    c: np.ndarray, u: np.ndarray, order: int, gradient: np.ndarray, hessian: np.ndarray, w: np.ndarray
) -> float:
    """The spline at a point.

    Parameters
    ----------
    c : ndarray, shape (nx, ny, nz), float64
        Coefficients.
    u : ndarray, shape (3,), float64, voxels
        Any periodic image.
    order : int
        0 to 2: up to which derivative.
    gradient, hessian : ndarray, shapes (3,) and (3, 3), float64
        Written, as far as ``order`` goes; per voxel and voxel squared.
    w : ndarray, shape (3, 3, 4), float64
        Working space: weights of value, first and second derivative along each axis.
    """
    nx, ny, nz = c.shape
    for axis in range(3):
        _weights(u[axis] - np.floor(u[axis]), w[axis])
    x, y, z = int(np.floor(u[0])) - 1, int(np.floor(u[1])) - 1, int(np.floor(u[2])) - 1
    z0, z1, z2, z3 = z % nz, (z + 1) % nz, (z + 2) % nz, (z + 3) % nz
    value = gx = gy = gz = xx = yy = zz = xy = xz = yz = 0.0
    for i in range(4):
        for j in range(4):
            line = c[(x + i) % nx, (y + j) % ny]
            a, b, d, e = line[z0], line[z1], line[z2], line[z3]
            flat = w[2, 0, 0] * a + w[2, 0, 1] * b + w[2, 0, 2] * d + w[2, 0, 3] * e
            value += w[0, 0, i] * w[1, 0, j] * flat
            if order > 0:
                rise = w[2, 1, 0] * a + w[2, 1, 1] * b + w[2, 1, 2] * d + w[2, 1, 3] * e
                gx += w[0, 1, i] * w[1, 0, j] * flat
                gy += w[0, 0, i] * w[1, 1, j] * flat
                gz += w[0, 0, i] * w[1, 0, j] * rise
            if order > 1:
                bend = w[2, 2, 0] * a + w[2, 2, 1] * b + w[2, 2, 2] * d + w[2, 2, 3] * e
                xx += w[0, 2, i] * w[1, 0, j] * flat
                yy += w[0, 0, i] * w[1, 2, j] * flat
                zz += w[0, 0, i] * w[1, 0, j] * bend
                xy += w[0, 1, i] * w[1, 1, j] * flat
                xz += w[0, 1, i] * w[1, 0, j] * rise
                yz += w[0, 0, i] * w[1, 1, j] * rise
    if order > 0:
        gradient[0], gradient[1], gradient[2] = gx, gy, gz
    if order > 1:
        hessian[0, 0], hessian[1, 1], hessian[2, 2] = xx, yy, zz
        hessian[0, 1] = hessian[1, 0] = xy
        hessian[0, 2] = hessian[2, 0] = xz
        hessian[1, 2] = hessian[2, 1] = yz
    return value


@compiled
def _weights(t, w):
    """Cubic B-spline weights at ``t`` in [0, 1], and their derivatives, to ``w`` (3, 4)."""
    s = 1 - t
    w[0, 0], w[0, 3] = s**3 / 6, t**3 / 6
    w[0, 1], w[0, 2] = 2 / 3 - t * t * (1 - t / 2), 2 / 3 - s * s * (1 - s / 2)
    w[1, 0], w[1, 3] = -s * s / 2, t * t / 2
    w[1, 1], w[1, 2] = t * (1.5 * t - 2), -s * (1.5 * s - 2)
    w[2, 0], w[2, 1], w[2, 2], w[2, 3] = s, 3 * t - 2, 3 * s - 2, t


@compiled
def evaluate_many(
    c: np.ndarray, u: np.ndarray, order: int, value: np.ndarray, gradient: np.ndarray, hessian: np.ndarray
) -> None:
    """:func:`evaluate_one` for points (n, 3); writes (n,), (n, 3) and (n, 3, 3), or (1, 3, 3) below order 2."""
    w = np.empty((3, 3, 4))
    for n in range(len(u)):
        k = n if order > 1 else 0
        value[n] = evaluate_one(c, u[n], order, gradient[n], hessian[k], w)
