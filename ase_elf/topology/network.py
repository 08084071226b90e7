"""The bonding network at an isovalue as a networkx graph, its statistics, and its export."""

from __future__ import annotations

import json
import os
from collections import Counter, deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import networkx as nx
import numpy as np

from ase_elf.errors import InputError
from ase_elf.storage.atomic import replacing
from ase_elf.topology.periodic_union_find import PeriodicUnionFind

if TYPE_CHECKING:
    from ase import Atoms

    from ase_elf.topology.basins import Basins
    from ase_elf.topology.percolation import Sweep
    from ase_elf.topology.saddles import Saddles

__all__ = [
    "LONGEST_RING",
    "Component",
    "Linked",
    "NetworkStatistics",
    "network_graph",
    "network_statistics",
    "write_graph",
]

LONGEST_RING = 12
"""Edges; larger rings are not searched for."""


class Linked(Protocol):
    """What a graph is made of; a :class:`ase_elf.topology.Networking` has it."""

    @property
    def atoms(self) -> Atoms: ...

    @property
    def basins(self) -> Basins: ...

    @property
    def saddles(self) -> Saddles: ...

    @property
    def of_atom(self) -> np.ndarray: ...

    @property
    def sweep(self) -> Sweep: ...

    @property
    def links(self) -> np.ndarray: ...


def network_graph(net: Linked, isovalue: float, persistence: float) -> nx.MultiGraph:
    """See :meth:`ase_elf.topology.Networking.graph`."""
    if not 0 <= isovalue <= 1:
        raise InputError(f"isovalue = {isovalue!r} must lie between 0 and 1, as an ELF does.")
    basins, saddles = net.basins, net.saddles
    forest = PeriodicUnionFind(len(basins))
    nuclear = np.bincount(net.of_atom[net.of_atom >= 0], minlength=len(basins)) > 0
    for merge in net.sweep.merges:
        slight = basins.values[merge.absorbed] - merge.value < persistence
        if slight and not nuclear[merge.absorbed]:
            a, b = saddles.ends[merge.edge].tolist()
            shift = saddles.shifts[merge.edge]
            if forest.find(a)[0] == merge.absorbed:
                a, b, shift = b, a, -shift
            # Otherwise the slight one reaches this saddle through a nucleus, which stays itself.
            if forest.find(b)[0] == merge.absorbed:
                forest.join(a, b, tuple(shift.tolist()))
    graph = nx.MultiGraph(isovalue=float(isovalue), cell=basins.field.cell.tolist())
    _add_nodes(graph, net, forest, isovalue)
    for i in np.flatnonzero(net.links & (saddles.values >= isovalue)).tolist():
        _add_edge(graph, net, forest, i)
    return graph


def _add_nodes(graph: nx.MultiGraph, net: Linked, forest: PeriodicUnionFind, isovalue: float) -> None:
    symbols = net.atoms.get_chemical_symbols()
    atoms: dict[int, list[int]] = {}
    for atom, node in enumerate(net.of_atom.tolist()):
        if node >= 0:
            atoms.setdefault(forest.find(node)[0], []).append(atom)
    high = np.flatnonzero(net.basins.values >= isovalue).tolist()
    for node in sorted({forest.find(node)[0] for node in high}):
        own = atoms.get(node, [])
        graph.add_node(
            node,
            elf=float(net.basins.values[node]),
            position=net.basins.positions[node].tolist(),
            atoms=own,
            symbols=[symbols[i] for i in own],
        )


def _add_edge(graph: nx.MultiGraph, net: Linked, forest: PeriodicUnionFind, i: int) -> None:
    saddles, field = net.saddles, net.basins.field
    (a, b), shift = saddles.ends[i].tolist(), saddles.shifts[i]
    a, at_a = forest.find(a)
    b, at_b = forest.find(b)
    shift = shift + at_b - np.array(at_a)
    if a == b and not shift.any():
        return
    across = net.basins.positions[b] + shift @ field.cell - net.basins.positions[a]
    graph.add_edge(
        a,
        b,
        elf=float(saddles.values[i]),
        length=float(np.linalg.norm(across)),
        # networkx does not keep the direction of an edge, so the shift names its start
        start=a,
        shift=shift.tolist(),
        position=field.position_of(saddles.u[i] % field.shape).tolist(),
        refined=bool(saddles.refined[i]),
    )


@dataclass(frozen=True)
class Component:
    """A connected part of a network graph.

    Parameters
    ----------
    nodes : tuple of int
    atoms : tuple of int
    dimension : int
        Rank of the lattice of translations that map it onto itself.
    percolates : tuple of bool
        Whether it closes on itself along a, b, c.
    """

    nodes: tuple[int, ...]
    atoms: tuple[int, ...]
    dimension: int
    percolates: tuple[bool, bool, bool]


@dataclass(frozen=True)
class NetworkStatistics:
    """Numbers that describe a network graph.

    Parameters
    ----------
    degrees : dict
        Number of nodes by number of edges (a self-connection counts twice).
    components : list of Component
        Largest first.
    cycles : int
        Independent cycles, those that wind around the cell included: edges - nodes +
        components.
    rings : dict
        Number of edges by the length of the shortest ring through them that closes
        without winding; edges in none up to ``LONGEST_RING`` are left out.
    percolates : tuple of bool
        Whether any component closes on itself along a, b, c.
    """

    degrees: dict[int, int]
    components: list[Component]
    cycles: int
    rings: dict[int, int]
    percolates: tuple[bool, bool, bool]


def network_statistics(graph: nx.MultiGraph) -> NetworkStatistics:
    """Degrees, components with their dimensionality, cycles, rings, percolation."""
    index = {node: i for i, node in enumerate(graph)}
    forest = PeriodicUnionFind(len(index))
    for a, b, edge in graph.edges(data=True):
        forest.join(*_directed(index[a], index[b], edge, index))
    components = []
    for nodes in sorted(nx.connected_components(graph), key=lambda c: (-len(c), min(c))):
        root = forest.find(index[min(nodes)])[0]
        components.append(
            Component(
                nodes=tuple(sorted(nodes)),
                atoms=tuple(sorted(i for n in nodes for i in graph.nodes[n]["atoms"])),
                dimension=forest.rank(root),
                percolates=forest.winds(root),
            )
        )
    along_a, along_b, along_c = (any(c.percolates[i] for c in components) for i in range(3))
    return NetworkStatistics(
        degrees=dict(sorted(Counter(d for _, d in graph.degree()).items())),
        components=components,
        cycles=graph.number_of_edges() - graph.number_of_nodes() + len(components),
        rings=dict(sorted(_rings(graph).items())),
        percolates=(along_a, along_b, along_c),
    )


def _directed(
    a: int, b: int, edge: dict[str, Any], index: dict[int, int]
) -> tuple[int, int, tuple[int, int, int]]:
    """The edge as (start, end, shift)."""
    if index[edge["start"]] != a:
        a, b = b, a
    return a, b, tuple(edge["shift"])


def _rings(graph: nx.MultiGraph) -> Counter[int]:
    """Length of the shortest ring through each edge, counted; rings live in the infinite
    network, so a walk remembers the image it is in.
    """
    steps: dict[int, list[tuple[int, tuple[int, ...], int]]] = {node: [] for node in graph}
    edges = []
    for name, (a, b, edge) in enumerate(graph.edges(data=True)):
        a, b = (a, b) if edge["start"] == a else (b, a)
        shift = tuple(edge["shift"])
        steps[a].append((b, shift, name))
        steps[b].append((a, tuple(-s for s in shift), name))
        edges.append((a, b, shift))
    sizes: Counter[int] = Counter()
    for name, (a, b, shift) in enumerate(edges):
        distance = _detour(steps, a, (b, shift), name)
        if distance is not None:
            sizes[distance + 1] += 1
    return sizes


def _detour(steps: dict[int, Any], start: int, target: tuple[int, tuple[int, ...]], skip: int) -> int | None:
    """Fewest edges from ``start`` in image 0 to ``target`` without that image of ``skip``."""
    origin = (start, (0, 0, 0))
    seen, todo = {origin: 0}, deque([origin])
    while todo:
        here = todo.popleft()
        if seen[here] == LONGEST_RING - 1:
            return None
        node, image = here
        for beyond, shift, name in steps[node]:
            there = (beyond, tuple(i + s for i, s in zip(image, shift, strict=True)))
            if name == skip and {here, there} == {origin, target}:
                continue
            if there == target:
                return seen[here] + 1
            if there not in seen:
                seen[there] = seen[here] + 1
                todo.append(there)
    return None


def write_graph(graph: nx.MultiGraph, path: str | os.PathLike[str]) -> None:
    """Write a network graph as GraphML or as node-link JSON, by the ending of ``path``.

    GraphML knows only plain values: positions and shifts become ``x``, ``y``, ``z`` and
    ``shift_a``, ``shift_b``, ``shift_c``, lists of atoms a text with spaces.

    Raises
    ------
    InputError
        If the name ends in neither ``.graphml`` nor ``.json``.
    OSError
        If the file cannot be written; one that was there before is kept.
    """
    path = Path(path)
    if path.suffix not in (".json", ".graphml"):
        raise InputError(f"{path.name!r} is neither a .graphml nor a .json file name.")
    with replacing(path) as part:
        if path.suffix == ".json":
            data = nx.node_link_data(graph, edges="edges")
            part.write_text(json.dumps(data, indent=1) + "\n")
        else:
            # Not write_graphml, which takes lxml where that is installed: on a full disk its
            # writer ends the process with a segmentation fault, some time later.
            nx.write_graphml_xml(_plain(graph), part)


def _plain(graph: nx.MultiGraph) -> nx.MultiGraph:
    plain = nx.MultiGraph(isovalue=graph.graph["isovalue"])
    for node, data in graph.nodes(data=True):
        x, y, z = data["position"]
        plain.add_node(
            node,
            elf=data["elf"],
            x=x,
            y=y,
            z=z,
            atoms=" ".join(map(str, data["atoms"])),
            symbols=" ".join(data["symbols"]),
            label=data.get("label", ""),
        )
    for a, b, data in graph.edges(data=True):
        x, y, z = data["position"]
        shift = dict(zip(("shift_a", "shift_b", "shift_c"), data["shift"], strict=True))
        kept = {name: data[name] for name in ("elf", "length", "start", "refined")}
        plain.add_edge(a, b, x=x, y=y, z=z, **shift, **kept)
    return plain
