"""Domain pack for pure hydrogen under pressure: weights, card, labels and recipe."""

from pathlib import Path

from ase_elf.domains import Domain

domain = Domain(Path(__file__).parent)
