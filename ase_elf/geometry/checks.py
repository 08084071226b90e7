"""Whether a structure can be used at all, and the numbers that a trained range is stated in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ase_elf.errors import InputError, remedy
from ase_elf.geometry.lattice import heights, upright
from ase_elf.geometry.neighbors import Neighbors

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["LONGEST", "OVERLAP", "changes", "check_structure", "describe", "shortest_distance"]

OVERLAP = 0.3
"""Å. Two nuclei closer than this are a broken structure, not a strained one."""

_IGNORED = ("initial_charges", "initial_magmoms")
"""The ELF depends neither on them nor on velocities, which ASE does not compare."""

LONGEST = 150
"""Times the thickness of a cell that it may measure in another direction: from 200 on, vesin divides
by zero, which ends the process."""


def describe(atoms: Atoms, near: Neighbors | None = None) -> dict[str, float]:
    """What the trained range is stated in.

    Parameters
    ----------
    atoms : ase.Atoms
    near : Neighbors, optional
        Of ``atoms``, where they have been searched for.

    Returns
    -------
    dict
        ``shortest_distance``: closest pair in Å, periodic images included; and of what is
        periodic ``r_s_bohr``: Wigner-Seitz radius per atom, (3V/4πN)^(1/3), in bohr.
    """
    from ase.units import Bohr

    shortest = (near or Neighbors(atoms)).shortest
    if not atoms.pbc.all():
        return {"shortest_distance": shortest}
    volume_per_atom = atoms.get_volume() / len(atoms)
    return {
        "r_s_bohr": (3 * volume_per_atom / (4 * np.pi)) ** (1 / 3) / Bohr,
        "shortest_distance": shortest,
    }


def shortest_distance(atoms: Atoms) -> float:
    """Closest pair of nuclei in Å, images of one atom included."""
    return Neighbors(atoms).shortest


def _check_proportions(across: np.ndarray) -> None:
    if across.min() < OVERLAP:
        raise InputError(
            f"the reduced cell is {across.min():.3g} Å thick, less than {OVERLAP} Å: images of an atom overlap."
        )
    if across.max() > LONGEST * across.min():
        raise InputError(
            f"the cell is {across.min():.3g} Å thick in one direction and {across.max():.3g} Å in "
            f"another; at most {LONGEST} times as much is taken. Repeat it (atoms.repeat) where it is thin."
        )


def check_structure(atoms: Atoms, *, near: Neighbors | None = None, isolated: bool = False) -> None:
    """Raise :class:`InputError` for what no domain can use: no cell, NaN, overlap.

    ``near`` are the neighbors of ``atoms``, where whoever asks needs them too; ``isolated`` ones need no cell.
    """
    if len(atoms) == 0:
        raise InputError("the structure holds no atoms; give at least one.")
    if not np.isfinite(atoms.positions).all() or not np.isfinite(atoms.cell[:]).all():
        bad = np.flatnonzero(~np.isfinite(atoms.positions).all(axis=1))
        raise InputError(
            f"positions or cell hold NaN or infinity (atoms {bad[:10].tolist()}); "
            "look at the last good frame of the run that made them."
        )
    if not isolated:
        _check_cell(atoms)
    shortest = (near or Neighbors(atoms)).shortest
    if shortest < OVERLAP:
        raise InputError(
            f"two nuclei are {shortest:.3f} Å apart, less than {OVERLAP} Å: "
            "atoms overlap, or the units of the file are not Å."
        )


def _check_cell(atoms: Atoms) -> None:
    if abs(np.linalg.det(atoms.cell[:])) < 1e-6:
        raise InputError(
            f"the structure has no three-dimensional cell (cell = {atoms.cell[:].tolist()} Å); "
            + remedy(
                "set atoms.cell, for a molecule a box with vacuum, and atoms.pbc = True.",
                "give one with --cell, for a molecule a box with vacuum, or write it into the file.",
            )
        )
    if not atoms.pbc.all():
        raise InputError(
            f"the cell is not periodic in all directions (pbc = {atoms.pbc.tolist()}); "
            + remedy(
                "set atoms.pbc = True, with vacuum in the cell where there is none.",
                "give a cell with vacuum along the open ones with --cell, or write it into the file.",
            )
        )
    _check_proportions(heights(upright(atoms.cell.array)[0]))


def changes(old: Atoms | None, new: Atoms) -> list[str]:
    """What of all that the ELF depends on differs between two structures."""
    from ase.calculators.calculator import compare_atoms

    return compare_atoms(old, new, excluded_properties=_IGNORED)
