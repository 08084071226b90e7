"""Labels of many elements in few bytes: some points of every grid, or the grid without its density.

Written by ``python -m ase_elf_many_elements.compact BUILD STORE [BATCH]``, which adds what a build made
since the last time to the committed store, under the name of the build's batch or another one.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
from ase.units import Bohr
from scipy.spatial import cKDTree

from ase_elf.dataset import Label, LabelStore
from ase_elf.model.neighbors import Surroundings

POINTS = 1200
"""Of every label that is not kept as a grid."""

CORE = 0.7
"""Å around nuclei other than hydrogen, where pseudopotentials decide the ELF."""

VACUUM = 1e-3 / Bohr**3
"""e/Å³. What is below has an ELF, but few electrons."""

SHARES = {"core": 0.25, "vacuum": 0.1}
"""How often a point of a core or of vacuum is drawn, beside one of the rest."""

WHOLE = ("symmetric-", "crystal-")
"""Beginnings of the names of test labels kept as grids, to read topology from."""

PER_SHARD = 50


def nearest_core(atoms, points: np.ndarray) -> np.ndarray:
    """Å from each point (Å, Cartesian) to the nearest nucleus that is not hydrogen; inf without."""
    heavy = atoms[atoms.numbers != 1]
    if not len(heavy):
        return np.full(len(points), np.inf)
    if not atoms.pbc.any():
        return cKDTree(heavy.positions).query(points)[0]
    near = Surroundings.of(atoms.cell.array, heavy.positions, CORE + 0.1)
    inside = near.cell.T @ ((np.linalg.inv(near.cell).T @ points.T) % 1.0)
    return near.tree.query(inside.T)[0]


def thinned(label: Label, count: int = POINTS) -> Label:
    """``label`` at ``count`` points of its grid, drawn with :data:`SHARES` from its id.

    Parameters
    ----------
    label : Label
        On a grid, or at points of a ``mesh``.
    """
    if label.mesh is None:
        mesh = label.values.shape
        places = np.arange(label.values.size)
        points = np.stack(np.unravel_index(places, mesh), -1) / mesh @ label.atoms.cell.array
    else:
        mesh, points = label.mesh, label.points
    density, values = label.density.ravel(), label.values.ravel()
    weight = np.where(nearest_core(label.atoms, points) < CORE, SHARES["core"], 1.0)
    weight[density < VACUUM] = SHARES["vacuum"]
    rng = np.random.default_rng(int(label.id[:12], 16))
    # The smallest of exponential numbers over weights: a draw without repetition.
    drawn = rng.exponential(size=len(weight)) / weight
    chosen = np.sort(np.argsort(drawn, kind="stable")[:count])
    return replace(
        label, values=values[chosen], points=points[chosen], mesh=mesh, density=density[chosen],
        forces=None, provenance=replace(label.provenance, pseudopotentials={}),
    )  # fmt: skip


def compacted(labels: Iterable[Label]) -> Iterator[Label]:
    for label in labels:
        if label.split == "test" and label.name.startswith(WHOLE):
            plain = replace(label.provenance, pseudopotentials={})
            yield replace(label, density=None, forces=None, provenance=plain)
        else:
            yield thinned(label)


def add(build: LabelStore, store: LabelStore, batch: str = "") -> int:
    """Add every label of ``build`` that ``store`` lacks; how many that were.

    Parameters
    ----------
    build, store : LabelStore
    batch : str
        Name of the batch in ``store``, of a build with one; as in ``build`` by default.
    """
    for name, facts in build.batches.items():
        store.set_batch(batch or name, facts)
    before = len(store)
    fresh = compacted(replace(label, batch=batch or label.batch) for label in build if label.id not in store)
    while some := list(islice(fresh, PER_SHARD)):
        store.append(some)
    return len(store) - before


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:3])
    print(add(LabelStore(source), LabelStore(target, create=True), *sys.argv[3:4]), "labels added")
