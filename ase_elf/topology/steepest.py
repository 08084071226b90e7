"""Steepest ascent from voxel to voxel, and the faces between basins, compiled.

Images are packed as :func:`ase_elf.topology.basins.pack` does it: integers that add like shifts do.
"""

from __future__ import annotations

import numpy as np

from ase_elf.geometry.compiled import compiled

__all__ = ["SPAN", "follow_pointers", "highest_faces", "relabel"]

_BASE = 256
SPAN = 1 << 26
_NONE = -1
_SCATTER = 0x9E3779B1


@compiled
def follow_pointers(
    padded: np.ndarray, steps: np.ndarray, inverse: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Where steepest ascent leads from every voxel.

    On a plateau a voxel climbs to an equal neighbour of lower index, so that nothing runs in circles.

    Parameters
    ----------
    padded : ndarray, shape (nx + 2, ny + 2, nz + 2), float32 or float64
        The field, with a layer of its periodic images around it.
    steps : ndarray, shape (26, 3), int64
        To the neighbours of a voxel, in the order in which they are preferred.
    inverse : ndarray, shape (26,), type of the field
        One over the length of each step.

    Returns
    -------
    ends : ndarray, shape (nx * ny * nz,), int64
        Index of the voxel at the end; that of the voxel itself where none is higher.
    images : ndarray, shape (nx * ny * nz,), int32
        Packed image this voxel is in.
    """
    nx, ny, nz = padded.shape[0] - 2, padded.shape[1] - 2, padded.shape[2] - 2
    ends, images = np.empty(nx * ny * nz, np.int64), np.zeros(nx * ny * nz, np.int32)
    best, choice = np.empty(nz, padded.dtype), np.empty(nz, np.int32)
    offsets = (steps[:, 0] * ny + steps[:, 1]) * nz + steps[:, 2]
    for x in range(nx):
        for y in range(ny):
            edge = x == 0 or y == 0 or x == nx - 1 or y == ny - 1
            here = padded[x + 1, y + 1, 1 : nz + 1]
            for z in range(nz):
                best[z], choice[z] = 0, _NONE
            for n in range(len(steps)):
                dx, dy, dz = steps[n]
                _take_steeper(
                    here, padded[x + 1 + dx, y + 1 + dy, 1 + dz :], inverse[n], np.int32(n), best, choice
                )
            for z in range(nz):
                i = (x * ny + y) * nz + z
                ends[i] = i
                if choice[z] >= 0 and (edge or z == 0 or z == nz - 1):
                    ends[i], images[i] = _beyond(x, y, z, steps[choice[z]], nx, ny, nz)
                elif choice[z] >= 0:
                    ends[i] += offsets[choice[z]]
                if choice[z] >= 0:
                    continue
                for n in range(len(steps)):
                    dx, dy, dz = steps[n]
                    if padded[x + 1 + dx, y + 1 + dy, z + 1 + dz] == here[z]:
                        lower, image = _beyond(x, y, z, steps[n], nx, ny, nz)
                        if lower < i:
                            ends[i], images[i] = lower, image
                            break
    _jump(ends, images)
    return ends, images


@compiled
def _take_steeper(here, there, inverse, n, best, choice):
    """Row by row: the loop is one of vector instructions."""
    for z in range(len(here)):
        slope = (there[z] - here[z]) * inverse
        most, which = best[z], choice[z]
        best[z] = slope if slope > most else most
        choice[z] = n if slope > most else which


@compiled
def _beyond(x, y, z, step, nx, ny, nz):
    """Index and image of the neighbour one step from a voxel."""
    x, y, z = x + step[0], y + step[1], z + step[2]
    image = ((x // nx) * _BASE + y // ny) * _BASE + z // nz
    return ((x % nx) * ny + y % ny) * nz + z % nz, image


@compiled
def _jump(ends, images):
    """Follow pointers to where they end, each only as far as another went before it."""
    way = np.empty(len(ends), np.int64)
    done = np.zeros(len(ends), np.bool_)
    for i in range(len(ends)):
        length, at = 0, i
        while not done[at]:
            done[at] = True
            if ends[at] == at:
                break
            way[length] = at
            length += 1
            at = ends[at]
        end, image = ends[at], images[at]
        for n in range(length - 1, -1, -1):
            image += images[way[n]]
            ends[way[n]], images[way[n]] = end, image


@compiled
def relabel(
    ends: np.ndarray,
    images: np.ndarray,
    attractor: np.ndarray,
    image: np.ndarray,
    sure: np.ndarray,
    labels: np.ndarray,
    direct: np.ndarray,
) -> None:
    """Give every voxel the attractor of the voxel at the end of its way.

    Parameters
    ----------
    ends, images : ndarray, shape (n,)
        Of :func:`follow_pointers`; the image becomes that of the attractor.
    attractor, image, sure : ndarray, shape (n,)
        Of voxels at an end: number and image of the attractor, and if steepest ascent is to be trusted.
    labels, direct : ndarray, shape (n,), int64 and bool
        Written.
    """
    for i in range(len(ends)):
        end = ends[i]
        labels[i] = attractor[end]
        direct[i] = sure[end]
        images[i] += image[end]


@compiled
def highest_faces(
    values: np.ndarray,
    labels: np.ndarray,
    images: np.ndarray,
    n_basins: int,
    keys: np.ndarray,
    heights: np.ndarray,
    places: np.ndarray,
) -> bool:
    """The highest face between each pair of basin images, the first among equals.

    Parameters
    ----------
    values, labels, images : ndarray, shape (nx, ny, nz)
        Of one type of float, int64 and int32.
    n_basins : int
    keys, heights, places : ndarray, shape (m,), int64, float64 and int64
        A hash table, written. m is a power of two and ``keys`` -1 everywhere, as they stay where nothing is
        entered. A key is ``(a * n_basins + b) * 2**26 + 2**25 + shift``, with a < b, or a = b and a
        positive packed shift; the height is the lower of the two values at the face; the place is
        ``3 * voxel + axis``: the face lies beyond this voxel (flat index) along this axis.

    Returns
    -------
    bool
        False where the table became more than half full: repeat with a larger one.
    """
    shape = values.shape
    n_entered = 0
    for axis in range(3):
        dx, dy, dz = axis == 0, axis == 1, axis == 2
        for x in range(shape[0]):
            for y in range(shape[1]):
                for z in range(shape[2]):
                    i, j, k = (x + dx) % shape[0], (y + dy) % shape[1], (z + dz) % shape[2]
                    a, b = labels[x, y, z], labels[i, j, k]
                    shift = images[i, j, k] - images[x, y, z]
                    if (x, y, z)[axis] == shape[axis] - 1:
                        shift += _BASE ** (2 - axis)
                    if a < 0 or b < 0 or (a == b and shift == 0):
                        continue
                    if a > b or (a == b and shift < 0):
                        a, b, shift = b, a, -shift
                    key = (a * n_basins + b) * SPAN + SPAN // 2 + shift
                    slot = (key * _SCATTER >> 20) & (len(keys) - 1)
                    while keys[slot] != key and keys[slot] >= 0:
                        slot = (slot + 1) & (len(keys) - 1)
                    height = min(values[x, y, z], values[i, j, k])
                    if keys[slot] < 0:
                        n_entered += 1
                        if 2 * n_entered > len(keys):
                            return False
                        keys[slot], heights[slot] = key, -np.inf
                    if height > heights[slot]:
                        heights[slot] = height
                        places[slot] = ((x * shape[1] + y) * shape[2] + z) * 3 + axis
    return True
