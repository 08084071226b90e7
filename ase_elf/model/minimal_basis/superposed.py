"""Superposed densities of atoms at places: what overlaps before any chemistry."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from ase_elf.model.minimal_basis.basis import Basis
from ase_elf.model.minimal_basis.boxes import HALF_DIAGONAL, boxes
from ase_elf.model.neighbors import Surroundings

NUMBERS = 2**21
"""Distances at a time."""


@dataclass(frozen=True)
class Superposed:
    """At n places, atomic units.

    Parameters
    ----------
    rho : Tensor, shape (n,)
    gradient : Tensor, shape (3, n)
    laplacian : Tensor, shape (n,)
    """

    rho: torch.Tensor
    gradient: torch.Tensor
    laplacian: torch.Tensor

    def __add__(self, other: Superposed) -> Superposed:
        return Superposed(
            self.rho + other.rho, self.gradient + other.gradient, self.laplacian + other.laplacian
        )


def superposed(
    basis: Basis,
    points: np.ndarray,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> tuple[Superposed, Superposed]:
    """Of the hydrogen atoms, and of all others, at points (bohr, shape (n, 3))."""
    sums = {hydrogen: torch.zeros(5, len(points), dtype=dtype, device=device) for hydrogen in (True, False)}
    inside = ((points @ np.linalg.inv(basis.cell)) % 1.0) @ basis.cell
    for atom, atoms in basis.elements:
        near = Surroundings.of(basis.cell, basis.positions[atoms], atom.density.end + HALF_DIAGONAL)
        width = 1 + 4 / 3 * math.pi * near.cutoff**3 * len(atoms) / basis.volume
        like = sums[True]
        density, laplacian = atom.density.to(like), atom.laplacian.to(like)
        for some in boxes(inside, lambda count, width=width: count * width, NUMBERS):
            images, there = some.images(near)
            centres = some.centres[:, None]
            away = torch.from_numpy(inside[some.rows] - centres).to(like)[:, :, None]
            away = away - torch.from_numpy(near.images[images] - centres).to(like)[:, None]
            distances = away.norm(dim=-1).clamp(min=1e-4)
            value, slope = density.with_slope(distances)
            bent = laplacian(distances)
            there = torch.from_numpy(there).to(like)[:, None]
            climb = ((there * slope / distances)[..., None] * away).sum(2)
            parts = torch.stack([(value * there).sum(2), *climb.unbind(-1), (bent * there).sum(2)])
            chosen = torch.from_numpy(some.there)
            sums[atom.number == 1][:, some.rows[some.there]] += parts[:, chosen]
    return tuple(Superposed(part[0], part[1:4], part[4]) for part in (sums[True], sums[False]))
