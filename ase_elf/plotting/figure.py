"""The look of the figures, new axes, and files whose bytes do not depend on when they are written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
import matplotlib.style
import numpy as np
from matplotlib.figure import Figure

from ase_elf.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLORS = ("#1f5fa8", "#c8502d", "#3b8a5a", "#8a5aa8", "#b08a1e", "#5a6672")
"""Line colors, told apart also by the color-blind."""

MORE_COLORS = ("#2a9d9d", "#9d2a6b")
"""Used where six are not enough."""

UNITS = ({"Å": 1.0, "nm": 0.1, "pm": 100.0, "bohr": 1.8897261246}, {"fs": 1.0, "ps": 1e-3, "ns": 1e-6})
"""What plots may be drawn in, lengths and times, with the number of each in the first."""

DEFAULT_SIZE = (6.0, 3.4)
"""Inches."""

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
def style(sheet: object = STYLE) -> Iterator[None]:
    """The look of the package, or that of a style sheet, for the length of a block."""
    with matplotlib.rc_context():
        matplotlib.style.use(sheet)
        yield


def in_units(label: str, units: str | None) -> tuple[float, str]:
    """Factor from the unit at the end of an axis label to another one, and the label with that.

    Raises
    ------
    InputError
        Where ``units`` is no unit of what is on the axis.

    Examples
    --------
    >>> in_units("r / Å", "nm"), in_units("t / ps", None)
    ((0.1, 'r / nm'), (1.0, 't / ps'))
    """
    if units is None:
        return 1.0, label
    what, _, unit = label.rpartition(" / ")
    kind = next((kind for kind in UNITS if unit in kind), {})
    if units not in kind:
        known = f"it takes {', '.join(kind)}." if kind else "it takes no units."
        raise InputError(f"units = {units!r} do not fit an axis that is labelled {label!r}; {known}")
    return kind[units] / kind[unit], f"{what} / {units}"


@contextmanager
def drawing(
    ax: Axes | None, size: tuple[float, float] = DEFAULT_SIZE, options: Mapping[str, Any] | None = None
) -> Iterator[tuple[Axes, dict[str, Any]]]:
    """Axes to draw on in the look that is asked for, and what is left for the artists.

    Parameters
    ----------
    ax : matplotlib.axes.Axes or None
        By default that of a new figure, which pyplot does not know of.
    size : tuple of float
        Width and height of a new figure in inches, unless ``options`` has a ``figsize``.
    options : mapping, optional
        Keyword arguments of a plot. Taken from them are ``figsize``, and ``style``: what
        :func:`matplotlib.style.use` takes, ``"default"`` for that of matplotlib.
    """
    with _look(size, options or {}) as (size, left):
        yield new_axis(ax, size), left


@contextmanager
def _look(
    size: tuple[float, float], options: Mapping[str, Any]
) -> Iterator[tuple[tuple[float, float], dict[str, Any]]]:
    left = dict(options)
    if left.pop("units", None) is not None:
        raise InputError("this plot has no axis in units of length or time; leave units out.")
    size = left.pop("figsize", None) or size
    with style(left.pop("style", None) or STYLE):
        yield size, left


@contextmanager
def panels(
    ax: Sequence[Axes] | np.ndarray | None,
    shape: tuple[int, int],
    size: tuple[float, float],
    options: Mapping[str, Any],
    **shared: bool,
) -> Iterator[tuple[np.ndarray, dict[str, Any]]]:
    """:func:`drawing` for plots of several axes: those that are given, or those of a new figure.

    Parameters
    ----------
    ax : array_like of matplotlib.axes.Axes or None
        As many as there are panels, in any shape, in reading order.
    shape : tuple of int
        Rows and columns, which the axes that come back have as well.
    size, options
        As there.
    **shared
        ``sharex`` and ``sharey`` of new axes.

    Raises
    ------
    InputError
        If there are more or fewer axes than panels.
    """
    with _look(size, options) as (size, left):
        if ax is None:
            axes = Figure(figsize=size, layout="constrained").subplots(*shape, squeeze=False, **shared)
        else:
            axes = np.array(ax, dtype=object)
        if axes.size != shape[0] * shape[1]:
            raise InputError(
                f"this plot has {shape[0] * shape[1]} panels; ax must be that many axes, not {axes.size}."
            )
        yield axes.reshape(shape), left


def palette(n: int, options: dict[str, Any]) -> list[Any]:
    """Colors of ``n`` curves: spread over the color map ``cmap``, if that is among the keyword arguments.

    Parameters
    ----------
    n : int
    options : dict
        What :func:`drawing` left; ``cmap`` is taken out.
    """
    wanted = options.pop("cmap", None)
    fixed = [*COLORS, *MORE_COLORS]
    if wanted is None and n <= len(fixed):
        return fixed[:n]
    return list(matplotlib.colormaps.get_cmap(wanted or "turbo")(np.linspace(0.05, 0.95, n)))


def new_axis(ax: Axes | None, size: tuple[float, float] = DEFAULT_SIZE) -> Axes:
    """``ax``, or the axis of a new figure, which pyplot does not know of."""
    return Figure(figsize=size, layout="constrained").subplots() if ax is None else ax


def label_points(ax: Axes, xy: np.ndarray, labels: Sequence[str], size: float = 8) -> None:
    """Write a label beside each point, the first where there is most room.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Whose limits do not change any more.
    xy : ndarray, shape (n, 2)
    labels : sequence of str
        In order of importance: one for which there is no room right, left, above or below is left out.
    size : float
        Of the letters, points.
    """
    ax.figure.draw_without_rendering()  # places depend on the layout
    points = ax.transData.transform(xy) * 72 / ax.figure.dpi
    taken: list[tuple[float, float, float, float]] = [(x - 2, y - 2, x + 2, y + 2) for x, y in points]
    for n, (label, (x, y)) in enumerate(zip(labels, points, strict=True)):
        width, height = 0.62 * size * len(label), size
        for side, up in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            dx = side * (5 + width / 2)
            dy = up * (4 + height / 2)
            box = (x + dx - width / 2, y + dy - height / 2, x + dx + width / 2, y + dy + height / 2)
            if any(_overlap(box, other) for k, other in enumerate(taken) if k != n):
                continue
            taken.append(box)
            ax.annotate(
                label, xy[n], (dx, dy), textcoords="offset points", fontsize=size, ha="center", va="center"
            )
            break


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


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
