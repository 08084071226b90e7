"""Fourier sums between places anywhere in a cell and plane waves, in either direction.

Each has two ways: as it stands, with one matrix product per part of the phases, which is what a GPU is good at
and few places need; and through a non-uniform FFT (FINUFFT, doi 10.1137/18M120885X) for many places on a CPU.
"""

from __future__ import annotations

import math

import numpy as np
import torch

__all__ = ["MANY", "Frequencies", "axes", "box", "directions", "structure_factors", "values_at"]

Frequencies = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Of the plane waves in a box, int64: along the first and the second lattice direction 0 and up, then -1 and
down; along the third only those from 0 up, as fields are real."""

MANY = {torch.float32: 500, torch.float64: 2200}
"""Places from which on a transform on a finer grid beats the direct sum, on one thread; measured by
``benchmarks/scale.py sums``, see docs/scaling.md."""

AT_ONCE = 2**23
"""Numbers of phases that the direct sums hold."""

CHANNELS = 8
"""Channels that are summed directly together, so that they stay in a cache until they are put together."""


def box(cell: np.ndarray, reach: float, device: torch.device | str = "cpu") -> Frequencies:
    """The smallest box around the sphere of plane waves up to a length of G of ``reach``, in units of
    one over those of ``cell``.
    """
    first, second, third = (torch.from_numpy(axis).to(device) for axis in axes(cell, reach))
    return first, second, third


def axes(cell: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The frequencies of a :func:`box` on the host."""
    # A wave of this length turns at most so often along a cell vector.
    x, y, z = np.floor(reach * np.linalg.norm(cell, axis=1) / (2 * np.pi)).astype(int)
    return np.r_[0 : x + 1, -1 : -x - 1 : -1], np.r_[0 : y + 1, -1 : -y - 1 : -1], np.arange(z + 1)


def directions(frequencies: Frequencies) -> torch.Tensor:
    """The frequencies of every wave, shape (n_waves, 3)."""
    return torch.cartesian_prod(*frequencies)


def structure_factors(
    frequencies: Frequencies,
    fractional: torch.Tensor,
    coefficients: torch.Tensor,
    *,
    exact: float = 1e-12,
    out: torch.Tensor | None = None,
) -> torch.Tensor:
    """Coefficients summed over places with their phases, for every wave.

    Parameters
    ----------
    frequencies : tuple of Tensor
        Of a :func:`box`.
    fractional : Tensor, shape (n_places, 3), float64
        Fractional coordinates; phases are formed in double precision.
    coefficients : Tensor, shape (n_places, n_channels)
    exact : float
        Error of a transform in double precision, of the norm of the sums. In single precision it is 3e-5.
    out : Tensor, contiguous, optional
        Where to put them.

    Returns
    -------
    Tensor, shape (n_channels, 2, n_waves)
        Real and imaginary parts of ``sum_a c_a exp(-i G r_a)``.
    """
    if out is None:
        out = coefficients.new_empty(coefficients.shape[1], 2, math.prod(len(f) for f in frequencies))
    if fractional.device.type == "cpu" and len(fractional) >= MANY[coefficients.dtype]:
        _factors_by_nufft(frequencies, fractional, coefficients, out, exact)
    else:
        _factors_by_products(frequencies, fractional, coefficients, out)
    return out


def values_at(
    frequencies: Frequencies, spectra: torch.Tensor, fractional: torch.Tensor, *, exact: float = 1e-12
) -> torch.Tensor:
    """Real fields at places from their plane waves.

    Parameters
    ----------
    frequencies : tuple of Tensor
        Of a :func:`box`.
    spectra : Tensor, shape (n_fields, 2, n_waves), float64
        Real and imaginary parts; those of the negative of a frequency follow.
    fractional : Tensor, shape (n_places, 3), float64
    exact : float
        Error of a transform, of the norm of the values.

    Returns
    -------
    Tensor, shape (n_fields, n_places), float64
    """
    if fractional.device.type == "cpu" and len(fractional) >= MANY[spectra.dtype]:
        return _values_by_nufft(frequencies, spectra, fractional, exact)
    return _values_by_products(frequencies, spectra, fractional)


def _phases(frequencies: Frequencies, fractional: torch.Tensor, sign: int) -> list[torch.Tensor]:
    """exp(± 2πi f r) along each direction, complex128."""
    angles = [sign * 2 * np.pi * fractional[:, k, None] * f for k, f in enumerate(frequencies)]
    return [torch.polar(torch.ones_like(angle), angle) for angle in angles]


def _products(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Phases of two directions together, (n_places, n_first * n_second)."""
    return (first[:, :, None] * second[:, None]).flatten(1)


def _rows(frequencies: Frequencies) -> int:
    """Places at a time."""
    return max(1, AT_ONCE // (2 * len(frequencies[1]) * len(frequencies[2])))


def _factors_by_products(frequencies, fractional, coefficients, out) -> None:
    """The sum as it stands; its cost grows with places times waves.

    Coefficients are real: along the first direction their cosines and sines are summed, half the
    work of phases, and give the wave of a frequency and that of its negative.
    """
    reach, size = len(frequencies[0]) // 2, _rows(frequencies)
    out = out.view(len(out), 2, len(frequencies[0]), -1).zero_()
    for places, some in zip(fractional.split(size), coefficients.split(size), strict=True):
        x, y, z = _phases((frequencies[0][: reach + 1], *frequencies[1:]), places, -1)
        waved = _parts(x).to(some.dtype).movedim(0, -1)
        rest = _parts(_products(y, z)).to(some.dtype).flatten(1)
        for group, into in zip(some.T.split(CHANNELS), out.split(CHANNELS), strict=True):
            sums = (group[:, None, None] * waved).flatten(0, -2) @ rest
            even, odd = sums.view(len(into), 2, reach + 1, 2, -1).unbind(1)
            for part, sign in ((0, -1), (1, 1)):
                own, other = even[:, :, part], odd[:, :, 1 - part]
                into[:, part, : reach + 1].add_(own).add_(other, alpha=sign)
                into[:, part, reach + 1 :].add_(own[:, 1:]).sub_(other[:, 1:], alpha=sign)


def _factors_by_nufft(frequencies, fractional, coefficients, out, exact) -> None:
    """Places spread on a finer grid, and an FFT."""
    import finufft

    x, y, z = (int(f.max()) for f in frequencies)
    single = coefficients.dtype == torch.float32
    out = out.view(len(out), 2, 2 * x + 1, 2 * y + 1, z + 1)
    # The FFT of the finer grid, not the places, is what costs with many channels, so that it is a quarter finer and
    # not twice where that is exact enough. Errors are largest for the shortest waves, of which fields
    # have a thousandth: in single precision the ELF changes by less than by its rounding.
    plan = finufft.Plan(
        1, (2 * x + 1, 2 * y + 1, 2 * z + 1), isign=-1, eps=3e-5 if single else exact,
        upsampfac=1.25 if single else 2.0, nthreads=torch.get_num_threads(),
        dtype="complex64" if single else "complex128",
    )  # fmt: skip
    plan.setpts(*_small(fractional).to(coefficients.dtype).T.contiguous().numpy())
    order = np.ix_(frequencies[0].numpy() + x, frequencies[1].numpy() + y)
    for first in range(0, len(out), 2):
        # Two real channels in one complex transform: the parts of it that are even and odd
        # under G to -G belong to one and the other.
        pair = coefficients.new_zeros(len(fractional), 2)
        pair[:, : len(out) - first] = coefficients[:, first : first + 2] / 2
        both = plan.execute(torch.view_as_complex(pair).numpy())
        own, mirrored = both[..., z:][order], both[::-1, ::-1, z::-1][order]
        parts = (
            (np.add, own.real, mirrored.real), (np.subtract, own.imag, mirrored.imag),
            (np.add, own.imag, mirrored.imag), (np.subtract, mirrored.real, own.real),
        )  # fmt: skip
        for into, (operation, *both) in zip(
            out[first : first + 2].flatten(0, 1).numpy(), parts, strict=False
        ):
            operation(*both, out=into)


def _values_by_products(frequencies, spectra, fractional) -> torch.Tensor:
    """The sum as it stands, complex throughout."""
    n_x = len(frequencies[0])
    twice = torch.where(frequencies[2] > 0, 2.0, 1.0).to(spectra)
    waves = torch.complex(spectra[:, 0], spectra[:, 1]).view(-1, len(frequencies[1]), len(twice)) * twice
    waves, found = waves.flatten(1), []
    for places in fractional.split(_rows(frequencies)):
        x, y, z = _phases(frequencies, places, 1)
        partly = (waves @ _products(y, z).T).view(len(spectra), n_x, -1)
        found.append((partly * x.T).sum(1).real)
    return torch.cat(found, dim=1) if found else spectra.new_empty(len(spectra), 0)


def _values_by_nufft(frequencies, spectra, fractional, exact) -> torch.Tensor:
    """An FFT on a finer grid, of two real fields as one complex one, and interpolation."""
    import finufft

    x, y, z = (int(f.max()) for f in frequencies)
    order = np.ix_(*(np.argsort(f.numpy()) for f in frequencies[:2]))
    waves = torch.complex(spectra[:, 0], spectra[:, 1]).numpy()
    waves = waves.reshape(len(waves), 2 * x + 1, 2 * y + 1, z + 1)[:, *order]
    whole = np.concatenate([np.conj(waves[:, ::-1, ::-1, :0:-1]), waves], axis=-1)
    whole = np.concatenate([whole, np.zeros_like(whole[: len(whole) % 2])])
    plan = finufft.Plan(
        2, whole.shape[1:], len(whole) // 2, isign=1, eps=exact, nthreads=torch.get_num_threads(),
        dtype="complex128",
    )  # fmt: skip
    plan.setpts(*_small(fractional).T.contiguous().numpy())
    pairs = np.ascontiguousarray(whole[::2] + 1j * whole[1::2])
    both = torch.from_numpy(np.atleast_2d(plan.execute(pairs)))
    return torch.stack([both.real, both.imag], dim=1).flatten(0, 1)[: len(spectra)]


def _small(fractional: torch.Tensor) -> torch.Tensor:
    """Places in radians: small numbers are the more exact ones."""
    return 2 * np.pi * (fractional - fractional.round())


def _parts(waves: torch.Tensor) -> torch.Tensor:
    """Real and imaginary parts, (n, 2, ...)."""
    return torch.stack([waves.real, waves.imag], dim=1)
