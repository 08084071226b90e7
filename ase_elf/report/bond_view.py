"""A molecule or cluster in 3D with its bonds colored by deviation, as data for plotly.js."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_elf.report import network_view

if TYPE_CHECKING:
    from ase import Atoms

    from ase_elf.analysis.bond_frames import BondFrame
    from ase_elf.analysis.bond_history import BondHistory

__all__ = ["figure", "picture"]

SCALE = [[0.0, "#1f5fa8"], [0.5, "#e9ecef"], [1.0, "#c8502d"]]
"""Deviation from the smallest to the largest shown."""

LEAST = 0.005
"""Å. Smallest end of the scale, so that noise does not look like strain."""

PER_FRAME = 3
"""Traces of one frame."""


def figure(history: BondHistory, numbers: np.ndarray, shown: Sequence[int]) -> dict[str, Any]:
    """Data and layout for ``Plotly.newPlot``; ``shown`` are the frames, of which the first is visible."""
    read = np.abs(history.rows["deviation"][np.isfinite(history.rows["deviation"])])
    end = max(LEAST, float(np.quantile(read, 0.98)) if len(read) else 0.0)
    data = [
        trace | {"visible": k == 0}
        for k, n in enumerate(shown)
        for trace in _traces(history.frames[n], numbers, history.symbols, end)
    ]
    layout = network_view.layout_of([network_view.label(history.frames[n]) for n in shown], PER_FRAME)
    return {"data": data, "layout": layout, "config": {"displaylogo": False}}


def picture(atoms: Atoms) -> bytes:
    """The structure from one side as a JPEG, for where the view cannot be drawn."""
    from ase.visualize.plot import plot_atoms
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 5))
    axes = figure.add_subplot()
    plot_atoms(atoms, axes, rotation="20x,30y", show_unit_cell=0)
    axes.set_axis_off()
    return network_view.jpeg(figure)


def _traces(frame: BondFrame, numbers: np.ndarray, symbols: np.ndarray, end: float) -> list[dict[str, Any]]:
    read = np.isfinite(frame.rows["deviation"])
    colored = {
        "width": 9,
        "color": np.round(np.repeat(frame.rows["deviation"][read], 3), 4).tolist(),
        "cmin": -end,
        "cmax": end,
        "colorscale": SCALE,
        "showscale": bool(read.any()),
        "colorbar": {"title": {"text": "deviation / Å"}, "len": 0.6, "thickness": 12},
    }
    return [
        # The bar of colors is their legend: a line of many colors is drawn black there.
        _lines(frame, read, symbols, "bonds that were read", colored) | {"showlegend": False},
        _lines(frame, ~read, symbols, "bonds that were not read", {"width": 5, "color": "#9aa4ae"}),
        network_view.nuclei(SimpleNamespace(numbers=numbers, positions=frame.positions)),
    ]


def _lines(
    frame: BondFrame, chosen: np.ndarray, symbols: np.ndarray, name: str, line: dict[str, Any]
) -> dict[str, Any]:
    rows = frame.rows[chosen]
    if not len(rows):
        return network_view.nothing() | {"name": name}
    start, end = frame.positions[rows["i"]], frame.positions[rows["j"]]
    segments = np.stack([start, end, np.full_like(start, np.nan)], axis=1).reshape(-1, 3)
    text = [
        f"{symbols[row['i']]}{row['i']}-{symbols[row['j']]}{row['j']} {row['label']}: {row['length']:.3f} Å"
        + (f", deviation {row['deviation']:+.4f} Å" if np.isfinite(row["deviation"]) else ", not read")
        for row in rows
    ]
    return {
        "type": "scatter3d",
        "mode": "lines",
        "name": name,
        **network_view.points(segments),
        "connectgaps": False,
        "line": line,
        "text": [words for words in text for _ in range(3)],
        "hoverinfo": "text",
    }
