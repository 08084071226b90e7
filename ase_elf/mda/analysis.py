"""Network statistics as MDAnalysis analysis classes: serial, on many processes, on a cluster.

Predicting the ELF takes nearly all of the time and serves every statistic, so whoever wants
more than one runs :class:`NetworkAnalysis` once. The other classes give one answer each;
:class:`PairDistribution` needs no ELF and predicts none.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from MDAnalysis.analysis.results import Results, ResultsGroup

from ase_elf.analysis.frame import SCALARS
from ase_elf.analysis.recorder import Recorder
from ase_elf.analysis.settings import positive
from ase_elf.mda.frames import FrameAnalysis, merged
from ase_elf.mda.pair_distribution import PairDistribution

if TYPE_CHECKING:
    import MDAnalysis as mda
    from MDAnalysis.core.groups import AtomGroup

    from ase_elf.domains import Domain
    from ase_elf.statistics import FrameResult

__all__ = ["BondAnalysis", "BondLifetimeAnalysis", "ClusterAnalysis", "MolecularFraction", "NetworkAnalysis",
           "NetworkingValue", "PairDistribution", "PercolationAnalysis", "ResolvedPairDistribution"]  # fmt: skip


class NetworkAnalysis(FrameAnalysis):
    """Every statistic of the ELF network, in one pass.

    Parameters
    ----------
    universe : Universe or AtomGroup
        All atoms of the cell: the ELF of some of them would be another one.
    domain : str, Path or Domain, optional
        Domain pack; by default the smallest installed one that knows the elements.
    isovalue : float, optional
        ELF at which domains, clusters and degrees are counted.
    r_max : float, optional
        Range of g(r) in Å.
    spacing : float, optional
        Largest distance of grid points in Å; by default that of the domain pack.
    shape : tuple of int, optional
        Grid instead of ``spacing``.
    r_bin : float, optional
        Bin width of distances in Å.
    batch : int
        Frames predicted together; they are halved until they fit into memory.
    max_lag : int
        Longest lag of the bond correlation functions, in frames.
    device : str, optional
        Where the model runs.
    verbose : bool
        Show a progress bar; serial only.

    Attributes
    ----------
    results.statistics : RunStatistics
        The accumulators; those of neighboring parts of a run merge.
    results.series : dict of str to ndarray, shape (n_frames,), float64
        The scalars of every frame, by their names in ``ase_elf.analysis.frame.SCALARS``.
    results.averages : dict of str to ScalarAverage
        Mean, standard error and correlation time of each of them; the latter two are NaN where the
        run is too short to tell them (``too_short``) or nothing varies (``constant``).
    results.rdf : RDF
    results.resolved_rdf : ResolvedRDF
    results.clusters, results.degrees, results.elf : Distribution
    results.percolation : PercolationCurve
    results.midpoint, results.bond_point, results.orientation : BinnedAverage
    results.lifetime : Lifetime
    frames, times : ndarray, shape (n_frames,)
        Index of each frame, and its time in ps.

    Raises
    ------
    InputError
        For part of the atoms, a live stream (see :func:`ase_elf.mda.follow`), an element the
        domain pack does not know, or an option that cannot be meant.

    Notes
    -----
    Settings which depend on the cell (range of g(r)) come from the frame at which the
    universe stands when the analysis is created.

    Parallel runs: ``backend="multiprocessing"`` or ``"dask"`` (processes on this machine)
    with ``n_workers``; for a cluster see :class:`ase_elf.mda.DistributedBackend`. Results
    are those of a serial run to round-off. Worker processes compute with one thread each.
    One GPU is kept busy by ``batch``, not by processes, and a process which has used CUDA
    cannot fork others that do.

    Examples
    --------
    >>> from ase_elf.mda import NetworkAnalysis, to_universe
    >>> from ase_elf.testing import GaussianDomain, molecular_fluid  # for real: no domain=
    >>> universe = to_universe(molecular_fluid(8, 3))
    >>> analysis = NetworkAnalysis(universe, domain=GaussianDomain()).run()
    >>> analysis.results.series["elf_molecular_fraction_distance"]
    array([1., 1., 1.])
    """

    def __init__(
        self,
        universe: mda.Universe | AtomGroup,
        *,
        domain: str | Path | Domain | None = None,
        isovalue: float | None = None,
        r_max: float | None = None,
        spacing: float | None = None,
        shape: tuple[int, int, int] | None = None,
        r_bin: float | None = None,
        batch: int = 8,
        max_lag: int = 200,
        device: str | None = None,
        verbose: bool = False,
    ) -> None:
        super().__init__(
            universe,
            domain,
            verbose,
            isovalue=isovalue,
            r_max=r_max,
            spacing=spacing,
            shape=shape,
            r_bin=r_bin,
            max_lag=max_lag,
        )
        self._options = {"batch": positive(batch, "batch"), "device": device}

    def _prepare(self) -> None:
        self.results = Results()
        self._recorder = Recorder(self._pack, self._settings, first=self._first, **self._options)
        self.results.statistics = self._recorder.statistics
        self.results.series = self._recorder.rows

    def _single_frame(self) -> None:
        self._take(self._recorder.add(self._frame()))
        if self._frame_index == self.n_frames - 1:
            self._take(self._recorder.flush())

    def _take(self, found: list[FrameResult]) -> None:
        """What a subclass keeps of single frames."""

    def _get_aggregator(self) -> ResultsGroup:
        return ResultsGroup(lookup={"statistics": merged, "series": ResultsGroup.flatten_sequence})

    def _conclude(self) -> None:
        table = np.array(self.results.series).reshape(-1, len(SCALARS))
        self.results.series = dict(zip(SCALARS, table.T, strict=True))
        if not len(table):
            return  # nothing was asked for: there is nothing to average
        found = self.results.statistics.result()
        self.results.averages = found.pop("series")
        for name, statistic in found.items():
            self.results[name] = statistic


class _Part(NetworkAnalysis):
    """One statistic: named scalars of every frame, and some results of the whole run."""

    _scalars: dict[str, str] = {}
    _statistics: tuple[str, ...] = ()

    def _conclude(self) -> None:
        super()._conclude()
        series = self.results.series
        averages = self.results.get("averages", {})
        names = self._scalars.values()
        kept = {key: series[name] for key, name in self._scalars.items()}
        kept |= {name: self.results[name] for name in self._kept() if name in self.results}
        if averages and names:
            kept["averages"] = {key: averages[name] for key, name in self._scalars.items()}
        self.results.clear()
        self.results.update(kept)

    def _kept(self) -> tuple[str, ...]:
        return ("statistics", *self._statistics)


class NetworkingValue(_Part):
    """The ELF at which the network becomes periodic, frame by frame.

    Parameters are those of :class:`NetworkAnalysis`.

    Attributes
    ----------
    results.phi, results.phi1, results.phi2 : ndarray, shape (n_frames,)
        Networking value: threshold in three (phi), one and two dimensions.
    results.phi_star : ndarray, shape (n_frames,)
        Molecularity index.
    results.uncertainty : ndarray, shape (n_frames,)
        Of phi, from the grid.
    results.averages : dict of str to ScalarAverage
        By the same names.
    results.statistics : RunStatistics
    """

    _scalars = {
        "phi": "elf_phi",
        "phi1": "elf_phi1",
        "phi2": "elf_phi2",
        "phi_star": "elf_phi_star",
        "uncertainty": "elf_phi_uncertainty",
    }


class MolecularFraction(_Part):
    """Share of atoms in diatomic molecules, by three definitions.

    A fourth, pairs that last, is ``results.lifetime.lasting_fraction`` of
    :class:`BondLifetimeAnalysis`.

    Parameters are those of :class:`NetworkAnalysis`.

    Attributes
    ----------
    results.by_cutoff : ndarray, shape (n_frames,)
        Pairs with nobody else within the bond length.
    results.by_distance : ndarray, shape (n_frames,)
        Mutual nearest neighbors within the bond length.
    results.by_domain : ndarray, shape (n_frames,)
        ELF domains at the isovalue that hold exactly two nuclei.
    results.averages : dict of str to ScalarAverage
        By the same names.
    results.statistics : RunStatistics
    """

    _scalars = {
        "by_cutoff": "elf_molecular_fraction_cutoff",
        "by_distance": "elf_molecular_fraction_distance",
        "by_domain": "elf_molecular_fraction_domain",
    }


class BondLifetimeAnalysis(_Part):
    """How long bonds live.

    Parameters are those of :class:`NetworkAnalysis`. Every frame counts: run it without
    ``step``, on frames close enough to resolve the bond vibration.

    Attributes
    ----------
    results.lifetime : Lifetime
        ``refused`` says why there is none, where there is none.
    results.statistics : RunStatistics
    """

    _statistics = ("lifetime",)


class ClusterAnalysis(_Part):
    """Sizes of the ELF domains, in nuclei, and the number of neighbors of each nucleus.

    Parameters are those of :class:`NetworkAnalysis`.

    Attributes
    ----------
    results.clusters, results.degrees : Distribution
    results.singles, results.pairs, results.triples, results.larger : ndarray, (n_frames,)
        Number of domains of one, two, three, and more nuclei.
    results.chains, results.branched, results.rings : ndarray, shape (n_frames,)
        Number of domains of three nuclei or more by how they are linked.
    results.averages : dict of str to ScalarAverage
    results.statistics : RunStatistics
    """

    _scalars = {
        "singles": "elf_clusters_1",
        "pairs": "elf_clusters_2",
        "triples": "elf_clusters_3",
        "larger": "elf_clusters_larger",
        "chains": "elf_clusters_chain",
        "branched": "elf_clusters_branched",
        "rings": "elf_clusters_ring",
    }
    _statistics = ("clusters", "degrees")


class BondAnalysis(_Part):
    """Every bond of every frame with the ELF along it.

    Parameters are those of :class:`NetworkAnalysis`. The table grows with the run: about 56
    bytes per bond and frame.

    Attributes
    ----------
    results.bonds : ndarray, shape (n_bonds, 7), float64
        One row per bond: frame, i, j (0-based atom indices), length (Å), ELF half way,
        lowest ELF on the line, and 1 if each is the other's nearest neighbor.
    results.midpoint : BinnedAverage
        ELF half way against the length.
    results.averages : dict of str to ScalarAverage
        ``number`` of bonds, mean ``length``, mean ``elf`` half way.
    results.number, results.length, results.elf : ndarray, shape (n_frames,)
    results.statistics : RunStatistics
    """

    COLUMNS = ("frame", "i", "j", "length", "elf_mid", "elf_min", "mutual")

    _scalars = {
        "number": "elf_bonds",
        "length": "elf_bond_length_mean",
        "elf": "elf_bond_midpoint_mean",
    }
    _statistics = ("bonds", "midpoint")

    def count_by_time(self) -> np.ndarray:
        """Bonds in each frame: ndarray, shape (n_frames,), int64, in the order of ``times``."""
        return self.results.number.astype(np.int64)

    def _prepare(self) -> None:
        super()._prepare()
        self.results.bonds = []

    def _take(self, found: list[FrameResult]) -> None:
        for result in found:
            columns = [result.bonds[name] for name in self.COLUMNS[1:]]
            frame = np.full(len(columns[0]), result.frame)
            self.results.bonds.append(np.column_stack([frame, *columns]).astype(float))

    def _get_aggregator(self) -> ResultsGroup:
        lookup = super()._get_aggregator()._lookup
        return ResultsGroup(lookup={**lookup, "bonds": ResultsGroup.flatten_sequence})

    def _conclude(self) -> None:
        self.results.bonds = np.vstack([np.zeros((0, len(self.COLUMNS))), *self.results.bonds])
        super()._conclude()


class ResolvedPairDistribution(_Part):
    """g(r) between elements, and what the ELF and the molecules add to it.

    Parameters are those of :class:`NetworkAnalysis`.

    Attributes
    ----------
    results.rdf : RDF
        As :class:`PairDistribution` gives it.
    results.resolved_rdf : ResolvedRDF
        g(r) by the ELF half way, for pairs of elements that can bond.
    results.midpoint : BinnedAverage
        ELF half way between bonded pairs, against their distance.
    results.bond_point : BinnedAverage
        ELF at the critical point of the bond, against the distance.
    results.orientation : BinnedAverage
        Orientational correlation of molecules, against the distance of their centers.
    results.statistics : RunStatistics
    """

    _statistics = ("rdf", "resolved_rdf", "midpoint", "bond_point", "orientation")


class PercolationAnalysis(_Part):
    """How often the ELF network spans the cell, and its largest domain, by isovalue.

    Parameters are those of :class:`NetworkAnalysis`.

    Attributes
    ----------
    results.percolation : PercolationCurve
    results.statistics : RunStatistics
    """

    _statistics = ("percolation",)
