"""Measuring bonds: which pairs are bonds, the ELF along them, and what rulers read."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ase_elf.errors import DomainError, ElfWarning, InputError
from ase_elf.geometry.pairs import name_of
from ase_elf.grid import ELFGrid
from ase_elf.ruler.frame import BondFrames
from ase_elf.ruler.image import ELFSource
from ase_elf.ruler.pairs import find_pairs
from ase_elf.ruler.surroundings import are_strange, load_surroundings
from ase_elf.ruler.table import COLUMNS, BondTable

if TYPE_CHECKING:
    from ase import Atoms

    from ase_elf.domains import Domain
    from ase_elf.ruler.source import PredictsELF

__all__ = [
    "MANY",
    "POINTS",
    "RULER_COLUMNS",
    "Reading",
    "bond_rows",
    "measure_bonds",
    "name_types",
    "packs_of",
    "read_bonds",
    "read_many",
    "read_rulers",
    "warn_of_strange",
]

POINTS = 65
"""Points along a bond, ends included: 0.02 Å apart in a bond of 1.3 Å, and one of them
is the midpoint."""

RULER_COLUMNS = ("label", "ruler_length", "deviation", "uncertainty", "outside")
"""Columns of a bond table that domain packs fill."""

MANY = 0.1
"""Part of the readings of a structure that may lie outside without a warning: a few do in any."""

_SAME = 1e-3
"""Å. Atoms of the grid may differ from those given by what text formats round away."""

_POINT_COST = 30
"""How many points of a whole grid cost as much as one evaluated alone."""


def measure_bonds(
    atoms: Atoms,
    elf: ELFGrid | PredictsELF,
    *,
    cutoffs: dict[tuple[str, str], float] | None = None,
) -> BondTable:
    """The bonds of a structure, the ELF along them, and their length as the ELF shows it.

    ``elf_mid``, ``elf_min`` and ``elf_max`` are the ELF half way, least and greatest on the
    straight line between the nuclei. Where a ruler is installed for the pair of elements,
    it reads an image of the bond: ``ruler_length``, its ``uncertainty``, and ``deviation``,
    the true length less that reading. They are NaN without a ruler. A bond that the ruler was
    not fitted to is marked ``outside``: one that is shorter than any of training, or longer than all but a few, is
    not read, one in strange surroundings is read, but has no deviation and no uncertainty.

    Parameters
    ----------
    atoms : ase.Atoms
        With an ELFGrid taken as periodic in three directions, as the grid is.
    elf : ELFGrid or ELFCalculator
        The ELF of ``atoms``; a calculator is asked for its default grid, or, where fewer
        points than that are needed, for the points alone.
    cutoffs : dict of (str, str) to float, optional
        Longest distance (Å) at which a pair of elements is listed, for instance
        ``{("H", "H"): 1.2}``; pairs not named are not listed. By default those of the
        domain pack: the calculator's, the one named in ``elf.info["domain"]``, or the one
        that covers the elements; where none covers them all, those of every installed
        ruler.

    Returns
    -------
    BondTable
        Each bond once, sorted by i, j and image; ``label`` is the type the domain pack has
        for the bond, else the pair of elements.

    Raises
    ------
    InputError
        If the grid belongs to another structure.
    DomainError
        If no pack covers the elements, no ruler is installed for any pair of them, and no
        ``cutoffs`` are given.
    """
    rows = read_bonds(atoms, elf, cutoffs=cutoffs)[0]
    warn_of_strange(rows, atoms)
    return BondTable(rows)


def warn_of_strange(rows: np.ndarray, atoms: Atoms) -> None:
    """Warn where more than :data:`MANY` of the readings are of bonds that their ruler was not fitted to."""
    read = np.isfinite(rows["ruler_length"])
    strange = rows["outside"] & read
    if strange.sum() > MANY * read.sum():
        warnings.warn(
            f"{strange.sum()} of {read.sum()} bonds of {atoms.get_chemical_formula()} are none that their "
            "ruler was fitted to: they are marked `outside` and have no deviation.",
            ElfWarning,
            stacklevel=3,
        )


def read_bonds(
    atoms: Atoms,
    elf: ELFGrid | PredictsELF,
    *,
    cutoffs: dict[tuple[str, str], float] | None = None,
) -> tuple[np.ndarray, list[Reading]]:
    """The rows of :func:`measure_bonds`, and what the rulers saw."""
    if isinstance(elf, ELFGrid):
        _check_same_structure(atoms, elf)
        bonds = _Bonds.of(_periodic(atoms), elf, cutoffs)
        bonds.judge(bool(elf.info.get("out_of_domain")))
        return bonds.read(elf.sample)
    (found,) = read_many([atoms], elf, cutoffs=cutoffs)
    return found


def read_many(
    structures: Sequence[Atoms],
    elf: PredictsELF,
    *,
    cutoffs: dict[tuple[str, str], float] | None = None,
) -> list[tuple[np.ndarray, list[Reading]]]:
    """:func:`read_bonds` of structures whose ELF is predicted.

    All points of those that are not periodic go through the model together, which takes a fraction of
    the time that they take one by one.
    """
    if not hasattr(elf, "get_elf"):
        raise InputError(f"elf must be an ELFGrid or an ELFCalculator, not {type(elf).__name__}.")
    found = [_Bonds.of(atoms, elf, cutoffs) for atoms in structures]
    together = [
        bonds
        for bonds in found
        if len(bonds.rows) and not bonds.atoms.pbc.any() and hasattr(elf, "at_points")
    ]
    if together:
        wanted = [bonds.points() for bonds in together]
        for bonds, seen in zip(
            together, elf.at_points([bonds.atoms for bonds in together], wanted), strict=True
        ):
            pack = elf.domain_of(bonds.atoms)
            bonds.judge(bool(pack.outside(bonds.atoms, seen.distance)), seen.invariants)
            bonds.look(_Known(seen.values, partial(_at_points, elf, bonds.atoms)))
    for bonds in found:
        if len(bonds.rows) and not any(bonds is one for one in together):
            bonds.judge(_is_extrapolated(bonds.atoms, elf))
            bonds.look(_source(bonds.atoms, elf, bonds.n_points))
    _read_together([reading for bonds in found for reading in bonds.readings])
    return [bonds.told() for bonds in found]


def _at_points(elf: PredictsELF, atoms: Atoms, points: np.ndarray) -> np.ndarray:
    return elf.at_points([atoms], [points])[0].values


class _Known:
    """Values at points that were asked for before, in the same order; then those of ``more``."""

    def __init__(self, values: np.ndarray, more: ELFSource) -> None:
        self.left, self.more = values, more

    def __call__(self, points: np.ndarray) -> np.ndarray:
        if not len(self.left):
            return self.more(points)
        found, self.left = self.left[: len(points)], self.left[len(points) :]
        return found


@dataclass(eq=False)
class _Bonds:
    """The bonds of a structure, on their way from atoms to what rulers read."""

    atoms: Atoms
    packs: list[Domain]
    rows: np.ndarray
    vectors: np.ndarray
    readings: list[Reading]

    @classmethod
    def of(
        cls, atoms: Atoms, elf: ELFGrid | PredictsELF, cutoffs: dict[tuple[str, str], float] | None
    ) -> _Bonds:
        """All that is known without an ELF."""
        packs = packs_of(atoms, elf, required=cutoffs is None)
        if cutoffs is None:
            cutoffs = {}
            for pack in packs:
                for pair, length in _cutoffs(pack, atoms).items():
                    cutoffs.pop(
                        pair[::-1], None
                    )  # a pair has one length, whoever names it the other way round
                    cutoffs[pair] = length
        if not cutoffs:
            return cls(atoms, packs, np.zeros(0, dtype=COLUMNS), np.zeros((0, 3)), [])
        i, j, vectors, shift = find_pairs(atoms, cutoffs)
        rows = bond_rows(atoms, i, j, vectors)
        if len(rows):
            rows["S1"], rows["S2"], rows["S3"] = shift.T
        return cls(atoms, packs, rows, vectors, _readings(rows, vectors, atoms, packs) if len(rows) else [])

    def judge(self, extrapolated: bool, invariants: np.ndarray | None = None) -> None:
        """Which bonds are strange to their rulers."""
        for reading in self.readings:
            reading.judge(self.rows, self.atoms, extrapolated, invariants)

    @property
    def n_points(self) -> int:
        return len(self.rows) * POINTS + sum(reading.n_points for reading in self.readings)

    def points(self) -> np.ndarray:
        """All points whose ELF is needed, (n, 3), in the order in which they are asked for."""
        asked: list[np.ndarray] = []

        def note(points: np.ndarray) -> np.ndarray:
            asked.append(points)
            return np.zeros(len(points), np.float32)

        self.look(note)
        return np.concatenate(asked)

    def look(self, sample: ELFSource) -> None:
        """Take the ELF along the bonds, and the images that the rulers want."""
        _measure_along(self.rows, self.vectors, self.atoms, sample)
        for reading in self.readings:
            reading.look(sample)

    def told(self) -> tuple[np.ndarray, list[Reading]]:
        """Rows and readings, once the rulers have read."""
        for reading in self.readings:
            reading.tell(self.rows)
        for pack in self.packs:
            name_types(self.rows, self.atoms, pack)
        return self.rows, self.readings

    def read(self, sample: ELFSource) -> tuple[np.ndarray, list[Reading]]:
        """All at once."""
        if len(self.rows):
            self.look(sample)
        _read_together(self.readings)
        return self.told()


def read_rulers(
    rows: np.ndarray,
    vectors: np.ndarray,
    atoms: Atoms,
    packs: list[Domain],
    sample: ELFSource,
    *,
    extrapolated: bool = False,
) -> None:
    """Fill the columns of the rulers in ``rows`` (``COLUMNS``), from the ELF at points.

    Where that is predicted, ``extrapolated`` says that the structure lies outside its pack.
    """
    readings = _readings(rows, vectors, atoms, packs)
    for reading in readings:
        reading.judge(rows, atoms, extrapolated)
        reading.look(sample)
    _read_together(readings)
    for reading in readings:
        reading.tell(rows)


def name_types(rows: np.ndarray, atoms: Atoms, pack: Domain) -> None:
    """Fill ``label`` with the names a pack has for bonds of its chemistry."""
    if pack.bond_types is not None:
        types = pack.bond_types(atoms, rows["i"], rows["j"], rows["length"])
        rows["label"] = np.where(types == "", rows["label"], types)


def bond_rows(atoms: Atoms, i: np.ndarray, j: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Rows (``COLUMNS``) with atoms, length and pair of elements; nothing read yet."""
    rows = np.zeros(len(i), dtype=COLUMNS)
    for name in RULER_COLUMNS[1:4]:
        rows[name] = np.nan
    rows["i"], rows["j"], rows["length"] = i, j, np.linalg.norm(vectors, axis=1)
    symbols = np.array(atoms.get_chemical_symbols())
    pairs = np.sort(np.stack([symbols[i], symbols[j]], axis=1), axis=1)
    rows["label"] = [name_of(pair) for pair in pairs.tolist()]
    return rows


def _readings(rows: np.ndarray, vectors: np.ndarray, atoms: Atoms, packs: list[Domain]) -> list[Reading]:
    first = {frozenset(pair): (pack, pair) for pack in reversed(packs) for pair in pack.ruler_cards}
    readings = [Reading(pack, pair, atoms, rows, vectors) for pack, pair in first.values()]
    return [reading for reading in readings if len(reading.chosen)]


def _read_together(readings: list[Reading]) -> None:
    """Have every ruler read all of its images at once."""
    for ruler in {id(reading.ruler): reading.ruler for reading in readings}.values():
        mine = [reading for reading in readings if reading.ruler is ruler]
        ways = [reading.images for reading in mine] + [r.turned for r in mine if r.backward is not None]
        both = np.stack(ruler.read(np.concatenate(ways)))
        parts = np.split(both, np.cumsum([len(way) for way in ways])[:-1], axis=1)
        turned = iter(parts[len(mine) :])
        for reading, part in zip(mine, parts, strict=False):
            reading.length, reading.uncertainty = (
                part if reading.backward is None else (part + next(turned)) / 2
            )


class Reading:
    """Bonds of one pair of elements, seen the way their ruler wants to.

    Attributes
    ----------
    ruler : Ruler
    chosen : ndarray, int
        Rows of the table the ruler reads: bonds of its elements and of lengths it was
        fitted to.
    strange : ndarray, bool
        Which of them lie in surroundings that the ruler was not fitted to.
    images : ndarray, shape (n, planes, size, size), float32
        Once read; of equal elements the way from i to j.
    sample : callable
        The ELF at points.
    """

    def __init__(
        self,
        pack: Domain,
        pair: tuple[str, str],
        atoms: Atoms,
        rows: np.ndarray,
        vectors: np.ndarray,
    ) -> None:
        from ase_elf.ruler.ruler import load_ruler  # needs torch, as a table without rulers does not

        symbols = np.array(atoms.get_chemical_symbols())
        first, second = symbols[rows["i"]], symbols[rows["j"]]
        limits = pack.ruler_cards[pair]["training"]
        known = (rows["length"] >= limits["shortest"]) & (rows["length"] <= limits["longest"])
        straight = (first == pair[0]) & (second == pair[1])
        self.pack, self.ruler = pack, load_ruler(pack, pair)
        turned = (first == pair[1]) & (second == pair[0])
        self.chosen = np.flatnonzero(known & (straight | turned))
        rows["outside"] |= ~known & (straight | turned)
        self.strange = np.zeros(len(self.chosen), bool)
        forward = straight[self.chosen]
        i, j, v = rows["i"][self.chosen], rows["j"][self.chosen], vectors[self.chosen]
        start, end = np.where(forward, i, j), np.where(forward, j, i)
        self.frames = BondFrames.of_bonds(atoms, start, end, np.where(forward[:, None], v, -v))
        # Of equal elements neither comes first: both ways are read, and averaged.
        self.backward = BondFrames.of_bonds(atoms, j, i, -v) if pair[0] == pair[1] else None
        self.images = self.turned = np.empty(0, np.float32)
        self.length = self.uncertainty = np.empty(0)
        self.sample: ELFSource | None = None

    def judge(
        self, rows: np.ndarray, atoms: Atoms, extrapolated: bool, invariants: np.ndarray | None = None
    ) -> None:
        """Say which bonds are strange; ``extrapolated``: the ELF is a model's, of a structure outside."""
        i, j = rows["i"][self.chosen], rows["j"][self.chosen]
        self.strange = are_strange(self.pack, self.ruler.pair, atoms, i, j, invariants)
        # Surroundings that are known tell bond by bond; density and distances concern all of them.
        if extrapolated and (
            load_surroundings(self.pack, self.ruler.pair) is None or self.pack.outside(atoms)
        ):
            self.strange[:] = True

    @property
    def n_points(self) -> int:
        """How many points of ELF the images take."""
        spec, ways = self.ruler.spec, 1 if self.backward is None else 2
        return len(self.chosen) * ways * len(spec.planes) * spec.size**2

    def look(self, sample: ELFSource) -> None:
        """Take the images."""
        spec, self.sample = self.ruler.spec, sample
        self.images = spec.images(self.frames, sample)
        if self.backward is not None:
            self.turned = spec.images(self.backward, sample)

    def tell(self, rows: np.ndarray) -> None:
        """Fill the columns of the ruler in ``rows``."""
        rows["ruler_length"][self.chosen] = self.length
        rows["uncertainty"][self.chosen] = np.where(self.strange, np.nan, self.uncertainty)
        deviation = rows["length"][self.chosen] - self.length
        rows["deviation"][self.chosen] = np.where(self.strange, np.nan, deviation)
        rows["outside"][self.chosen] = self.strange


def _is_extrapolated(atoms: Atoms, elf: PredictsELF) -> bool:
    """Whether a structure is one that the model was not trained on."""
    pack = elf.domain_of(atoms)
    pack.check(atoms)
    if not pack.ruler_cards:
        return False
    return bool(pack.outside(atoms, pack.distance(atoms)))


def _source(atoms: Atoms, elf: PredictsELF, n_points: int) -> ELFSource:
    """The ELF at points: interpolated in a grid, or asked of the model."""
    if atoms.pbc.all():
        spacing = elf.domain_of(atoms).spacing
        if _POINT_COST * n_points > atoms.get_volume() / spacing**3:
            return elf.get_elf(atoms).sample
    return lambda points: elf.get_elf(atoms, points=points)


def _measure_along(rows: np.ndarray, vectors: np.ndarray, atoms: Atoms, sample: ELFSource) -> None:
    steps = np.linspace(0, 1, POINTS)[:, None]
    points = atoms.positions[rows["i"]][:, None] + steps * vectors[:, None]
    along = np.asarray(sample(points.reshape(-1, 3))).reshape(len(rows), POINTS)
    rows["elf_mid"] = along[:, POINTS // 2]
    rows["elf_min"], rows["elf_max"] = along.min(axis=1), along.max(axis=1)


def packs_of(atoms: Atoms, elf: ELFGrid | PredictsELF, *, required: bool = False) -> list[Domain]:
    """The pack that made the ELF; of another ELF the pack that covers the structure, and all with rulers for it."""
    from ase_elf.domains import domain_for, get_domain, installed

    if not isinstance(elf, ELFGrid):
        return [elf.domain_of(atoms)]
    symbols = set(atoms.get_chemical_symbols())
    known = elf.info.get("pack", elf.info.get("domain"))
    packs: list[Domain] = []
    with suppress(DomainError):
        packs.append(domain_for(symbols) if known is None else get_domain(known))
    if known is not None:
        return packs
    for pack in installed().values():
        read = {frozenset(pair) for other in packs for pair in other.ruler_cards}
        if any(symbols.issuperset(pair) and frozenset(pair) not in read for pair in pack.ruler_cards):
            packs.append(pack)
    if required and not packs:
        domain_for(symbols)
    return packs


def _cutoffs(pack: Domain, atoms: Atoms) -> dict[tuple[str, str], float]:
    """Those of a pack that covers the structure, else only of the bonds it has rulers for."""
    symbols = set(atoms.get_chemical_symbols())
    if symbols <= set(pack.elements):
        return {pair: length for pair, length in pack.bonds.items() if symbols.issuperset(pair)}
    return {pair: card["cutoff"] for pair, card in pack.ruler_cards.items()}


def _periodic(atoms: Atoms) -> Atoms:
    repeated = atoms.copy()
    repeated.pbc = True
    return repeated


def _check_same_structure(atoms: Atoms, grid: ELFGrid) -> None:
    """:class:`InputError` unless the grid is that of ``atoms``, images aside."""
    from ase.geometry import find_mic

    other = grid.atoms
    if not np.array_equal(atoms.numbers, other.numbers):
        raise InputError(
            f"the grid is that of {other.get_chemical_formula()}, the structure is "
            f"{atoms.get_chemical_formula()} or orders its atoms differently."
        )
    if np.abs(atoms.cell.array - grid.cell).max() > _SAME:
        raise InputError("the cells of the grid and of the structure differ.")
    _, apart = find_mic(atoms.positions - other.positions, grid.cell, pbc=True)
    if apart.max() > _SAME:
        worst = int(apart.argmax())
        raise InputError(
            f"atom {worst} is {apart[worst]:.3f} Å from where the grid has it: "
            "the ELF is that of another structure."
        )
