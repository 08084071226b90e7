"""Which kind of S-Au bond it is, told from the atoms around it, and the motifs that bonds make.

The protecting shell of a thiolate cluster is made of staples, SR-(Au-SR)x, whose gold atoms
sit between two sulfurs in a line, and holds a gold core at its ends (Jadzinsky et al.,
doi 10.1126/science.1148624; Akola et al., doi 10.1021/ja800594p). The thresholds are ours.
"""

from __future__ import annotations

from functools import lru_cache

import networkx as nx
import numpy as np
from ase import Atoms
from ase.neighborlist import neighbor_list
from scipy.spatial import cKDTree

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
    pairs, arms = _contacts(atoms, symbols)
    known = _types(tuple(pairs), frozenset(arms))
    types = np.full(len(i), "", dtype="U16")
    for k, (a, b) in enumerate(zip(i.tolist(), j.tolist(), strict=True)):
        pair = (a, b) if symbols[a] == "Au" else (b, a)
        if (symbols[pair[0]], symbols[pair[1]]) == ("Au", "S"):
            types[k] = "elongated" if length[k] > BONDED else known.get(pair, "elongated")
    return types


def motifs(atoms: Atoms) -> dict[str, int]:
    """What a cluster is made of, by name.

    Returns
    -------
    dict of str to int
        ``staple-n``, SR-(Au-SR)n at the core; ``ring-n``, (Au-SR)n closed on itself; ``bridge``, a
        thiolate between atoms of the core; ``core Au``, gold that is in no staple and no ring.
    """
    symbols = np.array(atoms.get_chemical_symbols())
    _, arms = _contacts(atoms, symbols)
    graph = nx.Graph((("Au", gold), ("S", s)) for gold, two in arms.items() for s in two)
    graph.add_nodes_from(("S", int(s)) for s in np.flatnonzero(symbols == "S"))
    found: dict[str, int] = {}
    for part in nx.connected_components(graph):
        n = sum(kind == "Au" for kind, _ in part)
        name = "bridge" if not n else f"ring-{n}" if len(part) == 2 * n else f"staple-{n}"
        found[name] = found.get(name, 0) + 1
    core = int((symbols == "Au").sum()) - len(arms)
    return dict(sorted(found.items())) | ({"core Au": core} if core else {})


@lru_cache(maxsize=64)
def _types(pairs: tuple[tuple[int, int], ...], staple: frozenset[int]) -> dict[tuple[int, int], str]:
    """Of every contact of gold and sulfur its type, its length aside: the same in most frames of a run."""
    golds: dict[int, set[int]] = {}
    for gold, sulfur in pairs:
        golds.setdefault(sulfur, set()).add(gold)
    graph = nx.Graph((("Au", g), ("S", s)) for g, s in pairs)
    whole = {node: part for part in nx.connected_components(graph) for node in part}
    types = {}
    for gold, sulfur in pairs:
        if len(golds[sulfur]) > 2:
            types[gold, sulfur] = "mu3"
        elif gold not in staple:
            types[gold, sulfur] = "core"
        elif not golds[sulfur] <= staple:
            types[gold, sulfur] = "terminal"
        else:
            alone = all(n in staple for kind, n in whole["S", sulfur] if kind == "Au")
            types[gold, sulfur] = "ring" if alone and _has_no_core(whole["S", sulfur]) else "bridging"
    return types


def _contacts(atoms: Atoms, symbols: np.ndarray) -> tuple[list[tuple[int, int]], dict[int, tuple[int, int]]]:
    """Bonded (gold, sulfur) pairs, and of every gold atom of a staple its two sulfurs."""
    if atoms.pbc.any():
        i, j, vectors, lengths = neighbor_list("ijDd", atoms, {("Au", "S"): CONTACT})
        keep = (symbols[i] == "Au") & (symbols[j] == "S")
        i, j, vectors, lengths = i[keep], j[keep], vectors[keep], lengths[keep]
    else:  # a list of neighbours takes as long as the ELF at all points of all bonds
        golds, sulfurs = np.flatnonzero(symbols == "Au"), np.flatnonzero(symbols == "S")
        near = cKDTree(atoms.positions[golds]).query_ball_tree(cKDTree(atoms.positions[sulfurs]), CONTACT)
        i = np.repeat(golds, [len(mine) for mine in near])
        j = sulfurs[np.array([n for mine in near for n in mine], int)]
        vectors = atoms.positions[j] - atoms.positions[i]
        lengths = np.linalg.norm(vectors, axis=1)
    arms = {}
    for gold in np.unique(i).tolist():
        mine = np.flatnonzero(i == gold)
        if len(mine) >= 2:
            two = mine[np.argsort(lengths[mine])[:2]]
            a, b = vectors[two]
            if a @ b / np.linalg.norm(a) / np.linalg.norm(b) < np.cos(np.radians(STRAIGHT)):
                arms[gold] = (int(j[two[0]]), int(j[two[1]]))
    return sorted({(int(g), int(s)) for g, s in zip(i, j, strict=True)}), arms


def _has_no_core(component: set) -> bool:
    """Whether a chain of gold and sulfur is closed on itself: as many gold as sulfur."""
    kinds = [kind for kind, _ in component]
    return kinds.count("Au") == kinds.count("S")
