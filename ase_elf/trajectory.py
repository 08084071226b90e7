"""Trajectory and Frame under the name they have always had; see :mod:`ase_elf.structures`."""

from ase_elf.structures.readers.universe import states_time, symbols_of
from ase_elf.structures.readers.xyz import check_columns, check_count
from ase_elf.structures.splitting import count_of
from ase_elf.structures.trajectory import DATABASES, Frame, NoFrames, Trajectory

__all__ = [
    "DATABASES",
    "Frame",
    "NoFrames",
    "Trajectory",
    "check_columns",
    "check_count",
    "count_of",
    "states_time",
    "symbols_of",
]
