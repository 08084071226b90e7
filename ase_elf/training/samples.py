"""Points drawn from labels, with their neighbours worked out once and kept.

Finding neighbours would cost as much as a training step, so each label gets a fixed pool
of random grid points; a batch is rows of the pools of a few labels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from ase.units import Bohr
from torch import nn

from ase_elf.dataset.label import Label
from ase_elf.model.network import Architecture
from ase_elf.storage.quantization import resolution
from ase_elf.training.critical import CriticalPlaces
from ase_elf.training.kept_features import MADE_ANEW, KeptFeatures
from ase_elf.training.places import Places, looked_up, surroundings_of
from ase_elf.training.region import EVERYWHERE, Region

HIGHEST = 14.0
"""Of z: 8e-7 from an ELF of 1, where single precision ends."""


@dataclass(frozen=True)
class Pool(Places):
    """One label ready for training: random points of it, and its atoms.

    Parameters
    ----------
    target : Tensor, shape (n,)
        ELF at the points.
    highest : Tensor, shape ()
        Largest z = logit(ELF) that digits of the label tell from larger ones, :data:`HIGHEST` at most.
    species : Tensor, shape (n_atoms,), int64
    atom_index, atom_vectors : Tensor
        Neighbours of the atoms: (n_atoms, width) int64 and (3, n_atoms, width) bohr.
    scored : Tensor, shape (n,), bool
        Which points count when a fit is judged.
    critical : CriticalPlaces or None
        Where they are part of what is fitted.
    """

    target: torch.Tensor
    highest: torch.Tensor
    species: torch.Tensor
    atom_index: torch.Tensor
    atom_vectors: torch.Tensor
    scored: torch.Tensor
    critical: CriticalPlaces | None = None

    @classmethod
    def draw(
        cls,
        label: Label,
        arch: Architecture,
        n_points: int,
        rng: np.random.Generator,
        *,
        features: KeptFeatures = MADE_ANEW,
        region: Region = EVERYWHERE,
    ) -> Pool:
        """``n_points`` random points of ``label`` (all of them if it has fewer)."""
        chosen = rng.choice(label.values.size, min(n_points, label.values.size), replace=False)
        if label.points is None:
            fractional = np.stack(np.unravel_index(chosen, label.values.shape), -1)
            points = (fractional / label.values.shape) @ (label.atoms.cell.array / Bohr)
        else:
            points = label.points[chosen] / Bohr
        surroundings = surroundings_of(label, arch, points)
        atom_index, atom_vectors = surroundings.around(label.atoms.positions / Bohr, skip_self=True)
        return cls(
            **looked_up(label, arch, surroundings, points, features),
            target=torch.from_numpy(label.values.ravel()[chosen].astype(np.float32)),
            highest=torch.tensor(min(HIGHEST, -math.log(2 * resolution(label.values)))),
            species=torch.tensor([arch.elements.index(z) for z in label.atoms.numbers]),
            atom_index=torch.from_numpy(atom_index),
            atom_vectors=torch.from_numpy(atom_vectors.astype(np.float32)),
            scored=torch.from_numpy(region.of(label).ravel()[chosen]),
        )

    def some_critical(self, n: int, rng: np.random.Generator) -> torch.Tensor:
        """Numbers of at most ``n`` of the critical points, shape (m,) int64; none where they are not known."""
        return torch.tensor([], dtype=torch.int64) if self.critical is None else self.critical.some(n, rng)

    def atoms(self, device: torch.device) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Species, neighbours and vectors of the atoms."""
        return tuple(p.to(device) for p in (self.species, self.atom_index, self.atom_vectors))


def together(
    batch: list[tuple[Pool, torch.Tensor]],
    critical: list[torch.Tensor],
    cutoff: float,
    device: torch.device | str = "cpu",
) -> tuple:
    """Atoms, and some points and critical points, of several structures as those of one.

    Parameters
    ----------
    batch : list of (Pool, Tensor)
        Structures, and which of their points.
    critical : list of Tensor
        Which of the critical points of each (:meth:`Pool.some_critical`).
    cutoff : float, bohr
        Neighbour tables are padded with what lies beyond it.

    Returns
    -------
    atoms : tuple of Tensor
        As :meth:`Pool.atoms` gives them.
    points : tuple of Tensor
        As :meth:`Places.rows` gives them.
    target, highest : Tensor, shape (n,)
        ELF at the points, and the largest z that is told from others there.
    critical : tuple of Tensor or None
        As :meth:`CriticalPlaces.of_some` gives them.
    """
    atoms = [pool.atoms("cpu") for pool, _ in batch]
    first = np.cumsum([0, *(len(species) for species, _, _ in atoms)]).tolist()
    joined = (
        torch.cat([species for species, _, _ in atoms]),
        *_tables([(index, vectors) for _, index, vectors in atoms], first, cutoff),
    )
    points = _joined([pool.rows(rows) for pool, rows in batch], first, cutoff)
    target = torch.cat([pool.target[rows] for pool, rows in batch])
    highest = torch.cat([pool.highest.expand(len(rows)) for pool, rows in batch])
    around = [
        (start, pool.critical.of_some(rows, "cpu"))
        for (pool, _), rows, start in zip(batch, critical, first, strict=False)
        if len(rows)
    ]
    peaks = None
    if around:
        starts = [start for start, _ in around]
        curvatures = torch.cat([found[-1] for _, found in around])
        peaks = (*_joined([found[:-1] for _, found in around], starts, cutoff), curvatures)
    return (
        _on(device, joined), _on(device, points), target.to(device), highest.to(device),
        peaks and _on(device, peaks),
    )  # fmt: skip


def _on(device: torch.device | str, parts: tuple) -> tuple:
    return tuple(part.to(device) for part in parts)


def _joined(parts: list[tuple[torch.Tensor, ...]], first: list[int], cutoff: float) -> tuple:
    """Index, vectors and orbitals of places in several structures, whose atoms begin at ``first``."""
    tables = _tables([(index, vectors) for index, vectors, _ in parts], first, cutoff)
    return *tables, torch.cat([orbitals for _, _, orbitals in parts])


def _tables(parts: list[tuple[torch.Tensor, torch.Tensor]], first: list[int], cutoff: float) -> tuple:
    """Neighbour tables one below the other, padded to the widest."""
    width = max(index.shape[1] for index, _ in parts)
    indices, vectors = [], []
    for (index, away), start in zip(parts, first, strict=False):
        missing = (0, width - index.shape[1])
        indices.append(nn.functional.pad(index + start, missing))
        vectors.append(nn.functional.pad(away, missing, value=2 * cutoff))
    return torch.cat(indices), torch.cat(vectors, dim=1)
