"""Moves on the spline: Newton's method with its steps turned uphill or down, mode by mode."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ase_elf.topology.field import SplineField

STEP_LIMIT = 0.5
"""Voxels; a longer Newton step is cut, so that it cannot leave the feature it started at."""

CONVERGED = 1e-9
"""Voxels; the last Newton step of a converged point is shorter."""


def follow_modes(
    field: SplineField, start: np.ndarray, n_up: int, *, reach: float = 2.5, steps: int = 40
) -> tuple[np.ndarray, np.ndarray]:
    """Walk to the nearby critical point that is a maximum along ``n_up`` directions.

    The step goes uphill along the ``n_up`` lowest eigenvectors of the Hessian and downhill
    along the rest, scaled as in Newton's method: near a critical point of the wanted kind
    it is Newton's method, elsewhere it cannot be drawn to another kind.

    Parameters
    ----------
    start : ndarray, shape (n, 3), voxels
    n_up : int
        3 attractor, 2 bond, 1 ring, 0 cage.
    reach : float
        Voxels; points that move further than this are given up.

    Returns
    -------
    u : ndarray, shape (n, 3), voxels, unwrapped
    ok : ndarray, shape (n,), bool
        True where the walk converged to a point of the wanted kind within reach.
    """
    u = np.array(start, float)
    ok = np.zeros(len(u), bool)
    active = np.arange(len(u))
    for _ in range(steps):
        if not len(active):
            break
        step, length, right_kind = _mode_step(field, u[active], n_up)
        u[active] += step
        done = length < CONVERGED
        ok[active[done & right_kind]] = True
        gone = np.linalg.norm(u[active] - start[active], axis=1) > reach
        active = active[~(done | gone)]
    return u, ok


def climb(
    field: SplineField,
    start: np.ndarray,
    arrived: Callable[[np.ndarray, np.ndarray], np.ndarray],
    *,
    uphill: bool = True,
    limit: int = 60,
) -> np.ndarray:
    """Walk up (or down) from ``start`` until ``arrived`` says so.

    Steps are those of :func:`follow_modes`. Unlike steepest ascent they do not zigzag
    across a narrow ridge, and like it they never go down, so that the component of the
    region above the starting value is never left.

    Parameters
    ----------
    start : ndarray, shape (n, 3), voxels
    arrived : callable
        ``arrived(which, u) -> bool array``, given the indices of the points still moving
        and where they are. It may record whatever it learns.
    uphill : bool
        False walks down.
    limit : int
        Steps after which a point is left where it is.

    Returns
    -------
    ndarray, shape (n, 3), voxels, unwrapped: where each point stopped.
    """
    u = np.array(start, float)
    active = np.arange(len(u))
    for _ in range(limit):
        active = active[~arrived(active, u[active])]
        if not len(active):
            break
        step, length, _ = _mode_step(field, u[active], 3 if uphill else 0)
        u[active] += step
        active = active[length > CONVERGED]
    return u


def _mode_step(field: SplineField, u: np.ndarray, n_up: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Step (n, 3), its length before the cut (n,), and whether the curvatures fit (n,)."""
    sign = np.where(np.arange(3) < n_up, 1.0, -1.0)
    _, gradient, hessian = field.hessian(u)
    curvature, modes = np.linalg.eigh(hessian)
    along = np.einsum("nij,ni->nj", modes, gradient)
    size = np.maximum(np.abs(curvature), 1e-12)
    step = np.einsum("nij,nj->ni", modes, sign * along / size)
    length = np.linalg.norm(step, axis=1)
    step *= np.minimum(1, STEP_LIMIT / np.maximum(length, 1e-300))[:, None]
    return step, length, ((curvature < 0) == (sign > 0)).all(axis=1)
