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
    from ase_elf.topology.steepest import follow_pointers, relabel

    values = field.values
    steps, inverse = _neighbours(tuple(field.voxel_vectors.ravel().tolist()))
    ends, images = follow_pointers(np.pad(values, 1, mode="wrap"), steps, inverse.astype(values.dtype))
    roots = np.flatnonzero(ends == np.arange(len(ends)))
    roots = roots[values.ravel()[roots] > values.min()]
    attractors, heights, converged, of_root, image_of_root, far = _refine(field, roots)
    of_end, image_of_end = np.full(len(ends), NO_BASIN), np.zeros(len(ends), np.int32)
    sure = np.zeros(len(ends), bool)
    of_end[roots], image_of_end[roots], sure[roots] = of_root, image_of_root, ~far
    labels, direct = np.empty(values.shape, np.int64), np.empty(values.shape, bool)
    relabel(ends, images, of_end, image_of_end, sure, labels.ravel(), direct.ravel())
    return Basins(field, attractors, heights, converged, labels, images.reshape(values.shape), direct)


def find_faces(basins: Basins) -> Faces:
    """The highest face between each pair of touching basin images."""
    from ase_elf.topology.steepest import SPAN, highest_faces

    values, n = basins.field.values, len(basins)
    size = 1 << 13
    while True:
        keys, heights, places = np.full(size, -1), np.empty(size), np.empty(size, int)
        if highest_faces(values, basins.labels, basins.images, n, keys, heights, places):
            break
        size *= 4
    entered = np.flatnonzero(keys >= 0)
    entered = entered[np.lexsort((keys[entered], -heights[entered]))]
    code, shift = np.divmod(keys[entered], SPAN)
    where, axis = np.divmod(places[entered], 3)
    u = np.stack(np.unravel_index(where, values.shape), 1) + 0.5 * np.eye(3)[axis]
    ends = np.stack(np.divmod(code, n), 1) if n else np.empty((0, 2), int)
    return Faces(ends, unpack(shift - SPAN // 2), heights[entered], u)


@lru_cache(maxsize=8)
def _neighbours(metric: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Steps (26, 3) to the neighbours of a voxel and their inverse lengths, nearest first."""
    steps = np.array([s for s in product((-1, 0, 1), repeat=3) if s != (0, 0, 0)])
    lengths = np.linalg.norm(steps @ np.array(metric).reshape(3, 3), axis=1)
    order = np.argsort(lengths, kind="stable")
    return steps[order], 1 / lengths[order]


def _refine(
    field: SplineField, roots: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Refined attractors; for each voxel maximum its attractor, image, and if it is far off."""
    from ase_elf.topology.eigenvector_following import follow_modes

    start = np.stack(np.unravel_index(roots, field.values.shape), 1).astype(float)
    # A ridge that runs between the 26 directions leaves a string of voxel maxima which are
    # none of the spline: no limit on how far they may walk.
    u, ok = follow_modes(field.coefficients, start, 3, np.inf, RIDGE_STEPS)
    lost = np.flatnonzero(~ok)
    if len(lost):
        # By symmetry a voxel may sit exactly on a saddle along its ridge: push it off.
        off = np.linalg.eigh(field.hessian(u[lost])[2])[1][:, :, 2]
        again, ok[lost] = follow_modes(field.coefficients, u[lost] + 0.3 * off, 3, np.inf, RIDGE_STEPS)
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
