"""Periodic fields with known critical points and networking values.

All are trigonometric polynomials in fractional coordinates, so their critical values and
indices do not depend on the cell; numbers were obtained analytically or, for the random
Gaussians, by Newton's method from a dense set of starts on the exact field.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from ase import Atoms

CUBIC = np.eye(3) * 4.0
TRICLINIC = np.array([[4.2, 0.3, -0.5], [1.1, 3.8, 0.4], [-0.9, 1.3, 4.5]])


@dataclass(frozen=True)
class Field:
    """``values(fractional)`` with its truth: counts by kind, φ1, φ2, φ3."""

    terms: tuple[tuple[float, tuple[int, int, int], float], ...]
    counts: tuple[int, int, int, int] | None = None
    phi: tuple[float, float, float] | None = None
    offset: float = 0.0
    cell: np.ndarray = field(default_factory=lambda: CUBIC)

    def __call__(self, fractional: np.ndarray) -> np.ndarray:
        angle = 2 * np.pi * np.asarray(fractional)
        total = np.full(angle.shape[:-1], self.offset)
        for amplitude, k, phase in self.terms:
            total += amplitude * np.cos(angle @ np.array(k) + phase)
        return total

    def on_grid(self, shape, origin=(0.0, 0.0, 0.0)) -> np.ndarray:
        """Values on a grid, by one Fourier transform."""
        spectrum = np.zeros(shape, complex)
        for amplitude, k, phase in self.terms:
            spectrum[k] += amplitude * np.exp(1j * (phase + 2 * np.pi * np.dot(k, origin)))
        return self.offset + np.fft.ifftn(spectrum, norm="forward").real

    def grid(self, shape, cell=None, origin=(0.0, 0.0, 0.0), atoms=None):
        """The field on a grid, as an ELFGrid."""
        from ase_elf import ELFGrid

        if np.isscalar(shape):
            shape = (shape,) * 3
        values = self.on_grid(shape, origin)
        if np.abs(values - 0.5).max() < 0.5 + 1e-12:
            values = np.clip(values, 0, 1)
        if atoms is None:
            atoms = Atoms("H", cell=self.cell if cell is None else cell, pbc=True)
        return ELFGrid(values, atoms)


def cosines(weights, vectors, counts, phi, **kwargs) -> Field:
    """Sum of cosines scaled into [0, 1]."""
    total = 2 * sum(weights)
    terms = tuple((w / total, k, 0.0) for w, k in zip(weights, vectors, strict=True))
    return Field(terms, counts, phi, 0.5, **kwargs)


X, Y, Z = (1, 0, 0), (0, 1, 0), (0, 0, 1)

ANISCOS = cosines((1, 0.8, 0.6), (X, Y, Z), (1, 3, 3, 1), (0.75, 2 / 3, 7 / 12))
SLANTED = cosines((1, 0.5, 0.3), ((1, -1, 0), Z, X), (1, 3, 3, 1), (5 / 6, 13 / 18, 4 / 9))
SLANT21 = cosines((1, 0.5, 0.3), ((1, -2, 0), Z, Y), (1, 3, 3, 1), (5 / 6, 13 / 18, 4 / 9))
INDEX2 = cosines((1, 0.8, 0.6), ((1, 1, 0), (0, 1, 1), (1, 0, 1)), (2, 6, 6, 2), (0.75, 2 / 3, 7 / 12))


def _gyroid() -> Field:
    # sin a cos b = (sin(a + b) + sin(a - b)) / 2, and sin t = cos(t - pi/2)
    terms = []
    for a, b in ((X, Y), (Y, Z), (Z, X)):
        for sign in (1, -1):
            k = tuple(np.add(a, np.multiply(sign, b)).tolist())
            terms.append((1 / 6, k, -np.pi / 2))
    pinch = 0.5 + np.sqrt(2) / 3
    return Field(tuple(terms), (8, 12, 12, 8), (pinch,) * 3, 0.5)


GYROID = _gyroid()

NAMED = {
    "aniscos": ANISCOS,
    "slanted": SLANTED,
    "slant21": SLANT21,
    "index2": INDEX2,
    "gyroid": GYROID,
}


def gaussians(n, cell, *, width, seed, weights=(0.6, 1.0), k_max=7) -> Field:
    """Random periodic Gaussians of standard deviation ``width`` Å as an exact Fourier series.

    Centres come from a generator with ``seed`` and keep a distance of two widths, so that
    most of them make a maximum; the sum is scaled into [0.02, 0.98] on a coarse grid.
    """
    rng = np.random.default_rng(seed)
    centres = []
    while len(centres) < n:
        trial = rng.random(3)
        apart = [t - np.round(t) for t in (trial - c for c in centres)]
        if all(np.linalg.norm(a @ cell) > 2 * width for a in apart):
            centres.append(trial)
    heights = rng.uniform(*weights, n)
    return _series(np.array(centres), heights, cell, width, k_max)


def _series(centres, heights, cell, width, k_max) -> Field:
    reciprocal = np.linalg.inv(cell).T
    ks = [
        (h, k, l)
        for h in range(k_max + 1)
        for k in range(-k_max, k_max + 1)
        for l in range(-k_max, k_max + 1)
        if (h, k, l) > (0, 0, 0)
    ]
    ks = np.array(ks)
    damp = np.exp(-0.5 * (2 * np.pi * width) ** 2 * ((ks @ reciprocal) ** 2).sum(axis=1))
    ks, damp = ks[damp > 1e-9], damp[damp > 1e-9]
    amplitude = 2 * damp * (heights * np.exp(-2j * np.pi * ks @ centres.T)).sum(axis=1)
    terms = tuple(
        (float(abs(a)), tuple(int(x) for x in k), float(np.angle(a)))
        for a, k in zip(amplitude, ks, strict=True)
    )
    raw = Field(terms, cell=cell)
    sample = raw.on_grid((32, 32, 32))
    low, high = sample.min(), sample.max()
    scale = 0.96 / (high - low) * 0.95
    scaled = tuple((a * scale, k, p) for a, k, p in terms)
    return Field(scaled, offset=0.5 - scale * (low + high) / 2, cell=cell)


def a15_rods(width=0.62) -> Field:
    """Three families of crossing, never touching rods: the hydrogen sites of AlH3 Pm-3n."""
    sites = [(0.25, 0.5, 0), (0.75, 0.5, 0), (0.5, 0, 0.25), (0.5, 0, 0.75), (0, 0.25, 0.5), (0, 0.75, 0.5)]
    return _series(np.array(sites), np.ones(6), CUBIC, width, 9)
