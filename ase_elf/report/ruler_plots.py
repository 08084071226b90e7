"""Figures of what a ruler read: a typical bond of each type, and lengths against readings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ase_elf.plotting.figure import COLORS, new_axis, style
from ase_elf.statistics.rounding import with_error

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ase_elf.ruler.survey import BondSurvey, Example


def plot_readings(survey: BondSurvey, ax: Axes | None = None) -> Axes:
    """Length read off the ELF against the true length, by label; the diagonal is no strain."""
    rows = survey.rows
    rows = rows[np.isfinite(rows["deviation"])]
    with style():
        ax = new_axis(ax, (4.6, 4.2))
        for n, label in enumerate(sorted(set(rows["label"].tolist()))):
            mine = rows[rows["label"] == label]
            color = COLORS[n % len(COLORS)]
            ax.errorbar(
                mine["length"], mine["ruler_length"], mine["uncertainty"], fmt="o", ms=3, lw=0.6,
                color=color, label=f"{label} ({len(mine)})", alpha=0.8,
            )  # fmt: skip
        if len(rows):
            ends = [rows["length"].min(), rows["length"].max()]
            ax.plot(ends, ends, color="#2a3038", lw=0.8)
            ax.legend(fontsize=8)
        ax.set(xlabel="bond length (Å)", ylabel="length read off the ELF (Å)")
    return ax


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
            f"{with_error(row['ruler_length'], row['uncertainty'], 'Å')}\nmode: {row['mode'] or 'not found'} "
            f"(confidence {row['mode_confidence']:.2f})",
            fontsize=10,
        )
    return figure


def _mark_nuclei(ax: Axes, example: Example) -> None:
    middle = (example.spec.reference or example.row["length"]) / 2
    for x, symbol in zip((-middle, middle), example.pair, strict=True):
        if abs(x) < example.spec.half_width:
            ax.text(x, 0, symbol, color=COLORS[1], ha="center", va="center", weight="bold")


def _axis_label(spec) -> str:
    return "along the bond (Å)" if spec.reference is None else (f"along the bond (Å at {spec.reference:g} Å)")
