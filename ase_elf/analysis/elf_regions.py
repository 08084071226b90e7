"""What the network of one frame says about its atoms: domains, their shapes, degrees, bond points.

An ELF domain is a connected part of the region where the ELF is at least the isovalue; an
atom is inside when its nucleus is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from ase_elf.topology.basins import pack

if TYPE_CHECKING:
    import networkx as nx

    from ase_elf.topology import Networking


def cluster_sizes(
    network: Networking, elf_at_nuclei: np.ndarray, isovalues: Iterable[float]
) -> list[np.ndarray]:
    """Atoms in every ELF domain that holds any, largest first, at each isovalue.

    Parameters
    ----------
    network : Networking
    elf_at_nuclei : ndarray, shape (n_atoms,)
    isovalues : iterable of float

    Returns
    -------
    list of ndarray, shape (n_domains,), int64
    """
    merges = network.sweep.merges
    falling = -np.array([merge.value for merge in merges])
    absorbed = np.array([merge.absorbed for merge in merges], int)
    survivor = np.array([merge.survivor for merge in merges], int)
    sizes = []
    for isovalue in isovalues:
        made = np.searchsorted(falling, -isovalue, side="right")
        domain = np.arange(len(network.basins))
        domain[absorbed[:made]] = survivor[:made]
        while not np.array_equal(beyond := domain[domain], domain):
            domain = beyond
        inside = (elf_at_nuclei >= isovalue) & (network.of_atom >= 0)
        counts = np.bincount(domain[network.of_atom[inside]], minlength=1)
        sizes.append(np.sort(counts[counts > 0])[::-1].astype(np.int64))
    return sizes


def cluster_shapes(network: Networking, elf_at_nuclei: np.ndarray, isovalue: float) -> dict[str, int]:
    """ELF domains of three atoms or more, by how their attractors are linked.

    Parameters
    ----------
    network : Networking
    elf_at_nuclei : ndarray, shape (n_atoms,)
    isovalue : float

    Returns
    -------
    dict
        Number of domains that are a ``chain`` (no cycle, no attractor with more than two
        links), ``branched`` (no cycle) and a ``ring`` (at least one cycle; a chain that
        closes on itself through the boundary of the cell is one).
    """
    import networkx as nx

    graph = network.graph(isovalue)
    shapes = Counter(chain=0, branched=0, ring=0)
    for nodes in nx.connected_components(graph):
        atoms = [i for node in nodes for i in graph.nodes[node]["atoms"]]
        if np.count_nonzero(elf_at_nuclei[atoms] >= isovalue) >= 3:
            shapes[_shape(graph.subgraph(nodes))] += 1
    return dict(shapes)


def _shape(domain: nx.MultiGraph) -> str:
    # Two bond points between the same two attractors make no ring of atoms.
    links = set()
    for a, b, edge in domain.edges(data=True):
        shift = edge["shift"] if edge["start"] == min(a, b) else [-s for s in edge["shift"]]
        links.add((min(a, b), max(a, b), tuple(max(shift, [-s for s in shift]) if a == b else shift)))
    if len(links) >= len(domain):
        return "ring"
    ends = Counter(end for a, b, _ in links for end in (a, b))
    return "chain" if max(ends.values(), default=0) <= 2 else "branched"


def degrees(network: Networking, elf_at_nuclei: np.ndarray, isovalue: float) -> np.ndarray:
    """Neighbors of each atom in the network at the isovalue.

    Different nodes of the graph (:meth:`~ase_elf.topology.Networking.graph`), periodic images
    included, that its own is linked to, and the other atoms that share it: a short bond has one
    attractor between its two nuclei.

    Parameters
    ----------
    network : Networking
    elf_at_nuclei : ndarray, shape (n_atoms,)
    isovalue : float

    Returns
    -------
    ndarray, shape (n_atoms,), int64
    """
    graph = network.graph(isovalue)
    linked: dict[int, set[tuple[int, ...]]] = {node: set() for node in graph}
    for a, b, edge in graph.edges(data=True):
        a, b = (a, b) if edge["start"] == a else (b, a)
        linked[a].add((b, *edge["shift"]))
        linked[b].add((a, *(-s for s in edge["shift"])))
    degree = np.zeros(len(elf_at_nuclei), np.int64)
    for node, atoms in graph.nodes(data="atoms"):
        inside = [atom for atom in atoms if elf_at_nuclei[atom] >= isovalue]
        degree[inside] = len(linked[node]) + len(inside) - 1
    return degree


def bond_points(network: Networking, starts: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """ELF at the critical point of each bond.

    That is the bond point between the attractors of the two atoms, the highest where there
    are several; or, where both nuclei lie in one basin, as in a short bond, its attractor.

    Parameters
    ----------
    network : Networking
    starts, vectors : ndarray, shape (n, 3), Å
        One nucleus of each bond, and the way to the other.

    Returns
    -------
    ndarray, shape (n,), float64
        NaN where the two basins do not touch.
    """
    basins, saddles = network.basins, network.saddles
    first, here = basins.locate(basins.field.voxel_of(starts))
    second, there = basins.locate(basins.field.voxel_of(starts + vectors))
    highest: dict[tuple[int, int, int], float] = {}
    links = zip(saddles.ends.tolist(), pack(saddles.shifts).tolist(), saddles.values.tolist(), strict=True)
    for (a, b), shift, value in links:  # in descending order
        highest.setdefault((a, b, shift), value)
        highest.setdefault((b, a, -shift), value)
    found = np.full(len(starts), np.nan)
    ends = zip(first.tolist(), second.tolist(), (there - here).tolist(), strict=True)
    for k, (a, b, shift) in enumerate(ends):
        if a == b >= 0 and shift == 0:
            found[k] = basins.values[a]
        else:
            found[k] = highest.get((a, b, shift), np.nan)
    return np.clip(found, 0, 1)  # a spline may swing a little beyond what it goes through
