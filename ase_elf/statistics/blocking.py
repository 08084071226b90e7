"""Blocking: means and honest errors of correlated series, mergeable in O(log n) memory.

Neighboring frames of a simulation are correlated, so the plain standard error is too
small. Flyvbjerg and Petersen [1]_ average the series in blocks of 1, 2, 4, ... frames and
watch the standard error of the block means grow until blocks are independent. The block
size is chosen by the criterion of Lee et al. [2]_: the smallest B with B³ > 2 n g², where
g = (SE_B / SE_1)² is the statistical inefficiency.

Blocks are aligned to the absolute number of the frame, not to where a part starts, so
parts computed anywhere and merged hold exactly the blocks of one pass.

.. [1] H. Flyvbjerg, H. G. Petersen, J. Chem. Phys. 91, 461 (1989), doi:10.1063/1.457480
.. [2] R. M. Lee et al., Phys. Rev. E 83, 066706 (2011), doi:10.1103/PhysRevE.83.066706
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ase_elf.errors import InputError

ENOUGH = 5.0
"""Correlation times a series must span before its error is believed."""


@dataclass(frozen=True, eq=False)
class Estimate:
    """Mean of a correlated series and its error; every array has shape (size,).

    Parameters
    ----------
    mean, error : ndarray, float64
        Mean and one standard error of the mean; where ``too_short`` the error is only a
        lower bound. NaN where a frame held NaN.
    correlation_time : ndarray, float64
        Integrated correlation time, 1/2 + sum of the autocorrelation, in frames.
    too_short : ndarray, bool
        The series spans fewer than five correlation times, or no block size is large
        enough to call blocks independent.
    n : int
        Number of frames.
    """

    mean: np.ndarray
    error: np.ndarray
    correlation_time: np.ndarray
    too_short: np.ndarray
    n: int


class Blocking:
    """Streaming blocking analysis of a vector-valued series.

    Parameters
    ----------
    size : int
        Number of components, each analysed for itself.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.first: int | None = None
        self.last: int | None = None
        self._n: list[int] = []
        self._mean: list[np.ndarray] = []
        self._m2: list[np.ndarray] = []
        # Blocks whose sibling has not come: level -> {index: value}, two per level at most.
        self._waiting: list[dict[int, np.ndarray]] = []

    @property
    def n(self) -> int:
        """Number of frames seen."""
        return self._n[0] if self._n else 0

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
        self.first = ordinal if self.first is None else self.first
        self.last = ordinal
        self._insert(0, ordinal, np.array(values, dtype=np.float64).reshape(self.size))

    def merge(self, other: Blocking) -> None:
        """Append ``other``, whose first frame must follow the last one here."""
        if other.last is None:
            return
        if self.last is not None and other.first != self.last + 1:
            raise InputError(
                f"part {other.first}-{other.last} does not follow part "
                f"{self.first}-{self.last}; merge neighboring parts in order."
            )
        self.first = other.first if self.first is None else self.first
        self.last = other.last
        self._grow(len(other._n))
        for level, count in enumerate(other._n):
            self._add(level, count, other._mean[level], other._m2[level])
        for level, waiting in enumerate(other._waiting):
            for index, value in waiting.items():
                self._pair(level, index, value)

    def _grow(self, levels: int) -> None:
        while len(self._n) < levels:
            self._n.append(0)
            self._mean.append(np.zeros(self.size))
            self._m2.append(np.zeros(self.size))
            self._waiting.append({})

    def _insert(self, level: int, index: int, value: np.ndarray) -> None:
        self._grow(level + 1)
        self._add(level, 1, value, 0.0)
        self._pair(level, index, value)

    def _add(self, level: int, n: int, mean: np.ndarray, m2: np.ndarray | float) -> None:
        """Chan's update of count, mean and sum of squared deviations."""
        total = self._n[level] + n
        if n == 0:
            return
        delta = mean - self._mean[level]
        self._mean[level] = self._mean[level] + delta * (n / total)
        self._m2[level] = self._m2[level] + m2 + delta**2 * (self._n[level] * n / total)
        self._n[level] = total

    def _pair(self, level: int, index: int, value: np.ndarray) -> None:
        sibling = self._waiting[level].pop(index ^ 1, None)
        if sibling is None:
            self._waiting[level][index] = value
        else:
            self._insert(level + 1, index // 2, (sibling + value) / 2)

    def standard_errors(self) -> tuple[np.ndarray, np.ndarray]:
        """Squared standard error of the mean at every block size with two blocks or more.

        Returns
        -------
        n_blocks : ndarray, shape (levels,), int
        squared : ndarray, shape (levels, size)
        """
        usable = [level for level, n in enumerate(self._n) if n >= 2]
        n = np.array([self._n[level] for level in usable], dtype=int)
        m2 = np.array([self._m2[level] for level in usable]).reshape(len(usable), self.size)
        return n, m2 / ((n - 1) * n)[:, None] if len(n) else m2

    def level(self) -> tuple[np.ndarray, np.ndarray]:
        """The block size 2**level each component needs, and whether it was reached.

        Returns
        -------
        level : ndarray, shape (size,), int
        reached : ndarray, shape (size,), bool
        """
        n, squared = self.standard_errors()
        if not len(n):
            return np.zeros(self.size, dtype=int), np.zeros(self.size, dtype=bool)
        inefficiency = _ratio(squared, squared[0], otherwise=1.0)
        block = 2.0 ** np.arange(len(n))[:, None]
        good = block**3 > 2 * self.n * inefficiency**2
        return np.where(good.any(0), good.argmax(0), squared.argmax(0)), good.any(0)

    def result(self) -> Estimate:
        """Mean, error and correlation time of every component."""
        nan = np.full(self.size, np.nan)
        _, squared = self.standard_errors()
        if not len(squared):
            mean = self._mean[0].copy() if self._n else nan
            return Estimate(mean, nan, nan.copy(), np.ones(self.size, dtype=bool), self.n)
        level, reached = self.level()
        chosen = np.take_along_axis(squared, level[None], 0)[0]
        time = _ratio(chosen, squared[0], otherwise=1.0) / 2
        too_short = ~reached | (self.n < ENOUGH * time)
        return Estimate(self._mean[0].copy(), np.sqrt(chosen), time, too_short, self.n)

    def state(self) -> dict[str, np.ndarray]:
        """Plain arrays from which :meth:`from_state` restores the object."""
        waiting = [
            (level, index, value)
            for level, blocks in enumerate(self._waiting)
            for index, value in sorted(blocks.items())
        ]
        return {
            "size": np.array(self.size),
            "span": np.array([] if self.first is None else [self.first, self.last], dtype=int),
            "n": np.array(self._n, dtype=int),
            "mean": np.array(self._mean).reshape(-1, self.size),
            "m2": np.array(self._m2).reshape(-1, self.size),
            "waiting_at": np.array([w[:2] for w in waiting], dtype=int).reshape(-1, 2),
            "waiting": np.array([w[2] for w in waiting]).reshape(-1, self.size),
        }

    @classmethod
    def from_state(cls, state: dict[str, np.ndarray]) -> Blocking:
        new = cls(int(state["size"]))
        if len(state["span"]):
            new.first, new.last = (int(x) for x in state["span"])
        new._grow(len(state["n"]))
        for level, n in enumerate(state["n"]):
            new._n[level] = int(n)
            new._mean[level] = np.array(state["mean"][level])
            new._m2[level] = np.array(state["m2"][level])
        for (level, index), value in zip(state["waiting_at"], state["waiting"], strict=True):
            new._waiting[int(level)][int(index)] = np.array(value)
        return new


class RatioBlocking:
    """Blocking of ratios sum(a)/sum(b): averages over however many events a frame holds.

    The error is that of the linearised ratio estimator, Var(a - R b)/<b>², with the
    covariance taken from the blocked variances of a, b and a + b (W. G. Cochran,
    Sampling Techniques, 3rd ed., Wiley 1977, chapter 6).

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
        estimate = self.blocks.result()
        a, b, _ = estimate.mean.reshape(3, self.size)
        ratio = _ratio(a, b, otherwise=np.nan)
        _, squared = self.blocks.standard_errors()
        if not len(squared):
            nan = np.full(self.size, np.nan)
            return Estimate(ratio, nan, nan, np.ones(self.size, dtype=bool), estimate.n)
        level = self.blocks.level()[0].reshape(3, self.size).max(0)
        var_a, var_b, var_sum = (
            np.take_along_axis(part, level[None], 0)[0]
            for part in squared.reshape(len(squared), 3, self.size).swapaxes(0, 1)
        )
        variance = var_a + ratio**2 * var_b - ratio * (var_sum - var_a - var_b)
        error = _ratio(np.sqrt(np.maximum(variance, 0)), b, otherwise=np.nan)
        short = estimate.too_short.reshape(3, self.size)[:2].any(0)
        time = estimate.correlation_time.reshape(3, self.size)[:2].max(0)
        return Estimate(ratio, error, time, short, estimate.n)


def _ratio(a: np.ndarray, b: np.ndarray, *, otherwise: float) -> np.ndarray:
    """a/b, and ``otherwise`` where b is zero."""
    a, b = np.broadcast_arrays(np.asarray(a, dtype=float), np.asarray(b, dtype=float))
    return np.divide(a, b, out=np.full(a.shape, otherwise), where=b != 0)
