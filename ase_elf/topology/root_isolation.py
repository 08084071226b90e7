"""Every zero of the gradient of a periodic cubic spline, by excluding where there is none.

On each cell the spline is a cubic polynomial; its derivatives lie in the hull of their
Bernstein coefficients. A box in which one derivative keeps its sign holds no critical
point; what is left is split, tested again, also after multiplying the gradient with the
inverse Hessian of the box centre, until a box holds provably at most one, which Newton's
method finds, or none. No starting points are involved, so none can be forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from ase_elf.topology.basins import wrap
from ase_elf.topology.field import SplineField

VACUUM = 1e-5
"""Cells in which the spline stays below this are vacuum and not searched: files print
ELF with five digits, so nothing there is real."""

DEEPEST = 8
"""Halvings of a cell before a box is reported as unresolved: 1/256 of a voxel."""

BUDGET = 1_500_000
"""Boxes tested for one field, some 8 s. A field with edges, such as one cut off at 1 or a mask,
has no end of almost critical points; what is left then is reported as unresolved.
A DFT grid of 128 atoms takes a tenth of it."""

SAME_ROOT = 1e-5
"""Voxels; roots found from neighbouring boxes and closer than this are one."""

_SMALLEST = 0.5**DEEPEST

_CLOSE = 8 * _SMALLEST
"""Voxels from a deepest box within which a zero explains it."""

_EDGE = 1e-6
"""Voxels a root may lie outside its box: it may sit on the face between two."""

_ROUNDING = 1e-13

_BATCH = 2048
"""Cells worked on at once: their coefficients fit the second-level cache."""

_TO_BEZIER = np.array([[1, 4, 1, 0], [0, 4, 2, 0], [0, 2, 4, 0], [0, 1, 4, 1]]) / 6
_LOWER_HALF = np.array([[8, 0, 0, 0], [4, 4, 0, 0], [2, 4, 2, 0], [1, 3, 3, 1]]) / 8
_HALVES = np.vstack([_LOWER_HALF, _LOWER_HALF[::-1, ::-1]])
# At the middle of a box: value, first and second derivative from Bernstein coefficients.
_MIDDLE = np.array([[1, 3, 3, 1], [-6, -6, 6, 6], [24, -24, -24, 24]]) / 8


@dataclass(frozen=True)
class Roots:
    """Zeros of the gradient.

    Parameters
    ----------
    u : ndarray, shape (n, 3), voxels, within the cell
    unresolved : ndarray, shape (m, 3), voxels
        Centres of the boxes, one in each voxel, in which the spline is too flat or too nearly
        degenerate to tell how many zeros there are, or which the budget did not reach.
    empty : float
        Fraction of the cells left out as vacuum or exactly flat.
    """

    u: np.ndarray
    unresolved: np.ndarray
    empty: float


def find_roots(field: SplineField) -> Roots:
    """All critical points of ``field``, as far as :data:`BUDGET` boxes go."""
    cells, empty = _screen(field.coefficients)
    batches = [cells[i : i + _BATCH] for i in range(0, len(cells), _BATCH)]
    left, isolated = BUDGET, []
    for i, batch in enumerate(batches):
        # What a batch does not need is there for those after it.
        centre, size, unfinished, used = _isolate(field.coefficients, batch, left // (len(batches) - i))
        isolated.append((centre, size, unfinished))
        left -= used
    empties = (np.empty((0, 3)), np.empty(0), np.empty((0, 3)))
    centre, size, unfinished = map(np.concatenate, zip(empties, *isolated, strict=True))
    u, converged = _newton(field, centre)
    gap = np.abs(u - centre).max(axis=1, initial=0)
    inside = gap <= size / 2 + _EDGE
    # The way out of a box with at most one zero says that there is none in it. The deepest
    # boxes come without that promise: there any zero close by is taken for the one meant.
    deepest = size <= _SMALLEST
    inside = np.where(deepest, gap < _CLOSE, inside)
    open_ends = np.where(deepest, ~(inside & converged), inside & ~converged)
    inside &= converged
    roots = _merge(u[inside], field.shape, SAME_ROOT)
    # Many zeros lie beside a box that was not halved to the end: none of them explains it.
    unresolved = _away_from(centre[open_ends], roots, field.shape)
    return Roots(roots, _one_per_voxel(np.concatenate([unresolved, unfinished])), empty)


def _isolate(
    c: np.ndarray, cells: np.ndarray, allowance: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Boxes in ``cells`` with at most one zero, or too small to go on: centre and size; centres
    of the boxes left when more than ``allowance`` were tested; and how many were.
    """
    centres, sizes, left, used = [], [], np.empty((0, 3)), 0
    corner, boxes = cells.astype(float), _bezier(c, cells)
    for depth in range(DEEPEST + 1):
        size = 0.5**depth
        used += len(boxes)
        keep = _may_vanish(boxes)
        boxes, corner = boxes[keep], corner[keep]
        if not len(boxes):
            break
        hit, single = _preconditioned(boxes)
        single |= depth == DEEPEST
        centres.append(corner[hit & single] + size / 2)
        sizes.append(np.full(len(centres[-1]), size))
        boxes, corner = boxes[hit & ~single], corner[hit & ~single]
        if used + 8 * len(boxes) > allowance:
            left = corner + size / 2
            break
        boxes, corner = _halve(boxes, corner, size)
    centre = np.concatenate(centres or [np.empty((0, 3))])
    return centre, np.concatenate(sizes or [np.empty(0)]), left, used


def _screen(c: np.ndarray) -> tuple[np.ndarray, float]:
    """Cells (m, 3) on which no derivative has a fixed sign by its B-spline coefficients."""
    # Single precision halves the time; the margin covers its rounding.
    padded = np.pad(c, (1, 2), mode="wrap").astype(np.float32)
    margin = 1e-6 * np.abs(padded).max()
    keep = np.ones(c.shape, bool)
    flat = np.ones(c.shape, bool)
    for axis in range(3):
        low = high = np.diff(padded, axis=axis)
        for other in range(3):
            width = 3 if other == axis else 4
            low = _window(np.minimum, low, other, width)
            high = _window(np.maximum, high, other, width)
        keep &= (low <= margin) & (high >= -margin)
        flat &= (low >= -margin) & (high <= margin)
    top = padded
    for axis in range(3):
        top = _window(np.maximum, top, axis, 4)
    empty = flat | (top < VACUUM)
    keep &= ~empty
    return np.argwhere(keep), float(empty.mean())


def _window(extreme: np.ufunc, a: np.ndarray, axis: int, width: int) -> np.ndarray:
    """Sliding minimum or maximum over ``width`` (3 or 4) entries."""

    def part(start: int, stop: int | None) -> tuple[slice, ...]:
        return tuple(slice(start, stop) if i == axis else slice(None) for i in range(3))

    pairs = extreme(a[part(0, -1)], a[part(1, None)])
    step = width - 2
    return extreme(pairs[part(0, -step)], pairs[part(step, None)])


def _bezier(c: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Bernstein coefficients (m, 4, 4, 4) of the spline on ``cells`` (m, 3)."""
    near = (cells[:, :, None] + np.arange(-1, 3)) % np.array(c.shape)[:, None]
    ix, iy, iz = near.swapaxes(0, 1)
    local = c[ix[:, :, None, None], iy[:, None, :, None], iz[:, None, None, :]]
    return _transform(local, _TO_BEZIER, _TO_BEZIER, _TO_BEZIER)


def _transform(b: np.ndarray, mx: np.ndarray, my: np.ndarray, mz: np.ndarray) -> np.ndarray:
    """Apply one matrix per axis: (m, 4, 4, 4) -> (m, p, q, r)."""
    p, q, r = len(mx), len(my), len(mz)
    out = b.reshape(-1, 4) @ mz.T
    out = my @ out.reshape(-1, 4, r)
    return (mx @ out.reshape(-1, 4, q * r)).reshape(-1, p, q, r)


def _may_vanish(b: np.ndarray) -> np.ndarray:
    keep = np.ones(len(b), bool)
    for axis in (1, 2, 3):
        slope = np.diff(b[keep], axis=axis).reshape(int(keep.sum()), 48)
        keep[keep] = (slope.min(axis=1) <= _ROUNDING) & (slope.max(axis=1) >= -_ROUNDING)
    return keep


def _preconditioned(b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which boxes may hold a zero, and which at most one.

    With P the inverse Hessian at the centre and Q a bound of |1 - P H| over the box, the
    mean value theorem gives |P g| >= |P g(centre)| - (1 + row sums of Q) / 2, in units of
    the box; and if the row sums stay below one, the gradient takes no value twice.
    """
    middle = _transform(b, _MIDDLE, _MIDDLE, _MIDDLE)
    gradient = np.stack([middle[:, 1, 0, 0], middle[:, 0, 1, 0], middle[:, 0, 0, 1]], 1)
    hessian, spread = np.empty((2, len(b), 3, 3))
    for i in range(3):
        for j in range(i, 3):
            order = np.bincount([i, j], minlength=3)
            centre = middle[(slice(None), *order)]
            factor = 6 if i == j else 9
            bent = factor * np.diff(np.diff(b, axis=i + 1), axis=j + 1).reshape(len(b), -1)
            hessian[:, i, j] = hessian[:, j, i] = centre
            spread[:, i, j] = spread[:, j, i] = np.abs(bent - centre[:, None]).max(axis=1)
    size = np.abs(hessian).max(axis=(1, 2), initial=0)
    regular = np.abs(np.linalg.det(hessian)) > 1e-12 * size**3
    inverse = np.zeros_like(hessian)
    inverse[regular] = np.linalg.inv(hessian[regular])
    rows = (np.abs(inverse) @ spread).sum(axis=2)
    newton = np.abs(np.einsum("nij,nj->ni", inverse, gradient))
    hit = (newton <= 0.5 * (1 + rows) + 1e-9).all(axis=1) | ~regular
    return hit, regular & (rows < 1).all(axis=1)


def _newton(field: SplineField, centre: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where Newton's method leads to from box centres, and whether it converged.

    It does not beside a shoulder without a zero, where the steps go round in circles.
    """
    u = centre.copy()
    converged = np.zeros(len(u), bool)
    active = np.arange(len(u))
    for _ in range(30):
        if not len(active):
            break
        _, gradient, hessian = field.hessian(u[active])
        hessian[np.abs(np.linalg.det(hessian)) < 1e-300] += np.eye(3)
        step = np.linalg.solve(hessian, gradient[..., None])[..., 0]
        u[active] -= step
        length = np.abs(step).max(axis=1)
        converged[active[length < 1e-9]] = True
        lost = np.abs(u[active] - centre[active]).max(axis=1) > 2.0
        active = active[(length >= 1e-9) & ~lost]
    return u, converged


def _halve(b: np.ndarray, corner: np.ndarray, size: float) -> tuple[np.ndarray, np.ndarray]:
    """The eight halves of each box."""
    parts = _transform(b, _HALVES, _HALVES, _HALVES).reshape(-1, 2, 4, 2, 4, 2, 4)
    parts = parts.transpose(0, 1, 3, 5, 2, 4, 6).reshape(-1, 4, 4, 4)
    octants = 0.5 * size * np.stack(np.meshgrid(*[[0, 1]] * 3, indexing="ij"), -1).reshape(8, 3)
    return parts, (corner[:, None] + octants).reshape(-1, 3)


def _merge(u: np.ndarray, shape: np.ndarray, distance: float) -> np.ndarray:
    """Points wrapped into the cell, one for each cluster closer than ``distance``."""
    if not len(u):
        return u
    _, inside = wrap(u, shape)
    pairs = cKDTree(inside, boxsize=shape).query_pairs(distance, output_type="ndarray")
    keep = np.ones(len(u), bool)
    keep[pairs.max(axis=1)] = False
    return inside[keep]


def _one_per_voxel(u: np.ndarray) -> np.ndarray:
    """The first of the points in each voxel."""
    return u[np.unique(np.floor(u), axis=0, return_index=True)[1]]


def _away_from(points: np.ndarray, known: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """``points`` that have no ``known`` root beside them to explain them."""
    if not len(points) or not len(known):
        return points
    return points[cKDTree(known, boxsize=shape).query(points)[0] > _CLOSE]
