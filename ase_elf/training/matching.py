"""Whether two fields on the same atoms have the same critical points and the same bonds.

Points are matched one to one, as many as possible and then as close as possible, in the
periodic cell. Lengths in Å.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import linear_sum_assignment

from ase_elf.topology import critical_points
from ase_elf.topology.critical import KINDS

if TYPE_CHECKING:
    from ase_elf.grid import ELFGrid
    from ase_elf.topology import Networking

__all__ = [
    "ISOVALUES",
    "PERSISTENCE",
    "REACH",
    "SAME_ATTRACTOR",
    "Match",
    "connectivity",
    "match_critical_points",
    "pair_up",
    "total",
]

PERSISTENCE = 0.01
"""Of the critical points that are compared; what is flatter changes with the labels' noise."""

REACH = 0.05
"""Å. Critical points of one kind and at most this far apart are the same."""

SAME_ATTRACTOR = 0.3
"""Å. Nodes of two bond graphs are the same up to here: less than half a bond, and more than
an attractor moves on the plateau of a molecule."""

ISOVALUES = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
"""At which bond graphs are compared."""


@dataclass(frozen=True)
class Match:
    """Critical points of one kind in two fields.

    Parameters
    ----------
    kind : str
    reference, predicted : int
        Points of persistence above ``PERSISTENCE`` in either.
    matched : int
        Pairs of them.
    found, confirmed : int
        Points of the reference that are near *some* point of the prediction, and of the
        prediction near some of the reference, where the other side is taken down to the
        persistence of :data:`ase_elf.topology.critical.PERSISTENCE`: what is missing here is
        missing, while the rest of a difference only lies on the other side of a threshold.
    displacement : float
        Mean distance of matched points, Å; NaN without any.
    """

    kind: str
    reference: int
    predicted: int
    matched: int
    found: int
    confirmed: int
    displacement: float

    @property
    def recall(self) -> float:
        """Part of the points of the reference that are matched; NaN if it has none."""
        return self.matched / self.reference if self.reference else math.nan

    @property
    def precision(self) -> float:
        """Part of the predicted points that are matched; NaN if there is none."""
        return self.matched / self.predicted if self.predicted else math.nan


def pair_up(
    first: np.ndarray, second: np.ndarray, cell: np.ndarray, reach: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points of two sets that are the same, one to one.

    Parameters
    ----------
    first, second : ndarray, shape (n, 3) and (m, 3), Å
        In any periodic image.
    cell : ndarray, shape (3, 3), Å
    reach : float, Å
        Farther apart than this is no pair; less than half the distance between any two
        lattice planes of the cell.

    Returns
    -------
    i, j : ndarray, shape (n_pairs,), int64
        As many pairs as possible, and of those the closest in sum.
    distance : ndarray, shape (n_pairs,), float64, Å
    """
    if not len(first) or not len(second):
        return (np.empty(0, int),) * 2 + (np.empty(0),)
    inverse = np.linalg.inv(cell)
    apart = (first @ inverse)[:, None] - (second @ inverse)[None]
    distance = np.linalg.norm((apart - np.round(apart)) @ cell, axis=-1)
    # One pair more is worth any distance: a forbidden one costs more than all others together.
    forbidden = 2 * reach * (min(distance.shape) + 1)
    i, j = linear_sum_assignment(np.where(distance <= reach, distance, forbidden))
    good = distance[i, j] <= reach
    return i[good], j[good], distance[i[good], j[good]]


def match_critical_points(
    reference: ELFGrid,
    predicted: ELFGrid,
    *,
    reach: float = REACH,
    where: Callable[[np.ndarray], np.ndarray] = lambda positions: np.full(len(positions), True),
) -> dict[str, Match]:
    """Critical points of two grids of the same atoms, by kind.

    Parameters
    ----------
    reference, predicted : ELFGrid
    reach : float, Å
        Points at most this far apart are the same.
    where : callable, optional
        From positions, shape (n, 3) in Å, which points count, shape (n,) bool. A point that does not
        count may still confirm one that does: both sides of a border see each other.
    """
    strict = [critical_points(grid, persistence=PERSISTENCE) for grid in (reference, predicted)]
    loose = [critical_points(grid) for grid in (reference, predicted)]
    cell = reference.cell
    matches = {}
    for kind in KINDS:
        every, any_point = ([each.of_kind(kind).positions for each in pair] for pair in (strict, loose))
        truth, told = (positions[where(positions)] for positions in every)
        _, _, distance = pair_up(truth, told, cell, reach)
        matches[kind] = Match(
            kind=kind,
            reference=len(truth),
            predicted=len(told),
            matched=len(distance),
            found=len(pair_up(truth, any_point[1], cell, reach)[0]),
            confirmed=len(pair_up(told, any_point[0], cell, reach)[0]),
            displacement=float(distance.mean()) if len(distance) else math.nan,
        )
    return matches


def total(matches: Iterable[Match]) -> Match:
    """Of several structures, or several kinds: all their points together."""
    matches = list(matches)
    numbers = {
        name: sum(getattr(match, name) for match in matches)
        for name in ("reference", "predicted", "matched", "found", "confirmed")
    }
    lengths = [match.matched * match.displacement for match in matches if match.matched]
    kinds = {match.kind for match in matches}
    return Match(
        kind=kinds.pop() if len(kinds) == 1 else "all",
        displacement=sum(lengths) / numbers["matched"] if numbers["matched"] else math.nan,
        **numbers,
    )


def connectivity(reference: Networking, predicted: Networking) -> dict[float, float]:
    """F1 of the edges of the bond graphs of two fields of the same atoms, by isovalue.

    An edge is two attractors, and the lattice translation between them; edges between the
    same two count once. Isovalues at which neither graph has an edge are left out.
    """
    cell = reference.basins.field.cell
    scores = {}
    for isovalue in ISOVALUES:
        truth, told = (net.graph(isovalue, persistence=PERSISTENCE) for net in (reference, predicted))
        names, steps = list(truth), list(told)
        at, there = (
            np.array([g.nodes[n]["position"] for n in nodes]).reshape(-1, 3)
            for g, nodes in ((truth, names), (told, steps))
        )
        i, j, _ = pair_up(at, there, cell, SAME_ATTRACTOR)
        # A pair may lie on either side of a face of the cell; edges have to know.
        image = np.round((there[j] - at[i]) @ np.linalg.inv(cell)).astype(int)
        same = {steps[b]: (names[a], o) for a, b, o in zip(i, j, image.tolist(), strict=True)}
        itself = {node: (node, (0, 0, 0)) for node in truth}
        wanted, got = _edges(truth, itself), _edges(told, same)
        both = wanted.total() + got.total()
        if both:
            scores[isovalue] = 2 * (wanted & got).total() / both
    return scores


def _edges(graph, node_of: dict) -> Counter:
    """Edges under other names of the nodes; those whose ends have none are all different."""
    edges: Counter = Counter()
    for number, (u, v, data) in enumerate(graph.edges(data=True)):
        start = data["start"]
        end = v if u == start else u
        if start not in node_of or end not in node_of:
            edges["lost", number] = 1
            continue
        (a, at_a), (b, at_b) = node_of[start], node_of[end]
        shift = tuple(int(s) for s in np.array(data["shift"]) + at_b - np.array(at_a))
        edges[min((a, b, shift), (b, a, tuple(-s for s in shift)))] = 1
    return edges
