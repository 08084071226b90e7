"""Fields on a whole periodic grid at once, through structure factors and FFTs.

The same fields as :meth:`FieldInvariants.gather`, for any lattice: each atom's contribution is a
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
from ase_elf.model.fourier import Synthesis
from ase_elf.model.network import FieldInvariants

TABLE_STEP = 0.02
"""1/bohr. Knots of the tables over |G|; cubic splines between them are good to 1e-8."""

WAVES_AT_ONCE = 2**17
"""Plane waves that tables are evaluated for together."""

MANY = {torch.float32: 500, torch.float64: 2200}
"""Atoms from which on a transform on a finer grid beats the direct sum, on one thread; measured by
``benchmarks/scale.py sums``, see docs/scaling.md."""

CACHED_BYTES, FIELD_BYTES = 2**20, 2**28
"""Memory for fields that are made together, on a CPU and on a GPU: what stays in a cache while it
is made and used takes half the time."""


@lru_cache(maxsize=8)
def _radial_tables(n_radial: int, degree: int, cutoff: float, reach: float) -> CubicSpline:
    q = np.arange(0.0, reach + 2 * TABLE_STEP, TABLE_STEP)
    return CubicSpline(q, np.moveaxis(radial_transforms(q, n_radial, degree, cutoff), -1, 0))


@dataclass(frozen=True)
class Waves:
    """The plane waves of a cell up to a length of G, and what the basis looks like on them.

    They fill a box, the smallest around the sphere; outside of the sphere functions are zero.
    The sphere is that of space and not of a grid, so that neither the choice of a cell nor a
    rotation changes a field, and it may hold waves that the grid takes for others.

    Parameters
    ----------
    shape : tuple of int
        Grid (nx, ny, nz) on which fields are wanted.
    frequencies : tuple of Tensor, int64
        Along the first lattice direction 0 and up, then -1 and down; along the second from the
        lowest up; along the third only those from 0 up.
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
        reach: float,
        invariants: FieldInvariants,
        device: torch.device,
        dtype: torch.dtype,
    ) -> Waves:
        """Up to a length of G of ``reach``, in 1/bohr, in a cell in bohr."""
        reciprocal, volume = 2 * np.pi * np.linalg.inv(cell).T, abs(np.linalg.det(cell))
        # A wave of this length turns at most so often along a cell vector.
        most = np.floor(reach * np.linalg.norm(cell, axis=1) / (2 * np.pi)).astype(int)
        x, y, z = most
        axes = np.r_[0 : x + 1, -1 : -x - 1 : -1], np.arange(-y, y + 1), np.arange(z + 1)
        table = _radial_tables(invariants.n_radial, invariants.degree, invariants.cutoff, reach)
        n_waves, degrees = math.prod(map(len, axes)), range(invariants.degree + 1)
        empty = partial(torch.empty, device=device, dtype=dtype)
        radial = tuple(empty(invariants.n_radial, n_waves) for _ in degrees)
        angular = empty(len(degrees) ** 2, n_waves)
        # In parts: in double precision the tables of a large cell are the most memory of all.
        for part in np.array_split(np.arange(n_waves), -(-n_waves // WAVES_AT_ONCE)):
            places = np.unravel_index(part, tuple(map(len, axes)))
            g = np.stack([axis[i] for axis, i in zip(axes, places, strict=True)], -1) @ reciprocal
            length = np.linalg.norm(g, axis=1)
            functions = np.zeros((len(part), len(degrees), invariants.n_radial))
            functions[length <= reach] = table(length[length <= reach]) / volume
            direction = torch.from_numpy(g / np.maximum(length, 1e-12)[:, None]).T
            here = slice(part[0], part[-1] + 1)
            angular[:, here] = harmonics(direction, invariants.degree, softening=0.0)
            for l in degrees:
                radial[l][:, here] = torch.from_numpy(functions[:, l].T)
        # Where G is zero it has no direction.
        angular[1:, y * len(axes[2])] = 0.0
        frequencies = tuple(torch.as_tensor(axis, device=device) for axis in axes)
        return cls(shape, frequencies, radial, angular)


def structure_factors(waves: Waves, fractional: torch.Tensor, coefficients: torch.Tensor) -> torch.Tensor:
    """Coefficients summed over atoms with their phases, for every wave.

    Parameters
    ----------
    waves : Waves
    fractional : Tensor, shape (n_atoms, 3), float64
        Fractional coordinates; phases are formed in double precision.
    coefficients : Tensor, shape (n_atoms, n_channels)

    Returns
    -------
    Tensor, shape (n_channels, 2, n_waves)
        Real and imaginary parts of ``sum_a c_a exp(-i G r_a)``.
    """
    if fractional.device.type == "cpu" and len(fractional) >= MANY[coefficients.dtype]:
        return _by_nufft(waves, fractional, coefficients)
    return _by_products(waves, fractional, coefficients)


def _by_products(waves, fractional, coefficients) -> torch.Tensor:
    """The sum as it stands; its cost grows with atoms times waves.

    Coefficients are real: along the first direction their cosines and sines are summed, half the
    work of phases, and give the wave of a frequency and that of its negative.
    """
    phases = [
        torch.polar(torch.ones_like(angle), angle)
        for angle in (-2 * np.pi * fractional[:, k, None] * f for k, f in enumerate(waves.frequencies))
    ]
    reach = len(waves.frequencies[0]) // 2
    waved = _parts(phases[0][:, : reach + 1]).to(coefficients.dtype).movedim(0, -1)
    rest = _parts((phases[1][:, :, None] * phases[2][:, None]).flatten(1)).to(coefficients.dtype)
    sums = (coefficients.T[:, None, None] * waved).flatten(0, -2) @ rest.flatten(1)
    even, odd = sums.view(coefficients.shape[1], 2, reach + 1, 2, -1).unbind(1)
    out = sums.new_empty(coefficients.shape[1], 2, 2 * reach + 1, even.shape[-1])
    for part, sign in ((0, -1), (1, 1)):
        own, other = even[:, :, part], odd[:, :, 1 - part]
        torch.add(own, other, alpha=sign, out=out[:, part, : reach + 1])
        torch.sub(own[:, 1:], other[:, 1:], alpha=sign, out=out[:, part, reach + 1 :])
    return out.flatten(2)


def _by_nufft(waves, fractional, coefficients) -> torch.Tensor:
    """Atoms spread on a finer grid, and an FFT (FINUFFT, doi 10.1137/18M120885X)."""
    import finufft

    x, y, z = (int(f.max()) for f in waves.frequencies)
    single = coefficients.dtype == torch.float32
    out = coefficients.new_empty(coefficients.shape[1], 2, 2 * x + 1, 2 * y + 1, z + 1)
    # The FFT of the finer grid, not the atoms, is what costs, so that it is a quarter finer and not
    # twice where that is exact enough. Errors are largest for the shortest waves, of which fields
    # have a thousandth: in single precision the ELF changes by less than by its rounding.
    plan = finufft.Plan(
        1, (2 * x + 1, 2 * y + 1, 2 * z + 1), isign=-1, eps=3e-5 if single else 1e-12,
        upsampfac=1.25 if single else 2.0, nthreads=torch.get_num_threads(),
        dtype="complex64" if single else "complex128",
    )  # fmt: skip
    # Small numbers are the more exact ones.
    places = 2 * np.pi * (fractional - fractional.round())
    plan.setpts(*places.to(coefficients.dtype).T.contiguous().numpy())
    order = waves.frequencies[0].numpy() + x
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
    return out.flatten(2)


def raw_invariants(
    invariants: FieldInvariants,
    waves: Waves,
    fractional: torch.Tensor,
    coefficients: torch.Tensor,
    *,
    most: int | None = None,
    memory: torch.Tensor | None = None,
) -> torch.Tensor:
    """What :meth:`FieldInvariants.raw_invariants` makes of the mixed fields, on the whole grid.

    A few components of the fields at a time are transformed and added to what they belong to, so
    that memory is that of the invariants and not of the fields, of which there are three times as many.

    Parameters
    ----------
    invariants, waves, fractional, coefficients
        As in :func:`structure_factors`.
    most : int, optional
        Bytes that fields made together may take.
    memory : Tensor, shape (:func:`numbers_held`,), optional
        Where to work; the answer lies in it.

    Returns
    -------
    Tensor, shape (n_invariants, n_points)
    """
    n = invariants.n_cubic
    if memory is None:
        memory = coefficients.new_empty(numbers_held(invariants, waves.shape))
    out, vectors = memory.view(-1, math.prod(waves.shape)).split([invariants.n_invariants, 3 * n])
    vectors = vectors.view(3, n, out.shape[1])
    *degrees, cubic = out.split([*invariants.channels, n])
    if most is None:
        most = CACHED_BYTES if out.device.type == "cpu" else FIELD_BYTES
    together = min(max(1, most // (out.shape[1] * out.element_size())), invariants.channels[0])
    product = out.new_empty(together, out.shape[1])
    for l, m, rows, field in _fields(invariants, waves, fractional, coefficients, together):
        squares = degrees[l][rows]
        if l == 0:
            squares.copy_(field)
            continue
        if m == 0:
            torch.mul(field, field, out=squares)
        else:
            squares.addcmul_(field, field)
        here = slice(rows.start, min(rows.stop, n))
        first, field = cubic[here], field[: max(0, n - rows.start)]
        if l == 1:
            vectors[m, here] = field
        elif l == 2 and len(field):
            scale, between = _between(vectors[:, here], invariants.matrices[m], product[: len(field)])
            if m == 0:
                first.zero_()
            first.addcmul_(between, field, value=scale)
        if m == 2 * l:
            if l == 2 and len(field):
                first /= (degrees[1][here] + 1).square_().add_(squares[: len(field)])
            # The root of what is in the cache still.
            squares.add_(1).sqrt_().sub_(1)
    return out


def numbers_held(invariants: FieldInvariants, shape: tuple[int, int, int]) -> int:
    """How many numbers :func:`raw_invariants` holds of a whole grid."""
    return (invariants.n_invariants + 3 * invariants.n_cubic) * math.prod(shape)


def _fields(
    invariants: FieldInvariants,
    waves: Waves,
    fractional: torch.Tensor,
    coefficients: torch.Tensor,
    together: int,
) -> Iterator[tuple[int, int, slice, torch.Tensor]]:
    """Mixed fields: degree l, m, channels, and fields of shape (channels, n_points), which the
    next overwrite. All m of some channels come one after the other.

    Spectra are made without their i to the l, which is there because the gathered functions
    point from places to atoms.
    """
    factors = structure_factors(waves, fractional, coefficients)
    scalars, arrows = factors.split([invariants.channels[0], 3 * invariants.n_vectors])
    synthesis = Synthesis(waves.shape, waves.frequencies, together, factors)
    memory = torch.empty_like(scalars[:together])
    for l, k in enumerate(invariants.channels):
        shaped = (invariants.radial[:, :k].T @ waves.radial[l])[:, None] * scalars[:k]
        if l:
            shaped = (invariants.mix[l - 1] @ shaped.flatten(1)).view_as(shaped)
        added = _from_vectors(invariants, waves, arrows, l)
        for start in range(0, k, together):
            rows = slice(start, min(start + together, k))
            for m in range(2 * l + 1):
                spectra = memory[: rows.stop - start]
                torch.mul(shaped[rows], waves.angular[l * l + m], out=spectra)
                for component, direction in zip(added, _directions(invariants, waves, l, m), strict=False):
                    if direction is not None and len(component[rows]):
                        spectra[: len(component[rows])].addcmul_(component[rows], direction)
                yield l, m, rows, synthesis(spectra, power=l)


def _parts(spectra: torch.Tensor) -> torch.Tensor:
    """Real and imaginary parts, (n, 2, ...)."""
    return torch.stack([spectra.real, spectra.imag], dim=1)


def _between(vectors: torch.Tensor, matrix: torch.Tensor, out: torch.Tensor) -> tuple[float, torch.Tensor]:
    """A number times which v·M·v is, for a symmetric M and vectors of shape (3, channels, n_points)."""
    (i, j, scale), *others = [
        (i, j, entry if i == j else 2 * entry)
        for i, row in enumerate(matrix.tolist())
        for j, entry in enumerate(row[: i + 1])
        if entry
    ]
    torch.mul(vectors[i], vectors[j], out=out)
    for i, j, entry in others:
        out.addcmul_(vectors[i], vectors[j], value=entry / scale)
    return scale, out


def _from_vectors(invariants: FieldInvariants, waves: Waves, arrows: torch.Tensor, l: int) -> torch.Tensor:
    """What each component of the vectors of atoms adds to fields of a degree, but for the
    direction of G, shape (3, channels, 2, n_waves); empty for a degree they add nothing to.

    The products of :meth:`FieldInvariants.gather` in reciprocal space: a vector times the direction
    to an atom becomes a vector times G.
    """
    n = invariants.n_vectors
    if not n or l > 2:
        return arrows[:0]
    degree = int(l != 1)
    profile = invariants.vector_radial[degree].T @ waves.radial[degree]
    arrows = arrows.unflatten(0, (3, n))
    added = torch.empty_like(arrows)
    # One power of i less than in the fields they are added to: times -i.
    torch.mul(arrows[:, :, 1], profile, out=added[:, :, 0])
    torch.mul(arrows[:, :, 0], -profile, out=added[:, :, 1])
    if l:
        added = (invariants.mix[l - 1][:, :n] @ added.flatten(2)).unflatten(2, (2, -1))
    return added


def _directions(invariants: FieldInvariants, waves: Waves, l: int, m: int) -> list[torch.Tensor | None]:
    """What the components of :func:`_from_vectors` are multiplied with before they are added up."""
    if not invariants.n_vectors or l > 2:
        return []
    g = waves.angular[1:4]
    if l == 1:
        return [g.new_ones(()) if i == m else None for i in range(3)]
    if l == 0:
        return list(-g)  # i to the l has another sign than for l = 2
    return [row @ g if row.any() else None for row in invariants.matrices[m].to(g)]
