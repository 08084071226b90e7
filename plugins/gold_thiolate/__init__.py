"""Domain pack for gold clusters protected by thiolates: weights, Au-S ruler, bond types, motifs."""

from pathlib import Path

from ase_elf_gold_thiolate.motifs import bond_types, motifs

from ase_elf.domains import Domain

domain = Domain(Path(__file__).parent, bond_types, motifs)
