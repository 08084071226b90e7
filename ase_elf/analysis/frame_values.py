"""What the ELF says about a structure, kept in the structure itself: ``atoms.info``, ``atoms.arrays``.

Writers of trajectories know nothing of the ELF: they store what they find in ``atoms``. What
stands there must therefore be of the positions beside it, or not be there at all.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_elf.analysis import bond_labels
from ase_elf.analysis.scalars import (
    ARRAYS,
    SCALARS,
    WITHOUT_GRID,
    is_outside,
    nearest_neighbor_elf,
    structure_scalars,
)
from ase_elf.errors import named
from ase_elf.geometry.checks import changes

if TYPE_CHECKING:
    from ase import Atoms

    from ase_elf.grid import ELFGrid

__all__ = [
    "POINTERS",
    "FrameValues",
    "clear",
    "evaluated",
    "key_value_pairs",
    "put",
    "without_needless_grid",
    "write",
]

POINTERS = ("elf_store", "elf_frame")
"""In ``atoms.info``: the store that holds the grid, and its number there."""


GRIDLESS = ("bond_rulers", *WITHOUT_GRID)
"""What needs no ELF on a grid."""

NO_GRID = (
    "not evaluated of a structure that is periodic nowhere, where it says how the box around it was chosen; "
    "name it in properties= to have it all the same"
)
"""Why some of the properties of a calculator are left out."""


class FrameValues:
    """Values of the ELF in structures that move: those of the present positions, or none.

    One for each calculator, shared by all who write: a value is removed because the atoms have
    moved, never because another observer has its turn.
    """

    def __init__(self) -> None:
        self._known: dict[int, Atoms] = {}
        self._given: set[int] = set()

    def renew(self, atoms: Atoms) -> None:
        """Remove what stands in ``atoms`` if it is of other positions, or of an earlier run."""
        known = self._known.get(id(atoms))
        if known is not None and not changes(known, atoms):
            return
        if known is None:
            weakref.finalize(atoms, self._known.pop, id(atoms), None)
        self._known[id(atoms)] = atoms.copy()
        self._given.discard(id(atoms))
        clear(atoms)

    def give(self, atoms: Atoms, found: dict[str, Any], bonds: Callable[[], np.ndarray] | None) -> None:
        """Write values of the present positions into ``atoms``, once: what a user removes stays away.

        Parameters
        ----------
        atoms : ase.Atoms
        found : dict
            Scalars, by name; other entries are left out.
        bonds : callable, optional
            Makes the rows that :func:`~ase_elf.analysis.bond_labels.put_bonds` writes.
        """
        self.renew(atoms)
        if id(atoms) in self._given:
            return
        put(atoms, found)
        if bonds is not None:
            bond_labels.put_bonds(atoms, bonds())
        self._given.add(id(atoms))


def without_needless_grid(names: Sequence[str], atoms: Atoms) -> tuple[Sequence[str], dict[str, str]]:
    """Those of ``names`` that say something of ``atoms``, and why the others are left out, by name."""
    if atoms.pbc.any():
        return names, {}
    return [n for n in names if n in GRIDLESS], {n: NO_GRID for n in names if n not in GRIDLESS}


def evaluated(atoms: Atoms, names: Sequence[str], calculator: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """What ``names`` stand for, of ``atoms``, and why some of it could not be had.

    Parameters
    ----------
    atoms : ase.Atoms
    names : sequence of str
        ``"elf"``, ``"bond_rulers"`` and names of ``SCALARS``.
    calculator : ase_elf.ELFCalculator

    Returns
    -------
    results : dict
        By name.
    failed : dict of str to str
        Reasons, by name. What else was asked for is there all the same.
    """
    from ase_elf.ruler import BondTable

    scalars = [name for name in names if name in SCALARS]
    bare = scalars if set(scalars) <= set(WITHOUT_GRID) and "elf" not in names else []
    on_grid = [name for name in scalars if name not in bare]
    results: dict[str, Any] = {}
    failed: dict[str, str] = {}
    for some, make in (
        (["elf"], lambda: {"elf": calculator.get_elf(atoms)}),
        (["bond_rulers"], lambda: {"bond_rulers": BondTable.of_survey(calculator.survey_bonds(atoms))}),
        (on_grid, lambda: structure_scalars(calculator.get_elf(atoms), on_grid)),
        (bare, lambda: {name: is_outside(atoms, calculator.domain_of(atoms)) for name in bare}),
    ):
        try:
            results.update(make() if set(some) & set(names) else {})
        except Exception as error:
            failed.update(dict.fromkeys(some, named(error)))
    return results, failed


def write(atoms: Atoms, grid: ELFGrid, scalars: tuple[str, ...], arrays: tuple[str, ...] = ()) -> None:
    """Put values of ``grid`` into ``atoms``: ``SCALARS`` into info, ``ARRAYS`` into arrays."""
    found = structure_scalars(grid, scalars)
    put(atoms, found)
    if "elf_nearest" in arrays:
        atoms.set_array("elf_nearest", nearest_neighbor_elf(grid), float, ())


def put(atoms: Atoms, found: dict[str, float | bool]) -> None:
    """Put scalars that are known into ``atoms.info``."""
    atoms.info.update({name: found[name] for name in SCALARS if name in found})


def clear(
    atoms: Atoms,
    scalars: tuple[str, ...] = (*SCALARS, *POINTERS),
    arrays: tuple[str, ...] = ARRAYS,
) -> None:
    """Remove values from ``atoms``; by default all that this package writes, labels of bonds included."""
    if scalars == (*SCALARS, *POINTERS):
        bond_labels.clear_bonds(atoms)
    for name in scalars:
        atoms.info.pop(name, None)
    for name in arrays:
        if atoms.has(name):
            atoms.set_array(name, None)


def key_value_pairs(atoms: Atoms) -> dict[str, float | bool | int | str]:
    """The scalars in ``atoms.info`` as ase.db takes them, which does not store info by itself.

    What is no scalar goes into ``data=``: :func:`ase_elf.analysis.bond_labels.database_entry`.

    Returns
    -------
    dict
        For ``db.write(atoms, **key_value_pairs(atoms))``; a NaN is left out, since a database
        cannot search for it.

    Examples
    --------
    >>> from ase import Atoms
    >>> key_value_pairs(Atoms("H", info={"elf_phi": 0.5, "elf_outside": False, "note": "a"}))
    {'elf_phi': 0.5, 'elf_outside': False}
    """
    found = {name: atoms.info[name] for name in (*SCALARS, *POINTERS) if name in atoms.info}
    of_bonds = (n for n in atoms.info if str(n).startswith(bond_labels.PREFIX) and n != bond_labels.BONDS)
    found |= {name: atoms.info[name] for name in of_bonds}
    return {k: v for k, v in found.items() if not (isinstance(v, float) and np.isnan(v))}
