"""Fourier sums on grids, as matrix products along one axis after the other.

With some tens of points along an axis a matrix product takes as long as an FFT or less: it runs
in the cache, takes the waves there are and no others, and any number of points will do. Each
product leaves its axis behind the others, so that three of them need no copy between them. Waves of
a frequency and of its negative are first added and subtracted: what is left goes with a cosine and
a sine, which are real, and takes half the products.
"""

from __future__ import annotations

import numpy as np
import torch


class Synthesis:
    """Fields on a grid from their plane waves, a few at a time in the same memory.

    Parameters
    ----------
    shape : tuple of int
        Grid (nx, ny, nz).
    frequencies : tuple of Tensor, int64
        As of :func:`ase_elf.model.nonuniform.box`.
    together : int
        Fields made at a time at most.
    like : Tensor
        Of the device and type that fields are to have.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        frequencies: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
        together: int,
        like: torch.Tensor,
    ) -> None:
        (nx, ny, nz), self.sizes = shape, tuple(map(len, frequencies))
        kx, ky, kz = self.sizes
        x, y, z = (_turns(f, n, like.device) for f, n in zip(frequencies, shape, strict=True))
        self.x, self.y = (
            torch.cat([turns.real[: k // 2 + 1], turns.imag[1 : k // 2 + 1]]).to(like)
            for turns, k in ((x, kx), (y, ky))
        )
        # From real parts, then imaginary ones; begins at any power of i.
        twice = z * torch.where(frequencies[2] > 0, 2, 1)[:, None]
        self.z = [
            torch.cat([turns.real, -turns.imag]).to(like)
            for turns in (twice * 1j**power for power in range(4))
        ]
        self.folded = like.new_empty(2, together, 2, kx * ky * kz)
        self.after_x = like.new_empty(together, 2, ky * kz, nx)
        self.after_y = like.new_empty(together, 2, kz * nx, ny)
        self.fields = like.new_empty(together, nx * ny, nz)

    def __call__(
        self, spectra: torch.Tensor, power: int = 0, out: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Fields of spectra times i to a power.

        Parameters
        ----------
        spectra : Tensor, shape (n, 2, n_waves)
            Real and imaginary parts.
        power : int
        out : Tensor, shape (n, n_points), contiguous, optional
            Where to put them.

        Returns
        -------
        Tensor, shape (n, n_points)
            ``out``, or until the next call, which overwrites it.
        """
        n, (kx, ky, kz) = spectra.shape[0], self.sizes
        once, twice = self.folded[:, :n]
        after_x, after_y, fields = (part[:n] for part in (self.after_x, self.after_y, self.fields))
        if out is not None:
            fields = out.view_as(fields)
        _fold(spectra.view(n, 2, 1, kx, ky * kz), once.view(n, 2, 1, kx, ky * kz))
        _fold(once.view(n, 2, kx, ky, kz), twice.view(n, 2, kx, ky, kz))
        _along(twice.flatten(0, 1), self.x, after_x.flatten(0, 1))
        _along(after_x.flatten(0, 1), self.y, after_y.flatten(0, 1))
        _along(after_y, self.z[power % 4], fields)
        return fields.flatten(1)


def _fold(waves: torch.Tensor, out: torch.Tensor) -> None:
    """Waves c of each frequency f and its negative, shape (n, 2, before, 2f + 1, after), to what goes with the
    cosine, c(f) + c(-f), and with the sine, i (c(f) - c(-f)).
    """
    last = waves.shape[3] // 2
    plus, minus = waves[:, :, :, 1 : last + 1], waves[:, :, :, last + 1 :]
    out[:, :, :, 0] = waves[:, :, :, 0]
    torch.add(plus, minus, out=out[:, :, :, 1 : last + 1])
    torch.sub(minus[:, 1], plus[:, 1], out=out[:, 0, :, last + 1 :])
    torch.sub(plus[:, 0], minus[:, 0], out=out[:, 1, :, last + 1 :])


def _along(values: torch.Tensor, matrix: torch.Tensor, out: torch.Tensor) -> None:
    """The first axis of each of (n, ...) taken through a matrix to the last of ``out``."""
    n = values.shape[0]
    values = values.view(n, matrix.shape[0], -1)
    torch.bmm(values.mT, matrix.expand(n, -1, -1), out=out)


def _turns(frequencies: torch.Tensor, n: int, device: torch.device) -> torch.Tensor:
    """exp(2πi f j / n), shape (n_frequencies, n), double precision."""
    # Whole turns are taken off while numbers are whole.
    angle = 2 * torch.pi / n * (frequencies[:, None] * torch.arange(n, device=device) % n).double()
    return torch.polar(torch.ones_like(angle), angle)


def upsample(field: torch.Tensor, shape: tuple[int, int, int]) -> torch.Tensor:
    """The trigonometric polynomial through the values of a real periodic field, on any grid.

    Of an even number of values the fastest wave is the cosine, as if half of it belonged to
    either sign of its frequency.
    """
    for n, wanted in zip(field.shape, shape, strict=True):
        rest = field.shape[1:]
        field = field.flatten(1).T
        if n != wanted:
            field = field @ _between(n, wanted).to(field)
        field = field.reshape(*rest, wanted)
    return field


def _between(n: int, wanted: int) -> torch.Tensor:
    """From values at n points to those at others, shape (n, wanted), double precision."""
    frequencies = torch.arange(n // 2 + 1)
    here, there = (_turns(frequencies, count, frequencies.device) for count in (n, wanted))
    once = (frequencies == 0) | (2 * frequencies == n)
    here = here * torch.where(once, 1, 2)[:, None] / n
    return here.real.T @ there.real + here.imag.T @ there.imag


def carry(fields: torch.Tensor, turn: np.ndarray, shape: tuple[int, int, int]) -> torch.Tensor:
    """As :func:`upsample`, to a grid of another cell of the same lattice, however few its points.

    Parameters
    ----------
    fields : Tensor, shape (n, nx, ny, nz)
        Real; n is 1 or 2.
    turn : ndarray, shape (3, 3), int
        Times the other cell it is that of ``fields`` (:func:`ase_elf.geometry.lattice.upright`).
    shape : tuple of int
        Grid of the other cell.
    """
    # Of odd numbers of values no wave is half one of its negative.
    odd = tuple(n | 1 for n in fields.shape[1:])
    fields = torch.stack([upsample(one, odd) for one in fields])
    # Two real fields travel as one complex one.
    both = torch.complex(fields[0], fields[1] if len(fields) > 1 else torch.zeros_like(fields[0]))
    waves = np.stack(np.meshgrid(*[np.fft.fftfreq(n, 1 / n) for n in odd], indexing="ij"), -1).reshape(-1, 3)
    there = np.rint(waves @ np.linalg.inv(turn).T).astype(np.int64) % shape
    # Waves that the grid takes for one another have the same values at its points.
    places = torch.from_numpy(np.ravel_multi_index(tuple(there.T), shape)).to(both.device)
    spectrum = both.new_zeros(shape).flatten()
    spectrum.index_add_(0, places, torch.fft.fftn(both).flatten() / both.numel())
    both = torch.fft.ifftn(spectrum.view(shape), norm="forward")
    return torch.stack([both.real, both.imag])[: len(fields)]
