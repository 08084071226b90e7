"""check: what in a label set would spoil a training, or make its test look too good."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from ase import Atoms

from ase_elf.dataset.fingerprint import distances, fingerprint
from ase_elf.dataset.geometries import find_geometries
from ase_elf.dataset.label import INLINE, Label
from ase_elf.dataset.store import LabelStore
from ase_elf.geometry.checks import describe

SAME = 1e-3
"""Fingerprint distance below which two structures are the same: rounding of files."""

ALIKE = 0.03
"""Fingerprint distance below which two structures tell a model much the same. Displacing the
atoms of a 128-atom hydrogen fluid at random by 0.03 Å gives 0.03, two of its snapshots picked
at random are 0.05 to 0.14 apart."""


@dataclass(frozen=True)
class Spread:
    """Least, 5 %, median, 95 % and greatest value."""

    least: float
    low: float
    median: float
    high: float
    greatest: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """Of any numbers."""
        return cls(*(float(x) for x in np.percentile(list(values), [0, 5, 50, 95, 100])))


@dataclass(frozen=True)
class SplitSummary:
    """What one split holds: number of labels and values, and how its quantities spread."""

    labels: int
    values: int
    r_s_bohr: Spread | None
    shortest_distance: Spread | None
    elf: Spread


@dataclass(frozen=True)
class Pair:
    """Two labels that are alike, and how far apart their fingerprints are."""

    first: str
    second: str
    splits: tuple[str, str]
    distance: float


@dataclass(frozen=True)
class Noise:
    """One structure labelled with two recipes: rms and mean difference of the ELF."""

    first: str
    second: str
    rms: float
    bias: float


@dataclass(frozen=True)
class CheckReport:
    """What :func:`check` found.

    Parameters
    ----------
    splits : dict of str to SplitSummary
    duplicates : tuple of Pair
        The same structure twice in one batch of a store.
    leaks : tuple of Pair
        Structures in different splits that are the same or nearly so: a score on the second
        is no test of a model trained on the first.
    noise : tuple of Noise
        From structures that two stores, or batches of one, label with different recipes.
    failures : int
        Structures recorded as failed.
    detached : int
        Labels on geometries that are not stored and were in no file given, which were not looked at.
    """

    splits: dict[str, SplitSummary]
    duplicates: tuple[Pair, ...]
    leaks: tuple[Pair, ...]
    noise: tuple[Noise, ...]
    failures: int
    detached: int = 0

    def as_dict(self) -> dict:
        """Plain values, ready for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class _Seen:
    """What is kept of a label while the others are read."""

    store: int
    id: str
    name: str
    split: str
    batch: str
    atoms: Atoms
    formula: str
    n_values: int
    elf: np.ndarray
    ranges: dict[str, float]
    fingerprint: np.ndarray


def check(*stores: LabelStore, alike: float = ALIKE, geometries: Iterable[str | Path] = ()) -> CheckReport:
    """Look through one or more label stores.

    Parameters
    ----------
    *stores : LabelStore
        Several stores count as one set. Structures that two of them hold, or two batches of one,
        made with different recipes, measure the noise of the labels.
    alike : float
        Fingerprint distance below which structures in different splits are a leak.
    geometries : iterable of path, optional
        Files with the geometries that are not stored (``info["id"]``).

    Returns
    -------
    CheckReport
    """
    every = [
        None if label is None else _look(number, label)
        for number, store in enumerate(stores)
        for label in _labels(store, geometries)
    ]
    seen = [one for one in every if one is not None]
    order = sorted(seen, key=lambda one: one.split)
    splits = {key: _summary(list(group)) for key, group in groupby(order, lambda one: one.split)}
    duplicates, leaks, repeated = _pairs(seen, alike)
    return CheckReport(
        splits=splits,
        duplicates=tuple(duplicates),
        leaks=tuple(leaks),
        noise=tuple(n for pair in repeated if (n := _noise(stores, *pair))),
        failures=sum(len(store.failures) for store in stores),
        detached=len(every) - len(seen),
    )


def _labels(store: LabelStore, geometries: Iterable[str | Path]) -> Iterator[Label | None]:
    """Labels of a store that are not images and refine no other; None where the geometry is missing."""
    ids = {row["geometry"].partition(":")[2] for row in store.rows.values()} - {""}
    found = find_geometries(ids, geometries) if ids else {}
    for stored in store.stored():
        if stored.geometry:
            atoms = found.get(stored.geometry.partition(":")[2])
            yield stored.label(atoms) if atoms is not None or stored.geometry == INLINE else None


def _look(store: int, label: Label) -> _Seen:
    return _Seen(
        store=store,
        id=label.id,
        name=label.name,
        split=label.split,
        batch=label.batch,
        atoms=label.atoms,
        formula=label.atoms.get_chemical_formula(empirical=True),
        n_values=label.values.size,
        # Percentiles of a sample are those of the grid to three digits, and small.
        elf=label.values.reshape(-1)[:: max(1, label.values.size // 2000)],
        ranges=describe(label.atoms) if label.atoms.pbc.all() else {},
        fingerprint=fingerprint(label.atoms),
    )


def _summary(seen: list[_Seen]) -> SplitSummary:
    def spread(quantity: str) -> Spread | None:
        values = [one.ranges[quantity] for one in seen if one.ranges]
        return Spread.of(values) if values else None

    return SplitSummary(
        labels=len(seen),
        values=sum(one.n_values for one in seen),
        r_s_bohr=spread("r_s_bohr"),
        shortest_distance=spread("shortest_distance"),
        elf=Spread.of(np.concatenate([one.elf for one in seen])),
    )


def _pairs(seen: list[_Seen], alike: float) -> tuple[list[Pair], list[Pair], list]:
    """Duplicates, leaks, and pairs that are the same structure in different stores or batches."""
    duplicates, leaks, repeated = [], [], []
    by_formula = sorted(seen, key=lambda one: one.formula)
    for _, group in groupby(by_formula, lambda one: one.formula):
        members = list(group)
        prints = np.array([one.fingerprint for one in members])
        apart = distances(prints, prints)
        for i, j in zip(*np.nonzero(np.triu(apart < alike, 1)), strict=True):
            one, two, distance = members[i], members[j], float(apart[i, j])
            pair = Pair(one.name, two.name, (one.split, two.split), distance)
            same_recipe = (one.store, one.batch) == (two.store, two.batch)
            if one.split != two.split and one.split and two.split:
                leaks.append(pair)
            elif same_recipe and distance < SAME:
                duplicates.append(pair)
            if not same_recipe and distance < SAME:
                repeated.append((one, two))
    return duplicates, leaks, repeated


def _noise(stores: tuple[LabelStore, ...], one: _Seen, two: _Seen) -> Noise | None:
    """Difference of two labels of one structure, where they can be compared point by point."""
    first, second = (stores[x.store].find(x.id).label(x.atoms) for x in (one, two))
    same_place = (
        first.atoms.positions.shape == second.atoms.positions.shape
        and np.allclose(first.atoms.positions, second.atoms.positions, atol=1e-6)
        and np.allclose(first.atoms.cell.array, second.atoms.cell.array, atol=1e-6)
    )
    if not same_place or first.points is not None or second.points is not None:
        return None
    ours = first.values
    # Another cutoff has another grid; the interpolation is a fraction of any recipe's noise.
    theirs = second.values if second.values.shape == ours.shape else second.grid.resample(
        shape=ours.shape
    ).values  # fmt: skip
    difference = ours.astype(float) - theirs
    rms = float(np.sqrt((difference**2).mean()))
    return Noise(one.name, two.name, rms, float(difference.mean()))
