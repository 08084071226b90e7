"""The residual of a predicted field in space: power by wavelength, and autocorrelation.

Works on the grid of the label in a cell of any shape: waves are sorted by the length of
their wave vector G, not by their indices. Everything leaves out G = 0, which is the mean
error and is reported as that. Pure functions; Å and 1/Å.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.fft import rfftn

__all__ = ["DISTANCES", "LONG_WAVE", "SHELL", "Spectrum", "spectrum"]

LONG_WAVE = 2.0
"""Å. Waves longer than this are what a sum over neighbours cannot carry."""

SHELL = 2 * math.pi / LONG_WAVE / 8
"""1/Å. Width of the shells of S(k): the long waves are the first eight of them."""

DISTANCES = np.linspace(0.0, 5.0, 101)
"""Å. Where C(r) is given."""


@dataclass(frozen=True)
class Spectrum:
    r"""How the residual e = prediction - reference of one structure is spread over waves.

    Parameters
    ----------
    power : ndarray, shape (n_shells,), float64, ELF²
        Σ ``|e_G|²`` over the waves of a shell, G = 0 left out; shell i holds
        ``i SHELL <= |G| < (i + 1) SHELL``. Its sum is the variance of the residual
        (Parseval).
    waves : ndarray, shape (n_shells,), int64
        Waves in each shell; a cell of finite size has none in some.
    volume : float, Å³
        Of the cell.
    correlation : ndarray, shape (101,), float64
        C(r)/C(0) at ``DISTANCES``.
    long_power : float, ELF²
        Power of waves longer than ``LONG_WAVE``, 0 < \\|G\\| < 2π/2 Å.
    """

    power: np.ndarray
    waves: np.ndarray
    volume: float
    correlation: np.ndarray
    long_power: float

    @property
    def k(self) -> np.ndarray:
        """Middle of each shell, 1/Å."""
        return SHELL * (np.arange(len(self.power)) + 0.5)

    @property
    def density(self) -> np.ndarray:
        """S(k) = V ``<|e_G|²>``, the mean over the waves of a shell: ELF² Å³, NaN in empty ones.

        Does not depend on the size of the cell, so that structures can be compared.
        """
        with np.errstate(invalid="ignore"):
            return self.volume * self.power / self.waves

    @property
    def variance(self) -> float:
        """Of the residual; rmse² - bias²."""
        return float(self.power.sum())

    @property
    def long_fraction(self) -> float:
        """Part of the variance in waves longer than ``LONG_WAVE``; NaN without a residual."""
        return self.long_power / self.variance if self.variance > 0 else math.nan

    @property
    def correlation_length(self) -> float:
        """Å at which C(r) first falls to C(0)/e; NaN if it does not up to 5 Å."""
        below = np.flatnonzero(self.correlation < 1 / math.e)
        if not len(below):
            return math.nan
        right = int(below[0])
        (c0, c1), (r0, r1) = self.correlation[right - 1 : right + 1], DISTANCES[right - 1 : right + 1]
        return float(r0 + (c0 - 1 / math.e) / (c0 - c1) * (r1 - r0))


def spectrum(residual: np.ndarray, cell: np.ndarray) -> Spectrum:
    """Power by shell and autocorrelation of a residual.

    Parameters
    ----------
    residual : ndarray, shape (nx, ny, nz)
        In the grid convention of :class:`~ase_elf.grid.ELFGrid`.
    cell : ndarray, shape (3, 3), Å
        Rows are the cell vectors; any shape.

    Returns
    -------
    Spectrum

    Notes
    -----
    C(r) is the autocorrelation of the periodic residual averaged over directions of r,
    ``C(r) = Σ_G |e_G|² sin(Gr)/(Gr)``: exact in every cell, with no minimum image. Beyond half
    the cell it sees the residual's own images.
    """
    length, power, count = _waves(residual, cell)
    shell = (length / SHELL).astype(int)
    size = int(shell.max(initial=0)) + 1
    # Finely enough that no wave is out of phase at 5 Å, coarsely enough for a small table.
    fine = (length / (SHELL / 40)).astype(int)
    weight = np.bincount(fine, power)
    mean = np.bincount(fine, power * length) / np.maximum(weight, 1e-300)
    covariance = np.sinc(DISTANCES[:, None] * mean / math.pi) @ weight
    return Spectrum(
        power=np.bincount(shell, power, size),
        waves=np.bincount(shell, count, size).astype(np.int64),
        volume=float(abs(np.linalg.det(cell))),
        correlation=covariance / covariance[0] if covariance[0] > 0 else covariance * math.nan,
        long_power=float(power[length < 2 * math.pi / LONG_WAVE].sum()),
    )


def _waves(residual: np.ndarray, cell: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """|G|, |e_G|² and number of waves of every independent one but G = 0, each (n,).

    A wave as long as two points of a skewed grid could stand for several vectors; the one
    with the smallest indices is taken. Waves of physical length are not concerned.
    """
    nx, ny, nz = residual.shape
    amplitude = rfftn(np.asarray(residual, dtype=float), norm="forward")
    # Half of the waves are stored; all but those of the end planes stand for their negative too.
    count = np.full(amplitude.shape, 2.0)
    count[..., 0] = 1.0
    if nz % 2 == 0:
        count[..., -1] = 1.0
    indices = np.meshgrid(
        np.fft.fftfreq(nx, 1 / nx), np.fft.fftfreq(ny, 1 / ny), np.arange(nz // 2 + 1.0),
        indexing="ij", sparse=True,
    )  # fmt: skip
    reciprocal = 2 * math.pi * np.linalg.inv(cell).T
    length2 = sum(
        sum(i * row[axis] for i, row in zip(indices, reciprocal, strict=True)) ** 2 for axis in range(3)
    )
    power = count * (amplitude.real**2 + amplitude.imag**2)
    return tuple(a.ravel()[1:] for a in (np.sqrt(length2), power, count))
