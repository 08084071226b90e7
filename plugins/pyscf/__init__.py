"""Reference engine for PySCF: nothing to install but a Python package."""

from ase_elf_pyscf.engine import PySCF

__all__ = ["PySCF"]
