"""Figures of what a ruler read: a typical bond of each type, and lengths against readings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ase_elf.plotting.curves import plot_series
from ase_elf.plotting.figure import COLORS, drawing, in_units, palette, panels
from ase_elf.ruler.modes import is_sure
from ase_elf.statistics.rounding import with_error

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ase_elf.analysis.bond_history import BondHistory
    from ase_elf.ruler.survey import Example


MOST_STRANGE = 6
"""Pictures of strange bonds."""

MOST_POINTS = 1500
"""Of a scatter plot; more are thinned."""


class HasRows(Protocol):
    """A survey or a history: ``rows`` of dtype ``SURVEY_COLUMNS``."""

    @property
    def rows(self) -> np.ndarray: ...


def _read(
    source: HasRows, options: dict[str, Any], *, thin: bool = False
) -> Iterator[tuple[str, Any, np.ndarray]]:
    """Type, color and rows of the bonds that were read."""
    rows = source.rows[np.isfinite(source.rows["deviation"])]
    every = max(1, -(-len(rows) // MOST_POINTS)) if thin else 1
    labels = sorted(set(rows["label"].tolist()))
    for label, color in zip(labels, palette(len(labels), options), strict=True):
        yield label, color, rows[rows["label"] == label][::every]


def plot_readings(source: HasRows, ax: Axes | None = None, *, units: str | None = None, **draw: Any) -> Axes:
    """Length read off the ELF against the true length, by label; the diagonal is no strain."""
    factor, x_label = in_units("bond length / Å", units)
    _, y_label = in_units("length read off the ELF / Å", units)
    with drawing(ax, (4.6, 4.2), draw) as (ax, options):
        ends = []
        for label, color, mine in _read(source, options, thin=True):
            look = {"fmt": "o", "ms": 3, "lw": 0.6, "color": color, "alpha": 0.8} | options
            length, read, error = (factor * mine[name] for name in ("length", "ruler_length", "uncertainty"))
            ax.errorbar(length, read, error, **{"label": f"{label} ({len(mine)})"} | look)
            ends += [length.min(), length.max()]
        if ends:
            ends = [min(ends), max(ends)]
            ax.plot(ends, ends, color="#2a3038", lw=0.8)
            ax.legend(fontsize=8)
        ax.set(xlabel=x_label, ylabel=y_label)
    return ax


def plot_deviations(
    source: HasRows, ax: Axes | None = None, *, units: str | None = None, **draw: Any
) -> Axes:
    """Histogram of the deviations of every type, as share of its bonds."""
    factor, x_label = in_units("deviation / Å", units)
    with drawing(ax, options=draw) as (ax, options):
        found = list(_read(source, options))
        if found:
            every = np.concatenate([mine["deviation"] for _, _, mine in found])
            edges = factor * np.linspace(every.min(), every.max() + 1e-9, 41)
            for label, color, mine in found:
                share = np.full(len(mine), 1 / len(mine))
                look = {"bins": edges, "histtype": "step", "color": color, "lw": 1.5} | options
                name = {"label": f"{label} ({len(mine)})"}
                ax.hist(factor * mine["deviation"], weights=share, **name | look)
            ax.legend(fontsize=8)
        ax.set(xlabel=x_label, ylabel="share of the bonds")
    return ax


def plot_strain(
    history: BondHistory, ax: Axes | None = None, *, units: str | None = None, **draw: Any
) -> Axes:
    """Deviation against length less the mean length of the type."""
    factor, x_label = in_units("length less mean of its type / Å", units)
    _, y_label = in_units("deviation / Å", units)
    with drawing(ax, options=draw) as (ax, options):
        for label, color, mine in _read(history, options, thin=True):
            away = mine["length"] - history.averages[label]["length"].mean
            look = {"marker": "o", "ls": "none", "ms": 2.5, "color": color, "alpha": 0.5, "label": label}
            ax.plot(factor * away, factor * mine["deviation"], **look | options)
        ax.axhline(0, color="#2a3038", lw=0.8)
        ax.legend(fontsize=8)
        ax.set(xlabel=x_label, ylabel=y_label)
    return ax


def plot_history(history: BondHistory, measure: str, ax: Axes | None = None, **draw: Any) -> Axes:
    """Mean of a measure over the bonds of every type, through time."""
    series, means = {}, {}
    for label in history.labels:
        values = history.series(label, measure)
        if np.isfinite(values).any():
            average = history.averages[label][measure]
            series[label], means[label] = values, (average.mean, average.stated_error, str(average))
    y_label = {"deviation": "deviation / Å", "ruler_length": "reading / Å"}[measure]
    time, x_label = _time(history)
    return plot_series(time, series, means, ax, x_label=x_label, y_label=y_label, **draw)


def plot_motifs(history: BondHistory, ax: Axes | None = None, **draw: Any) -> Axes:
    """Number of every motif through time."""
    averages = history.motif_averages()
    means = {name: (each.mean, each.stated_error, str(each)) for name, each in averages.items()}
    time, x_label = _time(history)
    series = {name: values.astype(float) for name, values in history.motifs.items()}
    return plot_series(time, series, means, ax, x_label=x_label, y_label="number", **draw)


def _time(history: BondHistory) -> tuple[np.ndarray, str]:
    if np.isfinite(history.times).all():
        return history.times, "time / fs"
    return np.array([float(frame.frame) for frame in history.frames]), "frame"


def plot_example(
    example: Example, ax: Sequence[Axes] | np.ndarray | None = None, *, cmap: str = "viridis", **draw: Any
) -> np.ndarray:
    """Image, attribution and reading of one bond: a row of two axes per plane; ``cmap`` is that of the image."""
    spec, row = example.spec, example.row
    planes = len(spec.planes)
    edge = spec.half_width
    with panels(ax, (planes, 2), (6.4, 2.4 * planes + 0.6), draw) as (axes, options):
        figure = axes[0, 0].figure
        largest = float(np.abs(example.attribution).max()) or 1.0
        for p in range(planes):
            extent = (-edge, edge, -edge, edge)
            look = {"origin": "lower", "extent": extent} | options
            seen = np.where(spec.blank, np.nan, example.image[p])
            left = axes[p, 0].imshow(seen, **{"vmin": 0, "vmax": 1, "cmap": cmap} | look)
            limits = {"vmin": -largest * 1000, "vmax": largest * 1000, "cmap": "RdBu_r"}
            right = axes[p, 1].imshow(example.attribution[p] * 1000, **limits | look)
            for one in axes[p]:
                one.grid(visible=False)
                one.set(ylabel=f"plane {spec.planes[p]}")
                _mark_nuclei(one, example)
        axes[-1, 0].set(xlabel=_axis_label(spec))
        axes[-1, 1].set(xlabel=_axis_label(spec))
        figure.colorbar(left, ax=axes[:, 0], label="ELF", shrink=0.7)
        figure.colorbar(right, ax=axes[:, 1], label="adds to the reading (mÅ)", shrink=0.7)
        figure.suptitle(
            f"{row['label']}: length {row['length']:.3f} Å, read "
            f"{with_error(row['ruler_length'], row['uncertainty'], 'Å')}\n{_mode(row)}",
            fontsize=10,
        )
    return axes


def _mode(row: np.void) -> str:
    if not row["mode"]:
        return "mode: not found"
    sure = "" if is_sure(row["mode_confidence"], row["mode_agreement"]) else "undecided, rather "
    return (
        f"mode: {sure}{row['mode']} (probability {row['mode_confidence']:.2f}, "
        f"{row['mode_agreement']:.0%} of the networks)"
    )


def _mark_nuclei(ax: Axes, example: Example) -> None:
    middle = (example.spec.reference or example.row["length"]) / 2
    for x, symbol in zip((-middle, middle), example.pair, strict=True):
        if abs(x) < example.spec.half_width:
            ax.text(x, 0, symbol, color=COLORS[1], ha="center", va="center", weight="bold")


def _axis_label(spec) -> str:
    return "along the bond (Å)" if spec.reference is None else (f"along the bond (Å at {spec.reference:g} Å)")
