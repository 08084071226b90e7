"""Domain packs: what one is, which are installed, and which of them knows a structure.

Other modules ask this package by attribute at the time of use (``domains.get_domain``, or an
import within the function), so that replacing a name here replaces it for all of them.
"""

from ase_elf.domains.discovery import ENTRY_POINTS, domain_for, get_domain, installed
from ase_elf.domains.pack import FINEST, VACUUM, Domain
from ase_elf.geometry.checks import (
    LONGEST,
    OVERLAP,
    check_structure,
    describe,
    shortest_distance,
)

__all__ = [
    "ENTRY_POINTS",
    "FINEST",
    "LONGEST",
    "OVERLAP",
    "VACUUM",
    "Domain",
    "check_structure",
    "describe",
    "domain_for",
    "get_domain",
    "installed",
    "shortest_distance",
]
