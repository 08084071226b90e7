"""MDAnalysis kit: importing it teaches MDAnalysis extended XYZ with cells and times."""

from ase_elf.mda.bridge import to_atoms, to_universe
from ase_elf.mda.extxyz import EXTXYZParser, EXTXYZReader

__all__ = ["EXTXYZParser", "EXTXYZReader", "to_atoms", "to_universe"]
