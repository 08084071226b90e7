"""Fields on a whole periodic grid at once, through structure factors and FFTs.

The same fields as :meth:`Reading.gather`, for any lattice: each atom's contribution is a
phase per lattice direction, so the sum over atoms is one matrix product per channel, and
what an atom looks like is a table over |G| times a harmonic of the direction of G.

Lengths in bohr.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import torch
from scipy.interpolate import CubicSpline

from ase_elf.model.basis import harmonics, radial_transforms
from ase_elf.model.network import Reading

TABLE_STEP = 0.02
"""1/bohr. Knots of the tables over |G|; cubic splines between them are good to 1e-8."""

WAVES_AT_ONCE = 2**17
"""Plane waves that tables are evaluated for together."""

MANY = 2200
"""Atoms from which on a transform on a finer grid beats the direct sum, on one thread; measured by
``benchmarks/scale.py sums``, see docs/scaling.md."""

CACHED_BYTES, FIELD_BYTES = 2**22, 2**28
"""Memory for fields that are transformed together, on a CPU and on a GPU: what stays in a cache while it
is made and used takes half the time."""

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
        reciprocal, volume = 2 * np.pi * np.linalg.inv(cell).T, abs(np.linalg.det(cell))
        corners = np.array(np.meshgrid(*[(-(n // 2), n // 2) for n in shape])).reshape(3, -1)
        longest = np.linalg.norm(corners.T @ reciprocal, axis=1).max()
        # Rounding up keeps one table for all cells of a variable-cell run, and few of them for
        # crystals of any shape: making one costs more than predicting a small crystal.
        q_max = TABLE_LENGTH * np.ceil(longest / TABLE_LENGTH)
        table = _radial_tables(reading.n_radial, reading.degree, reading.cutoff, q_max)
        n_waves, degrees = nx * ny * len(axes[2]), range(reading.degree + 1)
        empty = partial(torch.empty, device=device, dtype=dtype)
        radial = tuple(empty(reading.n_radial, n_waves) for _ in degrees)
        angular = empty(len(degrees) ** 2, n_waves)
        # In parts: in double precision the tables of a large cell are the most memory of all.
        for part in np.array_split(np.arange(n_waves), -(-n_waves // WAVES_AT_ONCE)):
            integers = np.stack(
                [axis[i] for axis, i in zip(axes, np.unravel_index(part, _half(shape)))], -1
            )
            g = integers @ reciprocal
            length = np.linalg.norm(g, axis=1)
            functions = table(length) / volume
            # An even grid stores a frequency and its negative in one place, where only the
            # degrees even in G can be told apart from noise; leaving it out keeps fields real.
            for axis, n in enumerate(shape):
                if n % 2 == 0:
                    functions[np.abs(integers[:, axis]) == n // 2] = 0.0
            direction = torch.from_numpy(g / np.maximum(length, 1e-12)[:, None]).T
            here = slice(part[0], part[-1] + 1)
            angular[:, here] = harmonics(direction, reading.degree, softening=0.0)
            for l in degrees:
                radial[l][:, here] = torch.from_numpy(functions[:, l].T)
        angular[1:, 0] = 0.0
        frequencies = tuple(torch.as_tensor(axis, device=device, dtype=dtype) for axis in axes)
        return cls(shape, frequencies, radial, angular)


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
    if fractional.device.type == "cpu" and len(fractional) >= MANY:
        return _by_nufft(waves, fractional, coefficients)
    return _by_products(waves, fractional, coefficients)


def _by_products(waves, fractional, coefficients) -> torch.Tensor:
    """The sum as it stands; its cost grows with atoms times waves.

    Coefficients are real: along the first direction their cosines and sines are summed, half the
    work of phases, and give the wave of a frequency and that of its negative.
    """
    (nx, *_), reach = waves.shape, waves.shape[0] // 2
    x, y, z = (2 * np.pi * fractional).T[..., None]
    angle = x * torch.arange(reach + 1, device=x.device)
    waved = torch.cat([angle.cos(), angle[:, 1:].sin()], dim=1).T.to(coefficients.dtype)
    _, fy, fz = (frequencies.to(fractional.dtype) for frequencies in waves.frequencies)
    angle = ((y * fy)[:, :, None] + (z * fz)[:, None, :]).flatten(1)
    phase = torch.polar(torch.ones_like(angle), -angle).to(coefficients.dtype.to_complex())
    sums = (coefficients.T[:, None] * waved).flatten(0, 1) @ torch.view_as_real(phase).flatten(1)
    sums = torch.view_as_complex(sums.view(-1, 2 * reach + 1, angle.shape[1], 2))
    even, odd = sums[:, 1 : reach + 1], 1j * sums[:, reach + 1 :]
    forth, back = (even - odd)[:, : nx - reach - 1], (even + odd).flip(1)
    return torch.cat([sums[:, :1], forth, back], dim=1).flatten(1)


def _by_nufft(waves, fractional, coefficients) -> torch.Tensor:
    """Atoms spread on a finer grid, and an FFT (FINUFFT, doi 10.1137/18M120885X)."""
    import finufft

    nx, ny, nz = waves.shape
    exact = coefficients.dtype == torch.float64
    places = [(2 * np.pi * f).numpy() for f in (fractional % 1).T]
    out = torch.empty(
        coefficients.shape[1], *_half(waves.shape), dtype=coefficients.dtype.to_complex()
    )
    # Always in double precision: the finer grid may then be a quarter finer instead of twice,
    # and its FFT, not the atoms, is what costs.
    plan = finufft.Plan(
        1, (nx, ny, nz), isign=-1, modeord=1, eps=1e-12 if exact else 1e-8,
        upsampfac=2.0 if exact else 1.25, nthreads=torch.get_num_threads(),
    )  # fmt: skip
    plan.setpts(*places)
    for first in range(0, len(out), 2):
        # Two real channels in one complex transform: the parts of it that are even and odd
        # under G to -G belong to one and the other.
        pair = torch.zeros(len(fractional), 2, dtype=torch.float64)
        pair[:, : len(out) - first] = coefficients[:, first : first + 2]
        both = plan.execute(torch.view_as_complex(pair).numpy())
        both = torch.from_numpy(both).to(out.dtype)
        mirrored = both.flip(0, 1, 2).roll((1, 1, 1), (0, 1, 2)).conj()
        half = slice(None, nz // 2 + 1)
        out[first] = ((both + mirrored) / 2)[..., half]
        if first + 1 < len(out):
            out[first + 1] = ((both - mirrored) / 2j)[..., half]
    return out.flatten(1)


def raw_invariants(
    reading: Reading,
    waves: Waves,
    fractional: torch.Tensor,
    coefficients: torch.Tensor,
    *,
    most: int | None = None,
) -> torch.Tensor:
    """What :meth:`Reading.raw_invariants` makes of the mixed fields, on the whole grid.

    A few components of the fields at a time are transformed and added to what they belong to, so
    that memory is that of the invariants and not of the fields, of which there are three times as many.

    Parameters
    ----------
    reading, waves, fractional, coefficients
        As in :func:`structure_factors`.
    most : int, optional
        Bytes that fields made together may take.

    Returns
    -------
    Tensor, shape (n_invariants, n_points)
    """
    factors = structure_factors(waves, fractional, coefficients)
    out = coefficients.new_zeros(reading.n_invariants, math.prod(waves.shape))
    *degrees, cubic = out.split([*reading.channels, reading.n_cubic])
    if most is None:
        most = CACHED_BYTES if out.device.type == "cpu" else FIELD_BYTES
    together = max(1, most // (out.shape[1] * out.element_size()))
    n = reading.n_cubic
    vectors = out.new_empty(3, n, out.shape[1])
    for l, squares in enumerate(degrees):
        for m, rows, field in _fields(reading, waves, factors, l, together):
            if l == 0:
                squares[rows] = field
                continue
            squares[rows].addcmul_(field, field)
            first = slice(rows.start, min(rows.stop, n))
            field = field[: max(0, n - rows.start)]
            if l == 1:
                vectors[m, first] = field
            elif l == 2 and len(field):
                cubic[first].addcmul_(field, _between(vectors[:, first], reading.matrices[m]))
    if n:
        cubic /= 1 + degrees[1][:n] + degrees[2][:n]
    for squares in degrees[1:]:
        squares.add_(1).sqrt_().sub_(1)
    return out


def _fields(
    reading: Reading, waves: Waves, factors: torch.Tensor, l: int, together: int
) -> Iterator[tuple[int, slice, torch.Tensor]]:
    """Mixed fields of a degree: m, channels, and fields of shape (channels, n_points)."""
    k, n = reading.channels[l], reading.n_vectors
    mix = reading.mix[l - 1] if l else None
    shaped = (reading.radial[:, :k].T @ waves.radial[l]) * factors[:k]
    if mix is not None:
        shaped = torch.view_as_complex((mix @ _parts(shaped)).unflatten(1, (-1, 2)))
    shaped = _turned(shaped, l)
    for m, more in enumerate(_from_vectors(reading, waves, factors[reading.channels[0] :], l)):
        for start in range(0, k, together):
            rows = slice(start, min(start + together, k))
            spectrum = shaped[rows] * waves.angular[l * l + m]
            if more is not None and mix is None:
                own = more[rows]
                spectrum[: len(own)] += own
            elif more is not None:
                _parts(spectrum).addmm_(mix[rows, :n], _parts(more))
            field = torch.fft.irfftn(
                spectrum.unflatten(-1, _half(waves.shape)),
                s=waves.shape, dim=(-3, -2, -1), norm="forward",
            )  # fmt: skip
            yield m, rows, field.flatten(-3)


def _parts(spectra: torch.Tensor) -> torch.Tensor:
    """Real and imaginary parts as they lie in memory, (channels, 2 * n_waves): real matrices
    combine them in half the work of complex ones."""
    return torch.view_as_real(spectra).flatten(1)


def _between(vectors: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """v·M·v with a symmetric M, for vectors of shape (3, channels, n_points)."""
    total = torch.zeros_like(vectors[0])
    for i, row in enumerate(matrix.tolist()):
        for j, entry in enumerate(row[: i + 1]):
            if entry:
                total.addcmul_(vectors[i], vectors[j], value=entry if i == j else 2 * entry)
    return total


def _from_vectors(
    reading: Reading, waves: Waves, factors: torch.Tensor, l: int
) -> Iterator[torch.Tensor | None]:
    """What vectors of atoms add to the first fields of a degree, (n_vectors, n_waves) for each m.

    The products of :meth:`Reading.gather` in reciprocal space: a vector times the direction
    to an atom becomes a vector times G.
    """
    if not reading.n_vectors or l > 2:
        yield from [None] * (2 * l + 1)
        return
    arrows = factors.view(3, reading.n_vectors, -1)
    bare, turned = reading.vector_radial
    if l == 1:
        profile = bare.T @ waves.radial[0]
        yield from (profile * component for component in arrows)
        return
    profile = turned.T @ waves.radial[1]
    matrices = reading.matrices.to(profile.dtype) if l else torch.eye(3).to(profile)[None]
    for matrix in matrices:
        along = (arrows * (matrix @ waves.angular[1:4])[:, None]).sum(0)
        yield _turned(profile * along, 1)


def _turned(spectrum: torch.Tensor, l: int) -> torch.Tensor:
    """Times i to the l: the gathered functions point from places to atoms."""
    if l % 2:
        spectrum = spectrum * 1j
    return -spectrum if l % 4 >= 2 else spectrum


def _half(shape: tuple[int, int, int]) -> tuple[int, int, int]:
    return shape[0], shape[1], shape[2] // 2 + 1
