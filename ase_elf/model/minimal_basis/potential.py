"""The local potential of superposed atoms on a grid."""

from __future__ import annotations

import numpy as np
import torch

from ase_elf.model.minimal_basis.atoms import SPHERE
from ase_elf.model.minimal_basis.basis import Basis
from ase_elf.model.minimal_basis.exchange import LEAST, derivatives

WAVES = 6.0
"""bohr⁻¹. Longest plane waves of the potential."""


def grid_shape(basis: Basis) -> tuple[int, int, int]:
    """Points enough that no product of two orbitals and the potential is aliased: fast sizes for an FFT."""
    least = np.ceil(np.linalg.norm(basis.cell, axis=1) * (2 * SPHERE + WAVES) / (2 * np.pi)).astype(int)
    return tuple(fast_size(n) for n in least.tolist())


def fast_size(n: int) -> int:
    """The least product of 2, 3, 5 and 7 from ``n`` on."""
    while True:
        rest = n
        for factor in (2, 3, 5, 7):
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            return n
        n += 1


def local_potential(basis: Basis, shape: tuple[int, int, int], device: torch.device | str) -> torch.Tensor:
    """Hartree, on the grid, double precision: neutral atoms, and exchange and correlation of their density."""
    whole = [np.fft.fftfreq(n, 1 / n) for n in shape[:2]] + [np.arange(shape[2] // 2 + 1.0)]
    lattice = np.stack(np.meshgrid(*whole, indexing="ij"), -1)
    vectors = torch.from_numpy(lattice @ basis.reciprocal).to(device)
    lengths = vectors.norm(dim=-1)
    # A sphere that fits into the grid, so that turning the cell changes nothing.
    widest = float(np.pi * (np.array(shape) / np.linalg.norm(basis.cell, axis=1)).min())
    neutral, density = (torch.zeros_like(lengths, dtype=torch.complex128) for _ in range(2))
    fractional = basis.positions @ np.linalg.inv(basis.cell)
    for atom, atoms in basis.elements:
        phases = _structure_factor(whole, fractional[atoms], device)
        neutral += atom.neutral.to(lengths)(lengths) * phases
        density += atom.soft.to(lengths)(lengths) * phases
    density *= (lengths < widest) / basis.volume
    neutral *= (lengths < WAVES) / basis.volume
    size = int(np.prod(shape))

    def on_grid(spectrum: torch.Tensor) -> torch.Tensor:
        return torch.fft.irfftn(spectrum, shape) * size

    rho = on_grid(density).clamp(min=0) + LEAST
    slopes = [on_grid(1j * vectors[..., axis] * density) for axis in range(3)]
    by_density, by_slope2 = derivatives(rho, sum(slope**2 for slope in slopes))
    exchange = torch.fft.rfftn(by_density)
    for axis, slope in enumerate(slopes):
        exchange -= 1j * vectors[..., axis] * torch.fft.rfftn(2 * by_slope2 * slope)
    exchange *= lengths < WAVES
    return on_grid(neutral + exchange / size)


def _structure_factor(
    whole: list[np.ndarray], fractional: np.ndarray, device: torch.device | str
) -> torch.Tensor:
    """Sum over atoms of exp(-iG·r), as a product of three."""
    turns = [torch.from_numpy(np.exp(-2j * np.pi * np.outer(w, f))).to(device)
             for w, f in zip(whole, fractional.T, strict=True)]  # fmt: skip
    return torch.einsum("xa,ya,za->xyz", *turns)
