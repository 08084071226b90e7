"""What an ELF grid says about bonding: critical points, basins, and the network they form."""

from __future__ import annotations

from ase_elf.topology.critical import CriticalPoints, critical_points
from ase_elf.topology.networking import Networking, networking

__all__ = ["CriticalPoints", "Networking", "critical_points", "networking"]
