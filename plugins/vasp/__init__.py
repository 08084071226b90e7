"""Reader of finished VASP runs."""

from ase_elf_vasp.run import read_run

__all__ = ["read_run"]
