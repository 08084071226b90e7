"""Curves and bars with their errors. Every function takes an axis or makes one, and returns it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_elf.plotting.figure import COLORS, drawing, in_units, palette

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    Estimated = tuple[np.ndarray, np.ndarray]
    """Values and their standard errors, each of shape (n,)."""


def plot_series(
    time: np.ndarray,
    series: Mapping[str, np.ndarray],
    means: Mapping[str, tuple[float, float, str]],
    ax: Axes | None = None,
    *,
    x_label: str,
    y_label: str,
    units: str | None = None,
    **draw: Any,
) -> Axes:
    """Series with their means: thin the frames, thick means over parts, band the error of the mean.

    Parameters
    ----------
    time : ndarray, shape (n,)
    series : mapping of str to ndarray, shape (n,)
        By label.
    means : mapping of str to tuple
        By the same labels: mean, standard error (NaN draws no band), and both as text.
    """
    alone = len(series) == 1
    factor, x_label = in_units(x_label, units)
    time = factor * time
    with drawing(ax, (5.6, 4.2) if alone else (10.5, 3.0), draw) as (ax, options):
        for color, (label, values) in zip(palette(len(series), options), series.items(), strict=True):
            mean, error, text = means[label]
            look = {"color": color} | options
            few = len(time) < 50
            ax.plot(time, values, **{"lw": 1.2 if few else 0.6, "alpha": 0.45} | look)
            centers, parts = _parts(time, values)
            marker = "o" if len(centers) == 1 else None
            ax.plot(centers, parts, **{"marker": marker, "label": f"{label}  {text}"} | look)
            _band_across(ax, mean, error, look["color"])
        ax.set(xlabel=x_label, ylabel=y_label)
        ax.margins(x=0)
        place = {"loc": "lower left"} if alone else {"loc": "upper left"}
        ax.legend(**place, bbox_to_anchor=(0.0, 1.0) if alone else (1.0, 1.02), fontsize=9)
    return ax


def plot_mean(mean: float, error: float, label: str, ax: Axes | None = None, **draw: Any) -> Axes:
    """A mean as a horizontal line, ± one standard error as a band unless that is NaN."""
    with drawing(ax, options=draw) as (ax, options):
        look = {"color": palette(1, options)[0], "label": label} | options
        ax.axhline(mean, **look)
        _band_across(ax, mean, error, look["color"])
        ax.legend(fontsize=9)
    return ax


def _band_across(ax: Axes, mean: float, error: float, color: str) -> None:
    if np.isfinite(error):
        ax.axhspan(mean - error, mean + error, color=color, alpha=0.18, lw=0)


def _parts(time: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Time and mean of some 25 parts; to guide the eye."""
    parts = np.array_split(np.arange(len(time)), min(25, max(1, len(time) // 4)))
    centers = np.array([time[p].mean() for p in parts])
    means = np.array([values[p].mean() for p in parts])
    return centers, means


def plot_curves(
    x: np.ndarray,
    curves: Mapping[str, Estimated],
    ax: Axes | None = None,
    *,
    dashed: Mapping[str, Estimated] | None = None,
    x_label: str,
    y_label: str,
    y_limits: tuple[float, float],
    font_size: float | None = None,
    units: str | None = None,
    **draw: Any,
) -> Axes:
    """Curves with error bands, by label; those of ``dashed`` in grey."""
    factor, x_label = in_units(x_label, units)
    x = factor * x
    with drawing(ax, options=draw) as (ax, options):
        colors = palette(len(curves), options)
        for color, (label, (mean, error)) in zip(colors, curves.items(), strict=True):
            look = {"color": color, "label": label} | options
            ax.plot(x, mean, **look)
            ax.fill_between(x, mean - error, mean + error, color=look["color"], alpha=0.2, lw=0)
        for label, (mean, error) in (dashed or {}).items():
            ax.plot(x, mean, color=COLORS[-1], ls="--", label=label)
            ax.fill_between(x, mean - error, mean + error, color=COLORS[-1], alpha=0.2, lw=0)
        ax.set(xlabel=x_label, ylabel=y_label, ylim=y_limits)
        ax.margins(x=0)
        ax.legend(fontsize=font_size)
    return ax


def plot_radial(
    edges: np.ndarray,
    curves: Mapping[str, Estimated],
    minima: Sequence[float | None],
    coordination: np.ndarray | None = None,
    ax: Axes | None = None,
    *,
    units: str | None = None,
    **draw: Any,
) -> Axes:
    """g(r) with error bands, and the running coordination number on the right.

    Parameters
    ----------
    edges : ndarray, shape (n + 1,)
        Bins of distance, Å.
    curves : mapping of str to two ndarray, shape (n,)
        g(r) and its standard error by pair of elements.
    minima : sequence of float or None
        First minimum of each curve, Å, where there is one.
    coordination : ndarray, shape (n,), optional
        Neighbors up to the outer edge of each bin.
    """
    factor, x_label = in_units("r / Å", units)
    edges = factor * edges
    with drawing(ax, options=draw) as (ax, options):
        r = (edges[1:] + edges[:-1]) / 2
        colors = palette(len(curves), options)
        for color, (pair, (g, error)), minimum in zip(colors, curves.items(), minima, strict=True):
            look = {"color": color, "label": pair} | options
            ax.plot(r, g, **look)
            ax.fill_between(r, g - error, g + error, color=look["color"], alpha=0.25, lw=0)
            if minimum is not None:
                ax.axvline(factor * minimum, color=look["color"], lw=0.8, ls=":")
        ax.axhline(1, color="#9aa4ae", lw=0.8)
        ax.set(xlabel=x_label, ylabel="g(r)", xlim=(0, edges[-1]), ylim=(0, None))
        ax.legend(loc="upper right")
        if coordination is not None:
            right = ax.twinx()
            right.plot(edges[1:], coordination, color=COLORS[-1], lw=1, ls="--")
            right.set(ylabel="n(r), dashed", ylim=(0, 8))
            right.grid(visible=False)
            right.spines["right"].set_visible(True)
    return ax


def plot_layers(
    edges: np.ndarray,
    layers: np.ndarray,
    labels: Sequence[str],
    title: str,
    ax: Axes | None = None,
    *,
    units: str | None = None,
    cmap: str = "viridis",
    **draw: Any,
) -> Axes:
    """Layers of g(r), filled one upon the other from below.

    Parameters
    ----------
    edges : ndarray, shape (n + 1,)
        Bins of distance, Å.
    layers : ndarray, shape (n_layers, n)
    labels : sequence of str
        One for each layer.
    title : str
        Of the legend.
    cmap : str
        Color map of the layers.
    """
    from matplotlib import colormaps

    factor, x_label = in_units("r / Å", units)
    edges = factor * edges
    with drawing(ax, options=draw) as (ax, options):
        r = (edges[1:] + edges[:-1]) / 2
        tops = np.cumsum(layers, axis=0)
        colors = colormaps[cmap](np.linspace(0, 1, len(tops)))
        below = np.zeros(len(r))
        for color, top, label in zip(colors, tops, labels, strict=True):
            look = {"color": color, "lw": 0, "step": "mid", "label": label} | options
            ax.fill_between(r, below, top, **look)
            below = top
        ax.set(xlabel=x_label, ylabel="g(r)", xlim=(0, edges[-1]), ylim=(0, None))
        ax.legend(title=title, fontsize=8, reverse=True, loc="upper left", bbox_to_anchor=(1.0, 1.02))
    return ax


def plot_bars(
    edges: np.ndarray,
    mean: np.ndarray,
    error: np.ndarray,
    ax: Axes | None = None,
    *,
    x_label: str,
    y_label: str,
    **draw: Any,
) -> Axes:
    """Bars with error bars; of whole numbers, the last one stands for all above it as well."""
    with drawing(ax, (5.0, 3.2), draw) as (ax, options):
        centers = (edges[1:] + edges[:-1]) / 2
        integers = np.allclose(np.diff(edges), 1)
        width = np.diff(edges) * (0.8 if integers else 1)
        ax.bar(centers, mean, **{"width": width, "color": palette(1, options)[0]} | options)
        ax.errorbar(centers, mean, error, fmt="none", ecolor="#2a3038", lw=1)
        if integers:
            labels = [f"{c:.0f}" for c in centers[:-1]] + [f"≥{centers[-1]:.0f}"]
            ax.set_xticks(centers, labels)
            ax.grid(visible=False, axis="x")
        ax.set(xlabel=x_label, ylabel=y_label, ylim=(0, None))
    return ax


def plot_profile(
    x: np.ndarray,
    mean: np.ndarray,
    error: np.ndarray,
    spread: np.ndarray,
    ax: Axes | None = None,
    *,
    x_label: str,
    y_label: str,
    units: str | None = None,
    **draw: Any,
) -> Axes:
    """Mean per bin with error bars, and the spread within a bin as a band."""
    factor, x_label = in_units(x_label, units)
    x = factor * x
    with drawing(ax, (5.0, 3.2), draw) as (ax, options):
        look = {"fmt": ".-", "color": palette(1, options)[0], "ms": 4, "lw": 1} | options
        spread = np.nan_to_num(spread)
        if spread.any():
            band = {"color": look["color"], "alpha": 0.15, "lw": 0, "label": "spread"}
            ax.fill_between(x, mean - spread, mean + spread, **band)
        ax.errorbar(x, mean, error, **look)
        ax.set(xlabel=x_label, ylabel=y_label)
    return ax


def plot_message(text: str, ax: Axes | None = None, **draw: Any) -> Axes:
    """A text instead of a plot that cannot be drawn; ``draw`` may have ``figsize`` and ``style``."""
    shown = {name: draw[name] for name in ("figsize", "style") if name in draw}
    with drawing(ax, options=shown) as (ax, _):
        ax.text(0.5, 0.5, fill(text, 60), ha="center", va="center", transform=ax.transAxes)
        ax.set_axis_off()
    return ax
