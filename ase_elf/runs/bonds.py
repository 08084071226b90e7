"""TrajectoryRun: a fluid or crystal in time, or the bonds of a molecule or cluster along a trajectory.

What :class:`~ase_elf.runs.trajectory.AnalysisRun` is for substances that are periodic: batches in a journal, all
files from the journal alone. Only what is measured of a frame is another thing: bonds, and no grid.
"""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from ase_elf import __version__
from ase_elf.analysis.bond_frames import BondFrame, read_bond_frames
from ase_elf.analysis.frame import batches
from ase_elf.analysis.settings import AnalysisSettings
from ase_elf.calculator import ELFCalculator
from ase_elf.domains import find_domain
from ase_elf.errors import ElfError, ElfWarning, InputError, remedy
from ase_elf.parallel.frames import in_order, workers
from ase_elf.ruler.survey import has_modes
from ase_elf.ruler.table import SURVEY_COLUMNS
from ase_elf.runs.trajectory import AnalysisRun, _Started, until_failure

if TYPE_CHECKING:
    from ase_elf.domains import Domain
    from ase_elf.report.snapshots import Snapshot
    from ase_elf.storage.journal import Journal
    from ase_elf.structures.trajectory import Frame

__all__ = ["FOR_GRIDS", "KIND", "TrajectoryRun"]

KIND = "bonds"
"""In the identity of a run over bonds."""

FOR_GRIDS = ("isovalue", "r_max", "max_lag")
"""Settings that mean nothing for bonds and are refused."""

GRID = ("spacing", "shape")
"""Those of the grid, which is not made: jobs for all kinds of substances may name them, so a warning says it."""


class TrajectoryRun(AnalysisRun):
    """One analysis of one trajectory in one directory, of bonds where its first frame is periodic nowhere.

    Parameters are those of ``AnalysisRun``. For bonds, of ``chosen`` only ``bonds`` means something, the
    longest lengths at which pairs of elements are listed; what is for a grid is refused.
    """

    def _start(self) -> _Started:
        rest = iter(self.trajectory)
        first = next(rest)
        return (_Started if first.atoms.pbc.any() else _StartedBonds)(self, first, rest)


class _StartedBonds(_Started):
    record = BondFrame

    def __init__(self, run: AnalysisRun, first: Frame, rest: Iterator[Frame]) -> None:
        self.run, self.directory, self.first, self._rest = run, run.directory, first, rest
        atoms = first.atoms
        self.domain = find_domain(run.domain, atoms.get_chemical_symbols(), atoms.pbc)
        try:
            _refuse_options(run.chosen)
            self.domain.check(atoms)
        except InputError as error:
            raise InputError(f"{str(run.trajectory.path)!r}, frame {first.index}: {error}") from error
        if note := self.domain.open_note(atoms):
            warnings.warn(note, ElfWarning, stacklevel=2)
        if unused := [name for name in GRID if run.chosen.get(name) is not None]:
            warnings.warn(
                f"{', '.join(unused)} without effect: {str(run.trajectory.path)!r} is periodic nowhere, its bonds "
                "are read without a grid.",
                ElfWarning,
                stacklevel=2,
            )
        own, given = self.domain.bonds, dict(run.chosen.get("bonds") or {})
        self.cutoffs = {
            pair: own[pair] for pair in own if set(pair) <= set(atoms.get_chemical_symbols())
        } | given
        self.batch = run.batch or max(1, min(8, 1024 // len(atoms)))

    def identity(self) -> dict[str, Any]:
        names = (*SURVEY_COLUMNS.names, *(each.name for each in fields(BondFrame)))
        return {
            **self._source(),
            "kind": KIND,
            "ruler_weights": sorted(card["sha256"] for card in self.domain.ruler_cards.values()),
            "bonds": {"-".join(pair): length for pair, length in self.cutoffs.items()},
            "modes": has_modes(),
            "batch": self.batch,
            "quantities": f"{zlib.crc32(' '.join(names).encode()):08x}",
            "ase_elf": __version__,
        }

    def _periodic(self, frame: Frame) -> Frame:
        return frame  # as it is

    def _analyzed(
        self, frames: Iterable[Frame], done: int
    ) -> Iterator[tuple[list[BondFrame], dict[int, Snapshot]]]:
        calls = ((group, self.domain, self.cutoffs) for group in batches(frames, self.batch))
        if self.run.workers is None:
            yield from until_failure(_read_group(*call, self.run.device) for call in calls)
            return
        with workers(self.run.workers, self.run.device) as team:
            yield from until_failure(in_order(team, _read_group, calls))

    def conclude(self, journal: Journal, failure: ElfError | None) -> None:
        """Write tables, summary and report of what is in the journal."""
        from ase_elf.report.bonds import write_bond_results

        write_bond_results(
            self.directory,
            journal,
            self.first.atoms,
            ELFCalculator(domain=self.domain, device=self.run.device),
            step=self.run.trajectory.step,
            cutoffs=self.cutoffs,
            report=self.run.report,
            failure=None if failure is None else str(failure),
        )


def _refuse_options(chosen: Mapping[str, Any]) -> None:
    """Raise :class:`InputError` for settings that mean nothing without a grid."""
    usual = {f.name: f.default for f in fields(AnalysisSettings)}
    given = [n for n in FOR_GRIDS if chosen.get(n) not in (None, usual[n])]
    if given:
        raise InputError(
            f"{', '.join(given)}: of no use for a molecule or cluster, which is periodic nowhere: its bonds are "
            f"analysed, without a grid. If it repeats, {remedy('set atoms.cell and atoms.pbc', 'give its --cell')}."
        )


def _read_group(
    group: list[Frame], domain: Domain, cutoffs: dict[tuple[str, str], float], device: str | None
) -> tuple[list[BondFrame], dict[int, Snapshot], InputError | None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ElfWarning)  # every record says it, and the report
        found, failure = read_bond_frames(group, ELFCalculator(domain=domain, device=device), cutoffs)
    return found, {}, failure
