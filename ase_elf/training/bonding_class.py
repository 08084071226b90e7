"""Rough classes of bonding that tables of accuracy are made by (own definition)."""

from __future__ import annotations

from ase import Atoms

from ase_elf.model.minimal_basis import OccupiedOrbitals
from ase_elf.model.minimal_basis.occupied import GAP, fermi_level

__all__ = ["CLASSES", "NONMETALS", "bonding_class"]

CLASSES = ("molecular", "metallic", "ionic", "covalent")

NONMETALS = frozenset("H He B C N O F Ne Si P S Cl Ar Ge As Se Br Kr Sb Te I Xe".split())


def bonding_class(atoms: Atoms) -> str:
    """One of :data:`CLASSES`.

    Molecular: open in all directions. Metallic: one-shot bands have no gap. Of the others, ionic: an element
    is no nonmetal. Covalent: the rest.
    """
    if not atoms.pbc.any():
        return "molecular"
    if fermi_level(OccupiedOrbitals(atoms).states["one-shot"]).gap <= GAP:
        return "metallic"
    return "covalent" if set(atoms.symbols) <= NONMETALS else "ionic"
