"""Percolation of the ELF network: probability of spanning and largest domain, by isovalue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_elf.statistics.accumulator import BlockedAccumulator

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ase_elf.statistics.frame import FrameResult

__all__ = ["THRESHOLDS", "Percolation", "PercolationCurve"]

THRESHOLDS = ("phi1", "phi2", "phi", "phi_a", "phi_b", "phi_c")
"""Scalars of a frame above which its network does not span: one to three directions, each axis."""


@dataclass(frozen=True, eq=False)
class PercolationCurve:
    """Spanning probability and largest domain against the isovalue.

    Parameters
    ----------
    isovalues : ndarray, shape (n,), dimensionless
    probability, probability_error : ndarray, shape (3, n)
        Share of frames whose network at that isovalue is periodic in at least one, two,
        and three directions; standard error (of correlated frames), NaN where none can be stated,
        as at isovalues where every frame spans. The third is the share of frames
        with φ at the isovalue or above, so its slope is the distribution P(φ).
    wrapping, wrapping_error : ndarray, shape (3, n)
        Share of frames whose network closes on itself along a, along b, along c.
    largest, largest_error : ndarray, shape (n,)
        Mean share of the atoms in the largest ELF domain.
    too_short : bool
        The largest domain has no error at more than half the isovalues.
    """

    isovalues: np.ndarray
    probability: np.ndarray
    probability_error: np.ndarray
    wrapping: np.ndarray
    wrapping_error: np.ndarray
    largest: np.ndarray
    largest_error: np.ndarray
    too_short: bool

    def plot(self, ax: Axes | None = None, **draw: Any) -> Axes:
        """The four curves with error bands."""
        from ase_elf.plotting.curves import plot_curves

        names = ("periodic in 1 direction", "in 2 directions", "in 3 directions")
        estimates = zip(self.probability, self.probability_error, strict=True)
        return plot_curves(
            self.isovalues,
            dict(zip(names, estimates, strict=True)),
            ax,
            dashed={"largest domain": (self.largest, self.largest_error)},
            x_label="ELF isovalue",
            y_label="share of frames / of atoms",
            y_limits=(-0.02, 1.05),
            font_size=9,
            **draw,
        )


class Percolation(BlockedAccumulator):
    """Percolation probability and largest-domain fraction on a ladder of isovalues.

    Definition: a frame percolates in d dimensions at t when φ_d >= t, φ_d being the highest
    isovalue whose isosurface is periodic in d independent directions, and wraps along an axis
    when one component connects with its own image along it. The jump sharpens
    with system size: in a finite cell the curve is a distribution of thresholds. Error:
    that of correlated frames.

    References
    ----------
    D. Stauffer, A. Aharony, Introduction to Percolation Theory, 2nd ed., Taylor & Francis
    1994, doi:10.1201/9781315274386. Networking value: F. Belli et al., Nat. Commun. 12,
    5381 (2021), doi:10.1038/s41467-021-25687-0.
    """

    def __init__(self, isovalues: np.ndarray, *, step: int = 1) -> None:
        self.isovalues = np.asarray(isovalues, dtype=float)
        super().__init__(7 * len(self.isovalues), step=step)

    def values(self, frame: FrameResult) -> np.ndarray:
        thresholds = [frame.scalars[f"elf_{name}"] for name in THRESHOLDS]
        spans = [phi >= self.isovalues for phi in thresholds]
        return np.concatenate([*spans, frame.largest_fraction]).astype(float)

    def result(self) -> PercolationCurve:
        estimate = self.blocks.result()
        mean = estimate.mean.reshape(7, -1)
        error = estimate.error.reshape(7, -1)
        return PercolationCurve(
            isovalues=self.isovalues,
            probability=mean[:3],
            probability_error=error[:3],
            wrapping=mean[3:6],
            wrapping_error=error[3:6],
            largest=mean[6],
            largest_error=error[6],
            too_short=bool(estimate.too_short.reshape(7, -1)[6].mean() > 0.5),
        )
