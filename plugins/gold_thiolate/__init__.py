"""Domain pack for gold clusters protected by thiolates: weights, Au-S ruler, bond types."""

from pathlib import Path

from ase_elf.domains import Domain
from ase_elf_gold_thiolate.motifs import bond_types

domain = Domain(Path(__file__).parent, bond_types)
