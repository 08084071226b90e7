"""Every zero of the gradient of a periodic cubic spline, by excluding where there is none.

On each cell the spline is a cubic polynomial; its derivatives lie in the hull of their
Bernstein coefficients. A box in which one derivative keeps its sign holds no critical
point; what is left is tested again after multiplying the gradient with the inverse Hessian
of the box centre, and split, until a box holds provably at most one, which Newton's method
finds, or none (:mod:`~ase_elf.topology.boxes`). No starting points are involved, so none can be forgotten.
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
"""Boxes tested for one field, about a second. A field with edges, such as one cut off at 1 or a mask,
has no end of almost critical points; what is left then is reported as unresolved.
A DFT grid of 128 atoms takes a tenth of it."""

SAME_ROOT = 1e-5
"""Voxels; roots found from neighbouring boxes and closer than this are one."""

_SMALLEST = 0.5**DEEPEST

_CLOSE = 8 * _SMALLEST
"""Voxels from a deepest box within which a zero explains it."""

_EDGE = 1e-6
"""Voxels a root may lie outside its box: it may sit on the face between two."""

_BATCH = 8192
"""Cells that share what they may use of the budget: an edge elsewhere takes nothing from them."""

_MATTER = np.uint16(1)
_BITS = np.uint16(2) << np.arange(9, dtype=np.uint16).reshape(3, 3)
"""Of what the coefficients show: one is not vacuum; the slope along an axis may fall, may rise, is not flat."""

_OCTANTS = np.stack(np.meshgrid(*[[0.0, 1.0]] * 3, indexing="ij"), -1).reshape(8, 3)


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
    from ase_elf.topology.boxes import NONE, SINGLE, SPLIT, judge_cells, judge_halves

    centres, sizes, left, used = [], [], np.empty((0, 3)), 0
    corner, (boxes, verdict) = cells.astype(float), judge_cells(c, cells)
    for depth in range(DEEPEST + 1):
        size = 0.5**depth
        used += len(boxes)
        done = verdict == SINGLE if depth < DEEPEST else verdict != NONE
        centres.append(corner[done] + size / 2)
        sizes.append(np.full(len(centres[-1]), size))
        split = (verdict == SPLIT) & ~done
        boxes, corner = boxes[split], corner[split]
        if not len(boxes):
            break
        if used + 8 * len(boxes) > allowance:
            left = corner + size / 2
            break
        boxes, verdict = judge_halves(boxes)
        corner = (corner[:, None] + size / 2 * _OCTANTS).reshape(-1, 3)
    return np.concatenate(centres), np.concatenate(sizes), left, used


def _screen(c: np.ndarray) -> tuple[np.ndarray, float]:
    """Cells (m, 3) on which no derivative has a fixed sign by its B-spline coefficients."""
    # Single precision halves the time; the margin covers its rounding.
    single = c.astype(np.float32)
    margin = np.float32(1e-6) * np.abs(single).max()
    # One bit for each thing that a coefficient or its slope may show; a cell collects those of its 64
    # coefficients, of which three slopes follow one another along an axis, and four lie side by side.
    shown = (single >= VACUUM) * _MATTER
    for axis, (falls, rises, bends) in enumerate(_BITS):
        slope = np.roll(single, -1, axis) - single
        shown |= (slope <= margin) * falls
        shown |= (slope >= -margin) * rises
        shown |= (np.abs(slope) > margin) * bends
    for axis, bits in enumerate(_BITS):
        three = shown | np.roll(shown, 1, axis) | np.roll(shown, -1, axis)
        shown = three | (np.roll(shown, -2, axis) & ~bits.sum(dtype=shown.dtype))
    empty = (shown & _MATTER == 0) | (shown & _BITS[:, 2].sum() == 0)
    both = _BITS[:, :2].sum()
    return np.argwhere((shown & both == both) & ~empty), float(empty.mean())


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
