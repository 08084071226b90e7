"""The structure that VASP's grids begin with, as a POSCAR does."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ase_elf.errors import FormatError, InputError, remedy
from ase_elf.formats.numbers import number
from ase_elf.formats.species import element_of

if TYPE_CHECKING:
    from ase import Atoms


def read_poscar(
    lines: Iterator[str], elements: Sequence[str] | None = None, *, nameless: bool = False
) -> Atoms:
    """The structure; no line after its atoms is taken.

    Parameters
    ----------
    lines : iterator of str
    elements : sequence of str, optional
        One per species, used where the file names none.
    nameless : bool
        Whether elements that nothing says are ``X`` instead of an error.

    Returns
    -------
    ase.Atoms
        Positions and cell in Å, periodic.

    Raises
    ------
    FormatError
        If it is truncated or malformed, or names no elements and none are given.
    InputError
        If ``elements`` are given whose number is not that of the species.
    """
    from ase import Atoms

    from ase_elf.formats.structure import sound_atoms

    header = list(itertools.islice(lines, 6))
    if len(header) < 6:
        raise FormatError("ends within the cell: the file is truncated.")
    title, scale, *rows, names = header
    cell = _scaled_cell(scale, rows)
    stated = names.split("!")[0].split()
    if not stated:
        raise FormatError("has no line of elements or numbers of atoms where one should be.")
    if stated[0].isdigit():
        counts = _counts(stated)
        symbols = ["X"] * len(counts)
        if not nameless:
            symbols = species_without_names(title, len(counts), elements)
    else:
        counts = _counts(next(lines, "").split("!")[0].split())
        symbols = [element_of(label) for label in stated]
        if len(symbols) != len(counts):
            raise FormatError(
                f"names {len(symbols)} elements ({' '.join(stated)[:80]}) and {len(counts)} numbers of "
                "atoms; one number per element is expected."
            )
    mode = next(lines, "").strip()[:1].lower()
    if mode == "s":  # selective dynamics
        mode = next(lines, "").strip()[:1].lower()
    positions = _positions(lines, sum(counts))
    # Cartesian positions are scaled as the cell is.
    positions = positions * _factor(scale, rows) if mode in ("c", "k") else positions @ cell
    each = [s for s, n in zip(symbols, counts, strict=True) for _ in range(n)]
    return sound_atoms(Atoms(each).numbers, positions, cell)


def species_without_names(title: str, n_species: int, elements: Sequence[str] | None = None) -> list[str]:
    """Elements of a file of VASP 4: those given, else the title where it is a list of them.

    A title of other words is no list of elements, even if some of its letters are.

    Raises
    ------
    FormatError
        If neither says them.
    InputError
        If the number of ``elements`` is not that of the species.
    """
    from ase.data import atomic_numbers

    if elements:
        if len(elements) != n_species:
            raise InputError(
                f"{len(elements)} elements are given ({', '.join(elements)}) for the {n_species} "
                "species of the file, which names none."
            )
        return [element_of(label) for label in elements]
    words = title.split()
    if len(words) == n_species and all(atomic_numbers.get(word, 0) > 0 for word in words):
        return words
    advice = remedy("elements=, a sequence of symbols", "--elements, as --elements H,O")
    raise FormatError(
        f"names no elements: no line of them stands above the numbers of atoms, and the title "
        f"{title.strip()[:60]!r} is no list of {n_species}. Give them ({advice}), or add the line "
        "to the file."
    )


def _scaled_cell(scale: str, rows: list[str]) -> np.ndarray:
    return _lattice(rows) * _factor(scale, rows)


def _lattice(rows: list[str]) -> np.ndarray:
    words = [row.split()[:3] for row in rows]
    if any(len(row) < 3 for row in words):
        raise FormatError("has fewer than three numbers in a line of the cell.")
    return np.array([[number(word) for word in row] for row in words])


def _factor(scale: str, rows: list[str]) -> np.ndarray | float:
    """What lengths are multiplied with; a negative number is the volume of the cell."""
    words = scale.split("!", maxsplit=1)[0].split()
    try:
        factors = [number(word) for word in words[:3]]
    except ValueError:
        factors = [number(words[0])]
    if len(factors) == 3:
        return np.array(factors)
    (factor, *_) = factors
    if factor < 0:
        return (-factor / abs(np.linalg.det(_lattice(rows)))) ** (1 / 3)
    return factor


def _counts(words: list[str]) -> list[int]:
    words = list(itertools.takewhile(str.isdigit, words))
    counts = [int(word) for word in words]
    if sum(counts) < 1:
        raise FormatError(f"declares {sum(counts)} atoms.")
    return counts


def _positions(lines: Iterator[str], n_atoms: int) -> np.ndarray:
    rows = [line.split() for line in itertools.islice(lines, n_atoms) if line.strip()]
    if len(rows) < n_atoms:
        raise FormatError(f"has {len(rows)} of {n_atoms} declared atoms: truncated, or the counts are wrong.")
    if any(len(row) < 3 for row in rows):
        raise FormatError("has a position of fewer than three numbers.")
    return np.array([[number(word) for word in row[:3]] for row in rows])
