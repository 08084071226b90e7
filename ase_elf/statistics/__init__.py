"""Hydrogen-network statistics over frames: mergeable accumulators, each with its error bar.

All of them take :class:`FrameResult` objects through ``update``, join parts of a run with
``merge``, and give a frozen dataclass with ``result``. None keeps the frames.
"""

from ase_elf.statistics.accumulator import Accumulator
from ase_elf.statistics.binned import BinnedAverage, BondPointELF, MidpointELF, OrientationalOrder
from ase_elf.statistics.blocking import Blocking, Estimate, RatioBlocking
from ase_elf.statistics.distributions import (
    ClusterSizes,
    DegreeDistribution,
    Distribution,
    ELFHistogram,
)
from ase_elf.statistics.exchange import PartnerChanges
from ase_elf.statistics.frame import FrameResult
from ase_elf.statistics.lifetime import BondLifetime, Lifetime, vibration_period
from ase_elf.statistics.percolation import Percolation, PercolationCurve
from ase_elf.statistics.rdf import RDF, RadialDistribution
from ase_elf.statistics.resolved import ResolvedDistribution, ResolvedRDF
from ase_elf.statistics.run import RunStatistics
from ase_elf.statistics.series import ScalarAverage, TimeSeries

__all__ = [
    "RDF",
    "Accumulator",
    "BinnedAverage",
    "Blocking",
    "BondLifetime",
    "BondPointELF",
    "ClusterSizes",
    "DegreeDistribution",
    "Distribution",
    "ELFHistogram",
    "Estimate",
    "FrameResult",
    "Lifetime",
    "MidpointELF",
    "OrientationalOrder",
    "PartnerChanges",
    "Percolation",
    "PercolationCurve",
    "RadialDistribution",
    "RatioBlocking",
    "ResolvedDistribution",
    "ResolvedRDF",
    "RunStatistics",
    "ScalarAverage",
    "TimeSeries",
    "vibration_period",
]
