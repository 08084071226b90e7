"""Electron localization function from atomic positions, and what it says about bonds.

The public names are loaded on first use: ASE imports this package at ``import ase.io``
to look for file formats, so importing it must cost next to nothing.
"""

from __future__ import annotations

from importlib import import_module

from ase_elf import moved

__version__ = "0.2.0"

_LAZY = {
    "ELFCalculator": "ase_elf.calculator",
    "ELFGrid": "ase_elf.grid",
    "read_elf": "ase_elf.formats",
    "write_elf": "ase_elf.formats",
}

__all__ = ["__version__", *_LAZY]

moved.install()


def __getattr__(name: str) -> object:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'ase_elf' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])
