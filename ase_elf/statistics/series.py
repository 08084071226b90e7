"""Time series of per-frame scalars: mean, error, correlation time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_elf.statistics.accumulator import BlockedAccumulator
from ase_elf.statistics.rounding import with_error

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ase_elf.statistics.frame import FrameResult

__all__ = ["ScalarAverage", "TimeSeries"]


@dataclass(frozen=True)
class ScalarAverage:
    """Average of one scalar over a run.

    Parameters
    ----------
    mean, error : float
        Mean and one standard error of the mean; NaN where none can be stated.
    std : float
        Standard deviation of single frames: the width of the distribution.
    correlation_frames : float
        Integrated correlation time in frames; NaN as the error.
    n : int
        Number of frames.
    too_short : bool
        The run may span too few correlation times to tell the error.
    constant : bool
        The same value in every frame, so that no error could be measured.
    """

    mean: float
    error: float
    std: float
    correlation_frames: float
    n: int
    too_short: bool
    constant: bool = False

    def plot(self, ax: Axes | None = None, **draw: Any) -> Axes:
        """Mean as a line and its standard error as a band, to be drawn over a series."""
        from ase_elf.plotting.curves import plot_mean

        return plot_mean(self.mean, self.stated_error, str(self), ax, **draw)

    @property
    def stated_error(self) -> float:
        """``error``, or NaN where the run is too short to tell it."""
        return np.nan if self.too_short else self.error

    def __str__(self) -> str:
        if not np.isfinite(self.mean):
            return "undefined in some frames"
        if self.too_short:
            return f"{self.mean:.4g} (too short for an error)"
        if self.constant:
            return f"{self.mean:.4g} (the same in every frame)"
        return with_error(self.mean, self.error)


class TimeSeries(BlockedAccumulator):
    """Averages of named scalars of :class:`FrameResult`.

    Definition: arithmetic mean over frames, error that of correlated frames. The networking value of a
    fluid is a percolation threshold and depends on the number of atoms; compare runs of
    equal size only.

    References
    ----------
    U. Wolff, Comput. Phys. Commun. 156, 143 (2004), doi:10.1016/S0010-4655(03)00467-3.
    """

    def __init__(self, names: Sequence[str], *, step: int = 1) -> None:
        self.names = tuple(names)
        super().__init__(len(self.names), step=step)

    def values(self, frame: FrameResult) -> np.ndarray:
        return np.array([frame.scalars[name] for name in self.names])

    def result(self) -> dict[str, ScalarAverage]:
        """One :class:`ScalarAverage` per name."""
        estimate = self.blocks.result()
        std = np.sqrt(self.blocks.variance)
        return {
            name: ScalarAverage(
                mean=float(estimate.mean[k]),
                error=float(estimate.error[k]),
                std=float(std[k]),
                correlation_frames=float(estimate.correlation_time[k]),
                n=estimate.n,
                too_short=bool(estimate.too_short[k]),
                constant=bool(estimate.constant[k]),
            )
            for k, name in enumerate(self.names)
        }
