"""What the ELF says about bonds: images of them, rulers that read these, one row per bond."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ase_elf.ruler.bonds import measure_bonds
from ase_elf.ruler.frame import BondFrames
from ase_elf.ruler.image import ImageSpec
from ase_elf.ruler.table import BondTable

if TYPE_CHECKING:
    from ase_elf.ruler.bond_set import BondSet
    from ase_elf.ruler.modes import ReadingModes
    from ase_elf.ruler.ruler import Ruler, load_ruler

__all__ = [
    "BondFrames",
    "BondSet",
    "BondTable",
    "ImageSpec",
    "ReadingModes",
    "Ruler",
    "load_ruler",
    "measure_bonds",
]

# Those that need torch are loaded when they are asked for.
_LATE = {"BondSet": "bond_set", "ReadingModes": "modes", "Ruler": "ruler", "load_ruler": "ruler"}


def __getattr__(name: str):
    if name in _LATE:
        from importlib import import_module

        return getattr(import_module(f"{__name__}.{_LATE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
