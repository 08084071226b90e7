"""Fields on a whole periodic grid at once, through structure factors and FFTs.

The same fields as :meth:`Reading.gather`, for any lattice: each atom's contribution is a
phase per lattice direction, so the sum over atoms is one matrix product per channel, and
what an atom looks like is a table over |G| times a harmonic of the direction of G.

Lengths in bohr.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from scipy.interpolate import CubicSpline

from ase_elf.model.basis import harmonics, radial_transforms
from ase_elf.model.network import Reading

TABLE_STEP = 0.02
"""1/bohr. Knots of the tables over |G|; cubic splines between them are good to 1e-8."""

TABLE_LENGTH = 8.0
"""1/bohr. Tables reach to a multiple of it."""


@lru_cache(maxsize=8)
def _radial_tables(n_radial: int, degree: int, cutoff: float, q_max: float) -> CubicSpline:
    q = np.arange(0.0, q_max + 2 * TABLE_STEP, TABLE_STEP)
    return CubicSpline(q, np.moveaxis(radial_transforms(q, n_radial, degree, cutoff), -1, 0))


@dataclass(frozen=True)
class Waves:
    """The plane waves of a grid in a cell, and what the basis looks like on them.

    Parameters
    ----------
    shape : tuple of int
        Grid (nx, ny, nz).
    frequencies : tuple of Tensor
        Integer frequencies along each lattice direction; the last only non-negative.
    radial : tuple of Tensor, shapes (n_radial, n_waves)
        Radial transforms per degree over the cell volume.
    angular : Tensor, shape ((degree + 1)², n_waves)
        Harmonics of the direction of G.
    """

    shape: tuple[int, int, int]
    frequencies: tuple[torch.Tensor, torch.Tensor, torch.Tensor]
    radial: tuple[torch.Tensor, ...]
    angular: torch.Tensor

    @classmethod
    def of(
        cls,
        cell: np.ndarray,
        shape: tuple[int, int, int],
        reading: Reading,
        device: torch.device,
        dtype: torch.dtype,
    ) -> Waves:
        nx, ny, nz = shape
        axes = (np.fft.fftfreq(nx, 1 / nx), np.fft.fftfreq(ny, 1 / ny), np.arange(nz // 2 + 1))
        integers = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
        g = integers @ (2 * np.pi * np.linalg.inv(cell).T)
        length = np.linalg.norm(g, axis=1)
        # Rounding up keeps one table for all cells of a variable-cell run, and few of them for
        # crystals of any shape: making one costs more than predicting a small crystal.
        q_max = TABLE_LENGTH * np.ceil(length.max() / TABLE_LENGTH)
        table = _radial_tables(reading.n_radial, reading.degree, reading.cutoff, q_max)
        functions = table(length) / abs(np.linalg.det(cell))
        # An even grid stores a frequency and its negative in one place, where only the
        # degrees even in G can be told apart from noise; leaving it out keeps fields real.
        for axis, n in enumerate(shape):
            if n % 2 == 0:
                functions[np.abs(integers[:, axis]) == n // 2] = 0.0
        direction = torch.from_numpy(g / np.maximum(length, 1e-12)[:, None]).T
        angular = harmonics(direction, reading.degree, softening=0.0)
        angular[1:, 0] = 0.0

        def put(array):
            return torch.as_tensor(array, device=device, dtype=dtype)

        return cls(
            shape,
            tuple(put(axis) for axis in axes),
            tuple(put(functions[:, l].T.copy()) for l in range(reading.degree + 1)),
            put(angular),
        )


def structure_factors(
    waves: Waves, fractional: torch.Tensor, coefficients: torch.Tensor
) -> torch.Tensor:
    """Coefficients summed over atoms with their phases, for every wave of the grid.

    Parameters
    ----------
    waves : Waves
    fractional : Tensor, shape (n_atoms, 3), float64
        Fractional coordinates; phases are formed in double precision.
    coefficients : Tensor, shape (n_atoms, n_channels)

    Returns
    -------
    Tensor, shape (n_channels, n_waves), complex
        ``sum_a c_a exp(-i G r_a)``.
    """
    phases = []
    for axis, frequencies in enumerate(waves.frequencies):
        angle = -2 * np.pi * fractional[:, axis, None] * frequencies.to(fractional.dtype)
        phase = torch.polar(torch.ones_like(angle), angle)
        phases.append(phase.to(coefficients.dtype.to_complex()))
    first = coefficients.T[:, :, None] * phases[0][None]
    first = first.transpose(1, 2).flatten(0, 1)
    others = (phases[1][:, :, None] * phases[2][:, None, :]).flatten(1)
    return (first @ others).view(coefficients.shape[1], -1)


def fields(
    reading: Reading,
    waves: Waves,
    fractional: torch.Tensor,
    coefficients: torch.Tensor,
) -> list[torch.Tensor]:
    """Mixed fields (see :meth:`Reading.mixed`) on the grid.

    Returns
    -------
    list of Tensor, shapes (channels[l], 2l + 1, n_points)
    """
    factors = structure_factors(waves, fractional, coefficients)
    result = []
    for l, k in enumerate(reading.channels):
        shaped = (reading.radial[:, :k].T @ waves.radial[l]) * factors[:k]
        if l:
            shaped = (reading.mix[l - 1].to(shaped.dtype)) @ shaped
        if l % 2:
            shaped = shaped * 1j
        if l % 4 >= 2:
            shaped = -shaped
        angular = waves.angular[l * l : (l + 1) ** 2]
        spectrum = (shaped[:, None] * angular[None]).unflatten(-1, _half(waves.shape))
        field = torch.fft.irfftn(spectrum, s=waves.shape, dim=(-3, -2, -1), norm="forward")
        result.append(field.flatten(-3))
    return result


def _half(shape: tuple[int, int, int]) -> tuple[int, int, int]:
    return shape[0], shape[1], shape[2] // 2 + 1
