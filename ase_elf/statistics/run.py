"""RunStatistics: every statistic of a run behind one update, merge and result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from ase_elf.statistics.accumulator import Accumulator
from ase_elf.statistics.binned import BondPointELF, MidpointELF, OrientationalOrder
from ase_elf.statistics.distributions import ClusterSizes, DegreeDistribution, ELFHistogram
from ase_elf.statistics.lifetime import BondLifetime
from ase_elf.statistics.percolation import Percolation
from ase_elf.statistics.rdf import RadialDistribution
from ase_elf.statistics.resolved import ResolvedDistribution
from ase_elf.statistics.series import TimeSeries

if TYPE_CHECKING:
    from ase_elf.statistics.frame import FrameResult

LARGEST_CLUSTER = 12
"""Cluster sizes counted one by one; the last bin holds this size and larger."""

LARGEST_DEGREE = 8
"""Degrees counted one by one; the last bin holds this degree and larger."""


@dataclass(frozen=True, eq=False)
class StatisticsPlan:
    """Bins and names the accumulators of a run share with its frames.

    Parameters
    ----------
    names : tuple of str
        Scalars to average.
    pairs : tuple of str
        Pairs of elements for g(r), such as ``"A-B"``.
    r_edges : ndarray, shape (n_r + 1,), Å
        Bins of g(r).
    bonding_pairs : tuple of str
        Those of them that can bond.
    resolved_edges : ndarray, Å
        Bins of g(r) resolved by the ELF half way.
    elf_edges : ndarray
        Classes of ELF half way.
    orientation_edges, length_edges : ndarray, Å
        Bins of center distance of molecules, and of bond length.
    isovalues : ndarray
        Ladder of ELF isovalues for percolation.
    n_elf : int
        Bins of the ELF histogram.
    masses : dict
        Mass (u) of the elements that bond.
    max_lag : int
        Longest lag of the bond correlation functions, in frames.
    step : int
        Distance of neighboring frames in the numbering of the trajectory.
    """

    names: tuple[str, ...]
    pairs: tuple[str, ...]
    r_edges: np.ndarray
    bonding_pairs: tuple[str, ...]
    resolved_edges: np.ndarray
    elf_edges: np.ndarray
    orientation_edges: np.ndarray
    length_edges: np.ndarray
    isovalues: np.ndarray
    n_elf: int
    masses: dict[str, float]
    max_lag: int = 200
    step: int = 1


class RunStatistics(Accumulator):
    """All statistics of a run, by name in ``parts``.

    ``series``, ``rdf``, ``resolved_rdf``, ``clusters``, ``degrees``, ``elf``, ``percolation``,
    ``midpoint``, ``bond_point``, ``orientation`` and ``lifetime``; plus the share of frames
    outside the trained range.

    Parameters
    ----------
    plan : StatisticsPlan
    """

    def __init__(self, plan: StatisticsPlan) -> None:
        super().__init__(step=plan.step)
        step = {"step": plan.step}
        self.plan = plan
        self.parts: dict[str, Accumulator] = {
            "series": TimeSeries(plan.names, **step),
            "rdf": RadialDistribution(plan.pairs, plan.r_edges, **step),
            "resolved_rdf": ResolvedDistribution(
                plan.bonding_pairs, plan.resolved_edges, plan.elf_edges, **step
            ),
            "clusters": ClusterSizes(LARGEST_CLUSTER, **step),
            "degrees": DegreeDistribution(LARGEST_DEGREE + 1, **step),
            "elf": ELFHistogram(plan.n_elf, **step),
            "percolation": Percolation(plan.isovalues, **step),
            "midpoint": MidpointELF(plan.length_edges, **step),
            "bond_point": BondPointELF(plan.length_edges, **step),
            "orientation": OrientationalOrder(plan.orientation_edges, **step),
            "lifetime": BondLifetime(plan.masses, max_lag=plan.max_lag, **step),
        }
        self.n_frames = 0
        self.n_outside = 0

    def update(self, frame: FrameResult) -> None:
        for part in self.parts.values():
            part.update(frame)
        self.n_frames += 1
        self.n_outside += bool(frame.outside)

    def merge(self, other: Self) -> None:
        for name, part in self.parts.items():
            part.merge(other.parts[name])
        self.n_frames += other.n_frames
        self.n_outside += other.n_outside

    def result(self) -> dict[str, object]:
        """The result of every part, by its name."""
        return {name: part.result() for name, part in self.parts.items()}

    def state(self) -> dict[str, np.ndarray]:
        """Arrays of all parts, keys ``part/array``."""
        flat = {
            f"{name}/{key}": array for name, part in self.parts.items() for key, array in part.state().items()
        }
        return {"frames": np.array([self.n_frames, self.n_outside]), **flat}

    def load(self, state: dict[str, np.ndarray]) -> None:
        self.n_frames, self.n_outside = (int(x) for x in state["frames"])
        for name, part in self.parts.items():
            prefix = f"{name}/"
            part.load({k[len(prefix) :]: v for k, v in state.items() if k.startswith(prefix)})
