"""Averages over bonds or molecules, sorted by length or distance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_elf.statistics.accumulator import RatioAccumulator

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ase_elf.statistics.frame import FrameResult

__all__ = ["BinnedAverage", "BondPointELF", "MidpointELF", "OrientationalOrder"]


@dataclass(frozen=True, eq=False)
class BinnedAverage:
    """An average per bin.

    Parameters
    ----------
    x_label, y_label : str
        Quantity and unit of the axes.
    edges : ndarray, shape (n + 1,)
    mean, error : ndarray, shape (n,)
        NaN in empty bins; standard error of a ratio of correlated frames, NaN where none can be
        stated.
    spread : ndarray, shape (n,)
        Standard deviation within the bin; NaN where not recorded.
    per_frame : ndarray, shape (n,)
        Mean number of events in a frame.
    too_short : ndarray, shape (n,), bool
        The run may be too short to tell the error, or too few frames have an event in the bin.
    """

    x_label: str
    y_label: str
    edges: np.ndarray
    mean: np.ndarray
    error: np.ndarray
    spread: np.ndarray
    per_frame: np.ndarray
    too_short: np.ndarray

    @property
    def centers(self) -> np.ndarray:
        return (self.edges[1:] + self.edges[:-1]) / 2

    def plot(self, ax: Axes | None = None, **draw: Any) -> Axes:
        """Mean with error bars, and the spread as a band."""
        from ase_elf.plotting.curves import plot_profile

        labels = {"x_label": self.x_label, "y_label": self.y_label}
        return plot_profile(self.centers, self.mean, self.error, self.spread, ax, **labels, **draw)


class MidpointELF(RatioAccumulator):
    """ELF at the midpoint of a bond against its length.

    Definition: all pairs in the bond table (pairs of bonding elements within their longest
    bond length), ELF sampled half way along the straight line. The ELF on the line is what
    a bond keeps when it is stretched; the spread shows how much the surroundings matter.
    Error: ratio estimator, of correlated frames.

    References
    ----------
    ELF along a bond: B. Silvi, A. Savin, Nature 371, 683 (1994), doi:10.1038/371683a0. Error of
    a ratio: W. G. Cochran, Sampling Techniques, 3rd ed., Wiley 1977, section 6.4.
    """

    column, label = "elf_mid", "ELF at bond midpoint"

    def __init__(self, edges: np.ndarray, *, step: int = 1) -> None:
        self.edges = np.asarray(edges, dtype=float)
        super().__init__(2 * (len(self.edges) - 1), step=step)

    def sums(self, frame: FrameResult) -> tuple[np.ndarray, np.ndarray]:
        known = np.isfinite(frame.bonds[self.column])
        length, elf = frame.bonds["length"][known], frame.bonds[self.column][known]
        number = np.histogram(length, self.edges)[0]
        sums = [np.histogram(length, self.edges, weights=elf**p)[0] for p in (1, 2)]
        return np.concatenate(sums), np.concatenate([number, number])

    def result(self) -> BinnedAverage:
        estimate = self.ratios.result()
        mean, square = estimate.mean.reshape(2, -1)
        number = self.ratios.blocks.mean.reshape(3, 2, -1)[1, 0]
        return BinnedAverage(
            x_label="bond length / Å",
            y_label=self.label,
            edges=self.edges,
            mean=mean,
            error=estimate.error.reshape(2, -1)[0],
            spread=np.sqrt(np.maximum(square - mean**2, 0)),
            per_frame=number,
            too_short=estimate.too_short.reshape(2, -1)[0],
        )


class BondPointELF(MidpointELF):
    """ELF at the critical point of a bond against its length.

    Definition: all pairs in the bond table; the ELF at the bond point between the attractors
    of the two atoms, or at their attractor where they share one, as in a short bond
    (:func:`ase_elf.analysis.elf_regions.bond_points`). Pairs whose basins do not touch are left out.
    Unlike the midpoint this follows the density where the bond is bent. Error: ratio
    estimator, of correlated frames.

    References
    ----------
    ELF at bond points as a measure of bonding: B. Silvi, A. Savin, Nature 371, 683 (1994),
    doi:10.1038/371683a0.
    """

    column, label = "elf_point", "ELF at the critical point of the bond"


class OrientationalOrder(RatioAccumulator):
    """Orientational correlation of molecules against the distance of their centers.

    Definition: g₂(r) = <P₂(u₁·u₂)> over pairs of molecules (mutual nearest neighbors within
    the bond length) whose midpoints are r apart, u the bond axes, P₂(x) = (3x² − 1)/2:
    1 parallel, −1/2 perpendicular, 0 no order. Long-range (nematic) order is the scalar
    ``elf_nematic_order`` of the time series. Error: ratio estimator, of correlated frames.

    References
    ----------
    Short-range orientational order in the molecular liquid: arXiv:0910.1798. C. G. Gray,
    K. E. Gubbins, Theory of Molecular Fluids I, Oxford 1984,
    doi:10.1093/oso/9780198556022.001.0001.
    """

    def __init__(self, edges: np.ndarray, *, step: int = 1) -> None:
        self.edges = np.asarray(edges, dtype=float)
        super().__init__(len(self.edges) - 1, step=step)

    def sums(self, frame: FrameResult) -> tuple[np.ndarray, np.ndarray]:
        return frame.orientation[0], frame.orientation[1]

    def result(self) -> BinnedAverage:
        estimate = self.ratios.result()
        number = self.ratios.blocks.mean.reshape(3, -1)[1]
        return BinnedAverage(
            x_label="distance of molecule centers / Å",
            y_label="⟨P₂(cos angle of axes)⟩",
            edges=self.edges,
            mean=estimate.mean,
            error=estimate.error,
            spread=np.full(len(estimate.mean), np.nan),
            per_frame=number,
            too_short=estimate.too_short,
        )
