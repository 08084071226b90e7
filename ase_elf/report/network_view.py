"""The ELF network in 3D for a handful of frames: data for plotly.js, and a picture where that cannot run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_elf.geometry.surface import isosurface
from ase_elf.plotting.solid import SCALE, Solid, plot_solid

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ase_elf.report.snapshots import Snapshot

MOST_VERTICES = 12_000
"""Of a surface; more are thinned, which keeps a frame below 0.2 MB and indices below 2^16."""

PER_FRAME = 6
"""Traces of one frame: what the slider switches."""


def figure(
    snapshots: Sequence[Snapshot],
    bonds: Mapping[int, Mapping[str, np.ndarray]],
    isovalues: Sequence[float],
    labels: Sequence[str] | None = None,
) -> dict:
    """Data and layout for ``Plotly.newPlot``; only the first snapshot is visible.

    Surfaces are arrays; everything else is plain JSON.

    Parameters
    ----------
    snapshots : sequence of Snapshot
    bonds : mapping
        Frame number to the columns of its bond table: i, j, length, elf_mid, elf_min, and
        the lattice cell of j, S1, S2, S3, where it is known.
    isovalues : sequence of float
        Of the surface, for each snapshot.
    labels : sequence of str, optional
        What the slider says; by default frame and time.
    """
    data = [
        trace | {"visible": k == 0}
        for k, (snapshot, isovalue) in enumerate(zip(snapshots, isovalues, strict=True))
        for trace in _traces(snapshot, bonds.get(snapshot.frame), isovalue)
    ]
    layout = layout_of(labels or [label(snapshot) for snapshot in snapshots], PER_FRAME)
    return {"data": data, "layout": layout, "config": {"displaylogo": False}}


def _traces(snapshot: Snapshot, bonds: Mapping[str, np.ndarray] | None, isovalue: float) -> list[dict]:
    return [
        _surface(snapshot, isovalue),
        _bonds(snapshot, bonds),
        nuclei(snapshot),
        _passes(snapshot),
        _cell(snapshot),
        _legend_of_bonds(),
    ]


def _surface(snapshot: Snapshot, isovalue: float) -> dict[str, Any]:
    xyz, faces = isosurface(snapshot.values, snapshot.cell, 255 * isovalue, MOST_VERTICES)
    if not len(faces):
        return nothing() | {"name": f"ELF = {isovalue:.3g} (empty)"}
    return {
        "type": "mesh3d",
        "name": f"ELF = {isovalue:.3g}",
        "showlegend": True,
        **dict(zip("xyz", np.ascontiguousarray(xyz.T, dtype=np.float32), strict=True)),
        **dict(zip("ijk", np.ascontiguousarray(faces.T, dtype=np.uint16), strict=True)),
        "color": "#6fa3d4",
        "opacity": 0.32,
        "hoverinfo": "skip",
        "lighting": {"ambient": 0.65, "diffuse": 0.6, "specular": 0.15},
    }


def nuclei(snapshot: Snapshot) -> dict[str, Any]:
    """Atoms as spheres in the colors of their elements, of anything with ``numbers`` and ``positions`` (Å)."""
    from ase.data import chemical_symbols, covalent_radii
    from ase.data.colors import jmol_colors

    rgb = (255 * jmol_colors[snapshot.numbers]).astype(int)
    size = 5 + 6 * covalent_radii[snapshot.numbers]
    return {
        "type": "scatter3d",
        "mode": "markers",
        "name": "nuclei",
        **points(snapshot.positions),
        "marker": {
            "size": np.round(size, 1).tolist(),
            "color": [f"rgb({r},{g},{b})" for r, g, b in rgb],
            "line": {"color": "#39434e", "width": 1},
        },
        "text": [f"{chemical_symbols[z]} {k}" for k, z in enumerate(snapshot.numbers)],
        "hoverinfo": "text",
    }


def _bonds(snapshot: Snapshot, bonds: Mapping[str, np.ndarray] | None) -> dict[str, Any]:
    """Bonds as segments colored by the lowest ELF along them, from i to the image of j."""
    if bonds is None or not len(bonds["i"]):
        return nothing() | {"name": "bonds (none)"}
    start = snapshot.positions[bonds["i"]]
    vector = vectors(snapshot, bonds)
    gap = np.full_like(start, np.nan)
    line = np.stack([start, start + vector, gap], axis=1).reshape(-1, 3)
    elf = np.repeat(bonds["elf_min"], 3)
    text = [
        f"{i}-{j}  {length:.3f} Å, ELF {mid:.3f} half way, ≥ {low:.3f}"
        for i, j, length, mid, low in zip(
            *(bonds[n] for n in ("i", "j", "length", "elf_mid", "elf_min")), strict=True
        )
    ]
    return {
        "type": "scatter3d",
        "mode": "lines",
        "name": "bonds",
        "legendgroup": "bonds",
        "showlegend": False,
        **points(line),
        "connectgaps": False,
        "line": {
            "width": 7,
            "color": np.round(elf, 3).tolist(),
            "cmin": 0,
            "cmax": 1,
            "colorscale": SCALE,
            "showscale": True,
            "colorbar": {
                "title": {"text": "ELF on the bond", "side": "right"},
                "len": 0.6,
                "thickness": 9,
                "x": 0.97,
            },
        },
        "text": [label for label in text for _ in range(3)],
        "hoverinfo": "text",
    }


def vectors(snapshot: Snapshot, bonds: Mapping[str, np.ndarray]) -> np.ndarray:
    """From i to the bonded image of j, Å; the nearest one where the table does not say which."""
    apart = snapshot.positions[bonds["j"]] - snapshot.positions[bonds["i"]]
    if "S1" in bonds:
        return apart + np.stack([bonds[n] for n in ("S1", "S2", "S3")], axis=1) @ snapshot.cell
    from ase.geometry import find_mic

    return find_mic(apart, snapshot.cell)[0]


def picture(
    snapshot: Snapshot, bonds: Mapping[str, np.ndarray] | None, isovalue: float, title: str = ""
) -> bytes:
    """The same structure, surface and bonds as a JPEG file."""
    return jpeg(plot_solid(solid_of(snapshot, bonds, isovalue), figsize=(6.4, 5.6), title=title).figure)


def jpeg(figure: Figure) -> bytes:
    """A figure as a JPEG file, a fifth of the size of a PNG."""
    from io import BytesIO

    from PIL import Image

    stream = BytesIO()
    figure.savefig(stream, format="png", dpi=300)
    image = Image.open(stream).convert("RGB")
    small = image.resize((image.width // 3, image.height // 3), Image.Resampling.BOX)  # smooths the edges
    stream = BytesIO()
    small.save(stream, format="jpeg", quality=82, optimize=True)
    return stream.getvalue()


def solid_of(snapshot: Snapshot, bonds: Mapping[str, np.ndarray] | None, isovalue: float) -> Solid:
    """What :func:`ase_elf.plotting.solid.plot_solid` draws of a snapshot."""
    from ase.data import covalent_radii
    from ase.data.colors import jmol_colors

    vertices, faces = isosurface(snapshot.values, snapshot.cell, 255 * isovalue, MOST_VERTICES)
    sticks, elf = np.empty((0, 2, 3)), np.empty(0)
    if bonds is not None and len(bonds["i"]):
        start = snapshot.positions[bonds["i"]]
        sticks, elf = np.stack([start, start + vectors(snapshot, bonds)], axis=1), bonds["elf_min"]
    return Solid(
        vertices, faces, snapshot.positions, 0.12 + 0.25 * covalent_radii[snapshot.numbers],
        jmol_colors[snapshot.numbers], snapshot.cell, sticks, elf,
    )  # fmt: skip


def _passes(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "type": "scatter3d",
        "mode": "markers",
        "name": "bond points of the ELF",
        **points(snapshot.passes),
        "marker": {
            "size": 2.5,
            "color": np.round(snapshot.pass_values, 3).tolist(),
            "cmin": 0,
            "cmax": 1,
            "colorscale": SCALE,
        },
        "text": [f"ELF {value:.3f}" for value in snapshot.pass_values],
        "hoverinfo": "text",
    }


def _cell(snapshot: Snapshot) -> dict[str, Any]:
    corners = np.array(np.meshgrid(*[[0, 1]] * 3, indexing="ij")).reshape(3, -1).T
    lines = []
    for a in corners:
        for b in corners:
            if np.sum(b - a) == 1 and np.abs(b - a).sum() == 1:
                lines += [a @ snapshot.cell, b @ snapshot.cell, [np.nan] * 3]
    return {
        "type": "scatter3d",
        "mode": "lines",
        "name": "cell",
        **points(np.array(lines)),
        "line": {"color": "#5a6672", "width": 2},
        "hoverinfo": "skip",
    }


def _legend_of_bonds() -> dict[str, Any]:
    """An entry in the legend, which cannot show a line of many colors."""
    look = {"mode": "lines", "name": "bonds", "legendgroup": "bonds", "showlegend": True}
    return nothing() | look | {"line": {"color": "#c8502d", "width": 7}}


def nothing() -> dict[str, Any]:
    """A trace that shows nothing."""
    return {"type": "scatter3d", "x": [None], "y": [None], "z": [None], "showlegend": False}


def layout_of(labels: Sequence[str], per_frame: int) -> dict[str, Any]:
    """Of a scene with a slider that shows the traces of one frame at a time."""
    n = len(labels)
    steps = [
        {
            "label": text,
            "method": "restyle",
            "args": ["visible", [k == shown for k in range(n) for _ in range(per_frame)]],
        }
        for shown, text in enumerate(labels)
    ]
    axis = {"visible": False}  # the cell is drawn
    return {
        "height": 456,
        "margin": {"l": 0, "r": 0, "t": 0, "b": 0},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "system-ui, sans-serif", "color": "#2a3038"},
        "legend": {"x": 0.01, "y": 0.99, "bgcolor": "rgba(255,255,255,0.7)", "font": {"size": 11}},
        "modebar": {"bgcolor": "rgba(255,255,255,0.7)", "color": "#9aa4ae", "orientation": "h"},
        "scene": {
            "aspectmode": "data",
            "camera": {"eye": {"x": 1.15, "y": 0.96, "z": 0.7}, "center": {"x": 0, "y": 0, "z": -0.05}},
            **{f"{name}axis": axis for name in "xyz"},
        },
        "sliders": [
            {
                "active": 0,
                "steps": steps,
                "pad": {"t": 4, "b": 10, "l": 75, "r": 60},
                # Names below the ticks would collide and be cut; above stands that of what is shown.
                "font": {"size": 1, "color": "rgba(0,0,0,0)"},
                "currentvalue": {"prefix": "", "xanchor": "center", "font": {"size": 11, "color": "#2a3038"}},
            }
        ],
    }


def label(snapshot: Snapshot) -> str:
    """What the slider says."""
    time = "" if math.isnan(snapshot.time_fs) else f", {snapshot.time_fs:g} fs"
    return f"frame {snapshot.frame}{time}"


def points(xyz: np.ndarray) -> dict[str, Any]:
    """Coordinates rounded to 0.001 Å; null breaks a line."""
    rows = np.round(np.asarray(xyz, dtype=float).reshape(-1, 3), 3)
    columns = [[None if math.isnan(v) else v for v in column] for column in rows.T.tolist()]
    return dict(zip("xyz", columns, strict=True))
