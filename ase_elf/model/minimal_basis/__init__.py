"""Cheap orbitals of any structure of the tabulated elements: what is known of its ELF before any fit."""

from ase_elf.model.minimal_basis.atoms import elements
from ase_elf.model.minimal_basis.features import NAMES, features
from ase_elf.model.minimal_basis.occupied import HAMILTONIANS, FermiLevel, OccupiedOrbitals

__all__ = ["HAMILTONIANS", "NAMES", "FermiLevel", "OccupiedOrbitals", "elements", "features"]
