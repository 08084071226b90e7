"""g(r) of a universe, which needs positions alone."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from MDAnalysis.analysis.results import Results, ResultsGroup

from ase_elf.analysis.bonding import neighbors, pair_counts
from ase_elf.analysis.frame import check_frame
from ase_elf.mda.frames import FrameAnalysis, merged
from ase_elf.statistics.frame import PairCounts
from ase_elf.statistics.rdf import RadialDistribution

if TYPE_CHECKING:
    import MDAnalysis as mda
    from MDAnalysis.core.groups import AtomGroup

    from ase_elf.domains import Domain

__all__ = ["PairDistribution"]


class PairDistribution(FrameAnalysis):
    """g(r) between elements, from positions alone: nothing is predicted.

    What the ELF adds to it is :class:`~ase_elf.mda.ResolvedPairDistribution`.

    Parameters
    ----------
    universe : Universe or AtomGroup
        All atoms of the cell.
    r_max : float, optional
        Range of g(r) in Å; by default half the smallest width of the cell at the frame at which the
        universe stands, but at least three and at most eight longest bond lengths of ``domain``.
    r_bin : float, optional
        Bin width in Å.
    domain : str, Path or Domain, optional
        Domain pack that knows the bond lengths and checks the structure; by default the smallest
        installed one that knows the elements. Its weights are not loaded.
    verbose : bool
        Show a progress bar; serial only.

    Attributes
    ----------
    results.rdf : RDF
        g(r) and running coordination number, for every pair of elements.

    Raises
    ------
    InputError
        As :class:`~ase_elf.mda.NetworkAnalysis`.

    Notes
    -----
    Changed in version 0.2: runs no model. ``resolved_rdf``, ``midpoint``, ``bond_point`` and
    ``orientation``, which were here, are results of :class:`~ase_elf.mda.ResolvedPairDistribution`.

    Examples
    --------
    >>> from ase_elf.mda import PairDistribution, to_universe
    >>> from ase_elf.testing import GaussianDomain, molecular_fluid  # for real: no domain=
    >>> universe = to_universe(molecular_fluid(8, 3))
    >>> rdf = PairDistribution(universe, domain=GaussianDomain(), r_bin=0.1).run().results.rdf
    >>> bool(0.6 < rdf.r[rdf.g[0].argmax()] < 0.9)
    True
    """

    def __init__(
        self,
        universe: mda.Universe | AtomGroup,
        *,
        r_max: float | None = None,
        r_bin: float | None = None,
        domain: str | Path | Domain | None = None,
        verbose: bool = False,
    ) -> None:
        super().__init__(universe, domain, verbose, r_max=r_max, r_bin=r_bin)

    def _prepare(self) -> None:
        self._next = self._first
        self.results = Results(rdf=RadialDistribution(self._settings.pairs, self._settings.r_edges))

    def _single_frame(self) -> None:
        frame = self._frame()
        near = neighbors(frame.atoms, self._settings)
        check_frame(frame, self._pack, self._settings, near)
        self.results.rdf.update(
            PairCounts(
                frame=self._next,
                volume=float(frame.atoms.get_volume()),
                composition=dict(Counter(self._symbols)),
                rdf_counts=pair_counts(near, self._settings),
            )
        )
        self._next += 1

    def _get_aggregator(self) -> ResultsGroup:
        return ResultsGroup(lookup={"rdf": merged})

    def _conclude(self) -> None:
        if self.n_frames:  # else nothing was asked for
            self.results.rdf = self.results.rdf.result()
