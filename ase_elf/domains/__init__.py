"""Domain packs: what one is, which are installed, and which of them knows a structure.

Other modules ask this package by attribute at the time of use (``domains.get_domain``, or an
import within the function), so that replacing a name here replaces it for all of them.
"""

from ase_elf.domains.discovery import (
    ENGINES,
    ENTRY_POINTS,
    address,
    domain_for,
    find_domain,
    get_domain,
    installed,
    of_engine,
)
from ase_elf.domains.pack import FINEST, Domain
from ase_elf.geometry.boxes import VACUUM
from ase_elf.geometry.checks import (
    LONGEST,
    OVERLAP,
    check_structure,
    describe,
    shortest_distance,
)

__all__ = [
    "ENGINES",
    "ENTRY_POINTS",
    "FINEST",
    "LONGEST",
    "OVERLAP",
    "VACUUM",
    "Domain",
    "address",
    "check_structure",
    "describe",
    "domain_for",
    "find_domain",
    "get_domain",
    "installed",
    "of_engine",
    "shortest_distance",
]
