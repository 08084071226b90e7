"""Domain pack for gold clusters protected by thiolates: weights, Au-S ruler, bond types."""

from pathlib import Path

from ase_elf_gold_thiolate.motifs import bond_types

from ase_elf.domains import Domain

domain = Domain(Path(__file__).parent, bond_types)
