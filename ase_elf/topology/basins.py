"""Basins: which attractor every voxel climbs to, and over which faces basins touch.

Steepest ascent over the 26 neighbours, distances taken in the cell metric, gives every
voxel a pointer; pointer jumping turns pointers into labels in a handful of passes and
counts the cell boundaries crossed on the way. Faces between voxels of different basins
(six neighbours, so that nothing jumps over a saddle) carry the voxel estimate of the saddle.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import product

import numpy as np
from scipy.spatial import cKDTree

from ase_elf.errors import InputError
from ase_elf.topology.eigenvector_following import follow_modes
from ase_elf.topology.field import SplineField

__all__ = [
    "NEAR",
    "NO_BASIN",
    "RIDGE_STEPS",
    "SAME_POINT",
    "Basins",
    "Faces",
    "find_basins",
    "find_faces",
    "pack",
    "unpack",
    "wrap",
]

NO_BASIN = -1
"""Label of voxels on a plateau at the lowest value of the field: vacuum."""

SAME_POINT = 0.05
"""Voxels; refined attractors closer than this are one."""

NEAR = 2.0
"""Voxels within which the maximum of the spline beside a voxel maximum is expected."""

RIDGE_STEPS = 300
"""Steps of at most half a voxel that a voxel maximum may take to reach a maximum."""

_BASE = 256
_HALF = _BASE // 2


def pack(shift: np.ndarray) -> np.ndarray:
    """Image shifts (..., 3) as single integers that add like the shifts do (each component
    within ±127).
    """
    shift = np.asarray(shift, np.int32)
    return (shift[..., 0] * _BASE + shift[..., 1]) * _BASE + shift[..., 2]


def unpack(code: np.ndarray) -> np.ndarray:
    """Inverse of :func:`pack`: (..., 3) int32."""
    code = np.asarray(code, np.int32)
    z = (code + _HALF) % _BASE - _HALF
    code = (code - z) // _BASE
    y = (code + _HALF) % _BASE - _HALF
    return np.stack([(code - y) // _BASE, y, z], axis=-1)


@dataclass(frozen=True)
class Basins:
    """Attractors of a field, the voxels that belong to each, and the faces between them.

    Parameters
    ----------
    field : SplineField
    attractors : ndarray, shape (n, 3), float64, voxels, wrapped into the cell
        Refined positions, by descending ELF.
    values : ndarray, shape (n,), float64
    converged : ndarray, shape (n,), bool
        False where no maximum of the spline was found near a voxel maximum (a flat top).
    labels : ndarray, shape (nx, ny, nz), int64
        Index of the attractor of each voxel; -1 in vacuum.
    images : ndarray, shape (nx, ny, nz), int32
        Packed image of that attractor the voxel climbs to (see :func:`unpack`).
    direct : ndarray, shape (nx, ny, nz), bool
        False where the voxel climbs to a voxel maximum that is none of the spline, and was
        given the attractor a walk from there leads to.
    hidden : int
        How many attractors, at the end of the list, lie between the voxels and own none.
    """

    field: SplineField
    attractors: np.ndarray
    values: np.ndarray
    converged: np.ndarray
    labels: np.ndarray
    images: np.ndarray
    direct: np.ndarray
    hidden: int = 0

    def __len__(self) -> int:
        return len(self.attractors)

    @cached_property
    def positions(self) -> np.ndarray:
        """ndarray, shape (n, 3), Å: attractor positions inside the cell."""
        return self.field.position_of(self.attractors)

    @cached_property
    def volumes(self) -> np.ndarray:
        """ndarray, shape (n,), Å^3: volume of each basin, to one layer of voxels."""
        counts = np.bincount(self.labels.ravel() + 1, minlength=len(self) + 1)[1:]
        return counts * abs(np.linalg.det(self.field.cell)) / self.labels.size

    def populations(self, density: np.ndarray) -> np.ndarray:
        """Electrons in each basin.

        Parameters
        ----------
        density : ndarray, electrons per Å^3
            On the same grid as the ELF, or on one whose shape is a multiple of it
            direction by direction (the usual case: VASP writes its density on a finer
            grid); then cells of the finer grid go to the nearest ELF voxel.

        Returns
        -------
        ndarray, shape (n,)
        """
        density = np.asarray(density, float)
        factors = np.array(density.shape) / self.field.shape
        if density.ndim != 3 or (factors != np.round(factors)).any():
            raise InputError(
                f"the density has shape {density.shape}, the ELF {self.labels.shape}; "
                "give it on the same grid or on a whole multiple of it."
            )
        labels = self.labels
        for axis, n in enumerate(density.shape):
            at = np.round(np.arange(n) * labels.shape[axis] / n).astype(int)
            labels = labels.take(at % labels.shape[axis], axis=axis)
        weight = abs(np.linalg.det(self.field.cell)) / density.size
        flat = labels.ravel() + 1
        return weight * np.bincount(flat, density.ravel(), minlength=len(self) + 1)[1:]

    def with_hidden(self, u: np.ndarray, values: np.ndarray) -> Basins:
        """The same basins and further attractors (n, 3) that no voxel climbs to."""
        if not len(u):
            return self
        direct = self.direct.copy()
        around = np.stack(np.meshgrid(*[np.arange(-2, 4)] * 3, indexing="ij"), -1).reshape(-1, 3)
        near = (np.floor(u)[:, None] + around).astype(int).reshape(-1, 3) % self.field.shape
        direct[tuple(near.T)] = False
        return replace(
            self,
            attractors=np.concatenate([self.attractors, u]),
            values=np.concatenate([self.values, values]),
            converged=np.concatenate([self.converged, np.ones(len(u), bool)]),
            direct=direct,
            hidden=self.hidden + len(u),
        )

    def locate(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Attractor and its image for the voxel nearest to each ``u`` (n, 3)."""
        nearest = np.round(u).astype(np.intp)
        image, inside = np.divmod(nearest, self.field.shape)
        at = tuple(inside.T)
        return self.labels[at], pack(image) + self.images[at]


@dataclass(frozen=True)
class Faces:
    """Highest voxel face between each pair of basin images: raw estimates of the saddles.

    Parameters
    ----------
    ends : ndarray, shape (m, 2), int64
        Attractors a, b.
    shifts : ndarray, shape (m, 3), int32
        ``a`` in image 0 touches ``b`` in image ``shift``.
    values : ndarray, shape (m,)
        Lower of the two voxel values at the highest face, descending.
    u : ndarray, shape (m, 3), voxels
        Middle of that face, in the frame where ``a`` may be in any image.
    """

    ends: np.ndarray
    shifts: np.ndarray
    values: np.ndarray
    u: np.ndarray


def find_basins(field: SplineField) -> Basins:
    """Attractors and basins of ``field``; attractors are refined on the spline."""
    pointer, wraps = _steepest_pointers(field.values, _neighbour_table(field))
    roots, labels, images = _jump(pointer, wraps, field.values)
    attractors, values, converged, of_root, image_of_root, far = _refine(field, roots)
    inside = labels >= 0
    images += np.where(inside, image_of_root.take(labels), 0).astype(np.int32)
    direct = inside & ~far.take(labels)
    labels = np.where(inside, of_root.take(labels), NO_BASIN)
    labels, images, direct = (x.reshape(field.values.shape) for x in (labels, images, direct))
    return Basins(field, attractors, values, converged, labels, images, direct)


def find_faces(basins: Basins) -> Faces:
    """The highest face between each pair of touching basin images."""
    values = basins.field.values
    labels, images = basins.labels, basins.images
    shape = np.array(values.shape)
    keys, lows, wheres, axes = [], [], [], []
    n = len(basins)
    span = 1 << 26
    for axis in range(3):
        beyond = np.roll(labels, -1, axis)
        shift = np.roll(images, -1, axis) - images
        edge: list[slice | int] = [slice(None)] * 3
        edge[axis] = -1
        shift[tuple(edge)] += pack(np.eye(3, dtype=np.int32)[axis])
        differs = (labels != beyond) | (shift != 0)
        differs &= (labels >= 0) & (beyond >= 0)
        where = np.flatnonzero(differs)
        a, b, s = labels.ravel()[where], beyond.ravel()[where], shift.ravel()[where]
        turn = (a > b) | ((a == b) & (s < 0))
        low, high = np.where(turn, b, a), np.where(turn, a, b)
        keys.append((low * n + high) * span + (np.where(turn, -s, s) + span // 2))
        lows.append(np.minimum(values, np.roll(values, -1, axis)).ravel()[where])
        wheres.append(where)
        axes.append(np.full(len(where), axis, np.int8))
    key, low = np.concatenate(keys), np.concatenate(lows)
    where, along = np.concatenate(wheres), np.concatenate(axes)
    best = _first_highest(key, low)
    best = best[np.argsort(-low[best], kind="stable")]
    code, shift = np.divmod(key[best], span)
    u = np.stack(np.unravel_index(where[best], shape), 1).astype(float)
    u += 0.5 * np.eye(3)[along[best]]
    ends = np.stack(np.divmod(code, n), 1) if n else np.empty((0, 2), int)
    return Faces(ends, unpack(shift - span // 2), low[best].astype(float), u)


def _first_highest(key: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Index of the highest ``value`` for each distinct ``key``, the first among equals."""
    if not len(key):
        return np.empty(0, np.intp)
    order = np.argsort(key, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(key[order]) != 0])
    top = np.maximum.reduceat(value[order], starts)
    sizes = np.diff(np.r_[starts, len(order)])
    hits = np.flatnonzero(value[order] == np.repeat(top, sizes))
    group = np.repeat(np.arange(len(starts)), sizes)[hits]
    return order[hits[np.r_[True, np.diff(group) != 0]]]


@lru_cache(maxsize=8)
def _neighbours(metric: tuple[float, ...]) -> list[tuple[tuple[int, int, int], float]]:
    """The 26 neighbours with inverse distances, nearest first; one entry per voxel shape."""
    vectors = np.array(metric).reshape(3, 3)
    steps = [s for s in product((-1, 0, 1), repeat=3) if s != (0, 0, 0)]
    lengths = np.linalg.norm(np.array(steps) @ vectors, axis=1)
    return [(steps[i], 1 / lengths[i]) for i in np.argsort(lengths, kind="stable")]


def _neighbour_table(field: SplineField) -> list[tuple[tuple[int, int, int], float]]:
    return _neighbours(tuple(field.voxel_vectors.ravel().tolist()))


def _steepest_pointers(
    values: np.ndarray, neighbours: list[tuple[tuple[int, int, int], float]]
) -> tuple[np.ndarray, np.ndarray]:
    """Flat index of the neighbour each voxel climbs to, and the packed image it is in.

    On a plateau a voxel points to an equal neighbour of lower index, so that pointers
    never form a loop; a voxel without either points to itself.
    """
    nx, ny, nz = values.shape
    padded = np.pad(values, 1, mode="wrap")
    best = np.zeros_like(values)
    choice = np.full(values.shape, len(neighbours), np.int8)
    better = np.empty(values.shape, bool)
    slope = np.empty_like(values)
    for code, ((dx, dy, dz), inverse) in enumerate(neighbours):
        beyond = padded[1 + dx : nx + 1 + dx, 1 + dy : ny + 1 + dy, 1 + dz : nz + 1 + dz]
        np.subtract(beyond, values, out=slope)
        slope *= inverse
        np.greater(slope, best, out=better)
        np.maximum(best, slope, out=best)
        np.copyto(choice, np.int8(code), where=better)
    steps = np.array([s for s, _ in neighbours] + [(0, 0, 0)])
    strides = np.array([ny * nz, nz, 1])
    pointer = np.arange(values.size) + (steps @ strides).take(choice.ravel())
    wraps = np.zeros(values.size, np.int32)
    _wrap_edges(pointer, wraps, choice, steps)
    _settle_plateaus(values, pointer, wraps, steps)
    return pointer, wraps


def _wrap_edges(pointer: np.ndarray, wraps: np.ndarray, choice: np.ndarray, steps: np.ndarray) -> None:
    """Bring pointers that leave the cell back in, and note the image they left to."""
    shape = choice.shape
    strides = np.array([shape[1] * shape[2], shape[2], 1])
    index = np.arange(choice.size).reshape(shape)
    for axis in range(3):
        for side, sign in ((0, -1), (-1, 1)):
            face: list[slice | int] = [slice(None)] * 3
            face[axis] = side
            leaving = index[tuple(face)][steps[choice[tuple(face)], axis] == sign]
            pointer[leaving] -= sign * shape[axis] * strides[axis]
            wraps[leaving] += sign * _BASE ** (2 - axis)


def _settle_plateaus(values: np.ndarray, pointer: np.ndarray, wraps: np.ndarray, steps: np.ndarray) -> None:
    flat = values.ravel()
    shape = np.array(values.shape)
    roots = np.flatnonzero(pointer == np.arange(len(pointer)))
    for step in steps[:-1]:
        at = np.stack(np.unravel_index(roots, values.shape), 1) + step
        image, inside = np.divmod(at, shape)
        beyond = np.ravel_multi_index(tuple(inside.T), values.shape)
        lower = (flat[beyond] == flat[roots]) & (beyond < roots)
        pointer[roots[lower]] = beyond[lower]
        wraps[roots[lower]] = pack(image[lower])
        roots = roots[~lower]


def _jump(
    pointer: np.ndarray, wraps: np.ndarray, values: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Follow pointers to their ends: roots (flat indices), label and image per voxel."""
    while True:
        beyond = pointer.take(pointer)
        if np.array_equal(beyond, pointer):
            break
        wraps = wraps + wraps.take(pointer)
        pointer = beyond
    flat = values.ravel()
    roots = np.flatnonzero(pointer == np.arange(len(pointer)))
    roots = roots[flat[roots] > flat.min()]
    number = np.full(len(pointer), NO_BASIN)
    number[roots] = np.arange(len(roots))
    return roots, number.take(pointer), wraps


def _refine(
    field: SplineField, roots: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Refined attractors; for each voxel maximum its attractor, image, and if it is far off."""
    start = np.stack(np.unravel_index(roots, field.values.shape), 1).astype(float)
    # A ridge that runs between the 26 directions leaves a string of voxel maxima which are
    # none of the spline: no limit on how far they may walk.
    u, ok = follow_modes(field, start, 3, reach=np.inf, steps=RIDGE_STEPS)
    lost = np.flatnonzero(~ok)
    if len(lost):
        # By symmetry a voxel may sit exactly on a saddle along its ridge: push it off.
        off = np.linalg.eigh(field.hessian(u[lost])[2])[1][:, :, 2]
        again, ok[lost] = follow_modes(field, u[lost] + 0.3 * off, 3, reach=np.inf, steps=RIDGE_STEPS)
        u[lost] = np.where(ok[lost, None], again, start[lost])
    far = np.linalg.norm(u - start, axis=1) > NEAR
    image, wrapped = wrap(u, field.shape)
    values = field.value(wrapped)
    order = np.lexsort((-values, ~ok))
    first = _first_of_twins(wrapped, field.shape, order)
    kept = order[first[order] == order]
    kept = kept[np.argsort(-values[kept], kind="stable")]
    rank = np.full(len(roots), -1)
    rank[kept] = np.arange(len(kept))
    # Twins may lie on either side of a cell face: count the image from the one kept.
    image += np.round((wrapped - wrapped[first]) / field.shape).astype(image.dtype)
    return wrapped[kept], values[kept], ok[kept], rank[first], pack(image), far


def _first_of_twins(wrapped: np.ndarray, shape: np.ndarray, order: np.ndarray) -> np.ndarray:
    """For each point the one that stands for it: the first in ``order`` at that place."""
    position = np.empty(len(order), int)
    position[order] = np.arange(len(order))
    first = np.arange(len(order))
    for i, j in cKDTree(wrapped, boxsize=shape).query_pairs(SAME_POINT):
        keep, drop = (i, j) if position[i] < position[j] else (j, i)
        if position[first[drop]] > position[keep]:
            first[drop] = keep
    while (first[first] != first).any():
        first = first[first]
    return first


def wrap(u: np.ndarray, shape: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Image (n, 3) int and position within the cell, so that u = image * shape + position."""
    image = np.floor(u / shape)
    inside = u - image * shape
    over = inside >= shape  # a tiny negative number rounds up to the far face
    image[over] += 1
    inside[over] = 0.0
    return image.astype(np.int32), inside
