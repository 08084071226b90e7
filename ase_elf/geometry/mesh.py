"""Meshes: how many points a grid has along the cell vectors, and where they lie."""

from __future__ import annotations

from numbers import Real

import numpy as np

from ase_elf.errors import InputError
from ase_elf.geometry.lattice import MOST_POINTS, lengths, upright

__all__ = ["MOST_OBLIQUE", "MOST_PLANES", "cartesian", "check_cell", "fast_shape", "grid_shape"]

MOST_PLANES = 100_000
"""Of points, along a vector of the cell."""

MOST_OBLIQUE = 8
"""Times the points of a grid in the reduced cell that one of many points may have."""


def cartesian(cell: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Points of a grid in the unit of the cell, (nx·ny·nz, 3), z fastest."""
    return np.indices(shape).reshape(3, -1).T / np.array(shape) @ cell


def fast_shape(cell: np.ndarray, spacing: float) -> tuple[int, int, int]:
    """Smallest grid that Fourier transforms quickly, points at most ``spacing`` (Å) apart.

    The distance is that along the cell vectors, rows of ``cell`` (3, 3) in Å: in any cell of a
    lattice the grid holds all waves longer than twice the spacing.

    Raises
    ------
    InputError
        The spacing is no positive number, or so small that no memory holds the grid; or the cell so
        oblique that the grid has :data:`MOST_OBLIQUE` times the points of the reduced cell's, and many.
    """
    from scipy.fft import next_fast_len

    check_cell(cell)
    if not isinstance(spacing, Real) or not 0 < spacing < np.inf:
        raise InputError(f"spacing = {spacing!r} Å must be positive.")
    # A length that is a multiple of the spacing must not gain a point by round-off.
    counts = np.ceil(lengths(cell) / float(spacing) - 1e-9)
    # Logarithms: the number of points of a tiny spacing is no number of the machine.
    points = np.log(counts).sum()
    larger = points - np.log(lengths(upright(cell)[0]) / float(spacing)).sum()
    if points > np.log(MOST_POINTS) and larger > np.log(MOST_OBLIQUE):
        raise InputError(
            f"the cell is so oblique that a grid with a spacing of {spacing!r} Å has 1e{points / np.log(10):.0f} "
            "points; take the reduced cell of the same lattice (ase.geometry.minkowski_reduce), or give the shape "
            "of the grid."
        )
    if counts.max() > MOST_PLANES:
        raise InputError(
            f"spacing = {spacing!r} Å makes {counts.max():.1e} planes of points; at most "
            f"{MOST_PLANES} are taken. Give a larger one."
        )
    return tuple(next_fast_len(max(int(n), 1), real=True) for n in counts)


def check_cell(cell: np.ndarray) -> None:
    """Raise :class:`InputError` unless a grid can lie in ``cell``, rows in Å."""
    edges = lengths(cell)
    if not np.isfinite(cell).all() or edges.min() == 0:
        raise InputError(f"the grid needs a three-dimensional cell, not {cell.tolist()} Å.")
    if abs(np.linalg.det(cell)) < 1e-6 * edges.prod():
        raise InputError(f"the cell vectors {cell.tolist()} Å lie in one plane.")


def grid_shape(shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """``shape`` as three positive ints, or :class:`InputError`."""
    try:
        numbers = tuple(shape)
        checked = tuple(int(n) for n in numbers)
    except (TypeError, ValueError) as error:
        raise InputError(f"shape must be three integers, not {shape!r}.") from error
    if len(checked) != 3 or min(checked) < 1 or checked != numbers:
        raise InputError(f"shape must be three positive integers, not {shape!r}.")
    return checked
