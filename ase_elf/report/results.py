"""RunResults: a run read back from its journal, and the quantities that its files state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_elf import __version__
from ase_elf.analysis.quantities import FRAMES, Quantity, named, names_of
from ase_elf.geometry.pairs import by_name
from ase_elf.plotting.curves import plot_series
from ase_elf.report.tables import Tables, kind_of
from ase_elf.statistics import RunStatistics

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ase_elf.analysis.settings import AnalysisSettings
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
    series: dict[str, list[float]] = field(default_factory=lambda: {n: [] for n in names_of(FRAMES)})
    reasons: dict[str, int] = field(default_factory=dict)
    weights: dict[str, int] = field(default_factory=dict)
    bonds: dict[int, FrameResult] = field(default_factory=dict)
    ends: list[FrameResult] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stride = -(-self.n // MOST_POINTS)

    def add(self, ordinal: int, frame: FrameResult) -> None:
        self.statistics.update(frame)
        for reason in frame.outside:
            kind = kind_of(reason)
            self.reasons[kind] = self.reasons.get(kind, 0) + 1
        self.weights[frame.weights] = self.weights.get(frame.weights, 0) + 1
        if ordinal % self._stride == 0:
            self.frames.append(frame.frame)
            self.times.append(frame.time_fs)
            for name in self.series:
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
        short = [q.definition.partition(":")[0] for q in FRAMES if self.averages[q.name].too_short]
        if short:
            names = "; ".join(short[:3]) + (
                f"; and {len(short) - 3} more, marked below" if len(short) > 3 else ""
            )
            out.append(
                f"Too short for an error bar of {names}. The run may span too few correlation times of "
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
        figures = {name: self.plot_series(name).figure for name in SERIES}
        return figures | {name: self.results[name].plot().figure for name in DRAWN}

    def plot_series(self, name: str, ax: Axes | None = None, **draw: Any) -> Axes:
        """One of :data:`SERIES`, frame by frame."""
        y_label, names = SERIES[name]
        time, x_label = self.abscissa()
        averages = {each.label: self.averages[each.name] for each in named(*names)}
        return plot_series(
            time,
            {each.label: np.array(self.series[each.name]) for each in named(*names)},
            {label: (each.mean, each.stated_error, str(each)) for label, each in averages.items()},
            ax,
            x_label=x_label,
            y_label=y_label,
            **draw,
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
            "bonds": by_name(self.settings.bonds),
            "domain": self.domain.name,
            "weights_sha256": next(iter(self.weights)) if len(self.weights) == 1 else self.weights,
            "ase_elf": __version__,
            "frames_out_of_domain": self.statistics.n_outside,
            "warnings": self.warnings(),
            "averages": {each.name: _average(each, self.averages[each.name]) for each in FRAMES},
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
    "phi": ("networking value φ", ("elf_phi",)),
    "networking": ("ELF", ("elf_phi", "elf_phi2", "elf_phi1", "elf_phi_star")),
    "molecular_fraction": (
        "share of atoms",
        (
            "elf_molecular_fraction_cutoff",
            "elf_molecular_fraction_distance",
            "elf_molecular_fraction_domain",
        ),
    ),
    "cluster_numbers": (
        "ELF domains",
        ("elf_clusters_1", "elf_clusters_2", "elf_clusters_3", "elf_clusters_larger"),
    ),
    "bond_length": ("length / Å", ("elf_bond_length_mean", "elf_nearest_distance_mean")),
}
"""Plotted series: file name to axis label and quantities."""


def _average(quantity: Quantity, average: ScalarAverage) -> dict[str, Any]:
    """An average as JSON; no error (null) where the run is too short for one, or nothing varies."""
    return {
        "definition": quantity.definition,
        "unit": quantity.unit,
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
