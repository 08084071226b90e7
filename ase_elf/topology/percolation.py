"""One sweep down the ELF: what joins what, and when a component winds around the cell."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ase_elf.topology.periodic_union_find import PeriodicUnionFind
from ase_elf.topology.saddles import Saddles


@dataclass(frozen=True)
class Threshold:
    """An isovalue at which something happens, and what makes it happen.

    Parameters
    ----------
    value : float
        Highest isovalue at which it has happened.
    edge : int or None
        Index of the deciding saddle, where it is one.
    atom : int or None
        Index of the atom whose own ELF decides, where it does. Neither is given where the
        floor of the field decides.
    """

    value: float
    edge: int | None = None
    atom: int | None = None


@dataclass(frozen=True)
class Merge:
    """Two components become one.

    Parameters
    ----------
    value : float
        ELF of the saddle.
    survivor, absorbed : int
        Attractors that the two components are named by: their highest.
    edge : int
        Index of the saddle.
    """

    value: float
    survivor: int
    absorbed: int
    edge: int


@dataclass
class Sweep:
    """What one sweep found.

    Parameters
    ----------
    ranks : dict
        ``ranks[r]`` for r = 1, 2, 3: first time any component has rank r.
    with_atoms : dict
        The same for components that hold at least one of the counted atoms.
    meeting : Threshold
        First time two counted atoms, or one and its own image, are in one component.
    along : dict
        ``along[axis]`` for axis = 0, 1, 2: first time any component closes on itself along
        a, b, c.
    merges : list of Merge
        In descending order of ELF.
    """

    ranks: dict[int, Threshold]
    with_atoms: dict[int, Threshold]
    meeting: Threshold
    along: dict[int, Threshold] = field(default_factory=dict)
    merges: list[Merge] = field(default_factory=list)


def sweep(
    saddles: Saddles,
    values: np.ndarray,
    *,
    atoms: dict[int, list[Threshold]],
    floor: float,
) -> Sweep:
    """Add saddles from the highest down and note thresholds.

    Parameters
    ----------
    saddles : Saddles
        Sorted by descending value.
    values : ndarray, shape (n,)
        ELF of the attractors: the higher one names a merged component.
    atoms : dict
        The counted atoms (hydrogen) of each basin that holds any, highest first, each as the
        threshold below which it lies in the basin: the ELF at its nucleus.
    floor : float
        Lowest value of the field: there everything is one component of rank 3.
    """
    forest = PeriodicUnionFind(len(values))
    height = values.tolist()
    top = {basin: inside[0] for basin, inside in atoms.items()}
    shared = [inside[1] for inside in atoms.values() if len(inside) > 1]
    lowest = Threshold(floor)
    meeting = max(shared, key=lambda t: t.value, default=lowest)
    ranks: dict[int, Threshold] = {}
    with_atoms: dict[int, Threshold] = dict.fromkeys((1, 2, 3), lowest)
    along: dict[int, Threshold] = {}
    merges = []
    edges = zip(saddles.values.tolist(), saddles.ends.tolist(), saddles.shifts.tolist(), strict=True)
    for edge, (value, (a, b), shift) in enumerate(edges):
        high, low = forest.find(a)[0], forest.find(b)[0]
        if height[low] > height[high]:
            a, b, shift, high = b, a, [-s for s in shift], low
        before = forest.rank(high)
        root, absorbed = forest.join(a, b, tuple(shift))
        rank = forest.rank(root)
        if absorbed is None and rank == before:
            continue
        here = Threshold(value, edge)
        if absorbed is not None:
            merges.append(Merge(value, root, absorbed, edge))
            mine, other = top.get(root), top.get(absorbed)
            if mine and other:
                meeting = _higher(meeting, _lowest(here, mine, other))
            if other:
                top[root] = _higher(other, mine) if mine else other
        for axis in range(3):
            if any(period[axis] for period in forest.periods[root]):
                along.setdefault(axis, here)
        for r in range(1, rank + 1):
            ranks.setdefault(r, here)
            if root in top:
                with_atoms[r] = _higher(with_atoms[r], _lowest(here, top[root]))
        if rank and root in top:
            meeting = _higher(meeting, _lowest(here, top[root]))
    for r in (1, 2, 3):
        ranks.setdefault(r, lowest)
        along.setdefault(r - 1, lowest)
    if not atoms:
        with_atoms, meeting = {}, Threshold(float("nan"))
    return Sweep(ranks, with_atoms, meeting, along, merges)


def _higher(a: Threshold, b: Threshold) -> Threshold:
    return a if a.value >= b.value else b


def _lowest(*found: Threshold) -> Threshold:
    return min(found, key=lambda t: t.value)
