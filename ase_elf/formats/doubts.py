"""Signs that a grid is not what it is read as: a density, or a window on something larger."""

from __future__ import annotations

import warnings
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from ase_elf.errors import ElfWarning, InputError

if TYPE_CHECKING:
    from ase import Atoms

WHOLE = 2e-3
"""How far, in parts, the integral of a density may be from the electrons of its atoms."""

HIGHEST = 0.95
"""The ELF of anything with a pair of electrons is higher somewhere."""

JUMP = 2.1
"""How many times the largest step between neighbouring planes the step across the faces of a
box is, where the field is not that of a cell. Measured at any origin: 1.15 at most on hydrogen
fluids and crystals, 1.96 on single peaks that the grid hardly resolves; on windows of half the
fluid 1.9 to 4 at spacings of 0.2 and 0.12 Å, but 1.3 to 1.7 at 0.4 and 0.3 Å."""

SLIGHT_JUMP = 1.3
"""The same, from which it may be a window if nothing says that it is a cell."""

NOISE = 0.01
"""Steps by less say nothing."""

FEWEST = 8
"""Planes from which steps between them can be compared."""


def refuse_density(values: np.ndarray, cell: np.ndarray, charges: np.ndarray, title: str = "") -> None:
    """Raise :class:`InputError` where values add up to the electrons of the atoms.

    Parameters
    ----------
    values : ndarray, shape (nx, ny, nz)
    cell : ndarray, shape (3, 3), Å
    charges : ndarray, shape (n_atoms,)
        Of the cores. Values are taken to be electrons per bohr³.
    title : str
        What the file says of itself; a density that says it is one need not add up.
    """
    from ase.units import Bohr

    electrons = float(charges.sum())
    total = float(values.mean(dtype=float)) * abs(np.linalg.det(cell)) / Bohr**3
    if values.max() > HIGHEST or electrons <= 0:
        return
    words = title.lower()
    named = any(word in words for word in ("density", "rho", "charge")) and "elf" not in words
    if abs(total / electrons - 1) < (0.2 if named else WHOLE):
        raise InputError(
            f"the values add up to {total:.4g} electrons per cell (the atoms have {electrons:g}) "
            f"and are at most {values.max():.3g}: a density, this is not an ELF."
        )


def seen_through_window(values: np.ndarray, atoms: Atoms, *, spans_cell: bool) -> Atoms:
    """The atoms that the grid shows, with a warning where its span is no cell.

    Parameters
    ----------
    values : ndarray, shape (nx, ny, nz)
    atoms : ase.Atoms
        In the frame of the grid, whose span is their cell.
    spans_cell : bool
        Whether the writer of the file is known to write cells.

    Returns
    -------
    ase.Atoms
        Without those outside of a window: folded into it they would be where the field shows
        none. Atoms outside of a cell are images of those within, and stay.
    """
    place = atoms.cell.scaled_positions(atoms.positions) if atoms.cell.rank == 3 else np.zeros((0, 3))
    outside = (np.abs(place - 0.5) > 0.501).any(axis=1)
    said = f"{outside.sum()} of {len(atoms)} atoms lie outside of it" if outside.any() else ""
    jumps = _jumps(values)
    if max(jumps) > JUMP:
        _warn(
            f"the field jumps from the last plane of grid points to the first along {_axes(jumps, JUMP)}: "
            "the span of the grid is no cell but a window, and what crosses its faces, φ among it, means "
            f"nothing.{f' {said} and are left out.' if said else ''}"
        )
        kept: Atoms = atoms[np.flatnonzero(~outside)]
        return kept
    if not spans_cell and max(jumps) > SLIGHT_JUMP:
        _warn(
            "the field may jump from the last plane of grid points to the first along "
            f"{_axes(jumps, SLIGHT_JUMP)}: see whether the span of the grid is a cell or a window, whose "
            "faces mean nothing."
        )
    if outside.any() and not spans_cell:
        _warn(
            f"the span of the grid is taken for a cell; {said} and are taken for images of atoms within. "
            "Of a molecule in a box that was chosen around it they are not: the span of the grid is no "
            "cell then."
        )
    return atoms


def _jumps(values: np.ndarray) -> list[float]:
    """Along each axis the step across the faces over the largest within; 0 for few planes."""
    found = []
    for axis in range(3):
        planes = np.moveaxis(values, axis, 0)
        if len(planes) < FEWEST:
            found.append(0.0)
            continue
        inner = max(_rms(a - b) for a, b in pairwise(planes))
        across = _rms(planes[-1] - planes[0])
        found.append(across / inner if across > inner + NOISE else 0.0)
    return found


def _axes(jumps: list[float], limit: float) -> str:
    chosen = [f"{name} ({jump:.1f} times the largest step within)"
              for name, jump in zip("abc", jumps, strict=True) if jump > limit]  # fmt: skip
    return ", ".join(chosen)


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=float))))


def _warn(text: str) -> None:
    warnings.warn(text, ElfWarning, stacklevel=6)
