"""Saddles: the bond points of the spline that join basins, found from the voxel faces.

A voxel face between two basins is only where the saddle is to be looked for. The saddle is
the bond point the face refines to, and the basins it joins are those its two ways up
arrive at. Where that fails the face itself stays in, at a value that cannot be too high.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from ase_elf.topology.basins import Basins, Faces, pack, unpack, wrap
from ase_elf.topology.field import SplineField
from ase_elf.topology.periodic_union_find import PeriodicUnionFind

SAME_SADDLE = 1e-3
"""Voxels; bond points closer than this are one."""

ABOVE = 1e-3
"""ELF; a face stays in when the lowest ELF across it lies this far above every bond point
of its pair."""

WITHIN = 0.02
"""ELF; faces that would decide something were they higher by this are followed to bond points
at any distance."""

FAR_STEPS = 80
"""Steps of at most half a voxel of that walk."""

NEAR_REACH, NEAR_STEPS = 2.5, 40
"""Voxels from a face, and steps, within which its bond point is looked for at first."""

CLIMB_STEPS = 60
"""Steps up from a bond point, after which the voxel where the walk stands decides."""

AT_ATTRACTOR = 0.3
"""Voxels from an attractor without voxels of its own at which a walk has arrived."""

_LEAVE = 0.3
"""Voxels between a bond point and the start of its two ways up."""


@dataclass(frozen=True)
class Saddles:
    """Edges between attractors, by descending ELF at the saddle.

    Parameters
    ----------
    ends : ndarray, shape (m, 2), int
    shifts : ndarray, shape (m, 3), int
        ``ends[:, 0]`` in image 0 is joined to ``ends[:, 1]`` in image ``shifts``.
    values : ndarray, shape (m,)
        ELF at the saddle.
    raw : ndarray, shape (m,)
        What the voxels alone say.
    u : ndarray, shape (m, 3), voxels
        Where the saddle is, in the frame where ``ends[:, 0]`` is in image 0.
    refined : ndarray, shape (m,), bool
        False for a voxel face that leads to no bond point of its own.
    """

    ends: np.ndarray
    shifts: np.ndarray
    values: np.ndarray
    raw: np.ndarray
    u: np.ndarray
    refined: np.ndarray

    def __len__(self) -> int:
        return len(self.ends)

    def take(self, index: np.ndarray) -> Saddles:
        """The saddles at ``index``, in that order."""
        return Saddles(*(getattr(self, name)[index] for name in self.__dataclass_fields__))


def refine_saddles(basins: Basins, faces: Faces) -> Saddles:
    """Bond points for ``faces``, and the faces that stand above every bond point of their pair."""
    from ase_elf.topology.eigenvector_following import follow_modes

    c = basins.field.coefficients
    u, ok = follow_modes(c, faces.u, 2, NEAR_REACH, NEAR_STEPS)
    bonds = _bond_points(basins, u[ok], faces.values[ok])
    loose = _uncovered(basins, faces, bonds)
    both = _merged(bonds, loose)
    # A ridge nearly level leaves its bond point far from the face. The longer walk is worth its time
    # only where the face itself would decide what is joined, or be close to it.
    far = _deciding(both, WITHIN)
    if len(far):
        u, ok = follow_modes(c, both.u[far], 2, np.inf, FAR_STEPS)
        u = np.concatenate([bonds.u, u[ok]])
        raw = np.concatenate([bonds.raw, both.raw[far[ok]]])
        bonds = _bond_points(basins, u, raw)
        both = _merged(bonds, _uncovered(basins, faces, bonds))
    return both


def _bond_points(basins: Basins, u: np.ndarray, raw: np.ndarray) -> Saddles:
    """The bond points at ``u`` (m, 3), each once, with what they join."""
    field = basins.field
    kept = _distinct(u, field.shape, raw)
    u, raw = u[kept], raw[kept]
    ends, images = bond_ends(basins, u)
    home = u - images[:, 0] * field.shape
    return Saddles(ends, images[:, 1] - images[:, 0], field.value(u), raw, home, np.ones(len(u), bool))


def _merged(bonds: Saddles, loose: Saddles) -> Saddles:
    names = Saddles.__dataclass_fields__
    both = Saddles(*(np.concatenate([getattr(bonds, name), getattr(loose, name)]) for name in names))
    return both.take(np.argsort(-both.values, kind="stable"))


def _deciding(saddles: Saddles, margin: float) -> np.ndarray:
    """Faces that would join two components, or make one wind further, were they higher by ``margin``."""
    forest = PeriodicUnionFind(int(saddles.ends.max(initial=-1)) + 1)
    found = []
    for i in np.argsort(-(saddles.values + margin * ~saddles.refined), kind="stable").tolist():
        a, b = saddles.ends[i].tolist()
        before = forest.rank(forest.find(a)[0])
        root, absorbed = forest.join(a, b, tuple(saddles.shifts[i].tolist()))
        if not saddles.refined[i] and (absorbed is not None or forest.rank(root) > before):
            found.append(i)
    return np.array(found, int)


def bond_ends(basins: Basins, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The two attractors above each bond point.

    Parameters
    ----------
    u : ndarray, shape (m, 3), voxels

    Returns
    -------
    ends : ndarray, shape (m, 2), int
    images : ndarray, shape (m, 2, 3), int
        Image each attractor is in, in the frame of ``u``.
    """
    field = basins.field
    _, _, hessian = field.hessian(u)
    # Along the ascending eigenvector of the Hessian in Cartesian coordinates.
    to_cartesian = field.to_cartesian
    _, modes = np.linalg.eigh(to_cartesian @ hessian @ to_cartesian.T)
    away = modes[:, :, 2] @ to_cartesian
    away *= _LEAVE / np.linalg.norm(away, axis=1, keepdims=True)
    ends, images = climb_to_basins(basins, np.concatenate([u + away, u - away]))
    return ends.reshape(2, -1).T, images.reshape(2, -1, 3).swapaxes(0, 1)


def climb_to_basins(basins: Basins, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Attractor (n,) and image (n, 3) that the way up from ``start`` (n, 3) leads to."""
    from ase_elf.topology.eigenvector_following import climb

    shape = basins.field.shape
    hidden = wrap(basins.attractors[len(basins) - basins.hidden :], shape)[1]
    stop = climb(
        basins.field.coefficients, start, basins.labels, basins.images, basins.direct,
        hidden, AT_ATTRACTOR, CLIMB_STEPS,
    )  # fmt: skip
    ends, images = basins.locate(stop)
    images = unpack(images)
    if len(hidden):
        gap, which = cKDTree(hidden, boxsize=shape).query(wrap(stop, shape)[1])
        there = gap < AT_ATTRACTOR
        ends[there] = len(basins) - basins.hidden + which[there]
        images[there] = np.round((stop[there] - basins.attractors[ends[there]]) / shape)
    return ends, images


def _distinct(u: np.ndarray, shape: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Indices of the points that stay when repetitions of one point are dropped."""
    if not len(u):
        return np.empty(0, int)
    _, inside = wrap(u, shape)
    pairs = cKDTree(inside, boxsize=shape).query_pairs(SAME_SADDLE, output_type="ndarray")
    keep = np.ones(len(u), bool)
    if len(pairs):
        keep[np.where(value[pairs[:, 0]] >= value[pairs[:, 1]], pairs[:, 1], pairs[:, 0])] = False
    return np.flatnonzero(keep)


def _keys(ends: np.ndarray, shifts: np.ndarray, n: int) -> np.ndarray:
    """One number for each connection of ``n`` attractors, whichever end it is read from."""
    (a, b), shift = ends.T.astype(np.int64), pack(shifts).astype(np.int64)
    turn = (a > b) | ((a == b) & (shift < 0))
    a, b, shift = np.where(turn, b, a), np.where(turn, a, b), np.where(turn, -shift, shift)
    return ((a * n + b) << 26) + shift


def _uncovered(basins: Basins, faces: Faces, bonds: Saddles) -> Saddles:
    """Faces between two basins that no bond point of theirs accounts for.

    Voxel labels are off by up to a voxel: a bond point far below the lowest ELF on the way
    across a face is one of several, or of other basins, and not the saddle the face stands for.
    """
    pair, of_pair = np.unique(
        np.concatenate([_keys(x.ends, x.shifts, len(basins)) for x in (faces, bonds)]), return_inverse=True
    )
    best = np.full(len(pair), -np.inf)
    np.maximum.at(best, of_pair[len(faces.ends) :], bonds.values)
    bar = best[of_pair[: len(faces.ends)]] + ABOVE
    # The spline goes through the voxels, so the way across is nowhere above the lower of them.
    rest = np.flatnonzero(faces.values > bar)
    values = _lowest_across(basins.field, faces, rest)
    stays = values > bar[rest]
    rest = rest[stays]
    return Saddles(
        faces.ends[rest],
        faces.shifts[rest],
        values[stays],
        faces.values[rest],
        _first_end_home(faces.u[rest], basins, faces.ends[rest, 0]),
        np.zeros(len(rest), bool),
    )


def _lowest_across(field: SplineField, faces: Faces, which: np.ndarray) -> np.ndarray:
    """Lowest ELF on the segment between the two voxels of each face."""
    if not len(which):
        return np.empty(0)
    axis = np.eye(3)[np.argmax(faces.u[which] % 1, axis=1)]
    along = np.linspace(-0.5, 0.5, 5)
    at = faces.u[which, None] + along[:, None] * axis[:, None]
    return field.value(at.reshape(-1, 3)).reshape(-1, 5).min(axis=1)


def _first_end_home(u: np.ndarray, basins: Basins, first: np.ndarray) -> np.ndarray:
    """Faces moved to the frame where their first attractor is in image 0."""
    low, high = np.floor(u), np.ceil(u)
    label, image = basins.locate(low)
    _, other_image = basins.locate(high)
    image = np.where(label == first, image, other_image)
    return u - unpack(image) * basins.field.shape
