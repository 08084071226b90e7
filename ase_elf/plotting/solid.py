"""A structure with its isosurface, drawn without a screen: triangles, spheres and sticks sorted by depth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_elf.plotting.figure import drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Solid", "plot_solid", "view_from"]

LIGHT = np.array([-0.35, 0.45, 0.82])
"""Where the light is, as the viewer sees it: x to the right, y up, z to the viewer."""

ROUND = np.linspace(0, 2 * np.pi, 24, endpoint=False)
"""Angles of the outline of a sphere."""


@dataclass(frozen=True, eq=False)
class Solid:
    """What is drawn, all lengths in Å.

    Parameters
    ----------
    vertices : ndarray, shape (n, 3)
    faces : ndarray, shape (m, 3), int
    positions : ndarray, shape (n_atoms, 3)
    radii : ndarray, shape (n_atoms,)
    colors : ndarray, shape (n_atoms, 3)
        Red, green, blue from 0 to 1.
    cell : ndarray, shape (3, 3)
    sticks : ndarray, shape (n_bonds, 2, 3)
        Ends of each.
    stick_elf : ndarray, shape (n_bonds,)
        Which colors them, from 0 to 1.
    """

    vertices: np.ndarray
    faces: np.ndarray
    positions: np.ndarray
    radii: np.ndarray
    colors: np.ndarray
    cell: np.ndarray
    sticks: np.ndarray
    stick_elf: np.ndarray


def view_from(elevation: float, azimuth: float) -> np.ndarray:
    """Rotation to what a viewer sees, shape (3, 3): rows are right, up and towards the viewer.

    Parameters
    ----------
    elevation, azimuth : float
        Degrees above the xy plane, and from x to y, of the viewer.
    """
    e, a = np.radians([elevation, azimuth])
    towards = np.array([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)])
    right = np.array([-np.sin(a), np.cos(a), 0.0])
    return np.stack([right, np.cross(towards, right), towards])


def plot_solid(
    solid: Solid,
    ax: Axes | None = None,
    *,
    view: tuple[float, float] = (25.0, 40.0),
    color: str | Sequence[float] = "#6fa3d4",
    alpha: float = 0.45,
    cmap: str | None = None,
    title: str = "",
    **draw: Any,
) -> Axes:
    """Draw in parallel projection; what is nearer hides what is behind it.

    Parameters
    ----------
    solid : Solid
    ax : matplotlib.axes.Axes, optional
    view : tuple of float
        Elevation and azimuth of the viewer, degrees.
    color, alpha : color and float
        Of the surface.
    cmap : str, optional
        Color map of sticks; by default grey over blue to red.
    title : str
    **draw
        ``figsize`` and ``style`` as for every plot; the rest goes to the
        :class:`~matplotlib.collections.PolyCollection` of the surface and the atoms.
    """
    from matplotlib.collections import PolyCollection
    from matplotlib.colors import to_rgb

    turn = view_from(*view)
    parts = [
        _triangles(solid, turn, np.array(to_rgb(color)), alpha),
        _spheres(solid, turn),
        _bars(solid, turn, cmap),
        _edges(solid, turn),
    ]
    polygons = [polygon for part in parts for polygon in part[0]]
    depth = np.concatenate([part[1] for part in parts])
    colors = np.concatenate([part[2] for part in parts])
    order = np.argsort(depth, kind="stable")
    with drawing(ax, (5.4, 5.0), draw) as (ax, options):
        look = {"edgecolors": "none", "antialiaseds": False, "rasterized": True} | options
        ax.add_collection(PolyCollection([polygons[k] for k in order], facecolors=colors[order], **look))
        ax.autoscale_view()
        ax.set(aspect="equal", title=title)
        ax.set_axis_off()
    return ax


Parts = tuple[list[np.ndarray], np.ndarray, np.ndarray]
"""Polygons as seen, their depth, and their colors with alpha."""


def _triangles(solid: Solid, turn: np.ndarray, color: np.ndarray, alpha: float) -> Parts:
    seen = (solid.vertices @ turn.T)[solid.faces]
    normal = np.cross(seen[:, 1] - seen[:, 0], seen[:, 2] - seen[:, 0])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    shade = 0.55 + 0.45 * np.abs(normal @ LIGHT)  # either side of a surface may be seen
    rgb = np.clip(shade[:, None] * color * 1.15, 0, 1)
    alphas = np.full((len(rgb), 1), alpha)
    return list(seen[:, :, :2]), seen[:, :, 2].mean(axis=1), np.concatenate([rgb, alphas], axis=1)


def _spheres(solid: Solid, turn: np.ndarray) -> Parts:
    """Each as a dark disc, one of its own color, and a light spot."""
    seen = solid.positions @ turn.T
    circle = np.stack([np.cos(ROUND), np.sin(ROUND)], axis=1)
    polygons, depth, colors = [], [], []
    for place, radius, rgb in zip(seen, solid.radii, solid.colors, strict=True):
        for k, (size, shift, tint) in enumerate(((1.0, 0.0, 0.35), (0.88, 0.0, 1.0), (0.3, 0.3, 1.25))):
            polygons.append(place[:2] + radius * (size * circle + shift * LIGHT[:2]))
            depth.append(place[2] + (radius + 1e-3 * k))
            colors.append([*np.clip(tint * np.asarray(rgb), 0, 1), 1.0])
    return polygons, np.array(depth), np.array(colors).reshape(-1, 4)


def _bars(solid: Solid, turn: np.ndarray, cmap: str | None) -> Parts:
    """Sticks in eight parts, so that each part has its own depth."""
    from matplotlib import colormaps
    from matplotlib.colors import LinearSegmentedColormap

    colors = colormaps[cmap] if cmap else LinearSegmentedColormap.from_list("elf", SCALE)
    ends = solid.sticks @ turn.T
    steps = np.linspace(0, 1, 9)
    points = ends[:, :1] + steps[:, None] * (ends[:, 1:] - ends[:, :1])
    tints = np.repeat(colors(solid.stick_elf).reshape(-1, 4), 8, axis=0)
    starts, stops = points[:, :-1].reshape(-1, 3), points[:, 1:].reshape(-1, 3)
    return _strips(starts, stops, 0.06), (starts + stops)[:, 2] / 2, tints


def _edges(solid: Solid, turn: np.ndarray) -> Parts:
    """The twelve edges of the cell, in parts as sticks are."""
    corners = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
    pairs = [(a, b) for a in corners for b in corners if (b - a).sum() == 1 and np.abs(b - a).sum() == 1]
    ends = np.array(pairs) @ solid.cell @ turn.T
    points = ends[:, :1] + np.linspace(0, 1, 17)[:, None] * (ends[:, 1:] - ends[:, :1])
    starts, stops = points[:, :-1].reshape(-1, 3), points[:, 1:].reshape(-1, 3)
    size = np.linalg.norm(solid.cell, axis=1).max()
    tints = np.tile([0.35, 0.4, 0.45, 1.0], (len(starts), 1))
    return _strips(starts, stops, 0.002 * size), (starts + stops)[:, 2] / 2, tints


def _strips(starts: np.ndarray, stops: np.ndarray, half: float) -> list[np.ndarray]:
    along = (stops - starts)[:, :2]
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    across *= half / np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    a, b = starts[:, :2], stops[:, :2]
    return list(np.stack([a - across, b - across, b + across, a + across], axis=1))


SCALE = [(0.0, "#d9dee4"), (0.4, "#86a8cc"), (0.7, "#c98a3d"), (1.0, "#c8502d")]
"""Colors of bonds by their ELF, as in the view that turns."""
