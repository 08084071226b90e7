"""What a predicted σ is worth on one structure, against the errors that were made.

Pure functions on arrays.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import spearmanr

__all__ = ["BINS", "SAMPLE", "ErrorBars", "error_bars", "rank_correlation"]

SAMPLE = 100_000
"""Points whose ranks are compared: sorting every point of a grid would cost more than the
prediction, and change the third digit."""

BINS = 10
"""Groups of equally many points, by σ, in :attr:`ErrorBars.steps`."""


@dataclass(frozen=True)
class ErrorBars:
    """σ against errors, at the points of one structure.

    Parameters
    ----------
    coverage, coverage_2 : float
        Fraction of points whose error is below σ and 2 σ (0.683 and 0.954 if Gaussian).
    likelihood_gain : float
        Mean logarithm of the Gaussian likelihood with σ, minus that with the best constant
        σ (the root mean square error of this very structure); nats per point. Positive
        where it pays to have one σ for each point.
    spearman : float
        Rank correlation of σ with the absolute error.
    steps : ndarray, shape (2, 10), float64
        Points in ten groups of rising σ: root mean square σ, root mean square error.
    """

    coverage: float
    coverage_2: float
    likelihood_gain: float
    spearman: float
    steps: np.ndarray


def error_bars(error: np.ndarray, sigma: np.ndarray) -> ErrorBars:
    """Compare predicted standard deviations with the errors at the same points.

    Parameters
    ----------
    error, sigma : ndarray, same shape
        σ positive.
    """
    size = np.abs(np.ravel(error)).astype(float)
    sigma = np.ravel(sigma).astype(float)
    sparse = slice(None, None, max(1, len(size) // SAMPLE))
    return ErrorBars(
        coverage=float((size < sigma).mean()),
        coverage_2=float((size < 2 * sigma).mean()),
        likelihood_gain=_likelihood_gain(size, sigma),
        spearman=rank_correlation(sigma[sparse], size[sparse]),
        steps=_steps(size, sigma),
    )


def _likelihood_gain(size: np.ndarray, sigma: np.ndarray) -> float:
    constant = math.sqrt((size**2).mean())
    if constant == 0:
        return math.nan  # without errors a constant σ of 0 is infinitely likely
    with_sigma = np.log(sigma) + 0.5 * (size / sigma) ** 2
    return float(math.log(constant) + 0.5 - with_sigma.mean())


def rank_correlation(a: Sequence[float], b: Sequence[float]) -> float:
    """Spearman's, of at least three pairs of numbers that differ; NaN else."""
    both = np.array([a, b], dtype=float)
    both = both[:, np.isfinite(both).all(axis=0)]
    if both.shape[1] < 3 or not np.ptp(both, axis=1).all():
        return math.nan
    return float(spearmanr(*both).statistic)


def _steps(size: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    groups = np.array_split(np.argsort(sigma, kind="stable"), min(BINS, len(sigma)))
    rms = [[math.sqrt((a[g] ** 2).mean()) for g in groups] for a in (sigma, size)]
    return np.pad(rms, ((0, 0), (0, BINS - len(groups))), constant_values=math.nan)
