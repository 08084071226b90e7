"""Isosurfaces: triangles on which a periodic field has one value."""

from __future__ import annotations

import numpy as np

__all__ = ["isosurface"]


def isosurface(
    values: np.ndarray, cell: np.ndarray, level: float, most: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Marching cubes over one cell, its end planes included.

    Parameters
    ----------
    values : ndarray, shape (nx, ny, nz)
        At fractional coordinates (ix/nx, iy/ny, iz/nz), periodic.
    cell : ndarray, shape (3, 3)
        Å, vectors in rows.
    level : float
    most : int, optional
        Vertices wanted at most; where there are more, the field is interpolated on fewer points first.

    Returns
    -------
    vertices : ndarray, shape (n, 3), float64
        Å.
    faces : ndarray, shape (m, 3), int
        Vertices of each triangle. Nothing (n = m = 0) where the level is not among the values.
    """
    values = np.asarray(values, dtype=np.float32)
    if not values.min() < level < values.max():
        return np.empty((0, 3)), np.empty((0, 3), dtype=int)
    vertices, faces = _cubes(values, level)
    while most is not None and len(vertices) > most:
        values = _thinned(values, 0.97 * np.sqrt(most / len(vertices)))
        vertices, faces = _cubes(values, level)
    return vertices @ cell, faces


def _cubes(values: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Vertices in fractional coordinates, and faces."""
    from skimage import measure

    around = np.pad(values, [(0, 1)] * 3, mode="wrap")
    if not around.min() < level < around.max():
        return np.empty((0, 3)), np.empty((0, 3), dtype=int)
    vertices, faces, _, _ = measure.marching_cubes(around, level)  # type: ignore[no-untyped-call]
    return vertices / np.array(values.shape), faces


def _thinned(values: np.ndarray, factor: float) -> np.ndarray:
    """The field on fewer points of the same cell, by a periodic cubic spline."""
    from scipy.ndimage import map_coordinates

    shape = [max(4, int(n * factor)) for n in values.shape]
    at = np.meshgrid(
        *(np.arange(m) * (n / m) for m, n in zip(shape, values.shape, strict=True)), indexing="ij"
    )
    return map_coordinates(values, at, order=3, mode="grid-wrap").astype(np.float32)
