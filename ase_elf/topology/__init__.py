"""What an ELF grid says about bonding: critical points, basins, and the network they form."""

from __future__ import annotations

from ase_elf.topology.critical import CriticalPoints, critical_points
from ase_elf.topology.density import read_density
from ase_elf.topology.dos import hydrogen_share
from ase_elf.topology.labels import label_attractors, label_domains
from ase_elf.topology.network import NetworkStatistics, network_statistics, write_graph
from ase_elf.topology.networking import Networking, networking, networking_frames
from ase_elf.topology.provenance import rescaled, scaling_evidence
from ase_elf.topology.tc import TcEstimate, estimate_tc

__all__ = [
    "CriticalPoints",
    "NetworkStatistics",
    "Networking",
    "TcEstimate",
    "critical_points",
    "estimate_tc",
    "hydrogen_share",
    "label_attractors",
    "label_domains",
    "network_statistics",
    "networking",
    "networking_frames",
    "read_density",
    "rescaled",
    "scaling_evidence",
    "write_graph",
]
