"""Bloch sums of atomic functions in plane waves."""

from __future__ import annotations

import math

import numpy as np
import torch

from ase_elf.model.minimal_basis.atoms import SPHERE
from ase_elf.model.minimal_basis.basis import Basis, Group
from ase_elf.model.minimal_basis.harmonics import solid


def lattice_sphere(reciprocal: np.ndarray, radius: float) -> np.ndarray:
    """Integer coordinates of reciprocal lattice points within a radius, shape (n, 3)."""
    reach = (radius * np.linalg.norm(np.linalg.inv(reciprocal), axis=0)).astype(int)
    steps = [np.arange(-n, n + 1) for n in reach]
    points = np.stack(np.meshgrid(*steps, indexing="ij"), -1).reshape(-1, 3)
    return points[((points @ reciprocal) ** 2).sum(1) <= radius**2]


class PlaneWaves:
    """Those with |k + G| below :data:`SPHERE`, of some wave vectors.

    Parameters
    ----------
    basis : Basis
    waves : ndarray, shape (n_waves, 3)
        In units of the reciprocal lattice vectors.
    dtype : torch.dtype
        Real type.
    device : torch.device or str
    """

    def __init__(
        self, basis: Basis, waves: np.ndarray, dtype: torch.dtype, device: torch.device | str
    ) -> None:
        self.basis = basis
        reach = np.linalg.norm(waves @ basis.reciprocal, axis=1).max()
        lattice = lattice_sphere(basis.reciprocal, SPHERE + reach)
        vectors = (waves[:, None] + lattice) @ basis.reciprocal
        squares = (vectors**2).sum(-1)
        most = int((squares < SPHERE**2).sum(1).max())
        order = np.argpartition(squares, most - 1, axis=1)[:, :most]
        self.lattice = lattice[order]
        """Integer coordinates of G, shape (n_waves, n, 3)."""
        inside = np.take_along_axis(squares, order, 1) < SPHERE**2
        vectors = np.take_along_axis(vectors, order[..., None], 1)
        vectors[~inside] = (SPHERE + 1, 0, 0)  # where every spectrum is zero

        def put(array: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(array).to(device=device, dtype=dtype)

        self.vectors = put(vectors)
        self.lengths = self.vectors.norm(dim=-1)
        self.kinetic = self.lengths**2 / 2
        self.inside = put(inside.astype(float))
        fractional = basis.positions @ np.linalg.inv(basis.cell)
        turns = (waves[:, None] + self.lattice) @ fractional.T
        angle = put(-2 * np.pi * (turns - np.rint(turns)))
        self.phases = torch.polar(torch.ones_like(angle), angle)
        self._harmonics = {}

    def bloch(self, groups: list[Group]) -> torch.Tensor:
        """Coefficients of normalised plane waves, shape (n_waves, n, n_functions)."""
        parts = []
        for group in groups:
            l, scale = group.shell.l, 4 * math.pi / math.sqrt(self.basis.volume)
            if l not in self._harmonics:
                self._harmonics[l] = solid(l, self.vectors) * self.inside[..., None]
            shape = (
                self._harmonics[l] * (scale * group.shell.spectrum.to(self.vectors)(self.lengths))[..., None]
            )
            phases = self.phases[..., torch.from_numpy(group.atoms).to(shape.device)] * (-1j) ** l
            parts.append((phases[..., None] * shape[..., None, :]).flatten(2))
        return torch.cat(parts, -1)
