"""Radial distribution function g(r) and running coordination number n(r)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_elf.geometry.pairs import pair_of
from ase_elf.statistics.accumulator import BlockedAccumulator

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ase_elf.statistics.frame import FrameResult, PairCounts

__all__ = ["RDF", "RadialDistribution", "first_minimum", "per_pair"]


@dataclass(frozen=True, eq=False)
class RDF:
    """g(r) of every pair of elements.

    Parameters
    ----------
    pairs : tuple of str
        Such as ``"A-B"``.
    r : ndarray, shape (n_r,), Å
        Bin centers.
    edges : ndarray, shape (n_r + 1,), Å
    g, error : ndarray, shape (n_pairs, n_r)
        Radial distribution function and its standard error (of correlated frames); NaN where none
        can be stated, as in bins that are always empty.
    coordination : ndarray, shape (n_pairs, n_r)
        Atoms of the second element within the outer edge of the bin, around one of the first.
    coordination_error : ndarray, shape (n_pairs, n_r)
        Its standard error.
    first_minimum : tuple of float or None
        Å, after the first peak of g smoothed with a standard deviation of 0.06 Å, which is
        how far it can be trusted; None where g has no minimum in range.
    too_short : bool
        More than half of the occupied bins have no reliable error.
    """

    pairs: tuple[str, ...]
    r: np.ndarray
    edges: np.ndarray
    g: np.ndarray
    error: np.ndarray
    coordination: np.ndarray
    coordination_error: np.ndarray
    first_minimum: tuple[float | None, ...]
    too_short: bool

    def plot(self, ax: Axes | None = None, **draw: Any) -> Axes:
        """g(r) with its error band."""
        from ase_elf.plotting.curves import plot_radial

        curves = dict(zip(self.pairs, zip(self.g, self.error, strict=True), strict=True))
        coordination = self.coordination[0] if len(self.pairs) == 1 else None
        return plot_radial(self.edges, curves, self.first_minimum, coordination, ax, **draw)


class RadialDistribution(BlockedAccumulator):
    """Radial distribution function between elements, all periodic images counted.

    Definition: g(r) = n(r) / (ρ 4π/3 (r₂³ − r₁³)), with n(r) the mean number of atoms of the
    second element between r₁ and r₂ around one of the first and ρ = N/V of the second, in
    that frame. Periodic images count, an atom's own too, so that g(r) does not depend on
    the choice of cell. Error: that of correlated frames.

    References
    ----------
    M. P. Allen, D. J. Tildesley, Computer Simulation of Liquids, 2nd ed., Oxford 2017,
    section 8.2, doi:10.1093/oso/9780198803195.001.0001.
    """

    def __init__(self, pairs: Sequence[str], edges: np.ndarray, *, step: int = 1) -> None:
        self.pairs = tuple(pairs)
        self.edges = np.asarray(edges, dtype=float)
        # Per frame: g of every pair, then the coordination up to the end of every bin.
        super().__init__(2 * len(self.pairs) * (len(self.edges) - 1), step=step)

    def values(self, frame: FrameResult | PairCounts) -> np.ndarray:
        around, g = per_pair(frame.rdf_counts, self.pairs, self.edges, frame)
        return np.concatenate([g.ravel(), np.cumsum(around, axis=1).ravel()])

    def result(self) -> RDF:
        estimate = self.blocks.result()
        g, coordination = estimate.mean.reshape(2, len(self.pairs), -1)
        error, coordination_error = estimate.error.reshape(2, len(self.pairs), -1)
        short = estimate.too_short.reshape(2, len(self.pairs), -1)[0]
        centers = (self.edges[1:] + self.edges[:-1]) / 2
        return RDF(
            pairs=self.pairs,
            r=centers,
            edges=self.edges,
            g=g,
            error=error,
            coordination=coordination,
            coordination_error=coordination_error,
            first_minimum=tuple(first_minimum(centers, row) for row in g),
            too_short=bool(short[g > 0].mean() > 0.5) if (g > 0).any() else True,
        )


def per_pair(
    counts: np.ndarray, pairs: Sequence[str], edges: np.ndarray, frame: FrameResult | PairCounts
) -> tuple[np.ndarray, np.ndarray]:
    """From numbers of unordered pairs of a frame to what is around an atom.

    Parameters
    ----------
    counts : ndarray, shape (n_pairs, ..., n_r)
    pairs : sequence of str
    edges : ndarray, shape (n_r + 1,), Å
    frame : FrameResult
        Gives composition and volume.

    Returns
    -------
    around : ndarray, shape of ``counts``
        Atoms of the second element around one of the first.
    g : ndarray, shape of ``counts``
        The same over what a uniform density would give.
    """
    shape = (len(pairs),) + (1,) * (np.ndim(counts) - 1)
    ends = [pair_of(pair) for pair in pairs]
    first = np.array([frame.composition.get(a, 0) for a, _ in ends]).reshape(shape)
    second = np.array([frame.composition.get(b, 0) for _, b in ends]).reshape(shape)
    # Unordered pairs: between like atoms each has two ends.
    twice = np.array([1 + (a == b) for a, b in ends]).reshape(shape)
    around = twice * counts / np.maximum(first, 1)
    shells = 4 / 3 * np.pi * np.diff(edges**3)
    return around, around / (np.maximum(second, 1) / frame.volume * shells)


def first_minimum(r: np.ndarray, g: np.ndarray, *, width: float = 0.06) -> float | None:
    """Position of the first minimum after the first peak of g(r), in Å.

    g is smoothed with a Gaussian of standard deviation ``width`` (Å) first, because a
    histogram has a minimum in every noisy bin; None where there is none.
    """
    from scipy.ndimage import gaussian_filter1d

    if not np.isfinite(g).all() or not (g > 0).any():
        return None
    smooth = gaussian_filter1d(g, width / (r[1] - r[0]), mode="nearest")
    falling = np.diff(smooth) < 0
    peaks = np.flatnonzero(~falling[:-1] & falling[1:]) + 1
    peaks = peaks[smooth[peaks] > 0.1 * smooth.max()]
    if not len(peaks):
        return None
    rises = np.flatnonzero(np.diff(smooth)[peaks[0] :] > 0)
    return float(r[peaks[0] + rises[0]]) if len(rises) else None
