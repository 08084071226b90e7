"""Functions that an atom puts into space: smooth radial functions times solid harmonics.

Pure functions on arrays. Lengths here are in bohr, the unit of the trained weights.

Every function is infinitely smooth at the nucleus and vanishes with four derivatives at
the cutoff, so that predicted fields have the gradients and Hessians that critical points
need, and so that their Fourier transforms decay fast enough for coarse grids.
"""

from __future__ import annotations

import math

import numpy as np
import torch

__all__ = ["HIGHEST_DEGREE", "SOFTENING", "harmonics", "radial", "radial_transforms", "symmetric_matrices"]

SOFTENING = 0.8
"""bohr. Harmonics of degree l are divided by (r² + a²)^(l/2): bounded, yet smooth at r = 0."""


HIGHEST_DEGREE = 4
"""Largest l of the harmonics written out here."""


def radial(r2: torch.Tensor, n_radial: int, cutoff: float) -> torch.Tensor:
    """Cut-off spherical Bessel functions of degree 0.

    Parameters
    ----------
    r2 : Tensor, shape (...), bohr²
        Squared distances. The functions are even in r, hence smooth in r².
    n_radial : int
        How many; the n-th oscillates with wavelength ``2 * cutoff / n``.
    cutoff : float, bohr

    Returns
    -------
    Tensor, shape (n_radial, ...)
        ``sinc(n r / cutoff) * (1 - (r / cutoff)²)³``, zero beyond the cutoff.
    """
    x2 = (r2 / cutoff**2).clamp(max=1.0)
    # A floor far below any squared distance keeps d sqrt finite at r = 0.
    x = torch.sqrt(x2 + 1e-12)
    first = math.pi * x
    two_cos = 2 * torch.cos(first)
    # sin(n t) by the three-term recurrence: one sine and one cosine for all n.
    sines = [torch.sin(first)]
    before = torch.zeros_like(first)
    for _ in range(1, n_radial):
        sines.append(two_cos * sines[-1] - (sines[-2] if len(sines) > 1 else before))
    envelope = (1 - x2) ** 3 / first
    return torch.stack(sines) * envelope


def harmonics(vectors: torch.Tensor, degree: int, softening: float = SOFTENING) -> torch.Tensor:
    """Real solid harmonics up to ``degree``, made bounded by a softened norm.

    Parameters
    ----------
    vectors : Tensor, shape (3, ...), bohr
        Components come first here: whole arrays of one component are what is fast.
    degree : int
        Highest degree l, at most ``HIGHEST_DEGREE``.
    softening : float, bohr
        0 gives ordinary spherical harmonics of the direction.

    Returns
    -------
    Tensor, shape ((degree + 1)², ...)
        Ordered by l, then m from -l to l; normalised so that the squares of one degree
        sum to 1 for a unit vector and no softening.
    """
    if not 0 <= degree <= HIGHEST_DEGREE:
        raise ValueError(f"degree must be 0 to {HIGHEST_DEGREE}, not {degree}")
    x, y, z = vectors
    scale = torch.rsqrt(x * x + y * y + z * z + softening**2)
    x, y, z = x * scale, y * scale, z * scale
    out = [torch.ones_like(x)]
    if degree >= 1:
        out += [y, z, x]
    x2, y2, z2 = x * x, y * y, z * z
    if degree >= 2:
        out += _second(x, y, z, x2, y2, z2)
    if degree >= 3:
        out += _third(x, y, z, x2, y2, z2)
    if degree >= 4:
        out += _fourth(x, y, z, x2, y2, z2)
    return torch.stack(out)


def _second(x, y, z, x2, y2, z2):
    root3 = math.sqrt(3)
    return [
        root3 * x * y,
        root3 * y * z,
        z2 - 0.5 * (x2 + y2),
        root3 * x * z,
        root3 / 2 * (x2 - y2),
    ]


def _third(x, y, z, x2, y2, z2):
    a, b, c = math.sqrt(5 / 8), math.sqrt(15), math.sqrt(3 / 8)
    ring = 4 * z2 - x2 - y2
    return [
        a * y * (3 * x2 - y2),
        b * x * y * z,
        c * y * ring,
        0.5 * z * (2 * z2 - 3 * x2 - 3 * y2),
        c * x * ring,
        b / 2 * z * (x2 - y2),
        a * x * (x2 - 3 * y2),
    ]


def _fourth(x, y, z, x2, y2, z2):
    a, b = math.sqrt(35) / 2, math.sqrt(35 / 8)
    c, d = math.sqrt(5) / 2, math.sqrt(5 / 8)
    r2 = x2 + y2 + z2
    six, four = 7 * z2 - r2, 7 * z2 - 3 * r2
    return [
        a * x * y * (x2 - y2),
        b * y * z * (3 * x2 - y2),
        c * x * y * six,
        d * y * z * four,
        (35 * z2 * z2 - 30 * z2 * r2 + 3 * r2 * r2) / 8,
        d * x * z * four,
        c / 2 * (x2 - y2) * six,
        b * x * z * (x2 - 3 * y2),
        a / 4 * (x2 * (x2 - 3 * y2) - y2 * (3 * x2 - y2)),
    ]


def symmetric_matrices() -> np.ndarray:
    """The l = 2 harmonics as traceless symmetric matrices.

    Returns
    -------
    ndarray, shape (5, 3, 3)
        Cartesian axes ordered (y, z, x) like the l = 1 harmonics, so that
        ``sum_m Y2m M[m]`` contracts with two l = 1 vectors to an invariant.
    """
    y, z, x = 0, 1, 2
    m = np.zeros((5, 3, 3))
    half = math.sqrt(3) / 2
    for row, (i, j) in zip((0, 1, 3), ((x, y), (y, z), (x, z)), strict=True):
        m[row, i, j] = m[row, j, i] = half
    m[2, z, z], m[2, x, x], m[2, y, y] = 1.0, -0.5, -0.5
    m[4, x, x], m[4, y, y] = half, -half
    return m


def radial_transforms(
    q: np.ndarray, n_radial: int, degree: int, cutoff: float, softening: float = SOFTENING
) -> np.ndarray:
    """Hankel transforms of the radial parts, for evaluation in reciprocal space.

    The Fourier transform of ``f(r) Y_lm(r/|r|)`` is ``(-i)^l F_l(q) Y_lm(q/|q|)`` with
    ``F_l(q) = 4π ∫ r² j_l(qr) f(r) dr``; here f is :func:`radial` times the softening
    factor of :func:`harmonics`.

    Parameters
    ----------
    q : ndarray, shape (nq,), 1/bohr
    n_radial, degree, cutoff, softening
        As in :func:`radial` and :func:`harmonics`.

    Returns
    -------
    ndarray, shape (degree + 1, n_radial, nq), bohr³
    """
    from scipy.special import spherical_jn

    # Gauss-Legendre integrates the smooth integrand to round-off with a few nodes per wave.
    nodes, weights = np.polynomial.legendre.leggauss(160 + int(cutoff * q.max()))
    r = 0.5 * cutoff * (nodes + 1)
    weights = 0.5 * cutoff * weights * 4 * np.pi * r**2
    functions = radial(torch.from_numpy(r**2), n_radial, cutoff).numpy().T
    out = np.empty((degree + 1, n_radial, len(q)))
    for l in range(degree + 1):
        soft = (r / np.sqrt(r**2 + softening**2)) ** l
        kernel = spherical_jn(l, q[:, None] * r[None, :])
        out[l] = (kernel @ (functions * (weights * soft)[:, None])).T
    return out
