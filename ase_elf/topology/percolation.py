"""One sweep down the ELF: what joins what, and when a component winds around the cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ase_elf.topology.passes import Passes
from ase_elf.topology.winding import WindingForest


@dataclass(frozen=True)
class Threshold:
    """An isovalue at which something happens, and the pass that makes it happen.

    Parameters
    ----------
    value : float
        Highest isovalue at which it has happened.
    edge : int or None
        Index of the deciding pass; None when it is not a pass (the floor of the field, or
        two atoms within one basin).
    """

    value: float
    edge: int | None = None


@dataclass(frozen=True)
class Merge:
    """Two components become one.

    Parameters
    ----------
    value : float
        ELF of the pass.
    survivor, absorbed : int
        Attractors that the two components are named by: their highest.
    edge : int
        Index of the pass.
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
    passes: Passes,
    values: np.ndarray,
    *,
    counts: Sequence[int],
    floor: float,
    first_meeting: float | None = None,
) -> Sweep:
    """Add passes from the highest down and note thresholds.

    Parameters
    ----------
    passes : Passes
        Sorted by descending value.
    values : ndarray, shape (n,)
        ELF of the attractors: the higher one names a merged component.
    counts : sequence of int, length n
        Counted atoms (hydrogen) in each basin.
    floor : float
        Lowest value of the field: there everything is one component of rank 3.
    first_meeting : float, optional
        Where two counted atoms of one basin meet, if any do.
    """
    forest = WindingForest(len(values))
    height, count = values.tolist(), list(counts)
    ranks: dict[int, Threshold] = {}
    with_atoms: dict[int, Threshold] = {}
    along: dict[int, Threshold] = {}
    meeting = None
    merges = []
    edges = zip(passes.values.tolist(), passes.ends.tolist(), passes.shifts.tolist(), strict=True)
    for edge, (value, (a, b), shift) in enumerate(edges):
        if height[forest.find(b)[0]] > height[forest.find(a)[0]]:
            a, b, shift = b, a, [-s for s in shift]
        before = forest.rank(forest.find(a)[0])
        root, absorbed = forest.join(a, b, tuple(shift))
        if absorbed is not None:
            merges.append(Merge(value, root, absorbed, edge))
            count[root] += count[absorbed]
        rank = forest.rank(root)
        if absorbed is None and rank == before:
            continue
        for axis in range(3):
            if any(period[axis] for period in forest.periods[root]):
                along.setdefault(axis, Threshold(value, edge))
        for r in range(1, rank + 1):
            ranks.setdefault(r, Threshold(value, edge))
            if count[root]:
                with_atoms.setdefault(r, Threshold(value, edge))
        if meeting is None and (count[root] > 1 or (count[root] and rank)):
            meeting = Threshold(value, edge)
    for r in (1, 2, 3):
        ranks.setdefault(r, Threshold(floor))
        along.setdefault(r - 1, Threshold(floor))
        if any(counts):
            with_atoms.setdefault(r, Threshold(floor))
    if meeting is None and any(counts):
        meeting = Threshold(floor)
    if first_meeting is not None and (meeting is None or first_meeting > meeting.value):
        meeting = Threshold(first_meeting)
    return Sweep(ranks, with_atoms, meeting or Threshold(float("nan")), along, merges)
