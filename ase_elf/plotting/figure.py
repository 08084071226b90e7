"""The look of the figures, new axes, and files whose bytes do not depend on when they are written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLORS = ("#1f5fa8", "#c8502d", "#3b8a5a", "#8a5aa8", "#b08a1e", "#5a6672")
"""Line colors, told apart also by the color-blind."""

STYLE = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#5a6672",
    "axes.labelcolor": "#2a3038",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e9ed",
    "grid.linewidth": 0.8,
    "xtick.color": "#5a6672",
    "ytick.color": "#5a6672",
    "font.size": 10,
    "font.family": "DejaVu Sans",
    "lines.linewidth": 1.6,
    "legend.frameon": False,
    "figure.dpi": 110,
    "savefig.dpi": 150,
    "svg.hashsalt": "ase_elf",
}


@contextmanager
def style() -> Iterator[None]:
    """The look of the package, for the length of a block."""
    with matplotlib.rc_context(STYLE):
        yield


def new_axis(ax: Axes | None, size: tuple[float, float] = (6.0, 3.4)) -> Axes:
    """``ax``, or the axis of a new figure, which pyplot does not know of."""
    return Figure(figsize=size, layout="constrained").subplots() if ax is None else ax


def save(figure: Figure, stem: Path) -> list[Path]:
    """Write PNG and SVG; the same figure gives the same bytes."""
    png, vector = stem.with_suffix(".png"), stem.with_suffix(".svg")
    figure.savefig(png, metadata={"Software": None})
    figure.set_layout_engine("none")  # laid out by now; once more would take as long again
    vector.write_bytes(svg(figure))
    return [png, vector]


def svg(figure: Figure) -> bytes:
    """The figure as SVG; the same figure gives the same bytes."""
    stream = BytesIO()
    with style():
        figure.savefig(stream, format="svg", metadata={"Date": None})
    return stream.getvalue()
