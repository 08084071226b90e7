"""A potential acting on functions of plane waves, by way of a grid.

Fourier sums are made as products of matrices, one axis after the other: with some tens of points along an
axis, of which a sphere of plane waves fills half, that is several times faster than an FFT.
"""

from __future__ import annotations

import math

import numpy as np
import torch

NUMBERS = 2**19
"""Complex numbers on grids at a time."""


def acted(functions: torch.Tensor, lattice: np.ndarray, potential: torch.Tensor) -> torch.Tensor:
    """Plane waves of a potential times functions, where the functions have any.

    Parameters
    ----------
    functions : Tensor, shape (n_waves, n_plane, n), complex
        Coefficients of plane waves k + G.
    lattice : ndarray, shape (n_waves, n_plane, 3), int
        Coordinates of G.
    potential : Tensor, shape (nx, ny, nz), real

    Returns
    -------
    Tensor, shape (n_waves, n_plane, n)
    """
    low, high = lattice.min((0, 1)), lattice.max((0, 1))
    sizes = tuple((high - low + 1).tolist())
    place = np.ravel_multi_index(tuple(np.moveaxis(lattice - low, -1, 0)), sizes)
    place = torch.from_numpy(place).to(functions.device)
    there = [
        _turns(np.arange(a, b + 1), n).to(functions)
        for a, b, n in zip(low, high, potential.shape, strict=True)
    ]
    back = [turns.mH.contiguous() / len(turns.T) for turns in there]
    together = max(1, NUMBERS // potential.numel())
    out = torch.empty_like(functions)
    for wave in range(len(functions)):
        rows = functions[wave].T
        for first in range(0, len(rows), together):
            some = rows[first : first + together]
            box = some.new_zeros(len(some), math.prod(sizes))
            box[:, place[wave]] = some
            fields = _through(box.view(-1, *sizes), there) * potential
            out[wave, :, first : first + together] = _through(fields, back).flatten(1)[:, place[wave]].T
    return out


def _through(values: torch.Tensor, matrices: list[torch.Tensor]) -> torch.Tensor:
    """Each axis but the first taken through its matrix; each product leaves its axis behind the others."""
    n, *_ = values.shape
    for matrix in matrices:
        values = values.reshape(n, len(matrix), -1).mT @ matrix
    return values.reshape(n, *(matrix.shape[1] for matrix in matrices))


def _turns(frequencies: np.ndarray, n: int) -> torch.Tensor:
    """exp(2πi f j / n), shape (n_frequencies, n)."""
    return torch.from_numpy(np.exp(2j * np.pi / n * (np.outer(frequencies, np.arange(n)) % n)))
