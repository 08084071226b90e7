"""AnalysisRun: a trajectory, an output directory, and everything that must survive a kill.

Frames are analysed in batches; each batch is appended to a journal before the next begins.
Tables, statistics, plots and report are made from the journal alone, so a run which was
killed and started again leaves the same bytes as one that was not.
"""

from __future__ import annotations

import logging
import time
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from ase_elf import __version__
from ase_elf.analysis.frame import analyze_batch, batches, geometry_digest
from ase_elf.analysis.quantities import BONDS, FRAMES, names_of
from ase_elf.analysis.settings import AnalysisSettings
from ase_elf.domains import Domain, address, find_domain
from ase_elf.errors import ElfError, ElfWarning, InputError, OutputError
from ase_elf.parallel.frames import in_order, workers
from ase_elf.report.snapshots import Snapshot, stride_after
from ase_elf.runs.provenance import (  # noqa: F401 - their old place
    JOURNAL,
    LOG,
    SNAPSHOTS,
    OtherRun,
    claim,
    pack_digest,
    read_provenance,
    versions,
    write_config,
)
from ase_elf.statistics.frame import FrameResult
from ase_elf.storage.atomic import writing_into
from ase_elf.storage.journal import Journal
from ase_elf.structures.trajectory import Frame, Trajectory

__all__ = ["AnalysisRun", "quantities", "snapshot_path", "until_failure"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class AnalysisRun:
    """One analysis of one trajectory in one directory.

    Parameters
    ----------
    trajectory : Trajectory
    domain : str, Path or Domain, optional
        Domain pack by name or folder, or itself; None for the smallest installed one that knows the
        elements of the first frame.
    directory : Path
        Created; must be empty or belong to this very run.
    chosen : mapping
        Settings of :class:`~ase_elf.analysis.settings.AnalysisSettings` that were chosen; the others
        come from the domain pack and the first frame. Lengths of ``bonds`` replace those of the pack
        for the same elements.
    batch : int, optional
        Frames predicted together; by default as many as hold some 1,000 atoms, at most 8.
    device : str, optional
        Where the model runs; with ``workers``, also several devices separated by commas, of
        which process k takes the k-th in turn. Not part of the identity of a run.
    workers : int or str, optional
        Analyse in so many other processes, or on the workers of the Dask scheduler at this
        address. By default in this process. Not part of the identity of a run: the bytes
        are the same where every process has as many threads, else equal to round-off.
    report : bool
        Also make plots and report.
    options : mapping
        Written to ``config.yaml``, so that the run can be repeated from it.
    sources : mapping
        Where each option came from.
    overwrite : bool
        Start over where the directory holds a run; its results are deleted.
    """

    trajectory: Trajectory
    domain: str | Path | Domain | None
    directory: Path
    chosen: Mapping[str, Any] = field(default_factory=dict)
    batch: int | None = None
    device: str | None = None
    workers: int | str | None = None
    report: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    overwrite: bool = False

    def execute(self, progress: Callable[[int], None] | None = None) -> Path:
        """Analyse what is not yet analysed, and write all results.

        Parameters
        ----------
        progress : callable, optional
            Called with the number of frames done so far, once per batch.

        Returns
        -------
        Path
            The directory.

        Raises
        ------
        OutputError
            When the directory belongs to another run, another process writes to it, or the
            disk is full or read-only.
        ElfError
            Whatever stopped the run at a frame. Results of the frames before are written.
        """
        advice = "Frames analysed are kept; make room, or see that it is writable, and start again to go on."
        with writing_into(self.directory, advice):
            return self._execute(progress)

    def _start(self) -> _Started:
        return _Started(self)

    def _execute(self, progress: Callable[[int], None] | None) -> Path:
        started = self._start()
        self.directory.mkdir(parents=True, exist_ok=True)
        claim(self.directory, started.identity(), self.options, self.sources, overwrite=self.overwrite)
        with Journal(self.directory / JOURNAL, started.record) as journal:
            failure = started.analyze(journal, progress)
            started.conclude(journal, failure)
        if failure is not None:
            raise failure
        return self.directory


class _Started:
    """A run whose first frame has been read: with it come domain pack, settings and batch.

    The file is not opened again for the frames after the first, unless a run is taken up again.
    """

    record: type = FrameResult
    """What the journal holds."""

    def __init__(
        self, run: AnalysisRun, first: Frame | None = None, rest: Iterator[Frame] | None = None
    ) -> None:
        self.run, self.directory = run, run.directory
        self._rest = iter(run.trajectory) if rest is None else rest
        first = next(self._rest) if first is None else first
        symbols = set(first.atoms.get_chemical_symbols())
        self.domain = domain = find_domain(run.domain, symbols, first.atoms.pbc)
        if note := domain.open_note(first.atoms):
            warnings.warn(f"{str(run.trajectory.path)!r}: {note}", ElfWarning, stacklevel=3)
        self.first = self._periodic(first)
        try:
            domain.check(self.first.atoms)
        except InputError as error:
            raise InputError(f"{str(run.trajectory.path)!r}, frame {first.index}: {error}") from error
        own = {pair: domain.bonds[pair] for pair in domain.bonds if symbols.issuperset(pair)}
        chosen = dict(run.chosen) | {"bonds": own | dict(run.chosen.get("bonds") or {})}
        self.settings = AnalysisSettings.for_atoms(self.first.atoms, domain, **chosen)
        self.batch = run.batch or max(1, min(8, 1024 // len(first.atoms)))

    def identity(self) -> dict[str, Any]:
        """What must be equal for two runs to be the same; plain YAML values.

        Every setting is in it, by the fields of the classes that hold them, so that none can be
        forgotten.
        """
        settings = self.settings.to_dict()
        del settings["elements"]  # those of the formula
        rulers = self.domain.ruler_cards if self.settings.rulers else {}
        return {
            **self._source(),
            "ruler_weights": sorted(card["sha256"] for card in rulers.values()),
            **settings,
            "batch": self.batch,
            "quantities": quantities(),
            "ase_elf": __version__,
        }

    def _source(self) -> dict[str, Any]:
        """The part of it that says what is analysed, and with which pack."""
        trajectory = self.run.trajectory
        source = {f.name: getattr(trajectory, f.name) for f in fields(trajectory)}
        return {
            "trajectory": Path(source.pop("path")).name,
            **{name: _yaml(value) for name, value in source.items()},
            "topology": None if source["topology"] is None else Path(source["topology"]).name,
            "formula": self.first.atoms.get_chemical_formula(mode="reduce"),
            "first_frame": f"{geometry_digest(self.first.atoms):08x}",
            "domain": address(self.domain),
            "pack": pack_digest(self.domain),
        }

    def analyze(self, journal: Journal, progress: Callable[[int], None] | None) -> ElfError | None:
        """Append what is missing; the error that stopped it, if one did."""
        done, frames = self._resume(journal)
        if progress:
            progress(done)
        began, count = time.perf_counter(), 0
        try:
            for results, snapshots in self._analyzed(frames, done):
                for ordinal, snapshot in snapshots.items():
                    self._keep(ordinal, snapshot)
                journal.append(results)
                done += len(results)
                count += len(results)
                if progress:
                    progress(done)
        except OutputError:
            raise  # results could not be written either
        except ElfError as error:
            if not done:
                raise
            self._log(f"stopped after {done} frames: {error}")
            return error
        seconds = time.perf_counter() - began
        self._log(f"{count} frames in {seconds:.1f} s, {done} in all")
        return None

    def _analyzed(
        self, frames: Iterable[Frame], done: int
    ) -> Iterator[tuple[list[FrameResult], dict[int, Snapshot]]]:
        """Results and snapshots of every batch, from this process or from others."""
        groups = batches(frames, self.batch)
        calls = ((group, done + n * self.batch, self.domain, self.settings) for n, group in enumerate(groups))
        if self.run.workers is None:
            found = (_analyze_group(*call, self.run.device) for call in calls)
            yield from until_failure(found)
            return
        with workers(self.run.workers, self.run.device) as team:
            yield from until_failure(in_order(team, _analyze_group, calls))

    def _resume(self, journal: Journal) -> tuple[int, Iterator[Frame]]:
        """Number of frames that need not be analysed again, and those that do.

        Whole batches only: with other frames beside it in a batch a prediction may differ
        in the last bit.
        """
        done = len(journal)
        if not done:
            journal.keep(0)
            return 0, chain([self.first], map(self._periodic, self._rest))
        self._rest = iter(())  # closes the file
        again = self._from(done - 1)
        self._check_last(journal, next(again))
        left = _goes_on(again)
        if left:
            done -= done % self.batch
        journal.keep(done)
        if done:
            self._log(f"resumed at {done} frames")
        return done, self._from(done) if left else iter(())

    def _from(self, ordinal: int) -> Iterator[Frame]:
        """Frames from that number on, ready for a grid."""
        source = self.run.trajectory
        return map(self._periodic, source.part(start=source.start + ordinal * source.step))

    def _periodic(self, frame: Frame) -> Frame:
        return replace(frame, atoms=self.domain.boxed(frame.atoms, centre=True))

    def _check_last(self, journal: Journal, frame: Frame) -> None:
        if geometry_digest(frame.atoms) != journal.last().geometry:
            raise OutputError(
                f"frame {frame.index} of {self.run.trajectory.path} is not the one analysed in "
                f"{self.directory}: the trajectory was replaced. Choose another output "
                "directory (-o)."
            )

    def _keep(self, ordinal: int, snapshot: Snapshot) -> None:
        folder = self.directory / SNAPSHOTS
        folder.mkdir(exist_ok=True)
        snapshot.write(snapshot_path(folder, ordinal))
        stride = stride_after(ordinal + 1)
        for path in folder.glob("*.npz"):
            if int(path.stem) % stride:
                path.unlink()

    def conclude(self, journal: Journal, failure: ElfError | None) -> None:
        """Write tables, summary and report of what is in the journal."""
        from ase_elf.report.run import write_results

        stride = stride_after(len(journal))
        for path in (self.directory / SNAPSHOTS).glob("*.npz"):
            if int(path.stem) % stride or int(path.stem) >= len(journal):
                path.unlink()
        write_results(
            self.directory,
            journal,
            self.settings.plan(step=self.run.trajectory.step),
            report=self.run.report,
            settings=self.settings,
            domain=self.domain,
            symbols=self.first.atoms.get_chemical_symbols(),
            failure=None if failure is None else str(failure),
        )

    def _log(self, line: str) -> None:
        logger.info(line)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        with (self.directory / LOG).open("a", encoding="utf-8") as log:
            log.write(f"{stamp} {line}\n")


def _goes_on(frames: Iterator[Frame]) -> bool:
    """Whether a frame follows; damage counts as one."""
    try:
        return next(frames, None) is not None
    except ElfError:
        return True


def until_failure(
    found: Iterable[tuple[list[FrameResult], dict[int, Snapshot], InputError | None]],
) -> Iterator[tuple[list[FrameResult], dict[int, Snapshot]]]:
    """Results and snapshots of batches; raises what ended one, after what came before it."""
    for results, snapshots, failure in found:
        if results:
            yield results, snapshots
        if failure is not None:
            raise failure


def quantities() -> str:
    """Digest of what is written down of a frame: results of other versions may lack some."""
    names = (*names_of(FRAMES), *names_of(BONDS), *(each.name for each in fields(FrameResult)))
    return f"{zlib.crc32(' '.join(names).encode()):08x}"


def _yaml(value: Any) -> Any:
    """An option of a trajectory as plain YAML: of a file its name."""
    if isinstance(value, Path):
        return value.name
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return [_yaml(item) for item in value] if isinstance(value, tuple | list) else value


def _analyze_group(
    group: list[Frame], first: int, domain: Domain, settings: AnalysisSettings, device: str | None
) -> tuple[list[FrameResult], dict[int, Snapshot], InputError | None]:
    """Results of one batch, snapshots of those of its frames that a report may show, and what is wrong
    with the frame that ended it.

    ``first`` counts the frames of the run before this batch.
    """
    results, snapshots = [], {}
    found, failure = analyze_batch(group, domain, settings, device=device)
    for ordinal, (result, grid, network) in enumerate(found, first):
        results.append(result)
        if ordinal % stride_after(ordinal + 1) == 0:
            snapshots[ordinal] = Snapshot.of(result.frame, result.time_fs, grid, network)
    return results, snapshots, failure


def snapshot_path(folder: Path, ordinal: int) -> Path:
    """Where the ELF of a frame is kept, by its number in the trajectory."""
    return folder / f"{ordinal:09d}.npz"
