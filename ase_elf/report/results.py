"""RunResults: a run read back from its journal, and the quantities that its files state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_elf import __version__
from ase_elf.analysis.frame import SCALARS
from ase_elf.plotting.curves import plot_series
from ase_elf.report.tables import Tables
from ase_elf.statistics import RunStatistics

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ase_elf.analysis.frame import AnalysisSettings
    from ase_elf.domains import Domain
    from ase_elf.statistics import FrameResult, ScalarAverage
    from ase_elf.statistics.run import StatisticsPlan
    from ase_elf.storage.journal import Journal

MOST_POINTS = 3000
"""Points of a plotted series; longer runs are thinned, averages are not."""

IMPOSSIBLE = 1.01
"""ELF that only interpolation reaches, and on a fine grid not even that."""


DRAWN = (
    "rdf", "resolved_rdf", "percolation", "clusters", "degrees", "elf", "midpoint", "bond_point",
    "orientation", "lifetime",
)  # fmt: skip
"""Statistics that draw themselves, by the names of their files."""


@dataclass(eq=False)
class RunResults:
    """A run read back from its journal: statistics, thinned series, warnings.

    Parameters
    ----------
    statistics : RunStatistics
    settings : AnalysisSettings
    domain : Domain
    symbols : list of str
        Element of each atom.
    failure : str or None
        What stopped the run before its end.
    n : int
        Frames.
    shown : frozenset of int
        Ordinals of the frames with a snapshot, whose bond tables are kept.

    Attributes
    ----------
    weights : dict of str to int
        SHA-256 of the weights that predicted frames, and how many each; a pack may have others
        for large cells.
    """

    statistics: RunStatistics
    settings: AnalysisSettings
    domain: Domain
    symbols: Sequence[str]
    failure: str | None
    n: int
    shown: frozenset[int] = frozenset()
    frames: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    series: dict[str, list[float]] = field(default_factory=lambda: {n: [] for n in SCALARS})
    reasons: dict[str, int] = field(default_factory=dict)
    weights: dict[str, int] = field(default_factory=dict)
    bonds: dict[int, FrameResult] = field(default_factory=dict)
    ends: list[FrameResult] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stride = -(-self.n // MOST_POINTS)

    def add(self, ordinal: int, frame: FrameResult) -> None:
        self.statistics.update(frame)
        for reason in frame.outside:
            kind = reason.split(" = ")[0]
            self.reasons[kind] = self.reasons.get(kind, 0) + 1
        self.weights[frame.weights] = self.weights.get(frame.weights, 0) + 1
        if ordinal % self._stride == 0:
            self.frames.append(frame.frame)
            self.times.append(frame.time_fs)
            for name in SCALARS:
                self.series[name].append(frame.scalars[name])
        if ordinal in self.shown:
            self.bonds[frame.frame] = frame
        if ordinal in (0, self.n - 1):
            self.ends.append(frame)

    def conclude(self) -> None:
        """Ask every statistic for its result, once."""
        self.results = self.statistics.result()

    @property
    def averages(self) -> dict[str, ScalarAverage]:
        return self.results["series"]

    @property
    def composition(self) -> dict[str, int]:
        return self.ends[0].composition

    def abscissa(self) -> tuple[np.ndarray, str]:
        """Values and label of the time axis: fs, ps, or the frame where time is unknown."""
        time = np.array(self.times)
        if not np.isfinite(time).all():
            return np.array(self.frames, dtype=float), "frame"
        if np.ptp(time) > 5000:
            return time / 1000, "t / ps"
        return time, "t / fs"

    def warnings(self) -> list[str]:
        """What a reader must know before believing the numbers, worst first."""
        out = []
        if self.failure:
            out.append(f"The run stopped early, after {self.n} frames: {self.failure}")
        if self.reasons:
            kinds = ", ".join(f"{kind} in {count}" for kind, count in sorted(self.reasons.items()))
            out.append(
                f"{self.statistics.n_outside} of {self.n} frames lie outside the range the "
                f"domain pack {self.domain.name!r} was trained on ({kinds}): the model "
                "extrapolates there, and its stated uncertainty need not cover the error."
            )
        short = [name for name in SCALARS if self.averages[name].too_short]
        if short:
            names = ", ".join(short[:6]) + (f" and {len(short) - 6} more" if len(short) > 6 else "")
            out.append(
                f"Too short for an error bar: {names}. The run may span too few correlation times of "
                "these to tell how far their means are off; analyse more frames."
            )
        overshoot = sum(value > IMPOSSIBLE for value in self.series["elf_phi_star"])
        if overshoot:
            out.append(
                f"φ* exceeds 1 in {overshoot} of {len(self.frames)} frames looked at, which no ELF does: the "
                "grid is too coarse for what is read between its points. Use a smaller --spacing "
                "or a larger --shape."
            )
        if self.results["lifetime"].refused:
            out.append(f"No bond lifetimes: {self.results['lifetime'].refused}")
        return out

    def figures(self) -> dict[str, Figure]:
        """Every plot of the run, by file name."""
        figures = {name: self._plot_series(*group).figure for name, group in SERIES.items()}
        return figures | {name: self.results[name].plot().figure for name in DRAWN}

    def _plot_series(self, y_label: str, names: dict[str, str]) -> Axes:
        time, x_label = self.abscissa()
        averages = {label: self.averages[name] for name, label in names.items()}
        return plot_series(
            time,
            {label: np.array(self.series[name]) for name, label in names.items()},
            {label: (each.mean, each.stated_error, str(each)) for label, each in averages.items()},
            x_label=x_label,
            y_label=y_label,
        )

    def summary(self) -> dict[str, Any]:
        """What ``summary.json`` holds."""
        first, last = self.ends[0], self.ends[-1]
        return {
            "status": "stopped" if self.failure else "complete",
            "stopped_by": self.failure,
            "frames": self.n,
            "first_frame": first.frame,
            "last_frame": last.frame,
            "time_fs": [first.time_fs, last.time_fs],
            "composition": self.composition,
            "isovalue": self.settings.isovalue,
            "bonds": {"-".join(pair): cut for pair, cut in self.settings.bonds.items()},
            "domain": self.domain.name,
            "weights_sha256": next(iter(self.weights)) if len(self.weights) == 1 else self.weights,
            "ase_elf": __version__,
            "frames_out_of_domain": self.statistics.n_outside,
            "warnings": self.warnings(),
            "averages": {name: _average(avg) for name, avg in self.averages.items()},
            "lifetime": self.results["lifetime"],
            "rdf": self.results["rdf"],
            "resolved_rdf": self.results["resolved_rdf"],
            "cluster_sizes": self.results["clusters"],
            "degrees": self.results["degrees"],
            "percolation": self.results["percolation"],
            "midpoint_elf": self.results["midpoint"],
            "bond_point_elf": self.results["bond_point"],
            "orientational_order": self.results["orientation"],
            "elf_histogram": self.results["elf"],
        }


SERIES = {
    "networking": (
        "ELF",
        {
            "elf_phi": "φ  (3D)",
            "elf_phi2": "φ₂ (2D)",
            "elf_phi1": "φ₁ (1D)",
            "elf_phi_star": "φ*",
        },
    ),
    "molecular_fraction": (
        "share of atoms",
        {
            "elf_molecular_fraction_cutoff": "nobody else within the bond length",
            "elf_molecular_fraction_distance": "nearest neighbors",
            "elf_molecular_fraction_domain": "ELF domains",
        },
    ),
    "cluster_numbers": (
        "ELF domains",
        {
            "elf_clusters_1": "1 atom",
            "elf_clusters_2": "2 atoms",
            "elf_clusters_3": "3 atoms",
            "elf_clusters_larger": "larger",
        },
    ),
    "bond_length": (
        "length / Å",
        {"elf_bond_length_mean": "bonds", "elf_nearest_distance_mean": "nearest neighbor"},
    ),
}
"""Plotted series: file name to axis label and the scalars with their legends."""


def _average(average: ScalarAverage) -> dict[str, Any]:
    """An average as JSON; no error (null) where the run is too short for one, or nothing varies."""
    return {
        "mean": average.mean,
        "error": average.error,
        "std": average.std,
        "correlation_frames": average.correlation_frames,
        "too_short": average.too_short,
        "constant": average.constant,
        "text": str(average),
    }


def read_results(
    journal: Journal,
    plan: StatisticsPlan,
    *,
    settings: AnalysisSettings,
    domain: Domain,
    symbols: Sequence[str],
    failure: str | None = None,
    shown: frozenset[int] = frozenset(),
    tables: Tables | None = None,
) -> RunResults:
    """Replay a journal, and write the tables on the way where they are given."""
    results = RunResults(RunStatistics(plan), settings, domain, symbols, failure, len(journal), shown)
    for ordinal, frame in enumerate(journal):
        results.add(ordinal, frame)
        if tables:
            tables.add(frame)
    results.conclude()
    return results


DEFINITIONS = {
    "elf_phi": "networking value φ: highest ELF at which one domain is periodic in 3 directions",
    "elf_phi2": "the same in 2 directions",
    "elf_phi1": "the same in 1 direction",
    "elf_phi_star": "molecularity index φ*: highest ELF at which two atoms connect",
    "elf_phi_uncertainty": "uncertainty of φ from grid and model",
    "elf_phi_a": "highest ELF at which a domain closes on itself along a",
    "elf_phi_b": "the same along b",
    "elf_phi_c": "the same along c",
    "elf_molecular_fraction_cutoff": "atoms in pairs with nobody else within the bond length",
    "elf_molecular_fraction_distance": "atoms in pairs of mutual nearest neighbors within the bond length",
    "elf_molecular_fraction_domain": "atoms in ELF domains of exactly two atoms",
    "elf_clusters_1": "ELF domains with 1 atom",
    "elf_clusters_2": "ELF domains with 2 atoms",
    "elf_clusters_3": "ELF domains with 3 atoms",
    "elf_clusters_larger": "larger ELF domains",
    "elf_clusters_chain": "ELF domains of 3 or more atoms that are chains",
    "elf_clusters_branched": "the same, branched",
    "elf_clusters_ring": "the same, with a cycle",
    "elf_degree_mean": "neighbors of an atom in the ELF network",
    "elf_bonds": "pairs within the bond length",
    "elf_bond_length_mean": "their mean length / Å",
    "elf_nearest_distance_mean": "mean distance to the nearest neighbor / Å",
    "elf_bond_midpoint_mean": "mean ELF at bond midpoints",
    "elf_bond_minimum_mean": "mean of the lowest ELF along bonds",
    "elf_bond_point_mean": "mean ELF at the critical points of bonds",
    "elf_nematic_order": "nematic order of molecular axes (finite number: above 0 also at random)",
    "elf_mean": "mean ELF of the cell",
    "elf_sigma": "rms uncertainty of the ELF stated by the model",
}
"""What the averaged scalars mean."""
