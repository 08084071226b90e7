"""Many elements: structures, splits and labels of the recipe "many-elements", and the domain pack fitted to them."""

from pathlib import Path

from ase_elf.domains import Domain

domain = Domain(Path(__file__).parent)
