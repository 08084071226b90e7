"""Measuring bonds: which pairs are bonds, the ELF along them, and what rulers read."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from ase_elf.errors import DomainError, ElfWarning, InputError
from ase_elf.grid import ELFGrid
from ase_elf.ruler.frame import BondFrames
from ase_elf.ruler.image import ELFSource
from ase_elf.ruler.pairs import find_pairs
from ase_elf.ruler.surroundings import are_strange
from ase_elf.ruler.table import COLUMNS, BondTable

if TYPE_CHECKING:
    from ase import Atoms

    from ase_elf.calculator import ELFCalculator
    from ase_elf.domains import Domain

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
    elf: ELFGrid | ELFCalculator,
    *,
    cutoffs: dict[tuple[str, str], float] | None = None,
) -> BondTable:
    """The bonds of a structure, the ELF along them, and their length as the ELF shows it.

    ``elf_mid``, ``elf_min`` and ``elf_max`` are the ELF half way, least and greatest on the
    straight line between the nuclei. Where a ruler is installed for the pair of elements,
    it reads an image of the bond: ``ruler_length``, its ``uncertainty``, and ``deviation``,
    the true length less that reading. They are NaN without a ruler. A bond that the ruler was
    not fitted to is marked ``outside``: one that is shorter or longer than any of training is
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
    read = np.isfinite(rows["ruler_length"])
    strange = rows["outside"] & read
    if strange.sum() > MANY * read.sum():
        warnings.warn(
            f"{strange.sum()} of {read.sum()} bonds of {atoms.get_chemical_formula()} are none that their "
            "ruler was fitted to: they are marked `outside` and have no deviation.",
            ElfWarning,
            stacklevel=2,
        )
    return BondTable(rows)


def read_bonds(
    atoms: Atoms,
    elf: ELFGrid | ELFCalculator,
    *,
    cutoffs: dict[tuple[str, str], float] | None = None,
) -> tuple[np.ndarray, list[Reading]]:
    """The rows of :func:`measure_bonds`, and what the rulers saw."""
    if isinstance(elf, ELFGrid):
        _check_same_structure(atoms, elf)
        atoms = _periodic(atoms)
    elif not hasattr(elf, "get_elf"):
        raise InputError(f"elf must be an ELFGrid or an ELFCalculator, not {type(elf).__name__}.")
    packs = packs_of(atoms, elf, required=cutoffs is None)
    if cutoffs is None:
        cutoffs = {k: v for pack in packs for k, v in _cutoffs(pack, atoms).items()}
    if not cutoffs:
        return np.zeros(0, dtype=COLUMNS), []
    i, j, vectors, shift = find_pairs(atoms, cutoffs)
    rows = bond_rows(atoms, i, j, vectors)
    if not len(rows):
        return rows, []
    rows["S1"], rows["S2"], rows["S3"] = shift.T
    readings = _readings(rows, vectors, atoms, packs, _is_extrapolated(atoms, elf))
    n_points = len(rows) * POINTS + sum(reading.n_points for reading in readings)
    sample = _source(atoms, elf, n_points)
    _measure_along(rows, vectors, atoms, sample)
    for reading in readings:
        reading.read(rows, sample)
    for pack in packs:
        name_types(rows, atoms, pack)
    return rows, readings


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
    for reading in _readings(rows, vectors, atoms, packs, extrapolated):
        reading.read(rows, sample)


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
    rows["label"] = ["-".join(pair) for pair in pairs.tolist()]
    return rows


def _readings(
    rows: np.ndarray, vectors: np.ndarray, atoms: Atoms, packs: list[Domain], extrapolated: bool
) -> list[Reading]:
    readings = [Reading(pack, pair, atoms, rows, vectors) for pack in packs for pair in pack.ruler_cards]
    for reading in readings if extrapolated else ():
        # Surroundings that are known tell bond by bond; density and distances concern all of them.
        if reading.pack.load_surroundings(reading.ruler.pair) is None or reading.pack.outside(atoms):
            reading.strange[:] = True
    return [reading for reading in readings if len(reading.chosen)]


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
        symbols = np.array(atoms.get_chemical_symbols())
        first, second = symbols[rows["i"]], symbols[rows["j"]]
        limits = pack.ruler_cards[pair]["training"]
        known = (rows["length"] >= limits["shortest"]) & (rows["length"] <= limits["longest"])
        straight = (first == pair[0]) & (second == pair[1])
        self.pack, self.ruler = pack, pack.load_ruler(pair)
        turned = (first == pair[1]) & (second == pair[0])
        self.chosen = np.flatnonzero(known & (straight | turned))
        rows["outside"] |= ~known & (straight | turned)
        self.strange = are_strange(pack, pair, atoms, rows["i"][self.chosen], rows["j"][self.chosen])
        forward = straight[self.chosen]
        i, j, v = rows["i"][self.chosen], rows["j"][self.chosen], vectors[self.chosen]
        start, end = np.where(forward, i, j), np.where(forward, j, i)
        self.frames = BondFrames.of_bonds(atoms, start, end, np.where(forward[:, None], v, -v))
        # Of equal elements neither comes first: both ways are read, and averaged.
        self.backward = BondFrames.of_bonds(atoms, j, i, -v) if pair[0] == pair[1] else None
        self.images = np.empty(0)
        self.sample: ELFSource | None = None

    @property
    def n_points(self) -> int:
        """How many points of ELF the images take."""
        spec, ways = self.ruler.spec, 1 if self.backward is None else 2
        return len(self.chosen) * ways * len(spec.planes) * spec.size**2

    def read(self, rows: np.ndarray, sample: ELFSource) -> None:
        """Fill the columns of the ruler in ``rows``."""
        spec, self.sample = self.ruler.spec, sample
        self.images = spec.images(self.frames, sample)
        read = [self.ruler.read(self.images)]
        if self.backward is not None:
            read.append(self.ruler.read(spec.images(self.backward, sample)))
        length, uncertainty = np.mean(read, axis=0)
        rows["ruler_length"][self.chosen] = length
        rows["uncertainty"][self.chosen] = np.where(self.strange, np.nan, uncertainty)
        deviation = rows["length"][self.chosen] - length
        rows["deviation"][self.chosen] = np.where(self.strange, np.nan, deviation)
        rows["outside"][self.chosen] = self.strange


def _is_extrapolated(atoms: Atoms, elf: ELFGrid | ELFCalculator) -> bool:
    """Whether the ELF is that of a model, of a structure it was not trained on."""
    if isinstance(elf, ELFGrid):
        return bool(elf.info.get("out_of_domain"))
    pack = elf.domain_of(atoms)
    pack.check(atoms)
    if not pack.ruler_cards:
        return False
    return bool(pack.outside(atoms, pack.distance(atoms)))


def _source(atoms: Atoms, elf: ELFGrid | ELFCalculator, n_points: int) -> ELFSource:
    """The ELF at points: interpolated in a grid, or asked of the model."""
    if isinstance(elf, ELFGrid):
        return elf.sample
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


def packs_of(atoms: Atoms, elf: ELFGrid | ELFCalculator, *, required: bool = False) -> list[Domain]:
    """The pack that made the ELF or covers the structure, or else all with a ruler for it."""
    from ase_elf.domains import domain_for, get_domain, installed

    if not isinstance(elf, ELFGrid):
        return [elf.domain_of(atoms)]
    symbols = set(atoms.get_chemical_symbols())
    with_rulers = [p for p in installed().values() if any(set(r) <= symbols for r in p.ruler_cards)]
    try:
        pack = get_domain(elf.info["domain"]) if "domain" in elf.info else domain_for(symbols)
        # A pack that covers everything and measures nothing leaves it to those that do.
        return [pack] if pack.ruler_cards or "domain" in elf.info else with_rulers or [pack]
    except DomainError:
        if required and not with_rulers:
            raise
        return [] if "domain" in elf.info else with_rulers


def _cutoffs(pack: Domain, atoms: Atoms) -> dict[tuple[str, str], float]:
    """Those of a pack that covers the structure, else only of the bonds it has rulers for."""
    if set(atoms.get_chemical_symbols()) <= set(pack.elements):
        return pack.bonds
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
