"""Matplotlib figures of the statistics. Every function takes an axis or makes one, no state."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib
import numpy as np
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ase_elf.statistics import (
        RDF,
        BinnedAverage,
        Distribution,
        Lifetime,
        PercolationCurve,
        ResolvedRDF,
        ScalarAverage,
    )

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
    """``ax``, or the axis of a new figure that belongs to nobody else."""
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


def plot_series(
    time: np.ndarray,
    series: dict[str, np.ndarray],
    averages: dict[str, ScalarAverage],
    ax: Axes | None = None,
    *,
    x_label: str,
    y_label: str,
) -> Axes:
    """Series with their means: thin the frames, thick means over parts, band the error of the mean.

    Parameters
    ----------
    time : ndarray, shape (n,)
    series : dict of ndarray, shape (n,)
        By label.
    averages : dict of ScalarAverage
        By the same labels; the band over the whole width is mean ± standard error.
    """
    with style():
        ax = new_axis(ax, (10.5, 3.0))
        for color, (label, values) in zip(COLORS, series.items(), strict=False):
            average = averages[label]
            few = len(time) < 50
            ax.plot(time, values, color=color, lw=1.2 if few else 0.6, alpha=0.45)
            centers, means = _blocks(time, values)
            ax.plot(centers, means, color=color, label=f"{label}  {average}")
            if not average.too_short and np.isfinite(average.error):
                low, high = average.mean - average.error, average.mean + average.error
                ax.axhspan(low, high, color=color, alpha=0.18, lw=0)
        ax.set(xlabel=x_label, ylabel=y_label)
        ax.margins(x=0)
        ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.02), fontsize=9)
    return ax


def plot_average(average: ScalarAverage, ax: Axes | None = None, *, color: str = COLORS[0]) -> Axes:
    """Mean as a horizontal line, ± one standard error as a band where there is one."""
    with style():
        ax = new_axis(ax)
        ax.axhline(average.mean, color=color, label=str(average))
        if not average.too_short and np.isfinite(average.error):
            low, high = average.mean - average.error, average.mean + average.error
            ax.axhspan(low, high, color=color, alpha=0.18, lw=0)
        ax.legend(fontsize=9)
    return ax


def _blocks(time: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Time and mean of some 25 parts; to guide the eye."""
    parts = np.array_split(np.arange(len(time)), min(25, max(1, len(time) // 4)))
    centers = np.array([time[p].mean() for p in parts])
    means = np.array([values[p].mean() for p in parts])
    return centers, means


def plot_rdf(rdf: RDF, ax: Axes | None = None) -> Axes:
    """g(r) with error band, and the running coordination number on the right."""
    with style():
        ax = new_axis(ax)
        for color, pair, g, error, minimum in zip(
            COLORS, rdf.pairs, rdf.g, rdf.error, rdf.first_minimum, strict=False
        ):
            ax.plot(rdf.r, g, color=color, label=pair)
            ax.fill_between(rdf.r, g - error, g + error, color=color, alpha=0.25, lw=0)
            if minimum is not None:
                ax.axvline(minimum, color=color, lw=0.8, ls=":")
        ax.axhline(1, color="#9aa4ae", lw=0.8)
        ax.set(xlabel="r / Å", ylabel="g(r)", xlim=(0, rdf.edges[-1]), ylim=(0, None))
        ax.legend(loc="upper right")
        if len(rdf.pairs) == 1:
            right = ax.twinx()
            right.plot(rdf.edges[1:], rdf.coordination[0], color=COLORS[-1], lw=1, ls="--")
            right.set(ylabel="n(r), dashed", ylim=(0, 8))
            right.grid(visible=False)
            right.spines["right"].set_visible(True)
    return ax


def plot_resolved_rdf(resolved: ResolvedRDF, ax: Axes | None = None) -> Axes:
    """g(r) of the first pair of elements, filled from below by classes of ELF half way."""
    from matplotlib import colormaps

    with style():
        ax = new_axis(ax)
        if not resolved.pairs:
            ax.text(0.5, 0.5, "no pair of these elements bonds", ha="center", transform=ax.transAxes)
            ax.set_axis_off()
            return ax
        tops = np.cumsum(resolved.g[0], axis=0)
        colors = colormaps["viridis"](np.linspace(0, 1, len(tops)))
        below = np.zeros(len(resolved.r))
        for k, top in enumerate(tops):
            low, high = resolved.elf_edges[k : k + 2]
            ax.fill_between(resolved.r, below, top, color=colors[k], lw=0, step="mid",
                            label=f"{low:.1f} to {high:.1f}")  # fmt: skip
            below = top
        ax.set(xlabel="r / Å", ylabel="g(r)", xlim=(0, resolved.edges[-1]), ylim=(0, None))
        ax.legend(title=f"{resolved.pairs[0]}, ELF half way", fontsize=8, reverse=True,
                  loc="upper left", bbox_to_anchor=(1.0, 1.02))  # fmt: skip
    return ax


def plot_distribution(distribution: Distribution, ax: Axes | None = None) -> Axes:
    """Bars with error bars; a filled curve where bins are many."""
    with style():
        ax = new_axis(ax, (5.0, 3.2))
        edges, mean, error = distribution.edges, distribution.mean, distribution.error
        centers = (edges[1:] + edges[:-1]) / 2
        integers = np.allclose(np.diff(edges), 1)
        ax.bar(centers, mean, width=np.diff(edges) * (0.8 if integers else 1), color=COLORS[0])
        ax.errorbar(centers, mean, error, fmt="none", ecolor="#2a3038", lw=1)
        if integers:
            labels = [f"{c:.0f}" for c in centers[:-1]] + [f"≥{centers[-1]:.0f}"]
            ax.set_xticks(centers, labels)
            ax.grid(visible=False, axis="x")
        ax.set(xlabel=distribution.what, ylabel=distribution.unit, ylim=(0, None))
    return ax


def plot_percolation(curve: PercolationCurve, ax: Axes | None = None) -> Axes:
    """Spanning probabilities in 1, 2, 3 directions and the largest domain."""
    with style():
        ax = new_axis(ax)
        names = ("periodic in 1 direction", "in 2 directions", "in 3 directions")
        rows = zip(names, curve.probability, curve.probability_error, strict=True)
        for color, (name, mean, error) in zip(COLORS, rows, strict=False):
            ax.plot(curve.isovalues, mean, color=color, label=name)
            ax.fill_between(curve.isovalues, mean - error, mean + error, color=color, alpha=0.2, lw=0)
        low, high = curve.largest - curve.largest_error, curve.largest + curve.largest_error
        ax.plot(curve.isovalues, curve.largest, color=COLORS[-1], ls="--", label="largest domain")
        ax.fill_between(curve.isovalues, low, high, color=COLORS[-1], alpha=0.2, lw=0)
        ax.set(xlabel="ELF isovalue", ylabel="share of frames / of atoms", ylim=(-0.02, 1.05))
        ax.margins(x=0)
        ax.legend(fontsize=9)
    return ax


def plot_binned(average: BinnedAverage, ax: Axes | None = None) -> Axes:
    """Mean per bin with error bars, spread as a band."""
    with style():
        ax = new_axis(ax, (5.0, 3.2))
        x, mean = average.centers, average.mean
        spread = np.nan_to_num(average.spread)
        if spread.any():
            ax.fill_between(
                x, mean - spread, mean + spread, color=COLORS[0], alpha=0.15, lw=0, label="spread"
            )
        ax.errorbar(x, mean, average.error, fmt=".-", color=COLORS[0], ms=4, lw=1)
        ax.set(xlabel=average.x_label, ylabel=average.y_label)
    return ax


def plot_lifetime(lifetime: Lifetime, ax: Axes | None = None) -> Axes:
    """C(t) and S(t) with error bands; the reason where they were refused."""
    with style():
        ax = new_axis(ax)
        if lifetime.refused:
            ax.text(0.5, 0.5, _wrapped(lifetime.refused), ha="center", va="center",
                    transform=ax.transAxes)  # fmt: skip
            ax.set_axis_off()
            return ax
        curves = (
            ("bonded again, C(t)", lifetime.intermittent, lifetime.intermittent_error),
            ("still bonded, S(t)", lifetime.continuous, lifetime.continuous_error),
        )
        for color, (name, mean, error) in zip(COLORS, curves, strict=False):
            ax.plot(lifetime.lag_fs, mean, color=color, label=name)
            ax.fill_between(lifetime.lag_fs, mean - error, mean + error, color=color, alpha=0.2, lw=0)
        ax.set(xlabel="t / fs", ylabel="probability", ylim=(0, 1.03))
        ax.margins(x=0)
        ax.legend()
    return ax


def _wrapped(text: str) -> str:
    from textwrap import fill

    return fill(text, 60)


def draw(plot: Callable[..., Axes], *args: object, **options: object) -> Figure:
    """The figure that ``plot`` draws on an axis of its own."""
    return plot(*args, **options).figure
