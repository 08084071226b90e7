"""Means and errors of correlated series, mergeable, in memory that does not grow with their length.

A series is kept as at most :data:`MOST` sums over blocks of 2**k frames, short ones frame by
frame. Blocks are aligned to the absolute number of the frame, not to where a part starts, so
parts computed anywhere and merged hold exactly the blocks of one pass.

The variance of the mean is the sum of the autocovariance of the blocks, up to a window that
follows the correlation time it finds [1]_, corrected for the mean having been taken from the
same blocks and with the error of the correlation time [2]_. It is done again with the blocks
joined in twos, in fours and so on, where slow motion is no longer hidden under fast noise [3]_;
a larger error found there counts as far as it is certain. No error is smaller than the plain
standard error.

Whether the error can be believed is asked of the *upper* end of the correlation time: series
whose correlation time comes out too small by chance are those that would pass a test of the
time itself, with errors too small for the same reason. ``benchmarks/error_bars.py`` measures
how often an error is stated, and how often it covers.

.. [1] A. Sokal, in: Functional Integration, Plenum 1997, p. 131,
   doi:10.1007/978-1-4899-0319-8_6
.. [2] U. Wolff, Comput. Phys. Commun. 156, 143 (2004), doi:10.1016/S0010-4655(03)00467-3
.. [3] H. Flyvbjerg, H. G. Petersen, J. Chem. Phys. 91, 461 (1989), doi:10.1063/1.457480
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from ase_elf.errors import InputError

__all__ = [
    "DOUBT",
    "ENOUGH",
    "ENOUGH_JOINED",
    "FEWEST",
    "MOST",
    "SAME",
    "WINDOW",
    "Blocking",
    "Blocks",
    "Estimate",
    "RatioBlocking",
    "Variance",
    "estimate",
    "quotient",
    "ratio_estimate",
]

MOST, FEWEST = 128, 12
"""Blocks kept of a series, and the fewest from which an error is found."""

WINDOW = 2.0
"""Correlation times over which the autocovariance is added up. Sokal's 5 to 10 are for long
series: in short ones a wider window adds more noise than it leaves out of the tail."""

DOUBT = 1.5
"""Standard errors of the correlation time at which its upper end is taken."""

ENOUGH, ENOUGH_JOINED = 11.0, 3.0
"""Times the upper end of the correlation time must fit into the series, judged from the finest
blocks, and from joined ones, which know it less well."""

SAME = 1e-12
"""Relative differences below which values count as equal."""


@dataclass(frozen=True, eq=False)
class Estimate:
    """Mean of a correlated series and its error; every array has shape (size,).

    Parameters
    ----------
    mean : ndarray, float64
        NaN where a frame held NaN.
    error : ndarray, float64
        One standard error of the mean, at least the plain one; NaN where none can be stated:
        ``too_short`` or ``constant``.
    correlation_time : ndarray, float64
        Integrated correlation time, 1/2 + sum of the autocorrelation, in frames; NaN as the error.
    too_short : ndarray, bool
        The series may span too few correlation times to tell its error.
    constant : ndarray, bool
        The same value in every frame, two or more: no error can be measured.
    n : int
        Number of frames.
    """

    mean: np.ndarray
    error: np.ndarray
    correlation_time: np.ndarray
    too_short: np.ndarray
    constant: np.ndarray
    n: int


class Blocks:
    """Sums of a vector over aligned blocks of frames, :data:`MOST` at most.

    Parameters
    ----------
    size : int
        Number of components.

    Attributes
    ----------
    first, last : int or None
        Ordinals of the first and last frame.
    level : int
        Blocks hold 2**level frames.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.first: int | None = None
        self.last: int | None = None
        self.level = 0
        self._sums = np.zeros((0, size))  # rows are blocks, the first is that of ``first``

    @property
    def n(self) -> int:
        """Number of frames seen."""
        return 0 if self.first is None or self.last is None else self.last - self.first + 1

    def update(self, ordinal: int, values: np.ndarray) -> None:
        """Add the frame number ``ordinal``, which must follow the last one.

        Raises
        ------
        InputError
            When a frame is missing or repeated in between.
        """
        if self.last is not None and ordinal != self.last + 1:
            raise InputError(
                f"frame number {ordinal} follows {self.last}: the series must be complete "
                "and in order; merge parts in the order of their frames."
            )
        self._reach(ordinal if self.first is None else self.first, ordinal)
        self.add(ordinal, values)

    def add(self, ordinal: int, values: np.ndarray) -> None:
        """Add to a frame that was seen."""
        assert self.first is not None
        self._sums[(ordinal >> self.level) - (self.first >> self.level)] += values

    def merge(self, other: Self) -> None:
        """Append ``other``, whose first frame must follow the last one here."""
        if other.first is None or other.last is None:
            return
        if self.last is not None and other.first != self.last + 1:
            raise InputError(
                f"part {other.first}-{other.last} does not follow part "
                f"{self.first}-{self.last}; merge neighboring parts in order."
            )
        first = other.first if self.first is None else self.first
        self._reach(first, other.last)
        theirs = _joined(other._sums, other.first >> other.level, self.level - other.level)
        start = (other.first >> self.level) - (first >> self.level)
        self._sums[start : start + len(theirs)] += theirs

    def _reach(self, first: int, last: int) -> None:
        """Rows for all frames from ``first`` to ``last``, in the shortest blocks that are few enough."""
        level = 0
        while (last >> level) - (first >> level) >= MOST:
            level += 1
        if self.first is not None:
            self._sums = _joined(self._sums, self.first >> self.level, level - self.level)
        self.first, self.last, self.level = first, last, level
        missing = (last >> level) - (first >> level) + 1 - len(self._sums)
        if missing:
            self._sums = np.concatenate([self._sums, np.zeros((missing, self.size))])

    def complete(self) -> np.ndarray:
        """ndarray, shape (n_blocks, size): means over those blocks of which every frame was seen."""
        if self.first is None or self.last is None:
            return self._sums
        length = 1 << self.level
        start = self.first % length != 0
        stop = len(self._sums) - ((self.last + 1) % length != 0)
        return self._sums[start:stop] / length

    @property
    def total(self) -> np.ndarray:
        """ndarray, shape (size,): sums over all frames."""
        return self._sums.sum(0)

    def state(self) -> dict[str, np.ndarray]:
        """Plain arrays from which :meth:`from_state` restores the object."""
        return {
            "size": np.array(self.size),
            "span": np.array([] if self.first is None else [self.first, self.last], dtype=int),
            "sums": self._sums,
        }

    @classmethod
    def from_state(cls, state: dict[str, np.ndarray]) -> Self:
        new = cls(int(state["size"]))
        if len(state["span"]):
            new._reach(*(int(x) for x in state["span"]))
        new._sums = np.array(state["sums"])
        return new


class Blocking(Blocks):
    """Blocks that know the variance of single frames too: mean and error of every component."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._mean = np.zeros(size)
        self._m2 = np.zeros(size)  # sum of squared deviations from the mean

    def update(self, ordinal: int, values: np.ndarray) -> None:
        values = np.array(values, dtype=np.float64).reshape(self.size)
        super().update(ordinal, values)
        delta = values - self._mean
        self._mean = self._mean + delta / self.n
        self._m2 = self._m2 + delta * (values - self._mean)

    def merge(self, other: Self) -> None:
        before = self.n
        super().merge(other)
        if other.n:  # Chan's update of mean and sum of squared deviations
            delta = other._mean - self._mean
            self._mean = self._mean + delta * (other.n / self.n)
            self._m2 = self._m2 + other._m2 + delta**2 * (before * other.n / self.n)

    @property
    def mean(self) -> np.ndarray:
        """ndarray, shape (size,): NaN before the first frame."""
        return self._mean.copy() if self.n else np.full(self.size, np.nan)

    @property
    def variance(self) -> np.ndarray:
        """ndarray, shape (size,): of single frames; NaN for fewer than two."""
        return self._m2 / (self.n - 1) if self.n > 1 else np.full(self.size, np.nan)

    def result(self) -> Estimate:
        """Mean, error and correlation time of every component."""
        mean, variance = self.mean, self.variance
        constant = variance <= (SAME * np.abs(mean)) ** 2
        plain = variance / max(self.n, 1)
        found = estimate(self.complete(), self.n / 2**self.level, plain)
        return found.about(mean, plain, constant, self.n)

    def state(self) -> dict[str, np.ndarray]:
        return {**super().state(), "mean": self._mean, "m2": self._m2}

    @classmethod
    def from_state(cls, state: dict[str, np.ndarray]) -> Self:
        new = super().from_state(state)
        new._mean, new._m2 = np.array(state["mean"]), np.array(state["m2"])
        return new


class RatioBlocking:
    """Blocking of ratios sum(a)/sum(b): averages over however many events a frame holds.

    The error is that of the linearised ratio estimator, the mean of (a - R b)/<b> (W. G.
    Cochran, Sampling Techniques, 3rd ed., Wiley 1977, chapter 6).

    Parameters
    ----------
    size : int
        Number of ratios.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.blocks = Blocking(3 * size)

    def update(self, ordinal: int, a: np.ndarray, b: np.ndarray) -> None:
        a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
        self.blocks.update(ordinal, np.concatenate([a, b, a + b]))

    def result(self) -> Estimate:
        """Ratios and errors; NaN where there was no event at all."""
        blocks = self.blocks
        a, b, _ = blocks.mean.reshape(3, self.size)
        ratio = quotient(a, b)
        var_a, var_b, var_sum = blocks.variance.reshape(3, self.size)
        variance = var_a + ratio**2 * var_b - ratio * (var_sum - var_a - var_b)
        plain = np.maximum(variance, 0) / max(blocks.n, 1) / b**2 if blocks.n else variance
        events, weights = blocks.complete().reshape(-1, 3, self.size)[:, :2].swapaxes(0, 1)
        return ratio_estimate(ratio, events, weights, b, blocks, plain)


def ratio_estimate(
    ratio: np.ndarray,
    a: np.ndarray,
    b: np.ndarray,
    per_frame: np.ndarray,
    blocks: Blocks,
    plain: np.ndarray | float = 0.0,
) -> Estimate:
    """Estimate of ratios sum(a)/sum(b) from the complete blocks of both.

    Parameters
    ----------
    ratio : ndarray, shape (size,)
    a, b : ndarray, shape (n_blocks, size)
        Means per frame in each block.
    per_frame : ndarray, shape (size,)
        Mean of b over all frames.
    blocks : Blocks
        Where they come from.
    plain : ndarray, shape (size,)
        Variance of the mean of uncorrelated frames, below which no result lies.
    """
    residual = a - ratio * b
    with np.errstate(invalid="ignore", divide="ignore"):
        found = estimate(residual / per_frame, blocks.n / 2**blocks.level, plain, weights=b)
    scale = np.abs(a).max(0, initial=0.0)
    constant = (np.abs(residual).max(0, initial=0.0) <= SAME * scale) & (blocks.n > 1)
    return found.about(ratio, plain, constant & np.isfinite(ratio), blocks.n)


@dataclass(frozen=True, eq=False)
class Variance:
    """Variance of a mean, found from blocks; arrays of shape (size,).

    Parameters
    ----------
    variance : ndarray
    enough : ndarray, bool
        The blocks span enough of the upper end of the correlation time.
    """

    variance: np.ndarray
    enough: np.ndarray

    def about(self, mean: np.ndarray, plain: np.ndarray | float, constant: np.ndarray, n: int) -> Estimate:
        """The estimate of a series of ``n`` frames; ``plain`` as for :func:`estimate`."""
        stated = self.enough & np.isfinite(mean) & ~constant
        error = np.where(stated, np.sqrt(self.variance), np.nan)
        time = np.where(stated, quotient(self.variance, plain) / 2, np.nan)
        return Estimate(mean, error, time, ~stated & ~constant, constant, n)


def estimate(
    blocks: np.ndarray,
    span: float,
    plain: np.ndarray | float = 0.0,
    *,
    weights: np.ndarray | None = None,
) -> Variance:
    """Variance of the mean of a series, from its blocks.

    Parameters
    ----------
    blocks : ndarray, shape (n_blocks, size)
        Means over complete blocks that follow each other.
    span : float
        Length of the whole series in blocks, which may be longer.
    plain : ndarray, shape (size,), or float
        Variance of the mean of uncorrelated frames, below which no result lies.
    weights : ndarray, shape (n_blocks, size), optional
        Of each block in the mean. Blocks without weight say nothing; where weights differ, the
        number of blocks is the effective one, sum(w)²/sum(w²) (L. Kish, Survey Sampling, Wiley 1965).
    """
    size = blocks.shape[1]
    variance = np.array(np.broadcast_to(np.asarray(plain, dtype=float), size))
    enough = np.zeros(size, dtype=bool)
    full = span / max(len(blocks), 1)
    scale, limit = 1, ENOUGH
    with np.errstate(invalid="ignore", divide="ignore"):
        while len(blocks) >= FEWEST:
            share = 1.0 if weights is None else _effective(weights) / len(blocks)
            found, uncorrelated, window = _window(blocks)
            doubt = np.sqrt((4 * window + 2) / len(blocks))
            upper = found / uncorrelated / 2 * (1 + DOUBT * doubt)
            good = len(blocks) * share >= limit * upper
            enough = good & (enough if scale > 1 else len(blocks) * share >= FEWEST)
            variance = np.fmax(variance, found / full * (1 - doubt if scale > 1 else 1.0))
            blocks, scale, limit = _pairs(blocks), 2 * scale, ENOUGH_JOINED
            weights = None if weights is None else _pairs(weights)
            full = span / scale / max(len(blocks), 1)
    return Variance(variance, enough)


def _window(blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Variance of the mean, the same without correlation, and the window in blocks.

    The window is infinite where the correlation does not die out within half of the series.
    """
    n = len(blocks)
    deviation = blocks - blocks.mean(0)
    alone = (deviation**2).mean(0)
    total = np.array(alone)
    chosen, window = np.full(total.shape, np.nan), np.full(total.shape, np.inf)
    for lag in range(1, n // 2 + 1):
        total = total + 2 * (deviation[lag:] * deviation[:-lag]).sum(0) / n
        corrected = total * (1 + (2 * lag + 1) / n)
        # Fluctuations below those of independent blocks are not believed.
        ends = np.isnan(chosen) & (lag >= WINDOW * np.maximum(corrected / alone / 2, 0.5))
        chosen[ends], window[ends] = corrected[ends], lag
        if not (np.isnan(chosen) & (alone > 0)).any():
            break
    uncorrelated = alone / (n - 1)
    return np.fmax(chosen / n, uncorrelated), uncorrelated, window


def _pairs(blocks: np.ndarray) -> np.ndarray:
    """Means over two blocks each; a last one without a partner is left out."""
    half = len(blocks) // 2
    return blocks[: 2 * half].reshape(half, 2, -1).mean(1)


def _joined(sums: np.ndarray, first: int, levels: int) -> np.ndarray:
    """Sums over blocks 2**levels times as long, aligned to the number of the first block."""
    if not levels:
        return sums
    index = (np.arange(first, first + len(sums)) >> levels) - (first >> levels)
    joined = np.zeros((index[-1] + 1, sums.shape[1]))
    np.add.at(joined, index, sums)
    return joined


def _effective(weights: np.ndarray) -> np.ndarray:
    """Kish's effective number of blocks."""
    return quotient(weights.sum(0) ** 2, (weights**2).sum(0), otherwise=0.0)


def quotient(a: np.ndarray, b: np.ndarray | float, *, otherwise: float = np.nan) -> np.ndarray:
    """a/b, and ``otherwise`` where b is zero."""
    a, b = np.broadcast_arrays(np.asarray(a, dtype=float), np.asarray(b, dtype=float))
    return np.divide(a, b, out=np.full(a.shape, otherwise), where=b != 0)
