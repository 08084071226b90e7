"""Reference engines: programs that compute the ELF instead of predicting it.

Every engine takes an :class:`ase.Atoms` and returns a :class:`ReferenceResult`: the ELF as
an :class:`~ase_elf.grid.ELFGrid` or at chosen points, with what else the program gave and
how it was made. Engines are found through the entry-point group ``ase_elf.references``.
"""

from ase_elf.reference.calculator import EngineCalculator
from ase_elf.reference.engine import (
    ENTRY_POINTS,
    ReferenceEngine,
    get_engine,
    installed,
    pack_of,
    read_result,
)
from ase_elf.reference.pack import EnginePack
from ase_elf.reference.result import Provenance, ReferenceResult

__all__ = [
    "ENTRY_POINTS",
    "EngineCalculator",
    "EnginePack",
    "Provenance",
    "ReferenceEngine",
    "ReferenceResult",
    "get_engine",
    "installed",
    "pack_of",
    "read_result",
]
