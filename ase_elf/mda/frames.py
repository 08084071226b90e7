"""FrameAnalysis: what analyses over the frames of a universe share, in one process or in parts."""

from __future__ import annotations

import contextlib
import copy
import multiprocessing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from MDAnalysis.analysis.base import AnalysisBase
from MDAnalysis.coordinates import base as readers
from threadpoolctl import threadpool_limits

from ase_elf.analysis.recorder import pack_for
from ase_elf.analysis.settings import AnalysisSettings
from ase_elf.errors import InputError
from ase_elf.mda.bridge import described, frame_of

if TYPE_CHECKING:
    import MDAnalysis as mda
    from MDAnalysis.core.groups import AtomGroup

    from ase_elf.domains import Domain
    from ase_elf.statistics.accumulator import Accumulator
    from ase_elf.structures.trajectory import Frame

__all__ = ["FrameAnalysis", "merged"]


class FrameAnalysis(AnalysisBase):
    """Frames of a universe one by one, in this process or in parts, which merge in their order."""

    _analysis_algorithm_is_parallelizable = True

    @classmethod
    def get_supported_backends(cls) -> tuple[str, ...]:
        """Backends of MDAnalysis that the analysis is tested with."""
        return ("serial", "multiprocessing", "dask")

    def __init__(
        self,
        universe: mda.Universe | AtomGroup,
        domain: str | Path | Domain | None,
        verbose: bool,
        **chosen: Any,
    ) -> None:
        trajectory = _trajectory_of_all(universe)
        super().__init__(trajectory, verbose=verbose)
        self._symbols, self._known_time = described(universe.universe)
        atoms = frame_of(trajectory.ts, self._symbols, known_time=False).atoms
        self._pack = pack_for(atoms, domain)
        self._settings = AnalysisSettings.for_atoms(atoms, self._pack, **chosen)
        self._first = 0

    def _compute(self, indexed_frames: np.ndarray, *args: Any, **kwargs: Any) -> Self:
        """One part of the run, in whatever process it was sent to."""
        # Accumulators of parts merge by the numbers of their frames within the run.
        self._first = int(indexed_frames[0, 0]) if len(indexed_frames) else 0
        with _threads_of_a_worker():
            super()._compute(indexed_frames, *args, **kwargs)
        # The serial backend computes all parts with one object, which must not hand out
        # the same results for each of them.
        return copy.copy(self)

    def _frame(self) -> Frame:
        """The frame at which the universe stands."""
        return frame_of(self._ts, self._symbols, known_time=self._known_time)


_STREAMS = getattr(readers, "StreamReaderBase", ())
"""Readers without length or way back; there are none before MDAnalysis 2.10."""


def _trajectory_of_all(universe: mda.Universe | AtomGroup) -> Any:
    """The trajectory, if ``universe`` is all of its atoms and can be read twice."""
    whole, chosen = universe.universe, universe.atoms
    if not np.array_equal(np.sort(chosen.ix), np.arange(len(whole.atoms))):
        raise InputError(
            f"{len(chosen)} of {len(whole.atoms)} atoms were given, but the ELF depends on all "
            "atoms in the cell; give the universe."
        )
    trajectory = whole.trajectory
    if isinstance(trajectory, _STREAMS):
        raise InputError("a live stream has no length and cannot be split; use ase_elf.mda.follow(universe).")
    return trajectory


def merged(parts: list[Accumulator]) -> Accumulator:
    """The parts of a run, in their order, as one."""
    first, *others = parts
    for part in others:
        first.merge(part)
    return first


def _threads_of_a_worker() -> contextlib.AbstractContextManager:
    """One thread while a worker process computes.

    Workers that each used all cores would slow each other down, and a forked process which
    enters an OpenMP region of several threads after its parent did waits forever.
    """
    if multiprocessing.parent_process() is None:
        return contextlib.nullcontext()
    return threadpool_limits(1)
