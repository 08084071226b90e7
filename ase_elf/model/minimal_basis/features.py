"""Numbers per place for a network, from cheap orbitals and superposed atoms.

All are smooth, of order 1 to 10, and bounded in vacuum. Atomic units inside logarithms.
"""

from __future__ import annotations

import numpy as np
import torch
from ase import Atoms

from ase_elf.model.minimal_basis.fields import Fields
from ase_elf.model.minimal_basis.occupied import OccupiedOrbitals
from ase_elf.model.minimal_basis.superposed import Superposed
from ase_elf.model.orbitals import FERMI, FLOORS, LEAST

NAMES = (
    "huckel z", "huckel ln rho", "huckel ln tau", "huckel ln tau_w",
    "one-shot z", "one-shot ln rho", "one-shot ln tau", "one-shot ln tau_w",
    "H ln rho", "H ln slope", "H laplacian",
    "rest ln rho", "rest ln slope", "rest laplacian",
    "all ln slope", "all laplacian",
)  # fmt: skip
"""What the columns are.

``z``: logit of the ELF, -ln(χ² + LEAST²), the density in χ with its floor; from -9 to 7.
``ln rho``, ``ln tau``, ``ln tau_w``: of the quantity and its floor.
``H``, ``rest``, ``all``: superposed densities of hydrogen atoms, of the others, and of both.
``ln slope``: ln(|∇ρ|² / 8 (ρ + floor) + floor of τ_W), the τ_W of that density.
``laplacian``: asinh(10 ∇²ρ), odd and logarithmic where it is large.
"""

GROUPS = {"huckel": slice(0, 4), "one-shot": slice(4, 8), "atoms": slice(8, 16)}
"""Columns by where they come from."""


def columns(groups: tuple[str, ...]) -> list[int]:
    """Which columns belong to ``groups``, in the order of :data:`NAMES`."""
    everything = range(len(NAMES))
    return [column for name, part in GROUPS.items() if name in groups for column in everything[part]]


def features(orbitals: OccupiedOrbitals, points: np.ndarray) -> torch.Tensor:
    """Features of places.

    Parameters
    ----------
    orbitals : OccupiedOrbitals
        With both Hamiltonians.
    points : ndarray, shape (n, 3), Å, Cartesian

    Returns
    -------
    Tensor, shape (n, len(NAMES)), of the type of ``orbitals.dtype``
    """
    fields = orbitals.at(points)
    hydrogen, rest = orbitals.superposed(points)
    columns = of_fields(fields["huckel"]) + of_fields(fields["one-shot"])
    columns += of_superposed(hydrogen) + of_superposed(rest) + of_superposed(hydrogen + rest)[1:]
    return torch.stack(columns, -1)


def chosen_features(
    atoms: Atoms,
    points: np.ndarray,
    groups: tuple[str, ...],
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """Features of some :data:`GROUPS` at points (Å, Cartesian, shape (n, 3)): shape (n, n_columns)."""
    orbitals = OccupiedOrbitals(atoms, dtype=dtype, device=device)
    return features(orbitals, points)[:, columns(groups)]


def of_fields(fields: Fields) -> list[torch.Tensor]:
    """z, ln ρ, ln τ and ln τ_W."""
    rho, tau = fields.rho.clamp(min=0), fields.tau.clamp(min=0)
    tau_w = (fields.gradient**2).sum(0) / (8 * (rho + FLOORS[0]))
    chi = (tau - tau_w).clamp(min=0) / (FERMI * (rho + FLOORS[0]) ** (5 / 3))
    z = -torch.log(chi * chi + LEAST**2)
    logs = [torch.log(part + floor) for part, floor in zip((rho, tau, tau_w), FLOORS, strict=True)]
    return [z.clamp(min=-9), *logs]


def of_superposed(density: Superposed) -> list[torch.Tensor]:
    """ln ρ, ln slope and laplacian."""
    rho = density.rho.clamp(min=0) + FLOORS[0]
    slope = (density.gradient**2).sum(0) / (8 * rho)
    return [torch.log(rho), torch.log(slope + FLOORS[2]), torch.asinh(10 * density.laplacian)]
