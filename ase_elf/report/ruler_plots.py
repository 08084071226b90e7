"""Figures of what a ruler read: a typical bond of each type, and lengths against readings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ase_elf.plotting.curves import plot_series
from ase_elf.plotting.figure import COLORS, new_axis, style
from ase_elf.ruler.modes import is_sure
from ase_elf.statistics.rounding import with_error

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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


def _read(source: HasRows, *, thin: bool = False) -> Iterator[tuple[str, str, np.ndarray]]:
    """Type, color and rows of the bonds that were read."""
    rows = source.rows[np.isfinite(source.rows["deviation"])]
    every = max(1, -(-len(rows) // MOST_POINTS)) if thin else 1
    for n, label in enumerate(sorted(set(rows["label"].tolist()))):
        yield label, COLORS[n % len(COLORS)], rows[rows["label"] == label][::every]


def plot_readings(source: HasRows, ax: Axes | None = None) -> Axes:
    """Length read off the ELF against the true length, by label; the diagonal is no strain."""
    with style():
        ax = new_axis(ax, (4.6, 4.2))
        ends = []
        for label, color, mine in _read(source, thin=True):
            ax.errorbar(
                mine["length"], mine["ruler_length"], mine["uncertainty"], fmt="o", ms=3, lw=0.6,
                color=color, label=f"{label} ({len(mine)})", alpha=0.8,
            )  # fmt: skip
            ends += [mine["length"].min(), mine["length"].max()]
        if ends:
            ends = [min(ends), max(ends)]
            ax.plot(ends, ends, color="#2a3038", lw=0.8)
            ax.legend(fontsize=8)
        ax.set(xlabel="bond length (Å)", ylabel="length read off the ELF (Å)")
    return ax


def plot_deviations(source: HasRows, ax: Axes | None = None) -> Axes:
    """Histogram of the deviations of every type, as share of its bonds."""
    with style():
        ax = new_axis(ax)
        found = list(_read(source))
        if found:
            every = np.concatenate([mine["deviation"] for _, _, mine in found])
            edges = np.linspace(every.min(), every.max() + 1e-9, 41)
            for label, color, mine in found:
                share = np.full(len(mine), 1 / len(mine))
                ax.hist(mine["deviation"], edges, weights=share, histtype="step", color=color, lw=1.5,
                        label=f"{label} ({len(mine)})")  # fmt: skip
            ax.legend(fontsize=8)
        ax.set(xlabel="deviation (Å)", ylabel="share of the bonds")
    return ax


def plot_strain(history: BondHistory, ax: Axes | None = None) -> Axes:
    """Deviation against length less the mean length of the type."""
    with style():
        ax = new_axis(ax)
        for label, color, mine in _read(history, thin=True):
            mean = history.averages[label]["length"].mean
            ax.plot(
                mine["length"] - mean, mine["deviation"], "o", ms=2.5, color=color, alpha=0.5, label=label
            )
        ax.axhline(0, color="#2a3038", lw=0.8)
        ax.legend(fontsize=8)
        ax.set(xlabel="length less mean of its type (Å)", ylabel="deviation (Å)")
    return ax


def plot_history(history: BondHistory, measure: str) -> Axes:
    """Mean of a measure over the bonds of every type, through time."""
    series, means = {}, {}
    for label in history.labels:
        values = history.series(label, measure)
        if np.isfinite(values).any():
            average = history.averages[label][measure]
            series[label], means[label] = values, (average.mean, average.stated_error, str(average))
    y_label = {"deviation": "deviation / Å", "ruler_length": "reading / Å"}[measure]
    time, x_label = _time(history)
    return plot_series(time, series, means, x_label=x_label, y_label=y_label)


def plot_motifs(history: BondHistory) -> Axes:
    """Number of every motif through time."""
    averages = history.motif_averages()
    means = {name: (each.mean, each.stated_error, str(each)) for name, each in averages.items()}
    time, x_label = _time(history)
    series = {name: values.astype(float) for name, values in history.motifs.items()}
    return plot_series(time, series, means, x_label=x_label, y_label="number")


def _time(history: BondHistory) -> tuple[np.ndarray, str]:
    if np.isfinite(history.times).all():
        return history.times, "time / fs"
    return np.array([float(frame.frame) for frame in history.frames]), "frame"


def plot_example(example: Example) -> Figure:
    """Image, attribution and reading of one bond, a row per plane."""
    from matplotlib.figure import Figure

    spec, row = example.spec, example.row
    planes = len(spec.planes)
    edge = spec.half_width
    with style():
        figure = Figure(figsize=(6.4, 2.4 * planes + 0.6), layout="constrained")
        axes = figure.subplots(planes, 2, squeeze=False)
        largest = float(np.abs(example.attribution).max()) or 1.0
        for p in range(planes):
            extent = (-edge, edge, -edge, edge)
            left = axes[p, 0].imshow(
                np.where(spec.blank, np.nan, example.image[p]), origin="lower", extent=extent,
                vmin=0, vmax=1, cmap="viridis",
            )  # fmt: skip
            right = axes[p, 1].imshow(
                example.attribution[p] * 1000, origin="lower", extent=extent, cmap="RdBu_r",
                vmin=-largest * 1000, vmax=largest * 1000,
            )  # fmt: skip
            for ax in axes[p]:
                ax.grid(visible=False)
                ax.set(ylabel=f"plane {spec.planes[p]}")
                _mark_nuclei(ax, example)
        axes[-1, 0].set(xlabel=_axis_label(spec))
        axes[-1, 1].set(xlabel=_axis_label(spec))
        figure.colorbar(left, ax=axes[:, 0], label="ELF", shrink=0.7)
        figure.colorbar(right, ax=axes[:, 1], label="adds to the reading (mÅ)", shrink=0.7)
        figure.suptitle(
            f"{row['label']}: length {row['length']:.3f} Å, read "
            f"{with_error(row['ruler_length'], row['uncertainty'], 'Å')}\n{_mode(row)}",
            fontsize=10,
        )
    return figure


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
