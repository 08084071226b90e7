"""Measuring bonds: which pairs are bonds, and the ELF along them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ase_elf.errors import InputError
from ase_elf.grid import ELFGrid
from ase_elf.ruler.table import COLUMNS, BondTable

if TYPE_CHECKING:
    from ase import Atoms

    from ase_elf.calculator import ELFCalculator
    from ase_elf.domains import Domain

POINTS = 65
"""Points along a bond, ends included: 0.02 Å apart in a bond of 1.3 Å, and one of them
is the midpoint."""

_SAME = 1e-3
"""Å. Atoms of the grid may differ from those given by what text formats round away."""


def measure_bonds(
    atoms: Atoms,
    elf: ELFGrid | ELFCalculator,
    *,
    cutoffs: dict[tuple[str, str], float] | None = None,
) -> BondTable:
    """The bonds of a structure and the ELF along them.

    No ruler is installed for any bond yet: ``ruler_length``, ``deviation`` and
    ``uncertainty`` are NaN. What is measured is the ELF on the straight line between the
    nuclei, ``elf_mid`` half way, ``elf_min`` and ``elf_max`` over its length.

    Parameters
    ----------
    atoms : ase.Atoms
        Taken as periodic in three directions, as its ELF is.
    elf : ELFGrid or ELFCalculator
        The ELF of ``atoms``; of a calculator, its grid of default shape.
    cutoffs : dict of (str, str) to float, optional
        Longest distance (Å) at which a pair of elements is listed, for instance
        ``{("H", "H"): 1.2}``; pairs not named are not listed. By default those of the
        domain pack: the calculator's, the one named in ``elf.info["domain"]``, or the one
        that covers the elements.

    Returns
    -------
    BondTable
        Each bond once, sorted by i, j and image; ``label`` is the pair of elements.

    Raises
    ------
    InputError
        If the grid belongs to another structure.
    DomainError
        If no pack covers the elements and no ``cutoffs`` are given.
    """
    if isinstance(elf, ELFGrid):
        grid = elf
        _check_same_structure(atoms, grid)
    elif hasattr(elf, "get_elf"):
        grid = elf.get_elf(atoms)
    else:
        raise InputError(f"elf must be an ELFGrid or an ELFCalculator, not {type(elf).__name__}.")
    if cutoffs is None:
        cutoffs = _domain(atoms, grid).bonds if grid is elf else elf.domain_of(atoms).bonds
    if not cutoffs:
        return BondTable(np.zeros(0, dtype=COLUMNS))
    rows, vectors = _find_pairs(atoms, cutoffs)
    if len(rows):
        steps = np.linspace(0, 1, POINTS)[:, None]
        points = atoms.positions[rows["i"]][:, None] + steps * vectors[:, None]
        along = grid.sample(points.reshape(-1, 3)).reshape(len(rows), POINTS)
        rows["elf_mid"] = along[:, POINTS // 2]
        rows["elf_min"], rows["elf_max"] = along.min(axis=1), along.max(axis=1)
    return BondTable(rows)


def _find_pairs(
    atoms: Atoms, cutoffs: dict[tuple[str, str], float]
) -> tuple[np.ndarray, np.ndarray]:
    """Rows with everything but the ELF, and the vectors from i to the image of j."""
    from ase.neighborlist import neighbor_list

    periodic = atoms.copy()
    periodic.pbc = True
    i, j, length, vector, shift = neighbor_list("ijdDS", periodic, dict(cutoffs))
    # Every pair comes in both directions; an atom and its own image in both shifts.
    forward = i < j
    own = np.flatnonzero(i == j)
    forward[own] = [tuple(image) > (0, 0, 0) for image in shift[own].tolist()]
    i, j, length, vector, shift = (a[forward] for a in (i, j, length, vector, shift))
    order = np.lexsort((*shift.T[::-1], j, i))
    rows = np.zeros(len(order), dtype=COLUMNS)
    for name in ("ruler_length", "deviation", "uncertainty"):
        rows[name] = np.nan
    rows["i"], rows["j"], rows["length"] = i[order], j[order], length[order]
    rows["S1"], rows["S2"], rows["S3"] = shift[order].T
    symbols = np.array(atoms.get_chemical_symbols())
    pairs = np.sort(np.stack([symbols[i[order]], symbols[j[order]]], axis=1), axis=1)
    rows["label"] = ["-".join(pair) for pair in pairs.tolist()]
    return rows, vector[order]


def _domain(atoms: Atoms, grid: ELFGrid) -> Domain:
    from ase_elf.domains import domain_for, get_domain

    if "domain" in grid.info:
        return get_domain(grid.info["domain"])
    return domain_for(atoms.get_chemical_symbols())


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
