"""Recorder: frames in, network statistics out, at any moment.

What feeds it is not its business: an ASE observer (here), MDAnalysis over a file or a live
stream (:mod:`ase_elf.mda`). All of them fill the accumulators of
:mod:`ase_elf.statistics`, so all of them give the same numbers.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_elf.analysis.frame import SCALARS, analyze
from ase_elf.analysis.settings import AnalysisSettings, positive
from ase_elf.domains import Domain, find_domain
from ase_elf.errors import ElfWarning, named
from ase_elf.statistics import FrameResult, RunStatistics
from ase_elf.structures.trajectory import Frame

if TYPE_CHECKING:
    from ase import Atoms
    from ase.optimize.optimize import Dynamics


__all__ = ["NetworkObserver", "Recorder", "pack_for", "time_of"]


class Recorder:
    """Network statistics of the frames added so far.

    Parameters
    ----------
    domain : Domain
    settings : AnalysisSettings
    device : str, optional
        Where the model runs.
    batch : int
        Frames predicted together. More keep a GPU busy; 1 shows every frame at once.
    first : int
        Number of the first frame within the run, for parts of a run that are merged.

    Attributes
    ----------
    statistics : RunStatistics
        Of the frames analysed so far. Those of neighboring parts of a run merge.
    rows : list of tuple of float
        The scalars of each frame, in the order of :data:`ase_elf.analysis.frame.SCALARS`.
    frames : list of int
        Index of each frame in its trajectory.
    times_fs : list of float

    Examples
    --------
    >>> from ase_elf.analysis.recorder import Recorder
    >>> from ase_elf.testing import GaussianDomain, molecular_fluid
    >>> from ase_elf.structures.trajectory import Frame
    >>> fluid = molecular_fluid(8, 3)
    >>> recorder = Recorder.starting_with(fluid[0], domain=GaussianDomain(), batch=2)
    >>> for k, atoms in enumerate(fluid):
    ...     analysed = recorder.add(Frame(k, 1.0 * k, atoms))
    >>> len(recorder), len(recorder.flush()), len(recorder)
    (2, 1, 3)
    >>> recorder.statistics.result()["series"]["elf_molecular_fraction_distance"].mean
    1.0
    """

    def __init__(
        self,
        domain: Domain,
        settings: AnalysisSettings,
        *,
        device: str | None = None,
        batch: int = 8,
        first: int = 0,
    ) -> None:
        self.domain = domain
        self.settings = settings
        self.device = device
        self.batch = positive(batch, "batch")
        self.statistics = RunStatistics(settings.plan())
        self.rows: list[tuple[float, ...]] = []
        self.frames: list[int] = []
        self.times_fs: list[float] = []
        self._next = first
        self._waiting: list[Frame] = []

    @classmethod
    def starting_with(
        cls,
        atoms: Atoms,
        *,
        domain: str | Path | Domain | None = None,
        device: str | None = None,
        batch: int = 8,
        **chosen: Any,
    ) -> Recorder:
        """A recorder for runs of ``atoms``, set up as :meth:`AnalysisSettings.for_atoms` does.

        Parameters
        ----------
        atoms : ase.Atoms
        domain : str, Path or Domain, optional
            By default the smallest installed pack that knows the elements.
        device, batch : optional
        **chosen
            Of :class:`~ase_elf.analysis.settings.AnalysisSettings`.

        Raises
        ------
        InputError
            For a structure that cannot be used, and for what is no setting.
        """
        pack = pack_for(atoms, domain)
        settings = AnalysisSettings.for_atoms(atoms, pack, **chosen)
        return cls(pack, settings, device=device, batch=batch)

    def __len__(self) -> int:
        """Number of frames analysed."""
        return len(self.rows)

    @property
    def series(self) -> dict[str, np.ndarray]:
        """Name to ndarray, shape (n_frames,), float64: the scalars of every frame so far."""
        table = np.array(self.rows).reshape(-1, len(SCALARS))
        return dict(zip(SCALARS, table.T, strict=True))

    def add(self, frame: Frame) -> list[FrameResult]:
        """Take one frame; frames follow each other without gaps.

        Returns
        -------
        list of FrameResult
            Of this frame and those that waited for it, when a batch is complete; else empty.

        Raises
        ------
        InputError
            When a frame of the batch cannot be used. Those before it have been counted.
        """
        self._waiting.append(frame)
        return self.flush() if len(self._waiting) >= self.batch else []

    def flush(self) -> list[FrameResult]:
        """Analyse the frames of an incomplete batch."""
        waiting, self._waiting = self._waiting, []
        found = []
        groups = analyze(waiting, self.domain, self.settings, device=self.device, batch=self.batch)
        for group in groups:
            for result, _, _ in group:
                self._count(result)
                found.append(result)
        return found

    def _count(self, result: FrameResult) -> None:
        # Accumulators number the frames of the run, whatever numbers the file gave them.
        self.statistics.update(replace(result, frame=self._next))
        self._next += 1
        self.rows.append(tuple(result.scalars[name] for name in SCALARS))
        self.frames.append(result.frame)
        self.times_fs.append(result.time_fs)


class NetworkObserver:
    """Feeds a recorder with the structures of a running simulation.

    Attach it with ``dyn.attach(observer, interval=10)``. The ELF is evaluated in the process
    of the simulation; to do it in another one see :class:`ase_elf.imd.IMDServer`.

    Parameters
    ----------
    dynamics : ase Dynamics
        Molecular dynamics or an optimizer. Only the former has times, without which there
        are no bond lifetimes.
    recorder : Recorder, optional
        By default one for ``dynamics.atoms`` with default settings and ``batch=1``.

    Attributes
    ----------
    recorder : Recorder
    failures : int
        Structures that could not be analysed: NaN in the positions, no memory, a GPU that is
        gone, a bug. Each gives an :class:`~ase_elf.errors.ElfWarning` and is missing in the
        statistics, whose lifetimes need frames at equal distances in time; an observer never
        stops the run it observes.
    """

    def __init__(self, dynamics: Dynamics, recorder: Recorder | None = None) -> None:
        self.dynamics = dynamics
        if recorder is None:  # an empty one is false, too
            recorder = Recorder.starting_with(dynamics.atoms, batch=1)
        self.recorder = recorder
        self.failures = 0

    def __call__(self) -> None:
        """Record the current structure."""
        try:
            structure = self.dynamics.atoms.copy()
            self.recorder.add(Frame(self.dynamics.nsteps, time_of(self.dynamics), structure))
        except Exception as error:
            self.failures += 1
            warnings.warn(
                f"step {self.dynamics.nsteps} is not in the statistics ({named(error)}) "
                "The simulation goes on without it.",
                ElfWarning,
                stacklevel=2,
            )


def time_of(dynamics: Dynamics) -> float:
    """Time of a simulation in fs, NaN for one that knows no time."""
    from ase.units import fs

    return dynamics.get_time() / fs if hasattr(dynamics, "get_time") else np.nan


def pack_for(atoms: Atoms, domain: str | Path | Domain | None) -> Domain:
    """The domain pack meant by ``domain``, checked against ``atoms``."""
    pack = find_domain(domain, atoms.get_chemical_symbols(), atoms.pbc)
    pack.check(atoms)
    return pack
