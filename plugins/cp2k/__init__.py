"""Reference engine for CP2K: molecules and clusters."""

from ase_elf_cp2k.engine import CP2K

__all__ = ["CP2K"]
