"""Reference engine for Quantum ESPRESSO (pw.x, pp.x and, for hydrogen, ld1.x)."""

from ase_elf_espresso.engine import Espresso

__all__ = ["Espresso"]
