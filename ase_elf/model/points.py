"""The ELF at points of many isolated structures in one pass, with what their atoms see.

What :meth:`ase_elf.model.FieldModel.predict_points` gives for one structure, made for the tens of thousands
of points that images of bonds take: points with equally many neighbours go through together, whichever
structure they are of, so that no table is padded, and atoms go through once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from ase.units import Bohr
from scipy.spatial import cKDTree

from ase_elf.model.basis import harmonics, radial

if TYPE_CHECKING:
    from ase import Atoms

    from ase_elf.model.field_model import FieldModel
    from ase_elf.model.network import FieldInvariants

__all__ = ["AtPoints", "at_points"]

TOGETHER = 2048
"""Points that go through the network together."""

NEIGHBOURS = 16
"""Looked for at first; twice as many where a point has more."""


@dataclass(frozen=True)
class AtPoints:
    """The ELF at points of a structure.

    Parameters
    ----------
    values : ndarray, shape (n_points,), float32
    distance : float or None
        Of the structure from those trained on (:class:`~ase_elf.model.field_model.Prediction`).
    invariants : ndarray, shape (n_atoms, n_invariants), or None
        What every atom sees (:meth:`~ase_elf.model.FieldModel.invariants`); None where structures
        went one by one.
    """

    values: np.ndarray
    distance: float | None
    invariants: np.ndarray | None


@torch.no_grad()
def at_points(model: FieldModel, structures: Sequence[Atoms], points: Sequence[np.ndarray]) -> list[AtPoints]:
    """The ELF at Cartesian points (Å), shape (n, 3) per structure.

    Structures that are periodic, and models with orbital features, go one by one.
    """
    if any(atoms.pbc.any() for atoms in structures) or not _is_plain(model, structures):
        return [_alone(model, atoms, xyz) for atoms, xyz in zip(structures, points, strict=True)]
    homes = [atoms.positions / Bohr for atoms in structures]
    places = [np.asarray(xyz, float) / Bohr for xyz in points]
    near = [model._surroundings(atoms, home) for atoms, home in zip(structures, homes, strict=True)]
    neighbours, species = model._neighbours(list(structures), near)
    coefficients = model.network.coefficients(species, *neighbours)
    sizes = [len(atoms) for atoms in structures]
    invariants = model._at_nuclei(neighbours, coefficients).split(sizes)
    known = model.novelty
    across = coefficients.T.contiguous()  # of all atoms one coefficient after the other
    z = torch.empty(sum(map(len, places)), device=model.device, dtype=model.dtype)
    for rows, index, vectors in _equally_many(homes, places, model.arch.cutoff):
        index, vectors = model._put((index, vectors))
        raw = _raw_invariants(model.network.output_invariants, model.arch.cutoff, vectors, across, index)
        z[torch.from_numpy(rows).to(model.device)] = model.network.on_grid(raw, TOGETHER, sigma=False)[0]
    values = torch.sigmoid(z).to(torch.float32).split([len(xyz) for xyz in places])
    return [
        AtPoints(one.cpu().numpy(), None if known is None else known.distance(each), each.cpu().numpy())
        for one, each in zip(values, invariants, strict=True)
    ]


def _is_plain(model: FieldModel, structures: Sequence[Atoms]) -> bool:
    """Whether it is a field model without orbitals, and the one for structures of this size."""
    from ase_elf.model.field_model import FieldModel

    return (
        isinstance(model, FieldModel)
        and not model.arch.n_orbital_features
        and not any(model._is_large(atoms) for atoms in structures)
    )


def _alone(model: FieldModel, atoms: Atoms, xyz: np.ndarray) -> AtPoints:
    found = model.predict_points(atoms, xyz)
    return AtPoints(found.values, found.distance, None)


def _equally_many(
    homes: list[np.ndarray], places: list[np.ndarray], cutoff: float
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Rows of points with equally many neighbours, at most :data:`TOGETHER`; these, and the vectors to them.

    Yields (n,), (n, width) and (3, n, width), bohr.
    """
    tables = [_nearest(home, xyz, cutoff) for home, xyz in zip(homes, places, strict=True)]
    first = np.cumsum([0, *map(len, homes)])
    width = max(table.shape[1] for table in tables)
    index = np.concatenate([
        np.pad(np.where(table < len(home), table + start, first[-1]), ((0, 0), (0, width - table.shape[1])),
               constant_values=first[-1])
        for table, home, start in zip(tables, homes, first, strict=False)
    ])  # fmt: skip
    atoms, xyz = np.concatenate(homes), np.concatenate(places)
    counts = (index < len(atoms)).sum(1)
    order = np.argsort(counts, kind="stable")
    edges = np.flatnonzero(np.diff(counts[order])) + 1
    for group in np.split(order, edges):
        for rows in np.split(group, range(TOGETHER, len(group), TOGETHER)):
            if len(rows):
                near = index[rows, : counts[rows[0]]]
                yield rows, near, np.moveaxis(atoms[near] - xyz[rows, None], -1, 0).copy()


def _nearest(home: np.ndarray, xyz: np.ndarray, cutoff: float) -> np.ndarray:
    """Atoms within the cutoff of each point, nearest first, shape (n, width); their number where none is left."""
    tree, width = cKDTree(home), NEIGHBOURS
    while True:
        _, found = tree.query(xyz, k=width, distance_upper_bound=cutoff)
        if width >= len(home) or not len(xyz) or (found[:, -1] == len(home)).all():
            return found
        width *= 2


def _raw_invariants(
    fields: FieldInvariants,
    cutoff: float,
    vectors: torch.Tensor,
    coefficients: torch.Tensor,
    index: torch.Tensor,
) -> torch.Tensor:
    """:meth:`FieldInvariants.raw_invariants` of the fields at points, shape (n_invariants, n).

    ``coefficients`` have shape (n_coefficients, n_atoms). Points are the last axis throughout, so that
    every operation runs over whole arrays.
    """
    if fields.n_vectors:
        return fields.raw_invariants(fields.mixed(fields.gather(index, vectors, coefficients.T))).T
    n, width = index.shape
    vectors = vectors.movedim(2, 1)
    functions = radial((vectors * vectors).sum(0), fields.n_radial, cutoff).reshape(fields.n_radial, -1)
    sources = coefficients.index_select(1, index.T.reshape(-1))
    weights = (fields.radial.T @ functions).mul_(sources).view(-1, width, n)
    angular = harmonics(vectors, fields.degree)
    mixed, squares, parts = {}, {}, [weights.sum(1)]
    for l, mix in enumerate(fields.mix, start=1):
        k, own = fields.channels[l], angular[None, l * l : (l + 1) ** 2]
        field = weights.new_zeros(k, 2 * l + 1, n)
        for neighbour in range(width):
            field.addcmul_(weights[:k, None, neighbour], own[:, :, neighbour])
        mixed[l] = (mix @ field.view(k, -1)).view(k, 2 * l + 1, n)
        squares[l] = (mixed[l] * mixed[l]).sum(1)
        parts.append(torch.sqrt(1 + squares[l]) - 1)
    if q := fields.n_cubic:
        (y, z, x), t, root3 = mixed[1][:q].unbind(1), mixed[2][:q].unbind(1), math.sqrt(3)
        cubic = root3 * (t[0] * x * y + t[1] * y * z + t[3] * x * z + t[4] * (x * x - y * y) / 2)
        cubic += t[2] * (z * z - (x * x + y * y) / 2)
        parts.append(cubic / (1 + squares[1][:q] + squares[2][:q]))
    return torch.cat(parts)
