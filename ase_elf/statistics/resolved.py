"""g(r) resolved by the ELF half way between the two atoms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_elf.statistics.accumulator import BlockedAccumulator
from ase_elf.statistics.rdf import per_pair

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ase_elf.statistics.frame import FrameResult

__all__ = ["ResolvedDistribution", "ResolvedRDF"]


@dataclass(frozen=True, eq=False)
class ResolvedRDF:
    """g(r) of pairs of elements that can bond, by the ELF half way.

    Parameters
    ----------
    pairs : tuple of str
        Such as ``"A-B"``.
    edges : ndarray, shape (n_r + 1,), Å
    elf_edges : ndarray, shape (n_classes + 1,), dimensionless
    g, error : ndarray, shape (n_pairs, n_classes, n_r)
        Share of g(r) whose ELF half way lies in the class, and its standard error (of
        correlated frames), NaN where none can be stated. The sum over classes is g(r).
    too_short : bool
        More than half of the occupied bins have no reliable error.
    """

    pairs: tuple[str, ...]
    edges: np.ndarray
    elf_edges: np.ndarray
    g: np.ndarray
    error: np.ndarray
    too_short: bool

    @property
    def r(self) -> np.ndarray:
        """ndarray, shape (n_r,), Å: bin centers."""
        return (self.edges[1:] + self.edges[:-1]) / 2

    def plot(self, ax: Axes | None = None, **draw: Any) -> Axes:
        """g(r) of the first pair, stacked by class."""
        from ase_elf.plotting.curves import plot_layers, plot_message

        if not self.pairs:
            return plot_message("no pair of these elements bonds", ax, **draw)
        classes = zip(self.elf_edges[:-1], self.elf_edges[1:], strict=True)
        labels = [f"{low:.1f} to {high:.1f}" for low, high in classes]
        return plot_layers(self.edges, self.g[0], labels, f"{self.pairs[0]}, ELF half way", ax, **draw)


class ResolvedDistribution(BlockedAccumulator):
    """Radial distribution function, resolved by the ELF half way between the atoms.

    Definition: g(r, k) = n(r, k) / (ρ 4π/3 (r₂³ − r₁³)), with n(r, k) the mean number of atoms
    between r₁ and r₂ around one atom for which the ELF at the midpoint of the straight line
    lies in class k, and ρ as in :class:`RadialDistribution`; the sum over k is g(r). A peak of
    g(r) may be atoms that share electrons, or atoms that only lie side by side: the class tells
    them apart. Error: that of correlated frames.

    References
    ----------
    ELF between atoms as a measure of shared electrons: B. Silvi, A. Savin, Nature 371, 683
    (1994), doi:10.1038/371683a0. g(r): see :class:`RadialDistribution`.
    """

    def __init__(
        self, pairs: Sequence[str], edges: np.ndarray, elf_edges: np.ndarray, *, step: int = 1
    ) -> None:
        self.pairs = tuple(pairs)
        self.edges = np.asarray(edges, dtype=float)
        self.elf_edges = np.asarray(elf_edges, dtype=float)
        self.shape = (len(self.pairs), len(self.elf_edges) - 1, len(self.edges) - 1)
        super().__init__(int(np.prod(self.shape)), step=step)

    def values(self, frame: FrameResult) -> np.ndarray:
        counts = np.reshape(frame.resolved_counts, self.shape)
        return per_pair(counts, self.pairs, self.edges, frame)[1].ravel()

    def result(self) -> ResolvedRDF:
        estimate = self.blocks.result()
        g = estimate.mean.reshape(self.shape)
        short = estimate.too_short.reshape(self.shape)[g > 0]
        return ResolvedRDF(
            pairs=self.pairs,
            edges=self.edges,
            elf_edges=self.elf_edges,
            g=g,
            error=estimate.error.reshape(self.shape),
            too_short=bool(short.mean() > 0.5) if len(short) else True,
        )
