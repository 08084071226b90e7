"""The ELF itself, from the density, its gradient and the kinetic energy density.

Becke, Edgecombe, J. Chem. Phys. 92, 5397 (1990), in the form of Savin et al., Angew. Chem.
Int. Ed. 31, 187 (1992), for the total density of paired electrons.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

C_F = 0.3 * (3 * np.pi**2) ** (2 / 3)
"""Thomas-Fermi constant, hartree bohr²: τ of the uniform gas is C_F ρ^(5/3)."""


def elf_from_density(density: np.ndarray, gradient_squared: np.ndarray, kinetic: np.ndarray) -> np.ndarray:
    """ELF = 1/(1 + χ²), χ = (τ − |∇ρ|²/8ρ) / (C_F ρ^(5/3)).

    Parameters
    ----------
    density : ndarray, bohr⁻³
        ρ, of both spins together.
    gradient_squared : ndarray, bohr⁻⁸
        |∇ρ|².
    kinetic : ndarray, hartree bohr⁻³
        τ = ½ Σ f |∇ψ|², f being 2 for a filled orbital.

    Returns
    -------
    ndarray, same shape, float64, dimensionless in [0, 1]
        0 where the density vanishes.

    Examples
    --------
    >>> float(elf_from_density(np.array(0.1), np.array(0.0), C_F * np.array(0.1) ** (5 / 3)))
    0.5
    """
    # Below this, ρ^(5/3) and the rounding error of τ are of one size: nothing is left to see.
    present = density > 1e-24
    rho = np.where(present, density, 1.0)
    # One orbital gives exactly zero here; rounding may leave a little less.
    pauli = np.maximum(kinetic - gradient_squared / (8 * rho), 0)
    chi = pauli / (C_F * rho ** (5 / 3))
    return np.where(present, 1 / (1 + chi**2), 0.0)


@dataclass
class OrbitalSums:
    """ρ, ∇ρ and τ at points, summed orbital by orbital.

    Parameters
    ----------
    n_points : int
    """

    n_points: int

    def __post_init__(self) -> None:
        self.density = np.zeros(self.n_points)
        self.gradient = np.zeros((3, self.n_points))
        self.kinetic = np.zeros(self.n_points)

    def add(self, orbitals: np.ndarray, occupations: np.ndarray) -> None:
        """Add orbitals.

        Parameters
        ----------
        orbitals : ndarray, shape (4, n_points, n_orbitals), real or complex
            ψ and its derivatives along x, y, z; atomic units.
        occupations : ndarray, shape (n_orbitals,)
            0 to 2, times the weight of the k-point.
        """
        value, slopes = orbitals[0], orbitals[1:]
        weighted = value.conj() * occupations
        self.density += np.einsum("pi,pi->p", weighted, value).real
        self.gradient += 2 * np.einsum("pi,cpi->cp", weighted, slopes).real
        self.kinetic += 0.5 * np.einsum("cpi,cpi,i->p", slopes.conj(), slopes, occupations).real

    def elf(self) -> np.ndarray:
        """The ELF at the points, shape (n_points,), float64."""
        return elf_from_density(self.density, (self.gradient**2).sum(axis=0), self.kinetic)
