"""Points drawn from labels, with their neighbours worked out once and kept.

Finding neighbours would cost as much as a training step, so each label gets a fixed pool
of random grid points; a batch is rows of the pools of a few labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from ase.units import Bohr

from ase_elf.dataset.label import Label
from ase_elf.model.neighbors import Surroundings
from ase_elf.model.network import Architecture
from ase_elf.model.orbitals import Orbitals


@dataclass(frozen=True)
class Pool:
    """One label ready for training.

    Parameters
    ----------
    label : Label
    species : Tensor, shape (n_atoms,), int64
    atom_index, atom_vectors : Tensor
        Neighbours of the atoms: (n_atoms, width) int64 and (3, n_atoms, width) bohr.
    index, vectors : Tensor
        Neighbours of the points: (n, width) int32 and (3, n, width) bohr.
    orbitals : Tensor, shape (n, n_orbital_features)
        What :mod:`ase_elf.model.orbitals` says of the points.
    target : Tensor, shape (n,)
        ELF at the points.
    """

    label: Label
    species: torch.Tensor
    atom_index: torch.Tensor
    atom_vectors: torch.Tensor
    index: torch.Tensor
    vectors: torch.Tensor
    orbitals: torch.Tensor
    target: torch.Tensor

    @classmethod
    def draw(
        cls, label: Label, arch: Architecture, n_points: int, rng: np.random.Generator
    ) -> Pool:
        """``n_points`` random points of ``label`` (all of them if it has fewer)."""
        atoms = label.atoms
        cell, positions = atoms.cell.array / Bohr, atoms.positions / Bohr
        chosen = rng.choice(label.values.size, min(n_points, label.values.size), replace=False)
        if label.points is None:
            fractional = np.stack(np.unravel_index(chosen, label.values.shape), -1)
            points = (fractional / label.values.shape) @ cell
        else:
            points = label.points[chosen] / Bohr
        if atoms.pbc.any():
            surroundings = Surroundings.of(cell, positions, arch.cutoff)
        else:
            surroundings = Surroundings.isolated(positions, points, arch.cutoff)
        orbitals = torch.empty(0, len(points))
        if arch.orbital_exponent:
            # On the mesh of the label: what a coarse one does to the label, it does to orbitals.
            kpts = label.provenance.kpts
            mesh = tuple(kpts) if kpts is not None and max(kpts) > 1 else None
            orbitals = Orbitals.of(
                arch.orbital_exponent, surroundings.cell, positions, mesh=mesh
            ).at(points)
        index, vectors = surroundings.around(points)
        atom_index, atom_vectors = surroundings.around(positions, skip_self=True)
        return cls(
            label,
            torch.tensor([arch.elements.index(z) for z in atoms.numbers]),
            torch.from_numpy(atom_index),
            torch.from_numpy(atom_vectors.astype(np.float32)),
            torch.from_numpy(index.astype(np.int32)),
            torch.from_numpy(vectors.astype(np.float32)),
            orbitals.T.contiguous(),
            torch.from_numpy(label.values.ravel()[chosen].astype(np.float32)),
        )

    def rows(
        self, rows: torch.Tensor, device: torch.device | str = "cpu"
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Index, vectors, orbitals and target of some points."""
        found = (
            self.index[rows].long(), self.vectors[:, rows], self.orbitals[rows], self.target[rows]
        )  # fmt: skip
        return tuple(part.to(device) for part in found)

    def atoms(self, device: torch.device) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Species, neighbours and vectors of the atoms."""
        return tuple(p.to(device) for p in (self.species, self.atom_index, self.atom_vectors))
