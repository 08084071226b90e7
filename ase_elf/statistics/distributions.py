"""Distributions per frame: ELF cluster sizes, degrees in the network, ELF in the cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_elf.statistics.accumulator import BlockedAccumulator

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ase_elf.statistics.frame import FrameResult

__all__ = ["ClusterSizes", "DegreeDistribution", "Distribution", "ELFHistogram"]


@dataclass(frozen=True, eq=False)
class Distribution:
    """A histogram averaged over frames.

    Parameters
    ----------
    what, unit : str
        What is counted and in which unit.
    edges : ndarray, shape (n + 1,)
        Bin edges; for integers the bins are single values and the last one is open-ended.
    mean, error : ndarray, shape (n,)
        Mean content of a bin in a frame, and its standard error (of correlated frames); NaN where
        none can be stated, as in a bin that is the same in every frame.
    too_short : ndarray, shape (n,), bool
        Where the run may be too short to tell the error.
    """

    what: str
    unit: str
    edges: np.ndarray
    mean: np.ndarray
    error: np.ndarray
    too_short: np.ndarray

    def plot(self, ax: Axes | None = None, **draw: Any) -> Axes:
        """Bars with error bars."""
        from ase_elf.plotting.curves import plot_bars

        return plot_bars(self.edges, self.mean, self.error, ax, x_label=self.what, y_label=self.unit, **draw)


class _Histogram(BlockedAccumulator):
    """Counts of small integers, or of shares, blocked bin by bin."""

    what = ""
    unit = ""
    lowest = 0

    def __init__(self, size: int, *, step: int = 1) -> None:
        super().__init__(size, step=step)

    def edges(self) -> np.ndarray:
        return np.arange(self.lowest, self.lowest + self.blocks.size + 1) - 0.5

    def counts(self, integers: np.ndarray) -> np.ndarray:
        """Histogram of ``integers`` from ``lowest`` on; what is larger goes in the last bin."""
        size = self.blocks.size
        clipped = np.minimum(integers - self.lowest, size - 1)
        return np.bincount(clipped, minlength=size).astype(float)

    def result(self) -> Distribution:
        estimate = self.blocks.result()
        return Distribution(
            self.what,
            self.unit,
            self.edges(),
            estimate.mean,
            estimate.error,
            estimate.too_short,
        )


class ClusterSizes(_Histogram):
    """Number of ELF domains holding 1, 2, 3, ... atoms at the isovalue of the run.

    Definition: an ELF domain is a connected component of the region ELF >= isovalue; an
    atom belongs to it when its nucleus lies in it. Size 2 is a molecule of two atoms, size
    3 a trimer; the last bin holds all larger ones. Error: that of correlated frames.

    References
    ----------
    Domains: B. Silvi, A. Savin, Nature 371, 683 (1994), doi:10.1038/371683a0. Cluster
    analysis of dense hydrogen by distance, for comparison: arXiv:1711.00702.
    """

    what, unit, lowest = "atoms in an ELF domain", "domains per frame", 1

    def values(self, frame: FrameResult) -> np.ndarray:
        return self.counts(frame.cluster_sizes)


class DegreeDistribution(_Histogram):
    """Share of atoms with 0, 1, 2, ... neighbors in the ELF network.

    Definition: the degree of an atom is the number of its links in the network graph at
    the isovalue of the run, that is of saddle points of the ELF at or above it which
    connect its attractor to another one, plus the other atoms in its own basin. Isolated
    atom 0, molecule 1, chain 2. Error: that of correlated frames.

    References
    ----------
    Bonds as saddle points of the ELF: B. Silvi, A. Savin, Nature 371, 683 (1994),
    doi:10.1038/371683a0; their network: F. Belli et al., Nat. Commun. 12, 5381 (2021),
    doi:10.1038/s41467-021-25687-0.
    """

    what, unit = "neighbors in the ELF network", "share of atoms"

    def values(self, frame: FrameResult) -> np.ndarray:
        return self.counts(frame.degrees) / max(len(frame.degrees), 1)


class ELFHistogram(_Histogram):
    """Share of the cell volume per bin of ELF between 0 and 1.

    Definition: grid points of a frame whose ELF lies in the bin, over all grid points; 0.5 is
    the ELF of a uniform electron gas. Error: that of correlated frames.

    References
    ----------
    A. D. Becke, K. E. Edgecombe, J. Chem. Phys. 92, 5397 (1990), doi:10.1063/1.458517.
    """

    what, unit = "ELF", "share of volume"

    def edges(self) -> np.ndarray:
        return np.linspace(0, 1, self.blocks.size + 1)

    def values(self, frame: FrameResult) -> np.ndarray:
        return frame.elf_histogram
