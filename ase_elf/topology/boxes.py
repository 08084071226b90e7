"""Tests on boxes of a tricubic polynomial, given by its Bernstein coefficients.

A box is 64 float64 numbers, coefficient (i, j, k) at ``16 i + 4 j + k``. Many are worked at side by side,
as the columns of an array: then the processor takes several at once.
"""

from __future__ import annotations

import numpy as np

from ase_elf.geometry.compiled import compiled

__all__ = ["NONE", "SINGLE", "SPLIT", "judge_cells", "judge_halves"]

NONE, SPLIT, SINGLE = range(3)
"""Verdicts on a box: no zero of the gradient, not decided, at most one zero."""

_BLOCK = 72
"""Boxes side by side. A power of two would put all coefficients of a box into few places of the cache."""
_ROUNDING = 1e-13
_SHIFTS = (4, 2, 0)
"""Along axis a coefficient ``k`` is number ``k >> _SHIFTS[a] & 3``, and the next one is ``1 << _SHIFTS[a]`` away."""

# At the middle of a box: value, first and second derivative from Bernstein coefficients.
_MIDDLE = np.array([[1, 3, 3, 1], [-6, -6, 6, 6], [24, -24, -24, 24]]) / 8


@compiled
def judge_cells(c: np.ndarray, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What is known of the gradient of a spline on some of its cells.

    Parameters
    ----------
    c : ndarray, shape (nx, ny, nz), float64
        B-spline coefficients.
    cells : ndarray, shape (n, 3), int64

    Returns
    -------
    boxes : ndarray, shape (n, 64), float64
        The cells as boxes; of those without a zero nothing is written.
    verdict : ndarray, shape (n,), int8
        ``NONE``, ``SPLIT`` or ``SINGLE``.
    """
    nx, ny, nz = c.shape
    boxes, verdict = np.empty((len(cells), 64)), np.zeros(len(cells), np.int8)
    block = np.zeros((64, _BLOCK))
    for start in range(0, len(cells), _BLOCK):
        n = min(_BLOCK, len(cells) - start)
        for w in range(n):
            x, y, z = cells[start + w, 0], cells[start + w, 1], cells[start + w, 2]
            for i in range(4):
                p = (x + i - 1) % nx
                for j in range(4):
                    q = (y + j - 1) % ny
                    for k in range(4):
                        block[16 * i + 4 * j + k, w] = c[p, q, (z + k - 1) % nz]
        for shift in _SHIFTS:
            s = 1 << shift
            for o in range(64):
                if o >> shift & 3 == 0:
                    _to_bernstein(block[o], block[o + s], block[o + 2 * s], block[o + 3 * s])
        _judge(block, n, boxes[start:], verdict[start:])
    return boxes, verdict


@compiled
def judge_halves(parents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What is known of the gradient on the eight halves of boxes.

    Parameters
    ----------
    parents : ndarray, shape (n, 64), float64

    Returns
    -------
    boxes : ndarray, shape (8 n, 64), float64
        Half ``4 x + 2 y + z`` of a parent is its upper half along the axes whose number is 1. Of those
        without a zero nothing is written.
    verdict : ndarray, shape (8 n,), int8
    """
    boxes, verdict = np.empty((8 * len(parents), 64)), np.zeros(8 * len(parents), np.int8)
    block = np.zeros((64, 8))
    for i in range(len(parents)):
        for k in range(64):
            block[k, 0] = parents[i, k]
        for axis in range(3):
            shift, apart = _SHIFTS[axis], 4 >> axis
            for o in range(64):
                if o >> shift & 3 == 0:
                    for w in range(0, 8, 2 * apart):
                        _halve(block[o :: 1 << shift], w, w + apart)
        _judge(block, 8, boxes[8 * i :], verdict[8 * i :])
    return boxes, verdict


# Loops over rows given one by one are what the compiler turns into vector instructions.


@compiled
def _to_bernstein(b0, b1, b2, b3):
    """B-spline coefficients along one line of each box to Bernstein coefficients, in place."""
    for w in range(len(b0)):
        a, b, c, d = b0[w], b1[w], b2[w], b3[w]
        b0[w] = (a + 4 * b + c) * (1 / 6)
        b1[w] = (2 * b + c) * (1 / 3)
        b2[w] = (b + 2 * c) * (1 / 3)
        b3[w] = (b + 4 * c + d) * (1 / 6)


@compiled
def _bound(b0, b1, b2, b3, low, high):
    """Lower and higher bounds of the slopes along one line of each box."""
    for w in range(len(b0)):
        s, t, u = b1[w] - b0[w], b2[w] - b1[w], b3[w] - b2[w]
        least, most = low[w], high[w]
        least = s if s < least else least
        least = t if t < least else least
        low[w] = u if u < least else least
        most = s if s > most else most
        most = t if t > most else most
        high[w] = u if u > most else most


@compiled
def _halve(line, lower, upper):
    """Column ``lower`` of a line of boxes to its lower half, and ``upper`` to its upper half."""
    a, b, c, d = line[0, lower], line[1, lower], line[2, lower], line[3, lower]
    ab, bc, cd = (a + b) / 2, (b + c) / 2, (c + d) / 2
    abc, bcd = (ab + bc) / 2, (bc + cd) / 2
    line[1, lower], line[2, lower], line[3, lower] = ab, abc, (abc + bcd) / 2
    line[0, upper], line[1, upper], line[2, upper], line[3, upper] = line[3, lower], bcd, cd, d


@compiled
def _judge(block, n, boxes, verdict):
    """Verdicts on the first ``n`` columns; those that may hold a zero are copied to ``boxes``."""
    low, high = np.empty((3, _BLOCK)), np.empty((3, _BLOCK))
    for axis in range(3):
        shift = _SHIFTS[axis]
        s = 1 << shift
        for w in range(n):
            low[axis, w], high[axis, w] = np.inf, -np.inf
        for o in range(64):
            if o >> shift & 3 == 0:
                _bound(block[o], block[o + s], block[o + 2 * s], block[o + 3 * s], low[axis], high[axis])
    for w in range(n):
        least, most = max(low[0, w], low[1, w], low[2, w]), min(high[0, w], high[1, w], high[2, w])
        if least <= _ROUNDING and most >= -_ROUNDING:
            for k in range(64):
                boxes[w, k] = block[k, w]
            verdict[w] = _preconditioned(boxes[w])


@compiled
def _preconditioned(box):
    """The verdict on a box after its gradient g is multiplied with P, the inverse Hessian at the centre.

    Where one component of P g keeps its sign there is no zero, as there is none where one of g does. With Q
    a bound of |1 - P H| over the box, g takes no value twice if the row sums of Q stay below one.
    """
    hessian, p, spread = np.empty((3, 3)), np.empty((3, 3)), np.zeros((3, 3))
    size = 0.0
    for i in range(3):
        for j in range(i, 3):
            hessian[i, j] = hessian[j, i] = _second_derivative(box, i, j)
            size = max(size, abs(hessian[i, j]))
    for i in range(3):
        for j in range(3):
            a, b, c, d = (i + 1) % 3, (i + 2) % 3, (j + 1) % 3, (j + 2) % 3
            p[i, j] = hessian[a, c] * hessian[b, d] - hessian[a, d] * hessian[b, c]
    det = hessian[0, 0] * p[0, 0] + hessian[0, 1] * p[0, 1] + hessian[0, 2] * p[0, 2]
    if not abs(det) > 1e-12 * size**3:
        return SPLIT
    for i in range(3):
        for j in range(3):
            p[i, j] /= det
    if not _may_vanish(box, p):
        return NONE
    for i in range(3):
        for j in range(i, 3):
            spread[i, j] = spread[j, i] = _spread(box, i, j, hessian[i, j])
    for i in range(3):
        row = 0.0
        for j in range(3):
            for k in range(3):
                row += abs(p[i, j]) * spread[j, k]
        if not row < 1:
            return SPLIT
    return SINGLE


@compiled
def _second_derivative(box, i, j):
    """At the centre, along the axes ``i`` and ``j``."""
    wx = _MIDDLE[(i == 0) + (j == 0)]
    wy = _MIDDLE[(i == 1) + (j == 1)]
    wz = _MIDDLE[(i == 2) + (j == 2)]
    total = 0.0
    for k in range(16):
        line = 4 * k
        along = wz[0] * box[line] + wz[1] * box[line + 1] + wz[2] * box[line + 2] + wz[3] * box[line + 3]
        total += wx[k >> 2] * wy[k & 3] * along
    return total


@compiled
def _may_vanish(box, p):
    """Whether every component of P g takes the value 0 between its Bernstein coefficients."""
    g = np.empty((3, 4, 4, 4))
    b = box.reshape((4, 4, 4))
    for i in range(4):
        for j in range(4):
            _raise(b[:, i, j], g[0, :, i, j])
            _raise(b[i, :, j], g[1, i, :, j])
            _raise(b[i, j], g[2, i, j])
    x, y, z = g[0].reshape(64), g[1].reshape(64), g[2].reshape(64)
    for i in range(3):
        px, py, pz = p[i]
        low = high = px * x[0] + py * y[0] + pz * z[0]
        for k in range(1, 64):
            value = px * x[k] + py * y[k] + pz * z[k]
            low = value if value < low else low
            high = value if value > high else high
        if low > 1e-9 or high < -1e-9:
            return False
    return True


@compiled
def _raise(line, slope):
    """The derivative of a cubic, written as a cubic too."""
    a, b, c = line[1] - line[0], line[2] - line[1], line[3] - line[2]
    slope[0], slope[1], slope[2], slope[3] = 3 * a, a + 2 * b, 2 * b + c, 3 * c


@compiled
def _spread(box, i, j, centre):
    """How far the second derivative along ``i`` and ``j`` may be from that at the centre."""
    s, t = 1 << _SHIFTS[i], 1 << _SHIFTS[j]
    factor, last = (6, 1) if i == j else (9, 2)
    worst = 0.0
    for k in range(64):
        if k >> _SHIFTS[i] & 3 <= last and k >> _SHIFTS[j] & 3 <= last:
            bent = factor * ((box[k + s + t] - box[k + t]) - (box[k + s] - box[k]))
            worst = max(worst, abs(bent - centre))
    return worst
