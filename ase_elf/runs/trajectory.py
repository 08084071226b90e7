"""AnalysisRun: a trajectory, an output directory, and everything that must survive a kill.

Frames are analysed in batches; each batch is appended to a journal before the next begins.
Tables, statistics, plots and report are made from the journal alone, so a run which was
killed and started again leaves the same bytes as one that was not.
"""

from __future__ import annotations

import json
import logging
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from ase_elf import __version__
from ase_elf.analysis.bonding import BOND_COLUMNS
from ase_elf.analysis.frame import (
    SCALARS,
    AnalysisSettings,
    analyze_batch,
    batches,
    geometry_digest,
    settings_for,
)
from ase_elf.domains import Domain
from ase_elf.errors import ElfError, FormatError, InputError, OutputError
from ase_elf.parallel.frames import in_order, workers
from ase_elf.report.snapshots import Snapshot, stride_after
from ase_elf.statistics.frame import FrameResult
from ase_elf.storage.atomic import PART, replacing, writing_into
from ase_elf.storage.configuration import read_mapping
from ase_elf.storage.journal import Journal
from ase_elf.structures.trajectory import Frame, NoFrames, Trajectory

logger = logging.getLogger(__name__)

CONFIG, JOURNAL, SNAPSHOTS, LOG = "config.yaml", "journal.jsonl", "snapshots", "run.log"
PROVENANCE = "provenance"
"""The one key of ``config.yaml`` that is no option."""


@dataclass(frozen=True, eq=False)
class AnalysisRun:
    """One analysis of one trajectory in one directory.

    Parameters
    ----------
    trajectory : Trajectory
    domain : Domain
    directory : Path
        Created; must be empty or belong to this very run.
    chosen : mapping
        Settings of :class:`~ase_elf.analysis.frame.AnalysisSettings` that were chosen; the others
        come from the domain pack and the first frame.
    batch : int, optional
        Frames predicted together; by default as many as hold some 1,000 atoms, at most 8.
    max_lag : int
        Longest lag of the bond correlation functions, in frames.
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
    domain: Domain
    directory: Path
    chosen: Mapping[str, Any] = field(default_factory=dict)
    batch: int | None = None
    max_lag: int = 200
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

    def _execute(self, progress: Callable[[int], None] | None) -> Path:
        first = self._first()
        settings = settings_for(first.atoms, self.domain, **self.chosen)
        self.directory.mkdir(parents=True, exist_ok=True)
        batch = self.batch or max(1, min(8, 1024 // len(first.atoms)))
        identity = self._identity(first, settings, batch)
        claim(self.directory, identity, self.options, self.sources, overwrite=self.overwrite)
        with Journal(self.directory / JOURNAL, FrameResult) as journal:
            failure = self._analyze(journal, settings, batch, progress)
            self._conclude(journal, settings, first, failure)
        if failure is not None:
            raise failure
        return self.directory

    def _first(self) -> Frame:
        first = next(self._frames(0))
        try:
            self.domain.check(first.atoms)
        except InputError as error:
            raise InputError(f"{str(self.trajectory.path)!r}, frame {first.index}: {error}") from error
        return first

    def _identity(self, first: Frame, settings: AnalysisSettings, batch: int) -> dict[str, Any]:
        """What must be equal for two runs to be the same; plain YAML values.

        Every setting is in it, by the fields of the classes that hold them, so that none can be
        forgotten.
        """
        source = {f.name: getattr(self.trajectory, f.name) for f in fields(self.trajectory)}
        chosen = {f.name: getattr(settings, f.name) for f in fields(settings)}
        del chosen["elements"]  # those of the formula
        rulers = self.domain.ruler_cards if settings.rulers else {}
        return {
            "trajectory": Path(source.pop("path")).name,
            **{name: _yaml(value) for name, value in source.items()},
            "topology": None if source["topology"] is None else Path(source["topology"]).name,
            "formula": first.atoms.get_chemical_formula(mode="reduce"),
            "first_frame": f"{geometry_digest(first.atoms):08x}",
            "domain": self.domain.name,
            "pack": pack_digest(self.domain),
            "ruler_weights": sorted(card["sha256"] for card in rulers.values()),
            **{name: _yaml(value) for name, value in chosen.items()},
            "max_lag": self.max_lag,
            "batch": batch,
            "quantities": quantities(),
            "ase_elf": __version__,
        }

    def _analyze(
        self,
        journal: Journal,
        settings: AnalysisSettings,
        batch: int,
        progress: Callable[[int], None] | None,
    ) -> ElfError | None:
        """Append what is missing; the error that stopped it, if one did."""
        done = self._resume(journal, batch)
        if progress:
            progress(done)
        began, count = time.perf_counter(), 0
        try:
            frames = self._frames(done) if self._has(done) else ()
            for results, snapshots in self._analyzed(frames, settings, batch, done):
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
        self, frames: Iterable[Frame], settings: AnalysisSettings, batch: int, done: int
    ) -> Iterator[tuple[list[FrameResult], dict[int, Snapshot]]]:
        """Results and snapshots of every batch, from this process or from others."""
        groups = batches(frames, self.domain, settings, batch)
        calls = ((group, done + n * batch, self.domain, settings) for n, group in enumerate(groups))
        if self.workers is None:
            yield from (_analyze_group(*call, self.device) for call in calls)
            return
        with workers(self.workers, self.device) as team:
            yield from in_order(team, _analyze_group, calls)

    def _resume(self, journal: Journal, batch: int) -> int:
        """Number of frames that need not be analysed again.

        Whole batches only: with other frames beside it in a batch a prediction may differ
        in the last bit.
        """
        done = len(journal)
        if done and not self._has(done):
            journal.keep(done)  # nothing is left to do but to write the results
        else:
            done -= done % batch
            journal.keep(done)
        if done:
            self._check_last(journal)
            self._log(f"resumed at {done} frames")
        return done

    def _from(self, ordinal: int) -> Trajectory:
        source = self.trajectory
        return replace(source, start=source.start + ordinal * source.step)

    def _frames(self, ordinal: int) -> Iterator[Frame]:
        """Frames from that number on, ready for a grid."""
        for frame in self._from(ordinal):
            yield replace(frame, atoms=self.domain.periodic(frame.atoms))

    def _has(self, ordinal: int) -> bool:
        """Whether the trajectory holds a frame of that number; damage counts as a frame."""
        try:
            next(iter(self._from(ordinal)))
        except NoFrames:
            return False
        except ElfError:
            pass
        return True

    def _check_last(self, journal: Journal) -> None:
        last = journal.last()
        frame = next(self._frames(len(journal) - 1))
        if geometry_digest(frame.atoms) != last.geometry:
            raise OutputError(
                f"frame {frame.index} of {self.trajectory.path} is not the one analysed in "
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

    def _conclude(
        self, journal: Journal, settings: AnalysisSettings, first: Frame, failure: ElfError | None
    ) -> None:
        from ase_elf.report.run import write_results

        stride = stride_after(len(journal))
        for path in (self.directory / SNAPSHOTS).glob("*.npz"):
            if int(path.stem) % stride or int(path.stem) >= len(journal):
                path.unlink()
        write_results(
            self.directory,
            journal,
            settings.plan(step=self.trajectory.step, max_lag=self.max_lag),
            report=self.report,
            settings=settings,
            domain=self.domain,
            symbols=first.atoms.get_chemical_symbols(),
            failure=None if failure is None else str(failure),
        )

    def _log(self, line: str) -> None:
        logger.info(line)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        with (self.directory / LOG).open("a", encoding="utf-8") as log:
            log.write(f"{stamp} {line}\n")


def quantities() -> str:
    """Digest of what is written down of a frame: results of other versions may lack some."""
    names = (*SCALARS, *BOND_COLUMNS, *(each.name for each in fields(FrameResult)))
    return f"{zlib.crc32(' '.join(names).encode()):08x}"


def pack_digest(domain: Domain) -> str:
    """Digest of the card of a pack: of all its weights, and of what else shapes its results."""
    return f"{zlib.crc32(json.dumps(domain.card, sort_keys=True).encode()):08x}"


def _yaml(value: Any) -> Any:
    """A setting as plain YAML: pairs of elements as text, of a file its name."""
    if isinstance(value, Mapping):
        return {"-".join(key): _yaml(item) for key, item in value.items()}
    if isinstance(value, Path):
        return value.name
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return [_yaml(item) for item in value] if isinstance(value, tuple | list) else value


class OtherRun(OutputError):
    """A directory holds a run with other settings.

    Parameters
    ----------
    directory : Path
    different : dict of str to tuple
        Settings to their values there and now.
    """

    def __init__(self, directory: Path, different: Mapping[str, tuple[Any, Any]]) -> None:
        self.directory, self.different = directory, different
        super().__init__(self.told("overwrite=True", "another directory"))

    def told(self, overwrite: str, elsewhere: str) -> str:
        """The message, with the words for starting over and for going elsewhere."""
        details = ", ".join(f"{k} {there} there, {now} now" for k, (there, now) in self.different.items())
        return (
            f"{self.directory} holds a run with other settings ({details}). Give {overwrite} to "
            f"start over there, which deletes its results, or choose {elsewhere}."
        )


def claim(
    directory: Path,
    identity: Mapping[str, Any],
    options: Mapping[str, Any],
    sources: Mapping[str, str],
    *,
    overwrite: bool = False,
) -> None:
    """Take an empty directory for a run by writing its ``config.yaml``, or find it taken.

    Raises
    ------
    OtherRun
        The directory holds a run of another identity, and ``overwrite`` is false.
    OutputError
        The directory holds something else.
    """
    if (directory / CONFIG).exists():
        stored = read_provenance(directory)["identity"]
        if overwrite:
            _clear(directory)
            write_config(directory, options, identity, overwrite=True, sources=dict(sources))
            return
        different = {
            key: (stored.get(key, "not stated"), identity.get(key, "not stated"))
            for key in dict.fromkeys([*identity, *stored])
            if stored.get(key) != identity.get(key)
        }
        if different:
            raise OtherRun(directory, different)
        return
    # A process killed in here leaves the unfinished file, which is written over.
    if any(path.name != CONFIG + PART for path in directory.iterdir()):
        raise OutputError(
            f"{directory} is not empty and holds no analysis; choose another output "
            "directory (-o), or empty it."
        )
    write_config(directory, options, identity, sources=dict(sources))


RESULTS = ("summary.json", "frames.csv", "bonds.csv", "screening.json", "screening.csv", "report.html")
"""Files that a run writes beside its journal."""


def _clear(directory: Path) -> None:
    """Delete what a run left, and nothing else, unless another process is writing to it."""
    with Journal(directory / JOURNAL, FrameResult) as journal:
        journal.keep(0)
        for name in (*RESULTS, LOG):
            (directory / name).unlink(missing_ok=True)
        for pattern in (f"{SNAPSHOTS}/*.npz", "plots/*.png", "plots/*.svg"):
            for path in directory.glob(pattern):
                path.unlink()


def _analyze_group(
    group: list[Frame], first: int, domain: Domain, settings: AnalysisSettings, device: str | None
) -> tuple[list[FrameResult], dict[int, Snapshot]]:
    """Results of one batch, and snapshots of those of its frames that a report may show.

    ``first`` counts the frames of the run before this batch.
    """
    results, snapshots = [], {}
    found = analyze_batch(group, domain.load(device=device), domain, settings)
    for ordinal, (result, grid, network) in enumerate(found, first):
        results.append(result)
        if ordinal % stride_after(ordinal + 1) == 0:
            snapshots[ordinal] = Snapshot.of(result.frame, result.time_fs, grid, network)
    return results, snapshots


def snapshot_path(folder: Path, ordinal: int) -> Path:
    """Where the ELF of a frame is kept, by its number in the trajectory."""
    return folder / f"{ordinal:09d}.npz"


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    found = {"ase_elf": __version__, "python": platform.python_version()}
    for package in ("ase", "numpy", "scipy", "torch", "MDAnalysis", "vesin"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def write_config(
    directory: Path,
    options: Mapping[str, Any],
    identity: Mapping[str, Any],
    *,
    overwrite: bool = False,
    **more: Any,
) -> None:
    """Write ``config.yaml``: options first, then where they and the numbers come from.

    Raises
    ------
    OutputError
        There is one: another process was faster.
    """
    config = directory / CONFIG
    provenance = {"identity": dict(identity), **more, "versions": versions()}
    content = {**options, PROVENANCE: provenance}
    with replacing(config) as part:
        if config.exists() and not overwrite:  # asked here, where no other process can write it
            raise OutputError(
                f"another run has just begun in {directory}; wait for it to end, or choose another "
                "output directory (-o)."
            )
        part.write_text(
            yaml.dump(content, Dumper=_Plain, sort_keys=False, allow_unicode=True),
            encoding="utf-8",
        )


class _Plain(yaml.SafeDumper):
    """Writes a list that occurs twice twice: aliases are refused on reading."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def read_provenance(directory: Path) -> dict[str, Any]:
    """What ``config.yaml`` of a run says about where it came from.

    Raises
    ------
    OutputError
        When the directory holds no analysis.
    """
    path = Path(directory) / CONFIG
    try:
        provenance = read_mapping(path)[PROVENANCE]
        provenance["identity"]["start"]
    except (FormatError, KeyError, TypeError) as error:
        raise OutputError(
            f"{directory} is not the output directory of an analysis: it has no sound {CONFIG}."
        ) from error
    return provenance
