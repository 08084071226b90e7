"""Reader of finished GPAW runs."""

from ase_elf_gpaw.run import read_run

__all__ = ["read_run"]
