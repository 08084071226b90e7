"""Wave vectors of Bloch functions, and how bands are filled."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

SPACING = 0.35
"""bohr⁻¹ between wave vectors, at most: 0.002 to 0.005 of the ELF from what 0.20 gives, 0.01 in magnesium."""

WIDTH = 0.01
"""hartree. Bands are filled by the Fermi function of this width."""


@dataclass(frozen=True)
class Mesh:
    """A mesh through the middle of its pieces (Monkhorst and Pack, doi 10.1103/PhysRevB.13.5188) or through 0.

    Parameters
    ----------
    sizes : tuple of int
        Along each reciprocal lattice vector.
    shifts : tuple of int
        1 where the mesh is shifted by half a piece, else 0.
    """

    sizes: tuple[int, int, int]
    shifts: tuple[int, int, int] = (0, 0, 0)

    @classmethod
    def usual(cls, reciprocal: np.ndarray, pbc=(True, True, True), spacing: float = SPACING) -> Mesh:
        """Of a spacing, shifted, which suits metals best; 0 alone along open directions."""
        lengths = np.linalg.norm(reciprocal, axis=1)
        sizes = np.where(pbc, np.ceil(lengths / spacing - 1e-6), 1).astype(int)
        return cls(tuple(sizes.tolist()), tuple(int(closed) for closed in pbc))

    def half(self) -> tuple[np.ndarray, np.ndarray]:
        """One of each pair ±k in units of the reciprocal lattice vectors, shape (n, 3), and weights of sum 1."""
        whole = 2 * np.array(self.sizes)
        odd = np.stack(np.meshgrid(*[np.arange(s, n, 2) for n, s in zip(whole, self.shifts, strict=True)],
                                   indexing="ij"), -1).reshape(-1, 3)  # fmt: skip
        own, other = (np.ravel_multi_index(tuple((q % whole).T), whole) for q in (odd, -odd))
        first = own <= other
        weights = np.where(own == other, 1.0, 2.0)[first] / len(odd)
        return odd[first] / whole, weights

    def differences(self) -> np.ndarray:
        """Differences of two cells of the lattice that wave functions repeat in, (n, 3), the last running fastest."""
        sizes = np.array(self.sizes)
        return np.indices(2 * sizes - 1).reshape(3, -1).T - (sizes - 1)


def filling(levels: torch.Tensor, weights: torch.Tensor, n_electrons: float, width: float = WIDTH):
    """Fermi level (hartree) and electrons per band and wave vector, (n_waves, n_bands), two in a full one.

    Parameters
    ----------
    levels : Tensor, shape (n_waves, n_bands), hartree
        Infinite where there is no band.
    weights : Tensor, shape (n_waves,)
        Of sum 1.
    """
    finite = levels[torch.isfinite(levels)]
    low, high = float(finite.min()) - 1, float(finite.max()) + 1
    for _ in range(math.ceil(math.log2((high - low) / 1e-9))):
        middle = (low + high) / 2
        held = 2 * float(torch.sigmoid((middle - levels) / width).sum(1) @ weights)
        low, high = (middle, high) if held < n_electrons else (low, middle)
    fermi = (low + high) / 2
    return fermi, 2 * torch.sigmoid((fermi - levels) / width)
