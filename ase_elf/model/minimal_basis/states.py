"""Occupied states: bands of a Hamiltonian, their filling, and what they say of the Fermi level."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ase_elf.model.minimal_basis.basis import Basis
from ase_elf.model.minimal_basis.wave_vectors import WIDTH, Mesh, filling

LEAST_OVERLAP = 1e-3
"""Combinations of orbitals with a smaller eigenvalue of the overlap are left out."""

BROADENING = 0.02
"""hartree. Of the density of states at the Fermi level, the width of a Fermi function's derivative."""


@dataclass(frozen=True)
class States:
    """Bands of a structure on a mesh of wave vectors.

    Parameters
    ----------
    basis : Basis
    mesh : Mesh
    waves, weights
        Wave vectors, of :meth:`Mesh.half`.
    levels : Tensor, shape (n_waves, n_bands), hartree
        Infinite where there is no band.
    vectors : Tensor, shape (n_waves, n_orbitals, n_bands)
        Coefficients.
    overlap : Tensor, shape (n_waves, n_orbitals, n_orbitals)
    fermi : float, hartree
        From the vacuum level of superposed neutral atoms.
    electrons : Tensor, shape (n_waves, n_bands)
        Two in a full band.
    """

    basis: Basis
    mesh: Mesh
    waves: np.ndarray
    weights: torch.Tensor
    levels: torch.Tensor
    vectors: torch.Tensor
    overlap: torch.Tensor
    fermi: float
    electrons: torch.Tensor

    @classmethod
    def of(
        cls,
        basis: Basis,
        mesh: Mesh,
        overlap: torch.Tensor,
        hamiltonian: torch.Tensor,
        *,
        width: float = WIDTH,
    ) -> States:
        """Solve H c = E S c for each wave vector; both of shape (n_waves, n, n)."""
        waves, weights = mesh.half()
        shares, into = torch.linalg.eigh(overlap)
        kept = shares > LEAST_OVERLAP
        into = into * torch.where(kept, shares.clamp(min=LEAST_OVERLAP) ** -0.5, 0)[:, None]
        # What is left out is put far above everything.
        inner = into.mH @ hamiltonian @ into + torch.diag_embed(torch.where(kept, 0.0, 1e3)).to(into)
        levels, vectors = torch.linalg.eigh(inner)
        levels = torch.where(levels < 500, levels, torch.inf)
        weights = torch.from_numpy(weights).to(levels.device)
        fermi, electrons = filling(levels, weights, basis.n_electrons, width)
        return cls(basis, mesh, waves, weights, levels, into @ vectors, overlap, fermi, electrons)

    def density_matrix(self) -> torch.Tensor:
        """Between the orbitals of a cell and those of another, by :meth:`Mesh.differences`: (n_differences, n, n).

        The element (d, i, j) goes with orbital i in a cell d away from that of orbital j.
        """
        used = int((self.electrons > 1e-7).sum(1).max())
        vectors = self.vectors[..., :used]
        filled = vectors * (self.electrons[:, None, :used] * self.weights[:, None, None])
        matrices = filled @ vectors.mH
        turns = torch.from_numpy(2 * np.pi * self.mesh.differences() @ self.waves.T).to(matrices.device)
        parts = torch.cat([turns.cos(), -turns.sin()], 1)
        both = torch.cat([matrices.real, matrices.imag])
        return (parts @ both.flatten(1)).view(len(parts), *matrices.shape[1:])

    def density_of_states(
        self, orbitals: np.ndarray | None = None, *, broadening: float = BROADENING
    ) -> tuple[float, np.ndarray]:
        """At the Fermi level: states per hartree and cell, both spins, and how they project on each orbital.

        Parameters
        ----------
        orbitals : ndarray of int, optional
            Those that are projected on, made orthogonal among themselves (Löwdin); all by default. What others
            hold goes to none of them.
        """
        edge = torch.sigmoid((self.levels - self.fermi) / broadening)
        slope = 2 * edge * (1 - edge) / broadening * self.weights[:, None]
        used = (slope > 1e-9).any(0)
        chosen = torch.arange(self.overlap.shape[1]) if orbitals is None else torch.from_numpy(orbitals)
        onto = self.overlap[:, chosen]
        values, vectors = torch.linalg.eigh(onto[:, :, chosen])
        root = vectors * values.clamp(min=LEAST_OVERLAP).rsqrt()[:, None].to(vectors) @ vectors.mH
        projections = root @ (onto @ self.vectors[..., used])
        parts = (projections.abs() ** 2 * slope[:, None, used]).sum((0, 2))
        return float(slope.sum()), parts.cpu().numpy()

    def gap(self) -> float:
        """Between the highest filled and the lowest empty band on the mesh, hartree; 0 for a metal."""
        n_filled = round(self.basis.n_electrons / 2)
        if abs(self.basis.n_electrons / 2 - n_filled) > 0.01 or n_filled >= self.levels.shape[1]:
            return 0.0
        return max(0.0, float(self.levels[:, n_filled].min() - self.levels[:, n_filled - 1].max()))
