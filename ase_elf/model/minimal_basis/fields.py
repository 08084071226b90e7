"""Density and kinetic energy densities of occupied orbitals at places.

Places are worked at by boxes: those in a box share a list of orbitals near, and each box is one
product of matrices.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from ase_elf.model.minimal_basis.basis import Basis, Group
from ase_elf.model.minimal_basis.boxes import HALF_DIAGONAL, Boxes, boxes
from ase_elf.model.minimal_basis.harmonics import gradient, solid
from ase_elf.model.minimal_basis.radial import Radial
from ase_elf.model.minimal_basis.wave_vectors import Mesh
from ase_elf.model.neighbors import Surroundings

NUMBERS = 2**20
"""Numbers of density matrices and of orbitals at places that are held at a time."""


@dataclass(frozen=True)
class Fields:
    """Of one Hamiltonian, at n places, atomic units.

    Parameters
    ----------
    rho : Tensor, shape (n,)
        Electron density.
    gradient : Tensor, shape (3, n)
        Of the density.
    tau : Tensor, shape (n,)
        Kinetic energy density, ½ Σ |∇ψ|².
    """

    rho: torch.Tensor
    gradient: torch.Tensor
    tau: torch.Tensor

    @property
    def tau_w(self) -> torch.Tensor:
        """|∇ρ|²/8ρ, the kinetic energy density of one orbital."""
        return (self.gradient**2).sum(0) / (8 * self.rho.clamp(min=1e-12))

    @property
    def elf(self) -> torch.Tensor:
        """Of Becke and Edgecombe (doi 10.1063/1.458517)."""
        uniform = 0.3 * (3 * math.pi**2) ** (2 / 3) * self.rho.clamp(min=1e-8) ** (5 / 3)
        return 1 / (1 + ((self.tau - self.tau_w).clamp(min=0) / uniform) ** 2)


@dataclass(frozen=True)
class Columns:
    """Orbitals of a group near some boxes.

    Parameters
    ----------
    values : Tensor, shape (boxes, 4 points, orbitals)
        Values at points, then each component of gradients.
    cells, orbitals : ndarray, shape (boxes, orbitals)
        In which cell each is, and which of the basis.
    """

    values: torch.Tensor
    cells: np.ndarray
    orbitals: np.ndarray


class Evaluator:
    """Fields of density matrices on one basis.

    Parameters
    ----------
    basis : Basis
    mesh : Mesh
    densities : list of Tensor, each of shape (n_differences, n, n)
        As :meth:`States.density_matrix` gives them: one per Hamiltonian, of the first n orbitals.
    dtype : torch.dtype
    """

    def __init__(self, basis: Basis, mesh: Mesh, densities: list[torch.Tensor], dtype=torch.float32) -> None:
        self.basis, self.mesh = basis, mesh
        self.densities = [density.to(dtype).contiguous() for density in densities]
        self.near = [
            Surroundings.of(basis.cell, basis.positions[g.atoms], g.shell.radial.end + HALF_DIAGONAL)
            for g in basis.groups
        ]
        self.tables = [g.shell.radial.to(self.densities[0]) for g in basis.groups]

    def at(self, points: np.ndarray) -> list[Fields]:
        """Fields of each density matrix at points (bohr, shape (n, 3))."""
        like = self.densities[0]
        out = [like.new_empty(5, len(points)) for _ in self.densities]
        inside = ((points @ np.linalg.inv(self.basis.cell)) % 1.0) @ self.basis.cell
        width = self._width()
        for some in boxes(inside, lambda count: width * (width + 8.0 * count), NUMBERS):
            columns = [
                self._shell(group, near, table, inside[some.rows], some)
                for group, near, table in zip(self.basis.groups, self.near, self.tables, strict=True)
            ]
            chosen = torch.from_numpy(some.there)
            for field, density in zip(out, self.densities, strict=True):
                field[:, some.rows[some.there]] = self._sums(columns, density)[:, chosen]
        return [Fields(rho=part[0], gradient=part[1:4], tau=part[4]) for part in out]

    def _sums(self, columns: list[Columns], density: torch.Tensor) -> torch.Tensor:
        """Density, gradient and kinetic energy density, (5, boxes, points), of the first orbitals."""
        n = density.shape[-1]
        used = [part for part, group in zip(columns, self.basis.groups, strict=True) if group.first < n]
        values = torch.cat([part.values for part in used], -1)
        cells, orbitals = (
            np.concatenate([getattr(part, key) for part in used], 1) for key in ("cells", "orbitals")
        )
        row = torch.from_numpy(((cells + len(density) // 2) * n + orbitals) * n).to(density.device)
        column = torch.from_numpy(orbitals - cells * n**2).to(density.device)
        with_all = torch.bmm(values, density.take(row[:, :, None] + column[:, None, :]))
        points = values.shape[1] // 4
        slopes = with_all[:, points:].unflatten(1, (3, points))
        climb = (slopes * values[:, None, :points]).sum(-1)
        parts = with_all.mul_(values).sum(-1).unflatten(1, (4, points))
        return torch.stack([parts[:, 0], *(2 * climb).unbind(1), parts[:, 1:].sum(1) / 2])

    def _width(self) -> int:
        """About how many orbitals a box sees."""
        return 1 + int(sum(
            4 / 3 * math.pi * near.cutoff**3 * group.size / self.basis.volume
            for near, group in zip(self.near, self.basis.groups, strict=True)
        ))  # fmt: skip

    def _shell(
        self, group: Group, near: Surroundings, table: Radial, points: np.ndarray, some: Boxes
    ) -> Columns:
        """Orbitals of a group near boxes, at points of shape (boxes, points, 3)."""
        like = self.densities[0]
        images, there = some.images(near)
        cells, turned = self._cells(near, images, group)
        signs = torch.from_numpy(np.where(there, turned, 0.0)).to(like)[:, None]

        def put(array: np.ndarray) -> torch.Tensor:
            # Seen from the middle of the box numbers are small, and stay exact.
            return torch.from_numpy(array - some.centres[:, None]).to(like)

        vectors = put(points)[:, :, None] - put(near.images[images])[:, None]
        distances = vectors.norm(dim=-1).clamp(min=1e-4)
        height, slope = table.with_slope(distances)
        height, slope = height * signs, slope * signs / distances
        width = group.shell.width
        shape, bent = solid(group.shell.l, vectors), gradient(group.shell.l, vectors)
        values = [height[..., None] * shape]
        for axis in range(3):
            values.append((slope * vectors[..., axis])[..., None] * shape + height[..., None] * bent[axis])
        orbitals = group.first + width * near.origin[images][..., None] + np.arange(width)
        return Columns(
            torch.cat(values, 1).flatten(2),
            np.repeat(cells, width, axis=1),
            orbitals.reshape(len(images), -1),
        )

    def _cells(self, near: Surroundings, images: np.ndarray, group: Group) -> tuple[np.ndarray, np.ndarray]:
        """Number of the cell of each image among those that wave functions repeat in, counted from that of
        the atom as it was given, and the sign of wave functions there.
        """
        mesh, shifts = np.array(self.mesh.sizes), np.array(self.mesh.shifts)
        home = self.basis.positions[group.atoms][near.origin[images]]
        cells = np.rint((near.images[images] - home) @ np.linalg.inv(self.basis.cell)).astype(np.int64)
        turns, cells = np.divmod(cells, mesh)
        sizes = 2 * mesh - 1
        return cells @ np.array([sizes[1] * sizes[2], sizes[2], 1]), 1.0 - 2.0 * (
            (turns * shifts).sum(-1) % 2
        )
