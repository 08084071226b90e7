"""Critical points of an ELF: attractors, bond, ring and cage points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ase_elf.errors import InputError
from ase_elf.topology.basins import Basins, find_basins
from ase_elf.topology.field import SplineField
from ase_elf.topology.persistence import pair
from ase_elf.topology.root_isolation import find_roots

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ase_elf.grid import ELFGrid

__all__ = [
    "KINDS",
    "NEWTON_STEPS",
    "PERSISTENCE",
    "Counts",
    "CriticalPoints",
    "critical_points",
    "critical_points_of",
]

KINDS = ("attractor", "bond", "ring", "cage")
"""By the number of directions in which the point is a maximum: 3, 2, 1, 0."""

PERSISTENCE = 1e-3
"""Default: features lower than this come from rounding and interpolation. DFT labels
are good to 0.003, models to 0.01 and more; ask for that where noise matters."""


NEWTON_STEPS = 8
"""On a model; the spline is close, so two or three do for all but nearly degenerate points."""


class Counts(NamedTuple):
    """How many critical points of each kind; also reads ``counts["ring"]``."""

    attractor: int
    bond: int
    ring: int
    cage: int

    def __getitem__(self, key: Any) -> Any:
        return getattr(self, key) if isinstance(key, str) else tuple.__getitem__(self, key)


@dataclass(frozen=True)
class CriticalPoints:
    """Points where the gradient of an ELF vanishes, attractors first, then by falling ELF.

    Parameters
    ----------
    positions : ndarray, shape (n, 3), float64, Å
        Inside the cell.
    values : ndarray, shape (n,), float64
        ELF.
    kind : ndarray, shape (n,), str
        ``"attractor"``, ``"bond"``, ``"ring"`` or ``"cage"``.
    gradient : ndarray, shape (n,), float64, 1/Å
        Norm of what is left of the gradient.
    eigenvalues : ndarray, shape (n, 3), float64, 1/Å^2
        Of the Hessian, ascending.
    persistence : ndarray, shape (n,), float64
        How much the field has to change before the point disappears together with a
        partner of the next kind. Infinite for points that a periodic field cannot lose
        (one attractor, three bonds, three rings, one cage) and for bond and ring points
        without a close partner.
    unresolved : ndarray, shape (m, 3), float64, Å
        Places where the field is too flat to tell how many critical points there are.
    empty : float
        Fraction of the cell left out because it is vacuum or exactly flat.
    threshold : float
        Points of lower persistence were cancelled.
    removed : Counts
        How many of each kind were cancelled.
    """

    positions: np.ndarray
    values: np.ndarray
    kind: np.ndarray
    gradient: np.ndarray
    eigenvalues: np.ndarray
    persistence: np.ndarray
    unresolved: np.ndarray
    empty: float
    threshold: float
    removed: Counts

    def __len__(self) -> int:
        return len(self.values)

    @property
    def counts(self) -> Counts:
        """Number of attractors, bond, ring and cage points."""
        return _count(self.kind)

    @property
    def euler(self) -> int:
        """Attractors - bonds + rings - cages: 0 for a complete list in a periodic cell.

        With vacuum left out it is the Euler characteristic of the rest instead.
        """
        n = self.counts
        return n.attractor - n.bond + n.ring - n.cage

    def of_kind(self, kind: str) -> CriticalPoints:
        """Only the points of one ``kind``."""
        if kind not in KINDS:
            raise InputError(f"{kind!r} is no kind of critical point; use one of {KINDS}.")
        return self.select(self.kind == kind)

    def plot(self, ax: Axes | None = None, **draw: Any) -> Axes:
        """Histogram of the ELF at the points, by kind."""
        from ase_elf.plotting.fields import plot_kinds

        values = {kind: self.values[self.kind == kind] for kind in KINDS}
        return plot_kinds(values, ax, title=f"Morse sum {self.euler}", **draw)

    def select(self, which: np.ndarray) -> CriticalPoints:
        """Only the points at ``which`` (mask or indices)."""
        arrays = ("positions", "values", "kind", "gradient", "eigenvalues", "persistence")
        return replace(self, **{name: getattr(self, name)[which] for name in arrays})


def critical_points(
    grid: ELFGrid,
    *,
    persistence: float = PERSISTENCE,
    model: Callable[[np.ndarray], np.ndarray] | None = None,
) -> CriticalPoints:
    """Every critical point of the periodic cubic spline through ``grid``.

    Found by root isolation: boxes in which the gradient provably does not vanish are thrown
    away until only boxes with one critical point are left. No seeds, so no seed can be
    missing, and the cost does not depend on where one would have looked.

    Parameters
    ----------
    grid : ELFGrid
    persistence : float
        Points that a change of the field by less than this removes are cancelled in
        pairs, which leaves ``euler`` as it is. 0 keeps everything.
    model : callable, optional
        ``model(xyz) -> ELF``, (n, 3) in Å to (n,): the field the grid was sampled from.
        Positions, values and Hessians are then refined on it instead of the spline; a
        point that would change its kind or lose its way stays where it was, which shows in
        ``gradient``: then the grid is too coarse there. For an
        :class:`~ase_elf.ELFCalculator`:
        ``lambda xyz: calc.get_elf(atoms, points=xyz)``. Takes 19 values a step for each point.

    Returns
    -------
    CriticalPoints

    Raises
    ------
    InputError
        For a constant field, NaN, values outside [0, 1], fewer than four voxels in a
        direction, a cell without volume, or a ``model`` that does not return (n,) finite
        numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from ase import Atoms
    >>> from ase_elf import ELFGrid
    >>> from ase_elf.topology import critical_points
    >>> x, y, z = np.meshgrid(*[2 * np.pi * np.arange(32) / 32] * 3, indexing="ij")
    >>> elf = (np.cos(x) + 0.8 * np.cos(y) + 0.6 * np.cos(z) + 2.4) / 4.8
    >>> cps = critical_points(ELFGrid(elf, Atoms("H", cell=[2, 2, 2], pbc=True)))
    >>> cps.counts
    Counts(attractor=1, bond=3, ring=3, cage=1)
    >>> cps.euler
    0
    """
    if model is not None and not callable(model):
        raise InputError(
            f"model is a {type(model).__name__}; give a function of points (n, 3) in Å, such as "
            "lambda xyz: calc.get_elf(atoms, points=xyz)."
        )
    return critical_points_of(SplineField.of(grid), persistence=persistence, model=model)


def critical_points_of(
    field: SplineField,
    *,
    persistence: float = PERSISTENCE,
    model: Callable[[np.ndarray], np.ndarray] | None = None,
    basins: Basins | None = None,
) -> CriticalPoints:
    """:func:`critical_points` for a spline, and perhaps basins, that are already there."""
    if not persistence >= 0:
        raise InputError(f"persistence = {persistence!r} must be 0 or positive.")
    roots = find_roots(field)
    values, gradient, hessian = field.hessian(roots.u)
    to_cartesian = field.to_cartesian
    gradient = np.linalg.norm(gradient @ to_cartesian.T, axis=1)
    eigenvalues = np.linalg.eigvalsh(to_cartesian @ hessian @ to_cartesian.T)
    rank = 3 - (eigenvalues < 0).sum(axis=1)
    order = np.lexsort((-values, rank))
    u, values, rank = roots.u[order], values[order], rank[order]
    lifetime, cancelled = pair(basins or find_basins(field), u, values, rank, persistence)
    points = CriticalPoints(
        positions=field.position_of(u),
        values=values,
        kind=np.array(KINDS)[rank],
        gradient=gradient[order],
        eigenvalues=eigenvalues[order],
        persistence=lifetime,
        unresolved=field.position_of(roots.unresolved),
        empty=roots.empty,
        threshold=persistence,
        removed=_count(np.array(KINDS)[rank[cancelled]]),
    )
    points = points.select(~cancelled)
    return points if model is None or not len(points) else _refine_on(points, model, field)


def _count(kind: np.ndarray) -> Counts:
    return Counts(*(int((kind == name).sum()) for name in KINDS))


def _refine_on(
    points: CriticalPoints, model: Callable[[np.ndarray], np.ndarray], field: SplineField
) -> CriticalPoints:
    """Newton's method on the model itself, derivatives by central differences.

    A point that would leave its surroundings, or change its kind, stays where it is on the
    spline; the model's gradient there tells that it did.
    """
    step = 0.1 * abs(np.linalg.det(field.voxel_vectors)) ** (1 / 3)
    xyz = points.positions.copy()
    active = np.arange(len(xyz))
    for _ in range(NEWTON_STEPS):
        _, gradient, hessian = _finite_differences(model, xyz[active], step)
        # Where the model saturates its differences vanish altogether.
        hessian[np.abs(np.linalg.det(hessian)) < 1e-300] += np.eye(3)
        move = np.linalg.solve(hessian, gradient[..., None])[..., 0]
        length = np.linalg.norm(move, axis=1, keepdims=True)
        xyz[active] -= move * np.minimum(1, 2 * step / np.maximum(length, 1e-300))
        active = active[length[:, 0] > 1e-3 * step]
        if not len(active):
            break
    values, gradient, hessian = _finite_differences(model, xyz, step)
    eigenvalues = np.linalg.eigvalsh(hessian)
    left = np.linalg.norm(gradient, axis=1)
    moved = np.linalg.norm(xyz - points.positions, axis=1)
    same = ((eigenvalues < 0) == (points.eigenvalues < 0)).all(axis=1)
    good = same & (moved < 10 * step) & (left <= np.maximum(points.gradient, 1e-3))
    if not good.all():
        there = _finite_differences(model, points.positions[~good], step)
        values[~good], left[~good] = there[0], np.linalg.norm(there[1], axis=1)
    inside = np.linalg.solve(field.cell.T, xyz.T).T % 1.0 @ field.cell
    return replace(
        points,
        positions=np.where(good[:, None], inside, points.positions),
        values=values,
        gradient=left,
        eigenvalues=np.where(good[:, None], eigenvalues, points.eigenvalues),
    )


def _finite_differences(
    model: Callable[[np.ndarray], np.ndarray], xyz: np.ndarray, step: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Value, gradient and Hessian of ``model`` from its values on 19 points around each."""
    one = np.eye(3)
    moves = [np.zeros(3), *one, *-one]
    pairs = [(0, 1), (0, 2), (1, 2)]
    for i, j in pairs:
        moves += [one[i] + one[j], -one[i] - one[j], one[i] - one[j], one[j] - one[i]]
    at = (xyz[:, None] + step * np.array(moves)).reshape(-1, 3)
    f = np.asarray(model(at))
    if f.shape != (len(at),) or f.dtype.kind != "f" or not np.isfinite(f).all():
        raise InputError(
            f"model returned {f.dtype} of shape {f.shape} for {len(at)} points; one finite ELF "
            "value for each is needed."
        )
    f = f.astype(float).reshape(len(xyz), len(moves))
    gradient = (f[:, 1:4] - f[:, 4:7]) / (2 * step)
    hessian = np.empty((len(xyz), 3, 3))
    for i in range(3):
        hessian[:, i, i] = (f[:, 1 + i] + f[:, 4 + i] - 2 * f[:, 0]) / step**2
    for n, (i, j) in enumerate(pairs):
        plus, minus, up, down = f[:, 7 + 4 * n : 11 + 4 * n].T
        hessian[:, i, j] = hessian[:, j, i] = (plus + minus - up - down) / (4 * step**2)
    return f[:, 0], gradient, hessian
