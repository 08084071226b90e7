"""Fields on a whole periodic grid at once, through structure factors and FFTs.

The same fields as :meth:`FieldInvariants.gather`, for any lattice: each atom's contribution is a
phase per lattice direction, so the sum over atoms is one matrix product per channel, and
what an atom looks like is a table over |G| times a harmonic of the direction of G.

Lengths in bohr.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import torch
from scipy.interpolate import CubicSpline

from ase_elf.model.basis import harmonics, radial_transforms, symmetric_matrices
from ase_elf.model.fourier import Synthesis
from ase_elf.model.network import FieldInvariants
from ase_elf.model.nonuniform import Frequencies, axes, box, structure_factors

TABLE_STEP = 0.02
"""1/bohr. Knots of the tables over |G|; cubic splines between them are good to 1e-8."""

WAVES_AT_ONCE = 2**17
"""Plane waves that tables are evaluated for together."""

MATRICES = symmetric_matrices()
"""Harmonics of degree 2, known to the host."""

CACHED_BYTES, FIELD_BYTES = 2**21, 2**28
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
        Of a :func:`ase_elf.model.nonuniform.box`.
    radial : tuple of Tensor, shapes (n_radial, n_waves)
        Radial transforms per degree over the cell volume.
    angular : Tensor, shape ((degree + 1)², n_waves)
        Harmonics of the direction of G.
    """

    shape: tuple[int, int, int]
    frequencies: Frequencies
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
        along = axes(cell, reach)
        table = _radial_tables(invariants.n_radial, invariants.degree, invariants.cutoff, reach)
        n_waves, degrees = math.prod(map(len, along)), range(invariants.degree + 1)
        empty = partial(torch.empty, device=device, dtype=dtype)
        radial = tuple(empty(invariants.n_radial, n_waves) for _ in degrees)
        angular = empty(len(degrees) ** 2, n_waves)
        # In parts: in double precision the tables of a large cell are the most memory of all.
        for part in np.array_split(np.arange(n_waves), -(-n_waves // WAVES_AT_ONCE)):
            places = np.unravel_index(part, tuple(map(len, along)))
            g = np.stack([axis[i] for axis, i in zip(along, places, strict=True)], -1) @ reciprocal
            length = np.linalg.norm(g, axis=1)
            functions = np.zeros((len(part), len(degrees), invariants.n_radial))
            functions[length <= reach] = table(length[length <= reach]) / volume
            direction = torch.from_numpy(g / np.maximum(length, 1e-12)[:, None]).T
            here = slice(part[0], part[-1] + 1)
            angular[:, here] = harmonics(direction, invariants.degree, softening=0.0)
            for l in degrees:
                radial[l][:, here] = torch.from_numpy(functions[:, l].T)
        # Where G is zero it has no direction.
        angular[1:, 0] = 0.0
        return cls(shape, box(cell, reach, device), radial, angular)


def raw_invariants(
    invariants: FieldInvariants,
    waves: Waves,
    fractional: torch.Tensor,
    coefficients: torch.Tensor,
    *,
    most: int | None = None,
    memory: torch.Tensor | None = None,
    more: int = 0,
) -> torch.Tensor:
    """What :meth:`FieldInvariants.raw_invariants` makes of the mixed fields, on the whole grid.

    A few components of the fields at a time are transformed and added to what they belong to, so
    that memory is that of the invariants and not of the fields, of which there are three times as many.

    Parameters
    ----------
    invariants, waves, fractional, coefficients
        As in :func:`ase_elf.model.nonuniform.structure_factors`.
    most : int, optional
        Bytes that fields made together may take.
    memory : Tensor, shape (:func:`numbers_held`,), optional
        Where to work; the answer lies in it.
    more : int
        Rows behind the invariants for something else.

    Returns
    -------
    Tensor, shape (n_invariants + more, n_points)
        The last rows are not written to.
    """
    n, n_points = invariants.n_cubic, math.prod(waves.shape)
    if memory is None:
        memory = coefficients.new_empty(numbers_held(invariants, waves, more, most=most))
    before = max(0, 3 * n - invariants.channels[0])
    rows = before + invariants.n_invariants + more
    on_grid, memory = memory[: rows * n_points].view(rows, n_points), memory[rows * n_points :]
    # Where fields of degree 0 will be, which are the last.
    vectors = on_grid[: 3 * n].view(3, n, n_points)
    on_grid = on_grid[before:]
    out = on_grid[: invariants.n_invariants]
    *degrees, cubic = out.split([*invariants.channels, n])
    together = _together(invariants, waves, most)
    product = out.new_empty(together, n_points)

    def place(l: int, m: int, rows: slice) -> torch.Tensor | None:
        """Where fields that are kept as they are go."""
        if l == 0:
            return degrees[0][rows]
        return vectors[m, rows] if l == 1 and rows.stop <= n else None

    for l, m, rows, field in _fields(invariants, waves, fractional, coefficients, together, memory, place):
        if l == 0:
            continue
        squares = degrees[l][rows]
        if m == 0:
            torch.mul(field, field, out=squares)
        else:
            squares.addcmul_(field, field)
        here = slice(rows.start, min(rows.stop, n))
        first, field = cubic[here], field[: max(0, n - rows.start)]
        if l == 1 and rows.stop > n:
            vectors[m, here] = field
        elif l == 2 and len(field):
            scale, between = _between(vectors[:, here], MATRICES[m], product[: len(field)])
            if m == 0:
                first.zero_()
            first.addcmul_(between, field, value=scale)
        if m == 2 * l:
            if l == 2 and len(field):
                first /= (degrees[1][here] + 1).square_().add_(squares[: len(field)])
            # The root of what is in the cache still.
            squares.add_(1).sqrt_().sub_(1)
    return on_grid


def numbers_held(invariants: FieldInvariants, waves: Waves, more: int = 0, *, most: int | None = None) -> int:
    """How many numbers :func:`raw_invariants` holds of a whole grid and of its waves."""
    n, width = invariants.n_vectors, invariants.channels[0]
    before = max(0, 3 * invariants.n_cubic - invariants.channels[0])
    on_grid = (before + invariants.n_invariants + more) * math.prod(waves.shape)
    on_waves = width + 3 * n + sum(_work_sizes(invariants, _together(invariants, waves, most)))
    return on_grid + 2 * on_waves * waves.angular.shape[1]


def _together(invariants: FieldInvariants, waves: Waves, most: int | None) -> int:
    """Fields that are made together in so many bytes."""
    values = waves.angular
    if most is None:
        most = CACHED_BYTES if values.device.type == "cpu" else FIELD_BYTES
    return min(max(1, most // (math.prod(waves.shape) * values.element_size())), invariants.channels[0])


def _work_sizes(invariants: FieldInvariants, together: int) -> list[int]:
    """Channels on waves that :func:`_fields` holds besides those of atoms: all of one degree before
    they are mixed, but of those that are mixed no more than are used together.
    """
    higher = max(invariants.channels[1:], default=0)
    return [max(higher, together), together, 3 * invariants.n_vectors, 3 * together]


def _fields(
    invariants: FieldInvariants,
    waves: Waves,
    fractional: torch.Tensor,
    coefficients: torch.Tensor,
    together: int,
    memory: torch.Tensor,
    place: Callable[[int, int, slice], torch.Tensor | None],
) -> Iterator[tuple[int, int, slice, torch.Tensor]]:
    """Mixed fields: degree l, m, channels, and fields of shape (channels, n_points), where ``place`` says or
    where the next overwrite them. All m of some channels come one after the other, degree 0 last.

    Spectra are made without their i to the l, which is there because the gathered functions
    point from places to atoms.
    """
    n, width, n_waves = invariants.n_vectors, invariants.channels[0], waves.angular.shape[1]
    # What the system clears anew for each call would take a third as long as all that is done with it.
    sizes = [width + 3 * n, *_work_sizes(invariants, together)]
    factors, *works = memory[: 2 * sum(sizes) * n_waves].view(-1, 2, n_waves).split(sizes)
    structure_factors(waves.frequencies, fractional, coefficients, out=factors)
    scalars, arrows = factors.split([width, 3 * n])
    synthesis = Synthesis(waves.shape, waves.frequencies, together, factors)
    some = torch.empty_like(scalars[:together])
    for l in (*range(1, len(invariants.channels)), 0):
        k = invariants.channels[l]
        profile = (invariants.radial[:, :k].T @ waves.radial[l])[:, None]
        shaped = torch.mul(profile, scalars[:k], out=works[0][:k]) if l else scalars
        added = _from_vectors(invariants, waves, arrows, l, works[2])
        turned = [_directions(invariants, waves, l, m) for m in range(2 * l + 1)]
        for start in range(0, k, together):
            rows = slice(start, min(start + together, k))
            spectra = some[: rows.stop - start]
            if l:
                own, *more = (
                    torch.mm(mix, each.flatten(1), out=into[: len(spectra)].flatten(1)).view_as(spectra)
                    for mix, each, into in _mixtures(invariants.mix[l - 1][rows], shaped, added, works)
                )
            else:
                own = torch.mul(profile[rows], shaped[rows], out=works[0][: len(spectra)])
                more = [component[rows] for component in added]
            for m in range(2 * l + 1):
                torch.mul(own, waves.angular[l * l + m], out=spectra)
                for component, direction in zip(more, turned[m], strict=False):
                    if direction is not None and component.shape[0]:
                        spectra[: component.shape[0]].addcmul_(component, direction)
                yield l, m, rows, synthesis(spectra, power=l, out=place(l, m, rows))


def _mixtures(
    mix: torch.Tensor, shaped: torch.Tensor, added: torch.Tensor, works: list[torch.Tensor]
) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """What some mixed channels are sums of: weights, channels, and where the sums go; first of scalars,
    then of each component of what vectors add.
    """
    yield mix, shaped, works[1]
    if len(added):
        mix = mix[:, : added.shape[1]].contiguous()
        yield from ((mix, each, into) for each, into in zip(added, works[3].chunk(3), strict=True))


def _between(vectors: torch.Tensor, matrix: np.ndarray, out: torch.Tensor) -> tuple[float, torch.Tensor]:
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


def _from_vectors(
    invariants: FieldInvariants, waves: Waves, arrows: torch.Tensor, l: int, work: torch.Tensor
) -> torch.Tensor:
    """What each component of the vectors of atoms adds to fields of a degree before these are mixed, but for the
    direction of G, shape (3, n_vectors, 2, n_waves), in ``work``; empty for a degree they add nothing to.

    The products of :meth:`FieldInvariants.gather` in reciprocal space: a vector times the direction
    to an atom becomes a vector times G.
    """
    n = invariants.n_vectors
    if not n or l > 2:
        return arrows[:0]
    degree = int(l != 1)
    profile = invariants.vector_radial[degree].T @ waves.radial[degree]
    arrows, added = arrows.unflatten(0, (3, n)), work.unflatten(0, (3, n))
    # One power of i less than in the fields they are added to: times -i.
    torch.mul(arrows[:, :, 1], profile, out=added[:, :, 0])
    torch.mul(arrows[:, :, 0], -profile, out=added[:, :, 1])
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
    return [
        sum(entry * one for entry, one in zip(row, g, strict=True) if entry) if any(row) else None
        for row in MATRICES[m].tolist()
    ]
