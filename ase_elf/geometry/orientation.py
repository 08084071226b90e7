"""Structures in the orientation and units that molecular dynamics programs agree on.

ps, kJ/mol and one orientation per cell, where ASE has its own unit of time, eV and any
orientation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from ase import units
from ase.geometry import cell_to_cellpar

from ase_elf.errors import InputError

if TYPE_CHECKING:
    from ase import Atoms

VELOCITY = 1000 * units.fs
"""Å/ps per Å/(ASE unit of time)."""

FORCE = units.mol / units.kJ
"""kJ/(mol Å) per eV/Å."""


def oriented(cell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The cell with **a** along x, **b** in the upper xy half-plane and **c** above it.

    MDAnalysis and most trajectory formats keep lengths and angles of a cell only, and take
    this orientation for granted; coordinates have to be turned with the cell.

    Parameters
    ----------
    cell : array_like, shape (3, 3), Å
        Rows are the cell vectors. A left-handed set is replaced by its negative, which spans
        the same lattice, so that nothing is mirrored.

    Returns
    -------
    cell : ndarray, shape (3, 3), Å
        Lower triangular, positive diagonal.
    rotation : ndarray, shape (3, 3)
        Proper: ``xyz @ rotation`` are the coordinates (or velocities, forces) that belong
        to the new cell. Exactly the identity for a cell that is oriented already.

    Raises
    ------
    InputError
        If the three vectors do not span a volume.
    """
    cell = np.asarray(cell, dtype=float)
    volume = np.linalg.det(cell)
    if abs(volume) < 1e-6:
        raise InputError(f"the cell {cell.tolist()} Å has no volume; give three vectors that do.")
    if (np.triu(cell, 1) == 0).all() and (np.diag(cell) > 0).all():
        return cell.copy(), np.eye(3)
    rotation, upper = np.linalg.qr(np.sign(volume) * cell.T)
    signs = np.sign(np.diag(upper))
    return (signs[:, None] * upper).T, rotation * signs


@dataclass(frozen=True, eq=False)
class Arrays:
    """One structure, turned with its cell; None where it has no such thing.

    Parameters
    ----------
    positions : ndarray, shape (n, 3), float32, Å
    cell : ndarray, shape (3, 3), float64, Å, or None
        Lower triangular, rows are the cell vectors.
    velocities : ndarray, shape (n, 3), float32, Å/ps, or None
    forces : ndarray, shape (n, 3), float32, kJ/(mol Å), or None
    """

    positions: np.ndarray
    cell: np.ndarray | None
    velocities: np.ndarray | None
    forces: np.ndarray | None

    @property
    def dimensions(self) -> np.ndarray | None:
        """ndarray, shape (6,), float32, Å and degrees; None without a cell."""
        return None if self.cell is None else cell_to_cellpar(self.cell).astype(np.float32)


def arrays_of(atoms: Atoms, *, forces: np.ndarray | None = None) -> Arrays:
    """Positions, cell, velocities and forces of ``atoms``.

    Parameters
    ----------
    atoms : ase.Atoms
        Velocities are given where it has momenta.
    forces : ndarray, shape (n, 3), eV/Å, optional
        By default those which the calculator, or the file, left with the atoms.

    Raises
    ------
    InputError
        Momenta or forces are not three numbers per atom, or a box is not periodic in all of
        its directions, which these formats cannot say.
    """
    check_vectors(atoms)
    check_directions(atoms)
    cell, turn = oriented(atoms.cell.array) if atoms.cell.rank == 3 else (None, np.eye(3))
    forces = _known_forces(atoms) if forces is None else forces
    velocities = atoms.get_velocities() if atoms.has("momenta") else None
    return Arrays(
        positions=(atoms.positions @ turn).astype("f4"),
        cell=cell,
        velocities=None if velocities is None else (velocities * VELOCITY @ turn).astype("f4"),
        forces=None if forces is None else (forces * FORCE @ turn).astype("f4"),
    )


def check_directions(atoms: Atoms) -> None:
    """:class:`InputError` for a box with open directions, or periodic directions without a box."""
    if atoms.pbc.all() or not (atoms.pbc.any() or atoms.cell.rank == 3):
        return
    raise InputError(open_directions(~atoms.pbc))


def open_directions(flags: Sequence[bool]) -> str:
    """What to say of a box that is open in the directions that are true."""
    which = (
        " and ".join(name for name, is_open in zip("abc", flags, strict=True) if is_open)
        or "a vector of no length"
    )
    return (
        f"the box is not periodic along {which}, but would be taken for periodic in all directions: MDAnalysis and "
        "most trajectory formats cannot say otherwise. Put vacuum into the cell there "
        "(ASE: atoms.center(vacuum=5, axis=2)), and make it periodic (atoms.pbc = True)."
    )


def check_vectors(atoms: Atoms) -> None:
    """:class:`InputError` unless momenta and forces, where known, are three numbers per atom."""
    for name, values in (("momenta", atoms.arrays.get("momenta")), ("forces", _known_forces(atoms))):
        if values is None:
            continue
        values = np.asarray(values)
        if values.shape != (len(atoms), 3) or values.dtype.kind not in "fiu":
            raise InputError(
                f"{name} of {len(atoms)} atoms have shape {values.shape} and type {values.dtype}; "
                "three numbers per atom are needed."
            )


def _known_forces(atoms: Atoms) -> np.ndarray | None:
    if atoms.calc is not None:
        return atoms.calc.results.get("forces")
    return atoms.arrays.get("forces")
