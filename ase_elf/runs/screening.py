"""Screening: many unrelated structures, ranked by what their ELF, read or predicted, connects."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_elf import __version__, domains
from ase_elf.analysis.critical_temperature import tc_beside, tc_by_bands
from ase_elf.analysis.frame import geometry_digest
from ase_elf.analysis.screening import VALUES, Screened, rank, source_of
from ase_elf.errors import ElfError, ElfWarning, FormatError, OutputError
from ase_elf.formats.collection import Candidate, Collection
from ase_elf.geometry.neighbors import Neighbors
from ase_elf.grid import ELFGrid
from ase_elf.parallel.frames import in_order, workers
from ase_elf.prediction import Predictor, Shape
from ase_elf.runs.provenance import JOURNAL, claim, pack_digest
from ase_elf.storage.atomic import writing_into
from ase_elf.storage.journal import Journal

if TYPE_CHECKING:
    from ase import Atoms

    from ase_elf.domains import Domain
    from ase_elf.topology import Networking

    Bonds = dict[tuple[str, str], float]

__all__ = ["GRID_PER_ATOM", "MOST_TOGETHER", "Screener", "ScreeningRun", "grouped"]

MOST_TOGETHER = 32
"""Structures predicted together, if they hold fewer than ``MOST_ATOMS`` atoms."""

MOST_ATOMS = 1024

GRID_PER_ATOM = 4096
"""Points of a grid from a file that count as an atom, so that few large ones are held at once."""


@dataclass(frozen=True)
class Screener:
    """Predicts structures of any size and composition together, and reads their networks.

    Parameters
    ----------
    domain : str, Path or Domain, optional
        Domain pack for all, by name or folder or itself; by default each structure's own.
    device : str, optional
    spacing : float, optional
        Å; by default that of the domain pack.
    shape : tuple of int, optional
        Grid for all, instead of ``spacing``.

    Raises
    ------
    DomainError
        If there is no such pack.
    """

    domain: str | Path | Domain | None = None
    device: str | None = None
    spacing: float | None = None
    shape: tuple[int, int, int] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.domain, str | Path):  # as other processes find it, wherever they run
            object.__setattr__(self, "domain", domains.address(domains.find_domain(self.domain)))

    @cached_property
    def predictor(self) -> Predictor:
        """What predicts the structures."""
        return Predictor(self.domain, self.device)

    def shape_for(self, atoms: Atoms) -> Shape:
        """The grid of a structure."""
        return self.predictor.shapes([atoms], self.shape or None, None if self.shape else self.spacing)[0]

    def screen(self, candidates: Iterable[Candidate], batch: int = MOST_TOGETHER) -> Iterator[list[Screened]]:
        """A row for every candidate, in order, one batch at a time.

        What is wrong with one of them is in its row and stops nothing.
        """
        for group in grouped(candidates, batch):
            yield self.rows(group)

    def rows(self, group: list[Candidate]) -> list[Screened]:
        """A row for every candidate of one batch."""
        rows: list[Screened | None] = [None] * len(group)
        good: list[tuple[int, Neighbors, Shape]] = []
        for k, candidate in enumerate(group):
            if candidate.atoms is None:
                rows[k] = Screened(candidate.name, error=candidate.error, notes=candidate.notes)
                continue
            if candidate.grid is not None:
                rows[k] = _measured(candidate, candidate.grid, None)
                continue
            near = Neighbors(candidate.atoms)
            try:
                self.predictor.domain_of(candidate.atoms).check(candidate.atoms, near)
                good.append((k, near, self.shape_for(candidate.atoms)))
            except ElfError as error:
                rows[k] = _row(candidate, error=str(error))
        nearby = [near for _, near, _ in good]
        structures = [near.atoms for near in nearby]
        shapes = [shape for _, _, shape in good]
        grids = self.predictor.grids(structures, shapes, nearby, keep_errors=True)
        for (k, near, _), grid in zip(good, grids, strict=True):
            rows[k] = _measured(group[k], grid, self.predictor.domain_of(near.atoms), near)
        return [row for row in rows if row is not None]

    def __getstate__(self) -> dict[str, Any]:
        # Models are loaded again where they are needed, on the device that is there.
        return {f.name: getattr(self, f.name) for f in fields(self)}


def _rows(screener: Screener, group: list[Candidate], device: str | None) -> list[Screened]:
    """The rows of a batch, in whatever process and on whatever device that runs."""
    return replace(screener, device=device).rows(group)


def grouped(candidates: Iterable[Candidate], batch: int) -> Iterator[list[Candidate]]:
    """Candidates that are predicted together: few, and not too many atoms."""
    group: list[Candidate] = []
    atoms = 0
    for candidate in candidates:
        n = 0 if candidate.atoms is None else len(candidate.atoms)
        n += 0 if candidate.grid is None else candidate.grid.values.size // GRID_PER_ATOM
        if group and (len(group) == batch or atoms + n > MOST_ATOMS):
            yield group
            group, atoms = [], 0
        group.append(candidate)
        atoms += n
    if group:
        yield group


def _row(candidate: Candidate, **more: Any) -> Screened:
    atoms = candidate.atoms
    return Screened(
        candidate.name,
        formula=atoms.get_chemical_formula(),
        n_atoms=len(atoms),
        geometry=geometry_digest(atoms),
        **{"notes": candidate.notes, **more},
    )


def _measured(
    candidate: Candidate,
    grid: ELFGrid | MemoryError,
    pack: Domain | None,
    near: Neighbors | None = None,
) -> Screened:
    """The row of one structure; without a pack the ELF is that of its file."""
    from ase_elf.topology import networking

    weights = "" if pack is None or isinstance(grid, MemoryError) else grid.info.get("weights") or ""
    known = {"domain": pack.name if pack else "", "elf": source_of(pack, weights)}
    if isinstance(grid, MemoryError):
        return _row(candidate, error=str(grid), **known)
    note = None if pack is None else pack.open_note(candidate.atoms)
    notes = [*candidate.notes, *([note] if note else [])]
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ElfWarning)
            network = networking(grid)
            found = _values(network, grid, near)
    except ElfError as error:
        return _row(candidate, error=str(error), **known)
    notes += [str(w.message) for w in caught if issubclass(w.category, ElfWarning)]
    values = {name: float(found[name]) for name in VALUES}
    tc, more = _temperatures(candidate, network, grid, pack)
    values, notes = values | tc, notes + list(more)
    return _row(
        candidate,
        values=values,
        outside=tuple(grid.info.get("out_of_domain") or ()) if pack else (),
        weights=weights,
        notes=tuple(notes),
        **known,
    )


def _temperatures(
    candidate: Candidate, network: Networking, grid: ELFGrid, pack: Domain | None
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Estimates of Tc, by the density of states beside a file or by one-shot bands, and what is to be said of them."""
    if pack is not None:
        return ({}, ()) if "boxed" in grid.info else tc_by_bands(network)
    return ({}, ()) if candidate.path is None else tc_beside(candidate.path, network)


def _values(network: Networking, grid: ELFGrid, near: Neighbors | None) -> dict[str, float]:
    sigma = grid.sigma
    return {
        "elf_phi": network.phi,
        "elf_phi_uncertainty": network.uncertainty,
        "elf_phi_star": network.phi_star,
        "elf_phi_star_uncertainty": network.uncertainties.get("phi_star", math.nan),
        "elf_phi1": network.phi1,
        "elf_phi2": network.phi2,
        "elf_mean": grid.values.mean(dtype=float),
        "elf_sigma": math.nan if sigma is None else np.sqrt(np.mean(np.square(sigma, dtype=float))),
        **_geometry(grid.atoms, near),
    }


def _geometry(atoms: Atoms, near: Neighbors | None) -> dict[str, float]:
    """What describes the structure; NaN for a grid without atoms."""
    if not len(atoms):
        return {"r_s_bohr": math.nan, "shortest_distance": math.nan}
    return domains.describe(atoms, near)


@dataclass(frozen=True, eq=False)
class ScreeningRun:
    """A collection, an output directory, and a table that survives a kill.

    Parameters
    ----------
    collection : Collection
    directory : Path
        Created; must be empty or belong to this very screening.
    screener : Screener
    batch : int, optional
        Structures predicted together.
    workers : int or str, optional
        As in :class:`ase_elf.runs.trajectory.AnalysisRun`.
    report : bool
        Also make ``report.html``.
    options, sources : mapping
        Written to ``config.yaml``, so that the run can be repeated from it.
    overwrite : bool
        Start over where the directory holds a run.
    by : str
        Of :data:`ase_elf.analysis.screening.ORDERS`.
    """

    collection: Collection
    directory: Path
    screener: Screener = field(default_factory=Screener)
    batch: int | None = None
    workers: int | str | None = None
    report: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    overwrite: bool = False
    by: str = "phi"

    def execute(self, progress: Callable[[int], None] | None = None) -> list[Screened]:
        """Screen what is not yet screened, write all results, and return the ranked rows.

        Parameters
        ----------
        progress : callable, optional
            Called with the number of structures done so far, once per batch.

        Raises
        ------
        OutputError
            When the directory belongs to another run, another process writes to it, or the disk
            is full or read-only.
        FormatError
            When the collection holds nothing, or a database breaks off.
        """
        advice = "What is screened is kept; make room, or see that it is writable, and start again to go on."
        with writing_into(self.directory, advice):
            return self._execute(progress)

    def _execute(self, progress: Callable[[int], None] | None) -> list[Screened]:
        from ase_elf.report.screening import write_screening

        next(iter(self.collection))
        self.directory.mkdir(parents=True, exist_ok=True)
        claim(self.directory, self._identity(), self.options, self.sources, overwrite=self.overwrite)
        with Journal(self.directory / JOURNAL, Screened) as journal:
            done = len(journal)
            journal.keep(done)
            report = progress or (lambda _: None)
            report(done)
            failure = None
            try:
                left = self._after(journal, done)
                for rows in self._screened(left):
                    journal.append(rows)
                    done += len(rows)
                    report(done)
            except FormatError as error:
                failure = error
            ranked = rank(journal, by=self.by)
            write_screening(
                self.directory,
                ranked,
                source=Path(self.collection.path).resolve().name,
                grids=self._best if self.report else None,
                own=self.collection.table,
                failure=failure,
                by=self.by,
            )
        if failure is not None:
            raise failure
        return ranked

    def _screened(self, candidates: Iterable[Candidate]) -> Iterator[list[Screened]]:
        """Rows of every batch, from this process or from others."""
        groups = grouped(candidates, self.batch or MOST_TOGETHER)
        if self.workers is None:
            yield from map(self.screener.rows, groups)
            return
        with workers(self.workers, self.screener.device) as team:
            yield from in_order(team, _rows, ((self.screener, group) for group in groups))

    def _best(self, best: Sequence[Screened]) -> Iterator[tuple[ELFGrid, Bonds | None] | None]:
        """The grid of each of some rows, read or predicted once more, and the longest bonds of its pack.

        No bonds where the ELF is from a file, nothing at all where the grid does not fit into memory.
        """
        names = {row.name for row in best}
        candidates = {c.name: c for c in self.collection if c.name in names}
        for row in best:
            candidate = candidates[row.name]
            atoms = candidate.atoms.copy()
            atoms.wrap()  # lattice cells of the bond table count from here
            if candidate.grid is not None:
                found = candidate.grid
                yield ELFGrid(found.values, atoms, found.info, found.sigma), None
                continue
            predictor = self.screener.predictor
            (grid,) = predictor.grids([atoms], [self.screener.shape_for(atoms)], keep_errors=True)
            yield None if isinstance(grid, MemoryError) else (grid, predictor.domain_of(atoms).bonds)

    def _after(self, journal: Journal, done: int) -> Iterator[Candidate]:
        """Candidates that have no row yet; those that have must be the same still."""
        rows = iter(journal) if done else iter(())
        for ordinal, candidate in enumerate(self.collection):
            if ordinal >= done:
                yield candidate
                continue
            row = next(rows)
            now = geometry_digest(candidate.atoms) if candidate.atoms is not None else 0
            if (row.name, row.geometry) != (candidate.name, now):
                raise OutputError(
                    f"structure {ordinal} of {self.collection.path} is {candidate.name}, not "
                    f"{row.name} as screened in {self.directory}, or was changed. Choose another "
                    "output directory (-o)."
                )

    def _identity(self) -> dict[str, Any]:
        source, how = self.collection, self.screener
        return {
            "collection": Path(source.path).name,
            "start": source.start,
            "stop": source.stop,
            "step": source.step,
            "predict": source.predict,
            "reading": {k: str(v) for k, v in source.reading.items() if v is not None},
            "only_elf": source.only_elf,
            "conditions": [str(c) for c in source.table.conditions] if source.table else [],
            "domain": None if how.domain is None else domains.address(domains.find_domain(how.domain)),
            "packs": {name: pack_digest(pack) for name, pack in self._packs().items()},
            "spacing": how.spacing,
            "shape": list(how.shape or ()),
            "ase_elf": __version__,
        }

    def _packs(self) -> dict[str, Domain]:
        """Those that may predict a structure, by name."""
        if self.screener.domain is None:
            return domains.installed()
        pack = domains.find_domain(self.screener.domain)
        return {pack.name: pack}
