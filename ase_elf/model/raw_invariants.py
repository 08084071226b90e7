"""Raw field invariants at points of isolated structures, compiled.

What :meth:`ase_elf.model.network.FieldInvariants.raw_invariants` makes of the fields of neighbours, point after
point, with nothing kept between: fields of one point fit into registers and the first cache.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.interpolate import CubicSpline

from ase_elf.geometry.compiled import compiled
from ase_elf.model.basis import SOFTENING, radial
from ase_elf.model.lanes import LANES, add_product, add_squares, put_row

if TYPE_CHECKING:
    from ase_elf.model.network import FieldInvariants

__all__ = ["BLOCK", "STEPS", "RawInvariants"]

BLOCK = 48
"""Points, one after the other, that have their candidates for neighbours in common."""

STEPS = 512
"""Intervals of the splines that stand for the radial parts of the fields, from 0 to the cutoff: they agree to
3e-7 of the largest, as far as single precision goes."""


@dataclass(frozen=True)
class RawInvariants:
    """The raw invariants of a network at points.

    Parameters
    ----------
    channels : tuple of int
        Fields per degree.
    cutoff : float, bohr
    splines : ndarray, shape (STEPS, 4 * channels[0]), float32
        Of the radial parts: of every interval the coefficients of the fraction of it below r, highest power first.
    mixes : ndarray, shape (degree, width * width), float32
        What the fields of a degree are combined with: flat, transposed, and padded with zeros to whole vectors.
    """

    channels: tuple[int, ...]
    cutoff: float
    splines: np.ndarray
    mixes: np.ndarray

    @classmethod
    @torch.no_grad()
    def of(cls, fields: FieldInvariants) -> RawInvariants:
        """Of fields without vectors."""
        nodes = np.linspace(0, fields.cutoff, STEPS + 1)
        functions = radial(torch.from_numpy(nodes**2), fields.n_radial, fields.cutoff)
        values = functions.T @ fields.radial.detach().cpu().double()
        powers = CubicSpline(nodes, values.numpy(), bc_type="clamped").c.transpose(1, 0, 2)
        powers = powers * ((fields.cutoff / STEPS) ** np.arange(3, -1, -1))[:, None]
        width = _width(fields.channels)
        mixes = np.zeros((max(fields.degree, 1), width, width), np.float32)
        for own, mix in zip(mixes, fields.mix, strict=False):
            own[: mix.shape[1], : mix.shape[0]] = mix.detach().cpu().numpy().T
        return cls(
            tuple(fields.channels), fields.cutoff,
            np.ascontiguousarray(powers.reshape(STEPS, -1), np.float32), mixes.reshape(len(mixes), -1),
        )  # fmt: skip

    def __call__(self, points: np.ndarray, atoms: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
        """Raw invariants at ``points``, shape (n, n_invariants), float32.

        Parameters
        ----------
        points, atoms : ndarray, shapes (n, 3) and (n_atoms, 3), float64, bohr
            Fastest where points that follow each other are near each other.
        coefficients : ndarray, shape (n_atoms, channels[0]), float32
        """
        n_cubic = min(self.channels[1:3]) if len(self.channels) > 2 else 0
        out = np.empty((len(points), sum(self.channels) + n_cubic), np.float32)
        arrays = (points, atoms, coefficients, self.splines, self.mixes)
        _kernel(self.channels)(*map(np.ascontiguousarray, arrays), self.cutoff, SOFTENING, out)
        return out


def _width(channels: tuple[int, ...]) -> int:
    """Numbers in a row of fields of degree 1 and more."""
    return -(-max(channels[1:], default=1) // LANES) * LANES


@lru_cache(maxsize=8)
def _kernel(channels: tuple[int, ...]) -> Callable[..., None]:
    """Code for these numbers of fields, which are known when it is compiled."""
    degree = len(channels) - 1
    k0, k1, k2, k3, k4 = (*channels, 0, 0, 0, 0)[:5]
    n_cubic = min(k1, k2)
    wide = _width(channels)
    f = np.float32  # a number of Python would make its products double
    half, one, three, four, seven, thirty = f(0.5), f(1), f(3), f(4), f(7), f(30)
    root3, root3_2, root15, root15_2 = f(3**0.5), f(3**0.5 / 2), f(15**0.5), f(15**0.5 / 2)
    a3, c3 = f((5 / 8) ** 0.5), f((3 / 8) ** 0.5)
    a4, b4, c4, d4 = f(35**0.5 / 2), f((35 / 8) ** 0.5), f(5**0.5 / 2), f((5 / 8) ** 0.5)
    a4_4, c4_2, eighth, thirty5 = f(35**0.5 / 8), f(5**0.5 / 4), f(1 / 8), f(35)

    @compiled(contract=True)
    def kernel(points, atoms, coefficients, splines, mixes, cutoff, softening, out):
        # Rows of 25 fields, of the same mixed, of their squares; then the radial parts, and fields of degree 0.
        work = np.zeros((25 + 25 + 5) * wide + 2 * k0, np.float32)
        mixed, squares, radial = 25 * wide, 50 * wide, 55 * wide
        near = np.empty(len(atoms), np.int64)
        per_step = STEPS / cutoff
        width = (
            len(work) // (55 * wide + 2 * k0) * wide
        )  # is `wide`; loops whose length is not known to the compiler are vectorized
        for begin in range(0, len(points), BLOCK):
            end = min(begin + BLOCK, len(points))
            # Atoms that may be near: those near a ball around the points of the block.
            n = end - begin
            cx = cy = cz = 0.0
            for p in range(begin, end):
                cx += points[p, 0] / n
                cy += points[p, 1] / n
                cz += points[p, 2] / n
            ball = 0.0
            for p in range(begin, end):
                x, y, z = points[p, 0] - cx, points[p, 1] - cy, points[p, 2] - cz
                ball = max(ball, x * x + y * y + z * z)
            reach = (cutoff + np.sqrt(ball)) ** 2
            n_near = 0
            for a in range(len(atoms)):
                x, y, z = atoms[a, 0] - cx, atoms[a, 1] - cy, atoms[a, 2] - cz
                if x * x + y * y + z * z < reach:
                    near[n_near] = a
                    n_near += 1
            for p in range(begin, end):
                for k in range(25 * wide):
                    work[k] = f(0)
                for k in range(k0):
                    work[radial + k0 + k] = f(0)
                for c in range(n_near):
                    a = near[c]
                    dx, dy, dz = (
                        atoms[a, 0] - points[p, 0],
                        atoms[a, 1] - points[p, 1],
                        atoms[a, 2] - points[p, 2],
                    )
                    r2 = dx * dx + dy * dy + dz * dz
                    if r2 >= cutoff * cutoff:
                        continue
                    at = np.sqrt(r2) * per_step
                    step = min(int(at), STEPS - 1)
                    t = f(at - step)
                    spline, own = splines[step], coefficients[a]
                    for k in range(k0):
                        value = ((spline[k] * t + spline[k0 + k]) * t + spline[2 * k0 + k]) * t + spline[
                            3 * k0 + k
                        ]
                        value *= own[k]
                        work[radial + k] = value
                        work[radial + k0 + k] += value
                    scale = 1 / np.sqrt(r2 + softening * softening)
                    x, y, z = f(dx * scale), f(dy * scale), f(dz * scale)
                    for k in range(0, k1, LANES):
                        add_product(work, k, work, radial + k, y)
                        add_product(work, wide + k, work, radial + k, z)
                        add_product(work, 2 * wide + k, work, radial + k, x)
                    if degree < 2:
                        continue
                    x2, y2, z2 = x * x, y * y, z * z
                    h0, h1 = root3 * x * y, root3 * y * z
                    h2 = z2 - half * (x2 + y2)
                    h3, h4 = root3 * x * z, root3_2 * (x2 - y2)
                    for k in range(0, k2, LANES):
                        add_product(work, 3 * wide + k, work, radial + k, h0)
                        add_product(work, 4 * wide + k, work, radial + k, h1)
                        add_product(work, 5 * wide + k, work, radial + k, h2)
                        add_product(work, 6 * wide + k, work, radial + k, h3)
                        add_product(work, 7 * wide + k, work, radial + k, h4)
                    if degree < 3:
                        continue
                    ring = four * z2 - x2 - y2
                    h0, h1 = a3 * y * (three * x2 - y2), root15 * x * y * z
                    h2, h3 = c3 * y * ring, half * z * (z2 + z2 - three * (x2 + y2))
                    h4, h5 = c3 * x * ring, root15_2 * z * (x2 - y2)
                    h6 = a3 * x * (x2 - three * y2)
                    for k in range(0, k3, LANES):
                        add_product(work, 8 * wide + k, work, radial + k, h0)
                        add_product(work, 9 * wide + k, work, radial + k, h1)
                        add_product(work, 10 * wide + k, work, radial + k, h2)
                        add_product(work, 11 * wide + k, work, radial + k, h3)
                        add_product(work, 12 * wide + k, work, radial + k, h4)
                        add_product(work, 13 * wide + k, work, radial + k, h5)
                        add_product(work, 14 * wide + k, work, radial + k, h6)
                    if degree < 4:
                        continue
                    q2 = x2 + y2 + z2
                    g6, g4 = seven * z2 - q2, seven * z2 - three * q2
                    h0, h1 = a4 * x * y * (x2 - y2), b4 * y * z * (three * x2 - y2)
                    h2, h3 = c4 * x * y * g6, d4 * y * z * g4
                    h4 = (thirty5 * z2 * z2 - thirty * z2 * q2 + three * q2 * q2) * eighth
                    h5, h6 = d4 * x * z * g4, c4_2 * (x2 - y2) * g6
                    h7 = b4 * x * z * (x2 - three * y2)
                    h8 = a4_4 * (x2 * (x2 - three * y2) - y2 * (three * x2 - y2))
                    for k in range(0, k4, LANES):
                        add_product(work, 15 * wide + k, work, radial + k, h0)
                        add_product(work, 16 * wide + k, work, radial + k, h1)
                        add_product(work, 17 * wide + k, work, radial + k, h2)
                        add_product(work, 18 * wide + k, work, radial + k, h3)
                        add_product(work, 19 * wide + k, work, radial + k, h4)
                        add_product(work, 20 * wide + k, work, radial + k, h5)
                        add_product(work, 21 * wide + k, work, radial + k, h6)
                        add_product(work, 22 * wide + k, work, radial + k, h7)
                        add_product(work, 23 * wide + k, work, radial + k, h8)
                for k in range(5 * wide):
                    work[squares + k] = f(0)
                for k in range(k0):
                    out[p, k] = work[radial + k0 + k]
                row, place = 0, k0
                for l in range(1, degree + 1):
                    k_l = k1 if l == 1 else k2 if l == 2 else k3 if l == 3 else k4
                    for m in range(row, row + 2 * l + 1):
                        for q in range(0, k_l, LANES):
                            put_row(work, mixed + m * wide + q, work, m * wide, k_l, mixes[l - 1], q, wide)
                            add_squares(work, squares + l * wide + q, work, mixed + m * wide + q)
                    for q in range(k_l):
                        out[p, place + q] = work[squares + l * wide + q]
                    place += k_l
                    row += 2 * l + 1
                own = out[p]
                for q in range(k0, out.shape[1] - n_cubic):
                    own[q] = np.sqrt(one + own[q]) - one
                for q in range(width if n_cubic else 0):
                    y, z, x = work[mixed + q], work[mixed + wide + q], work[mixed + 2 * wide + q]
                    cubic = work[mixed + 3 * wide + q] * x * y + work[mixed + 4 * wide + q] * y * z
                    cubic += work[mixed + 6 * wide + q] * x * z
                    cubic += work[mixed + 7 * wide + q] * (x * x - y * y) * half
                    cubic *= root3
                    cubic += work[mixed + 5 * wide + q] * (z * z - (x * x + y * y) * half)
                    size = one + work[squares + wide + q] + work[squares + 2 * wide + q]
                    work[squares + q] = cubic / size
                for q in range(n_cubic):
                    out[p, place + q] = work[squares + q]

    return kernel
