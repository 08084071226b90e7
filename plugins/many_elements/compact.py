"""Labels of many elements in few bytes: some points of every grid, or the grid without its density.

Written by ``python -m ase_elf_many_elements.compact BUILD STORE [BATCH]``, which adds what a build made
since the last time to the committed store, under the name of the build's batch or another one. BUILD is
a label store, or a folder of files as the first labels by the recipe are (:func:`from_files`).
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.units import Bohr, Ry
from ase_elf_many_elements.splits import split_of

from ase_elf.dataset import Label, LabelStore
from ase_elf.dataset.label import Critical
from ase_elf.dataset.store import is_store
from ase_elf.model.neighbors import nearest_core
from ase_elf.reference import Provenance
from ase_elf.training.critical import critical_of

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

FIRST = "first"
"""Batch of labels on grids so small that those of the test split are all kept whole."""

PER_SHARD = 50


def thinned(label: Label, count: int = POINTS) -> Label:
    """``label`` at ``count`` points of its grid, drawn with :data:`SHARES` from its id, and its critical points.

    Parameters
    ----------
    label : Label
        On a grid, or at points of a ``mesh``: then its critical points are those it came with.
    """
    if label.mesh is None:
        mesh = label.values.shape
        places = np.arange(label.values.size)
        points = np.stack(np.unravel_index(places, mesh), -1) / mesh @ label.atoms.cell.array
    else:
        mesh, points = label.mesh, label.points
    density, values = label.density.ravel(), label.values.ravel()
    weight = np.where(nearest_core(label.atoms, points, CORE) < CORE, SHARES["core"], 1.0)
    weight[density < VACUUM] = SHARES["vacuum"]
    rng = np.random.default_rng(int(label.id[:12], 16))
    # The smallest of exponential numbers over weights: a draw without repetition.
    drawn = rng.exponential(size=len(weight)) / weight
    chosen = np.sort(np.argsort(drawn, kind="stable")[:count])
    return replace(
        label, values=values[chosen], points=points[chosen], mesh=mesh, density=density[chosen],
        critical=critical_outside(label), forces=None, provenance=replace(label.provenance, pseudopotentials={}),
    )  # fmt: skip


def critical_outside(label: Label) -> Critical | None:
    """Attractors and bond critical points of a label, without those in cores and in vacuum."""
    found = critical_of(label)
    if found is None or label.density is None or label.points is not None:
        return found
    shape = label.values.shape
    nearest = np.rint(found.positions @ np.linalg.inv(label.atoms.cell.array) * shape).astype(int) % shape
    inside = nearest_core(label.atoms, found.positions, CORE) >= CORE
    inside &= label.density[tuple(nearest.T)] >= VACUUM
    return Critical(found.positions[inside], found.hessians[inside]) if inside.any() else None


def compacted(labels: Iterable[Label]) -> Iterator[Label]:
    for label in labels:
        whole = label.name.startswith(WHOLE) or (label.batch == FIRST and label.points is None)
        if label.split == "test" and whole:
            plain = replace(label.provenance, pseudopotentials={})
            yield replace(label, density=None, forces=None, provenance=plain)
        else:
            yield thinned(label)


def from_files(folder: Path) -> Iterator[Label]:
    """Labels of files ``NAME.npz`` with ``elf`` (uint16), ``rho_e_bohr3``, ``cell`` and ``pos`` (Å), ``numbers``,
    ``shape``, ``kpts``, ``ecut_ry``, ``energy_ry`` and, where the grid is not whole, ``points`` (flat indices of it).
    """
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as file:
            data = {key: file[key] for key in file.files}
        atoms = Atoms(data["numbers"], data["pos"], cell=data["cell"], pbc=True)
        sha = hashlib.sha256(path.stem.encode())
        for array in (atoms.numbers, atoms.positions, atoms.cell.array):
            sha.update(np.ascontiguousarray(array).tobytes())
        mesh = tuple(data["shape"].tolist())
        places = points = None
        if "points" in data:
            places = np.sort(data["points"])
            points = np.stack(np.unravel_index(places, mesh), -1) / mesh @ atoms.cell.array
        order = slice(None) if places is None else np.argsort(data["points"])
        yield Label(
            id=sha.hexdigest()[:24], name=path.stem, atoms=atoms,
            provenance=Provenance(
                code="Quantum ESPRESSO", version="6.7MaX", functional="PBE", cutoff_ry=float(data["ecut_ry"]),
                kpts=tuple(data["kpts"].tolist()), smearing="cold 0.02 Ry",
            ),
            values=data["elf"][order].astype(np.float32) / 65535, points=points,
            mesh=None if points is None else mesh,
            density=data["rho_e_bohr3"][order].astype(np.float32) / Bohr**3,
            energy=float(data["energy_ry"]) * Ry, split=split_of(atoms),
            kind="hydride" if 1 in atoms.numbers else "crystal",
        )  # fmt: skip


def add(labels: Iterable[Label], store: LabelStore) -> int:
    """Add every label that ``store`` lacks; how many that were."""
    before = len(store)
    fresh = compacted(label for label in labels if label.id not in store)
    while some := list(islice(fresh, PER_SHARD)):
        store.append(some)
    return len(store) - before


def main(source: Path, target: Path, batch: str = "") -> None:
    store = LabelStore(target, create=True)
    if is_store(source):
        build = LabelStore(source)
        for name, facts in build.batches.items():
            store.set_batch(batch or name, facts)
        labels = iter(build)
    else:
        store.set_batch(batch, {"engine": "espresso", "options": {"recipe": "many-elements"}})
        labels = from_files(source)
    print(add((replace(one, batch=batch or one.batch) for one in labels), store), "labels added")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]), *sys.argv[3:4])
