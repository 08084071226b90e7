"""A convolutional network on a grid of superposed atomic densities.

The densities of free atoms are summed on a grid, and a periodic three-dimensional
convolution turns them into z = logit(ELF) on the same grid. It knows neither the cell nor
directions: rotations are learnt from turned copies, and only boxes with right angles make
sense to it. Lengths in bohr.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

WIDTHS = (0.5, 0.8, 1.3)
"""bohr. Standard deviations of the Gaussians whose sums are the input, one channel each."""

DILATIONS = (1, 2, 4, 2, 1)
"""Of the middle layers; together they see 2 (1 + 2 + 4 + 2 + 1) + 4 points across."""


class Convolution(nn.Module):
    """Densities on a grid to z on the same grid.

    Parameters
    ----------
    width : int
        Channels.
    """

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        self.first = _layer(len(WIDTHS), width)
        self.middle = nn.ModuleList(_layer(width, width, dilation) for dilation in DILATIONS)
        self.last = nn.Sequential(nn.Conv3d(width, width, 1), nn.SiLU(), nn.Conv3d(width, 1, 1))

    def forward(self, densities: torch.Tensor) -> torch.Tensor:
        """z, shape (batch, nx, ny, nz), from densities (batch, channels, nx, ny, nz)."""
        x = nn.functional.silu(self.first(densities))
        for layer in self.middle:
            x = x + nn.functional.silu(layer(x))
        return self.last(x)[:, 0]


def _layer(n_in: int, n_out: int, dilation: int = 1) -> nn.Conv3d:
    return nn.Conv3d(n_in, n_out, 3, padding=dilation, dilation=dilation, padding_mode="circular")


def superposed(cell: np.ndarray, positions: np.ndarray, shape: tuple[int, int, int]) -> torch.Tensor:
    """Sums of Gaussians on a grid, (channels, nx, ny, nz), by their Fourier series.

    Each Gaussian integrates to one over space, and the mean over the grid is the density of
    atoms; multiplied by 30 bohr³ that is near one.
    """
    waves = [np.fft.fftfreq(n, 1 / n) for n in shape]
    fractional = positions @ np.linalg.inv(cell)
    phases = [np.exp(-2j * np.pi * np.outer(fractional[:, k], waves[k])) for k in range(3)]
    factor = np.einsum("na,nb,nc->abc", *phases, optimize=True)
    g = np.stack(np.meshgrid(*waves, indexing="ij"), -1) @ (2 * np.pi * np.linalg.inv(cell).T)
    length2 = (g**2).sum(-1)
    volume = abs(np.linalg.det(cell))
    sums = [
        np.fft.ifftn(factor * np.exp(-(w**2) * length2 / 2)).real * math.prod(shape) / volume for w in WIDTHS
    ]
    return torch.from_numpy(30 * np.array(sums, dtype=np.float32))


def turned(densities: torch.Tensor, target: torch.Tensor, rng: np.random.Generator) -> tuple:
    """Both in one of the 48 orientations of a cube, drawn at random."""
    axes = rng.permutation(3)
    flips = [axis for axis in range(3) if rng.random() < 0.5]
    order = [int(a) for a in axes]
    densities = densities.permute(0, *(1 + a for a in order)).flip([1 + a for a in flips])
    return densities, target.permute(*order).flip(flips)
