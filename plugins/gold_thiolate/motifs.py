"""Which kind of S-Au bond it is, told from the atoms around it.

The protecting shell of a thiolate cluster is made of staples, SR-(Au-SR)x, whose gold atoms
sit between two sulfurs in a line, and holds a gold core at its ends (Jadzinsky et al.,
doi 10.1126/science.1148624; Akola et al., doi 10.1021/ja800594p). The thresholds are ours.
"""

from __future__ import annotations

import networkx as nx
import numpy as np
from ase import Atoms
from ase.neighborlist import neighbor_list

BONDED = 2.75
"""Å. A longer S-Au bond is elongated."""

CONTACT = 3.0
"""Å. Up to here an elongated bond still counts where the types of others are decided: they must
not change because a neighbour swings out."""

STRAIGHT = 135.0
"""Degrees. The smallest S-Au-S angle, over the two nearest sulfurs, of gold in a staple: in all
structures seen, hot ones too, gold with two sulfurs has more than 140 or less than 120."""

TYPES = ("ring", "bridging", "terminal", "core", "mu3", "elongated")
"""ring: of an oligomer (Au-SR)n without a core. bridging: staple gold, and every other gold
on this sulfur is staple gold too. terminal: staple gold, and the sulfur also holds on to the
core. core: gold of the core. mu3: the sulfur has three or more gold neighbours. elongated:
longer than 2.75 Å."""


def bond_types(atoms: Atoms, i: np.ndarray, j: np.ndarray, length: np.ndarray) -> np.ndarray:
    """The type of each bond between gold and sulfur.

    Parameters
    ----------
    atoms : ase.Atoms
    i, j : ndarray, shape (n,), int
        The two atoms of each bond, in either order.
    length : ndarray, shape (n,), Å

    Returns
    -------
    ndarray, shape (n,), str
        One of :data:`TYPES`; "" for a bond between other elements.
    """
    symbols = np.array(atoms.get_chemical_symbols())
    pairs, staple = _contacts(atoms, symbols)
    golds = {s: [g for g, other in pairs if other == s] for s in {s for _, s in pairs}}
    graph = nx.Graph((("Au", g), ("S", s)) for g, s in pairs)
    whole = {node: part for part in nx.connected_components(graph) for node in part}
    types = np.full(len(i), "", dtype="U16")
    for k, (a, b) in enumerate(zip(i, j, strict=True)):
        gold, sulfur = (a, b) if symbols[a] == "Au" else (b, a)
        if (symbols[gold], symbols[sulfur]) != ("Au", "S"):
            continue
        if length[k] > BONDED:
            types[k] = "elongated"
        elif len(golds[sulfur]) > 2:
            types[k] = "mu3"
        elif gold not in staple:
            types[k] = "core"
        elif not set(golds[sulfur]) <= staple:
            types[k] = "terminal"
        else:
            alone = all(n in staple for kind, n in whole["S", sulfur] if kind == "Au")
            types[k] = "ring" if alone and _has_no_core(whole["S", sulfur]) else "bridging"
    return types


def _contacts(atoms: Atoms, symbols: np.ndarray) -> tuple[list[tuple[int, int]], set[int]]:
    """Bonded (gold, sulfur) pairs, and the gold atoms of staples."""
    i, j, vectors, lengths = neighbor_list("ijDd", atoms, {("Au", "S"): CONTACT})
    keep = symbols[i] == "Au"
    i, j, vectors, lengths = i[keep], j[keep], vectors[keep], lengths[keep]
    staple = set()
    for gold in np.unique(i):
        mine = np.flatnonzero(i == gold)
        if len(mine) >= 2:
            a, b = vectors[mine[np.argsort(lengths[mine])[:2]]]
            cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
            if cosine < np.cos(np.radians(STRAIGHT)):
                staple.add(int(gold))
    return sorted({(int(g), int(s)) for g, s in zip(i, j, strict=True)}), staple


def _has_no_core(component: set) -> bool:
    """Whether a chain of gold and sulfur is closed on itself: as many gold as sulfur."""
    kinds = [kind for kind, _ in component]
    return kinds.count("Au") == kinds.count("S")
