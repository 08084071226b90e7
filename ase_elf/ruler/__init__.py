"""What the ELF says about bonds, one row per bond."""

from __future__ import annotations

from ase_elf.ruler.bonds import measure_bonds
from ase_elf.ruler.table import BondTable

__all__ = ["BondTable", "measure_bonds"]
