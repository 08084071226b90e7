"""Places in a structure, and what a network is given of them: neighbours and orbital features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from ase.units import Bohr

from ase_elf.dataset.label import Label
from ase_elf.model.neighbors import Surroundings
from ase_elf.model.network import Architecture
from ase_elf.model.orbitals import Orbitals
from ase_elf.training.kept_features import KeptFeatures


@dataclass(frozen=True)
class Places:
    """Places in a structure, and all a network is given of them.

    Parameters
    ----------
    label : Label
    index, vectors : Tensor
        Neighbours of the places: (n, width) int32 and (3, n, width) bohr.
    orbitals : Tensor, shape (n, n_orbital_features)
        What :mod:`ase_elf.model.orbitals` says of the places.
    """

    label: Label
    index: torch.Tensor
    vectors: torch.Tensor
    orbitals: torch.Tensor

    def rows(self, rows: torch.Tensor, device: torch.device | str = "cpu") -> tuple[torch.Tensor, ...]:
        """Index, vectors and orbitals of some places."""
        found = self.index[rows].long(), self.vectors[:, rows], self.orbitals[rows]
        return tuple(part.to(device) for part in found)


def looked_up(
    label: Label, arch: Architecture, surroundings: Surroundings, points: np.ndarray, features: KeptFeatures
) -> dict:
    """Fields of :class:`Places` for ``points`` (n, 3) in bohr."""
    orbitals = torch.empty(0, len(points))
    if arch.orbital_exponent:
        # On the mesh of the label: what a coarse one does to the label, it does to orbitals.
        kpts = label.provenance.kpts
        mesh = tuple(kpts) if kpts is not None and max(kpts) > 1 else None
        positions = label.atoms.positions / Bohr
        orbitals = Orbitals.of(arch.orbital_exponent, surroundings.cell, positions, mesh=mesh).at(points)
    if arch.minimal_basis:
        orbitals = features(label.atoms, points * Bohr, arch.minimal_basis).T
    index, vectors = surroundings.around(points)
    return {
        "label": label,
        "index": torch.from_numpy(index.astype(np.int32)),
        "vectors": torch.from_numpy(vectors.astype(np.float32)),
        "orbitals": orbitals.T.contiguous(),
    }


def surroundings_of(label: Label, arch: Architecture, points: np.ndarray) -> Surroundings:
    """Atoms of a label and their images; of a molecule, as far as ``points`` need them."""
    atoms = label.atoms
    if atoms.pbc.any():
        return Surroundings.of(atoms.cell.array / Bohr, atoms.positions / Bohr, arch.cutoff)
    return Surroundings.isolated(atoms.positions / Bohr, points, arch.cutoff)
