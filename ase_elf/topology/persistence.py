"""Which critical points cancel: pairs that a small change of the field makes disappear.

Attractors pair with the bond point at which their component joins a higher one, cages
with rings in the same way seen from below. Both are exact (elder rule on the merge tree).
Three bond points close the first loops around the cell in three independent directions, and
three rings do so from below: no periodic field is without them, so they never pair.
Of the rest, bond and ring points that close and fill a loop pair where a short segment
between them falls steadily from one to the other.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial import cKDTree

from ase_elf.topology.basins import Basins, find_basins, wrap
from ase_elf.topology.field import SplineField
from ase_elf.topology.periodic_union_find import PeriodicUnionFind, is_independent
from ase_elf.topology.saddles import bond_ends

REACH = 0.5
"""Å between the two points of a bond-ring pair, at most."""

_SAME = 0.1
"""Voxels; an attractor found by root isolation and one found by steepest ascent are the same within this."""

ATTRACTOR, BOND, RING, CAGE = range(4)


def pair(
    basins: Basins, u: np.ndarray, values: np.ndarray, kind: np.ndarray, threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """Persistence of every critical point, and which ones are cancelled.

    Parameters
    ----------
    basins : Basins
    u : ndarray, shape (n, 3), voxels, within the cell
    values : ndarray, shape (n,)
    kind : ndarray, shape (n,), int
        0 attractor, 1 bond, 2 ring, 3 cage.
    threshold : float
        Pairs of lower persistence are cancelled.

    Returns
    -------
    persistence : ndarray, shape (n,)
        Infinite without a partner.
    cancelled : ndarray, shape (n,), bool
    """
    field = basins.field
    lifetime = np.full(len(u), np.inf)
    upside_down = SplineField(-field.values, field.cell)
    upside_down.__dict__["coefficients"] = -field.coefficients
    below = find_basins(upside_down)
    free = (kind == BOND) | (kind == RING)
    for side, sign, extreme, saddle in ((basins, 1, ATTRACTOR, BOND), (below, -1, CAGE, RING)):
        pairs, around = _elder(side, u, sign * values, kind, extreme, saddle)
        for top, pass_, life in pairs:
            lifetime[[top, pass_]] = life
            free[pass_] = False
        free[around] = False
    _pair_locally(field, u, values, kind, np.flatnonzero(free), lifetime, threshold)
    return lifetime, lifetime < threshold


def _elder(
    basins: Basins, u: np.ndarray, values: np.ndarray, kind: np.ndarray, extreme: int, saddle: int
) -> tuple[list[tuple[int, int, float]], list[int]]:
    """Pairs (extreme, saddle, persistence) of the merge tree, extremes by the elder rule; and
    the saddles that close the first loops around the cell, three of a complete list.
    """
    tops, saddles = np.flatnonzero(kind == extreme), np.flatnonzero(kind == saddle)
    if not len(tops) or not len(saddles):
        return [], saddles.tolist()
    shape = basins.field.shape
    owned = cKDTree(wrap(basins.attractors, shape)[1], boxsize=shape)
    between = tops[owned.query(u[tops])[0] > _SAME]
    basins = basins.with_hidden(u[between], values[between])
    if extreme == CAGE:
        # Around cages the field is so flat that voxel basins are not to be trusted.
        basins = replace(basins, direct=np.zeros_like(basins.direct), hidden=len(basins))
    gap, nearest = cKDTree(u[tops], boxsize=shape).query(wrap(basins.attractors, shape)[1])
    # The critical point a component is named by; a flat top may have none of its own.
    name = np.where(gap < _SAME, tops[nearest], -1).tolist()
    ends, images = bond_ends(basins, u[saddles])
    shifts = images[:, 1] - images[:, 0]
    forest = PeriodicUnionFind(len(basins))
    pairs: list[tuple[int, int, float]] = []
    around: list[int] = []
    loops: list[tuple[int, int, int]] = []
    for i in np.argsort(-values[saddles], kind="stable").tolist():
        if min(ends[i]) < 0:
            continue
        (a, at_a), (b, at_b) = map(forest.find, ends[i].tolist())
        x, y, z = (int(step) for step in np.subtract(at_a, at_b) - shifts[i])
        loop = (x, y, z)
        root, absorbed = forest.join(int(ends[i, 0]), int(ends[i, 1]), tuple(shifts[i].tolist()))
        if absorbed is None:
            # Loops of all components count together: the class of the loop is what lasts.
            if is_independent(loops, loop):
                loops.append(loop)
                around.append(int(saddles[i]))
        elif name[a] < 0 or name[b] < 0:
            name[root] = max(name[a], name[b])
        else:
            elder, younger = sorted((name[a], name[b]), key=lambda n: -values[n])
            name[root] = elder
            life = max(float(values[younger] - values[saddles[i]]), 0.0)
            pairs.append((younger, int(saddles[i]), life))
    return pairs, around


def _pair_locally(
    field: SplineField,
    u: np.ndarray,
    values: np.ndarray,
    kind: np.ndarray,
    free: np.ndarray,
    lifetime: np.ndarray,
    threshold: float,
) -> None:
    """Pair bonds and rings, those the trees left ``free``, the smallest difference first."""
    if len(free) < 2 or threshold <= 0:
        return
    # Voxel coordinates per Å: the largest singular value bounds every direction.
    reach = REACH * np.linalg.norm(np.linalg.inv(field.voxel_vectors), 2)
    pairs = free[cKDTree(u[free], boxsize=field.shape).query_pairs(reach, output_type="ndarray")]
    higher = np.where(kind[pairs[:, 0]] < kind[pairs[:, 1]], pairs[:, 0], pairs[:, 1])
    lower = pairs.sum(axis=1) - higher
    drop = values[higher] - values[lower]
    near = (kind[lower] > kind[higher]) & (drop >= 0) & (drop < threshold)
    higher, lower, drop = higher[near], lower[near], drop[near]
    steady = _falls_steadily(field, u[higher], u[lower], values[higher], values[lower], threshold)
    taken = np.zeros(len(u), bool)
    for i in np.argsort(drop, kind="stable"):
        a, b = higher[i], lower[i]
        if steady[i] and not taken[a] and not taken[b]:
            taken[[a, b]] = True
            lifetime[[a, b]] = drop[i]


def _falls_steadily(
    field: SplineField,
    start: np.ndarray,
    end: np.ndarray,
    above: np.ndarray,
    below: np.ndarray,
    threshold: float,
) -> np.ndarray:
    """True where the points are close and the spline stays between the two values.

    To half the threshold: the way down is not quite straight.
    """
    if not len(start):
        return np.empty(0, bool)
    step = end - start
    step -= field.shape * np.round(step / field.shape)
    short = np.linalg.norm(field.position_of(step), axis=1) <= REACH
    along = np.linspace(0, 1, 9)[1:-1]
    between = field.value((start[:, None] + along[:, None] * step[:, None]).reshape(-1, 3))
    between = between.reshape(len(start), -1)
    margin = 0.5 * threshold
    steady = (between.max(axis=1) < above + margin) & (between.min(axis=1) > below - margin)
    return steady & short
