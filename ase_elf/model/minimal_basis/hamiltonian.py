"""Overlap and Hamiltonian of Bloch sums: extended Hückel, and the one-shot one of superposed atoms."""

from __future__ import annotations

import math

import numpy as np
import torch

from ase_elf.model.minimal_basis.acting import acted
from ase_elf.model.minimal_basis.basis import Basis
from ase_elf.model.minimal_basis.plane_waves import PlaneWaves
from ase_elf.model.minimal_basis.potential import grid_shape, local_potential

WOLFSBERG_HELMHOLZ = 1.75
"""Doi 10.1063/1.1700580."""

NUMBERS = 2**22
"""Plane waves of orbitals at a time, about."""


def matrices(
    basis: Basis, waves: np.ndarray, *, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
) -> tuple[torch.Tensor, torch.Tensor]:
    """Overlap and one-shot Hamiltonian, each of shape (n_waves, n, n), complex.

    Parameters
    ----------
    basis : Basis
    waves : ndarray, shape (n_waves, 3)
        In units of the reciprocal lattice vectors.
    dtype : torch.dtype
        Real type that sums are made in; what returns is complex and double.
    """
    shape = grid_shape(basis)
    potential = local_potential(basis, shape, device).to(dtype)
    together = max(1, NUMBERS // (basis.size * math.prod(shape)))
    parts = [_some(basis, waves[i : i + together], potential) for i in range(0, len(waves), together)]
    overlap, hamiltonian = (torch.cat(part) for part in zip(*parts, strict=True))
    left_out, missing = on_site(basis)
    return overlap + left_out.to(overlap), hamiltonian + missing.to(hamiltonian)


def _some(basis: Basis, waves: np.ndarray, potential: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    sums = PlaneWaves(basis, waves, potential.dtype, potential.device)
    orbitals = sums.bloch(basis.groups)
    in_all = orbitals * sums.kinetic[..., None]
    in_all += acted(orbitals, sums.lattice, potential)
    overlap, hamiltonian = orbitals.mH @ orbitals, orbitals.mH @ in_all
    on_projectors = torch.cat([sums.bloch([group]).mH @ orbitals for group in basis.projectors], 1)
    hamiltonian += on_projectors.mH @ _strengths(basis, on_projectors)
    return overlap.to(torch.complex128), hamiltonian.to(torch.complex128)


def _strengths(basis: Basis, on_projectors: torch.Tensor) -> torch.Tensor:
    """Projections taken through the matrices of projector strengths."""
    out = torch.zeros_like(on_projectors)
    for a in basis.projectors:
        for b in basis.projectors:
            if a.atom is b.atom and a.shell.l == b.shell.l:
                strength = complex(a.atom.strengths[a.index, b.index])
                if strength:
                    out[:, a.first : a.first + a.size] += (
                        strength * on_projectors[:, b.first : b.first + b.size]
                    )
    return out


def on_site(basis: Basis) -> tuple[torch.Tensor, torch.Tensor]:
    """What plane waves leave out between orbitals of one atom, of overlap and Hamiltonian; each (n, n)."""
    overlap, hamiltonian = (torch.zeros(basis.size, basis.size, dtype=torch.float64) for _ in range(2))
    for a in basis.groups:
        for b in basis.groups:
            if a.atom is b.atom and a.shell.l == b.shell.l:
                steps = torch.arange(a.size)
                overlap[a.first + steps, b.first + steps] = a.atom.overlap[a.index, b.index]
                hamiltonian[a.first + steps, b.first + steps] = a.atom.hamiltonian[a.index, b.index]
    return overlap, hamiltonian


def huckel(overlap: torch.Tensor, levels: torch.Tensor, scale: float = WOLFSBERG_HELMHOLZ) -> torch.Tensor:
    """Extended Hückel Hamiltonian (Hoffmann, doi 10.1063/1.1734456) of an overlap, shape (..., n, n).

    Neighbouring cells' images of an orbital count as other orbitals.
    """
    levels = levels.to(overlap)
    mean = (levels[:, None] + levels) / 2
    return scale * mean * overlap + torch.diag((1 - scale) * levels)
