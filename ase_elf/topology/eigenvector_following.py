"""Moves on the spline, compiled: Newton's method with its steps turned uphill or down, mode by mode."""

from __future__ import annotations

import numpy as np

from ase_elf.geometry.compiled import compiled
from ase_elf.geometry.spline_point import evaluate_one

__all__ = ["CONVERGED", "STEP_LIMIT", "climb", "follow_modes"]

STEP_LIMIT = 0.5
"""Voxels; a longer Newton step is cut, so that it cannot leave the feature it started at."""

CONVERGED = 1e-9
"""Voxels; the last Newton step of a converged point is shorter."""


@compiled
def follow_modes(
    c: np.ndarray, start: np.ndarray, n_up: int, reach: float, steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Walk to the nearby critical point that is a maximum along ``n_up`` directions.

    The step goes uphill along the ``n_up`` lowest eigenvectors of the Hessian and downhill
    along the rest, scaled as in Newton's method: near a critical point of the wanted kind
    it is Newton's method, elsewhere it cannot be drawn to another kind.

    Parameters
    ----------
    c : ndarray, shape (nx, ny, nz), float64
        Coefficients of the spline.
    start : ndarray, shape (n, 3), float64, voxels
    n_up : int
        3 attractor, 2 bond, 1 ring, 0 cage.
    reach : float
        Voxels; points that move further than this are given up.
    steps : int
        At most so many of them.

    Returns
    -------
    u : ndarray, shape (n, 3), voxels, unwrapped
    ok : ndarray, shape (n,), bool
        True where the walk converged to a point of the wanted kind within reach.
    """
    u, ok = start.copy(), np.zeros(len(start), np.bool_)
    work = np.empty((9, 3))
    for n in range(len(u)):
        for _ in range(steps):
            length, right_kind = _step(c, u[n], n_up, work)
            if length < CONVERGED:
                ok[n] = right_kind
                break
            x, y, z = u[n, 0] - start[n, 0], u[n, 1] - start[n, 1], u[n, 2] - start[n, 2]
            if np.sqrt(x * x + y * y + z * z) > reach:
                break
    return u, ok


@compiled
def climb(
    c: np.ndarray,
    start: np.ndarray,
    labels: np.ndarray,
    images: np.ndarray,
    direct: np.ndarray,
    hidden: np.ndarray,
    near: float,
    steps: int,
) -> np.ndarray:
    """Walk up from ``start`` into a basin.

    Steps are those of :func:`follow_modes`. Unlike steepest ascent they do not zigzag across a narrow
    ridge, and like it they never go down, so that the component of the region above the starting value
    is never left. A walk ends as soon as the eight voxels around the point, twice in a row, belong to one
    image of one basin, or ``near`` a hidden attractor.

    Parameters
    ----------
    c : ndarray, shape (nx, ny, nz), float64
        Coefficients of the spline.
    start : ndarray, shape (n, 3), float64, voxels
    labels, images, direct : ndarray, shape (nx, ny, nz)
        Of :class:`~ase_elf.topology.basins.Basins`.
    hidden : ndarray, shape (m, 3), float64, voxels
        Attractors without voxels of their own.
    near : float
        Voxels.
    steps : int
        At most so many; then a point is left where it is.

    Returns
    -------
    ndarray, shape (n, 3), voxels, unwrapped: where each point stopped.
    """
    u = start.copy()
    work = np.empty((9, 3))
    for n in range(len(u)):
        before = False
        for _ in range(steps):
            now = _inside(u[n], labels, images, direct)
            if (now and before) or _beside(u[n], hidden, near, c.shape):
                break
            before = now
            length, _ = _step(c, u[n], 3, work)
            if not length > CONVERGED:
                break
    return u


@compiled
def _step(c, u, n_up, work):
    """Move ``u``; the length of the step before it was cut, and whether the curvatures are those wanted."""
    gradient, step = work[0], work[1]
    hessian, modes = work[2:5], work[5:8]
    evaluate_one(c, u, 2, gradient, hessian, np.empty((3, 3, 4)))
    _diagonalise(hessian, modes)
    step[0] = step[1] = step[2] = 0.0
    fits = True
    for i in range(3):
        curvature = hessian[i, i]
        below = 0
        for j in range(3):
            below += hessian[j, j] < curvature or (hessian[j, j] == curvature and j < i)
        up = below < n_up
        fits &= (curvature < 0) == up
        along = modes[0, i] * gradient[0] + modes[1, i] * gradient[1] + modes[2, i] * gradient[2]
        along /= max(abs(curvature), 1e-12) if up else -max(abs(curvature), 1e-12)
        for k in range(3):
            step[k] += modes[k, i] * along
    length = np.sqrt(step[0] ** 2 + step[1] ** 2 + step[2] ** 2)
    cut = min(1.0, STEP_LIMIT / max(length, 1e-300))
    for k in range(3):
        u[k] += cut * step[k]
    return length, fits


@compiled
def _diagonalise(a, modes):
    """Jacobi's method: eigenvalues on the diagonal of ``a`` (3, 3), eigenvectors in columns of ``modes``."""
    for i in range(3):
        for j in range(3):
            modes[i, j] = i == j
    for _ in range(20):
        if abs(a[0, 1]) + abs(a[0, 2]) + abs(a[1, 2]) <= 1e-20 * (abs(a[0, 0]) + abs(a[1, 1]) + abs(a[2, 2])):
            return
        for p, q in ((0, 1), (0, 2), (1, 2)):
            if a[p, q] == 0:
                continue
            theta = (a[q, q] - a[p, p]) / (2 * a[p, q])
            t = 1 / (abs(theta) + np.sqrt(theta * theta + 1))
            t = -t if theta < 0 else t
            cos = 1 / np.sqrt(t * t + 1)
            sin = t * cos
            r = 3 - p - q
            a[p, p] -= t * a[p, q]
            a[q, q] += t * a[p, q]
            a[p, q] = a[q, p] = 0.0
            a[r, p], a[r, q] = cos * a[r, p] - sin * a[r, q], sin * a[r, p] + cos * a[r, q]
            a[p, r], a[q, r] = a[r, p], a[r, q]
            for k in range(3):
                modes[k, p], modes[k, q] = (
                    cos * modes[k, p] - sin * modes[k, q],
                    sin * modes[k, p] + cos * modes[k, q],
                )


@compiled
def _inside(u, labels, images, direct):
    """Whether the eight voxels around a point belong to one image of one basin, without doubt."""
    nx, ny, nz = labels.shape
    x, y, z = int(np.floor(u[0])), int(np.floor(u[1])), int(np.floor(u[2]))
    label = image = 0
    for corner in range(8):
        i, j, k = x + (corner >> 2), y + (corner >> 1 & 1), z + (corner & 1)
        p, q, r = i % nx, j % ny, k % nz
        if not direct[p, q, r]:
            return False
        # The image as ase_elf.topology.basins.pack makes it.
        this = images[p, q, r] + ((i // nx) * 256 + j // ny) * 256 + k // nz
        if corner == 0:
            label, image = labels[p, q, r], this
        elif labels[p, q, r] != label or this != image:
            return False
    return True


@compiled
def _beside(u, points, near, shape):
    """Whether a periodic image of one of ``points`` lies within ``near`` of ``u``."""
    for n in range(len(points)):
        square = 0.0
        for axis in range(3):
            apart = u[axis] - points[n, axis]
            apart -= shape[axis] * np.round(apart / shape[axis])
            square += apart * apart
        if square < near * near:
            return True
    return False
