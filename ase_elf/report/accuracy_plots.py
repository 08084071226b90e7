"""Figures of how good a model is on labels: what `ase-elf evaluate` draws."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_elf.plotting.figure import STYLE, drawing, in_units, palette, panels, style
from ase_elf.training.matching import PERSISTENCE, REACH
from ase_elf.training.residual import LONG_WAVE
from ase_elf.training.score_tables import (
    ALL,
    calibration_table,
    correlation_table,
    grouped,
    power_table,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes

    from ase_elf.training.evaluate import Score

    Many = Sequence[Axes] | np.ndarray | None
    """Axes for the panels of a plot, in reading order; None for new ones."""

LEAST = 1e-8
"""Errors below are drawn there, since zero has no place on a logarithmic axis."""


def write_figures(scores: Sequence[Score], folder: Path, **draw: Any) -> list[Path]:
    """All figures that the scores have data for, as PNG; the same scores give the same bytes.

    ``draw`` goes to each: ``style``, ``figsize``, ``cmap``.
    """
    figures = {"against-density": plot_against_density, "parity": plot_parity}
    if any(score.spectrum for score in scores):
        figures |= {"spectrum": plot_power, "correlation": plot_correlation}
    if any(score.bars for score in scores):
        figures["calibration"] = plot_calibration
    if any(score.matches for score in scores):
        figures["critical-points"] = plot_agreement
    paths = []
    for name, plot in figures.items():
        paths.append(folder / f"{name}.png")
        figure = np.ravel(plot(scores, **draw))[0].figure
        with style(draw.get("style", STYLE)):
            figure.savefig(paths[-1], metadata={"Software": None})
    return paths


def plot_against_density(scores: Sequence[Score], ax: Many = None, **draw: Any) -> np.ndarray:
    """Errors of single structures against r_s, by kind: six axes, in two rows."""
    measures: dict[str, Callable[[Score], float]] = {
        "1 - R²": lambda s: 1 - s.r2,
        "mean absolute error": lambda s: s.mae,
        "|Δφ|": lambda s: abs(s.phi_error),
        f"power of waves over {LONG_WAVE:g} Å (ELF²)": lambda s: (
            s.spectrum.long_power if s.spectrum else np.nan
        ),
        "correlation length (Å)": lambda s: s.spectrum.correlation_length if s.spectrum else np.nan,
        "Wasserstein-1 of the ELF values": lambda s: s.histogram,
    }
    return _by_density(scores, measures, [True, True, True, True, False, True], ax, draw)


def plot_agreement(scores: Sequence[Score], ax: Many = None, **draw: Any) -> np.ndarray:
    """Recall and precision of critical points, and F1 of bond graphs, against r_s: six axes, in two rows."""
    what = f"persistence > {PERSISTENCE:g}, within {REACH:g} Å"
    measures: dict[str, Callable[[Score], float]] = {
        f"attractors: recall\n({what})": lambda s: s.matches["attractor"].recall,
        f"bond points: recall\n({what})": lambda s: s.matches["bond"].recall,
        "bond graphs: F1": lambda s: s.f1,
        "attractors: precision": lambda s: s.matches["attractor"].precision,
        "bond points: precision": lambda s: s.matches["bond"].precision,
        "all points: displacement (Å)": lambda s: s.all_points.displacement,
    }
    return _by_density([s for s in scores if s.matches], measures, [False] * 6, ax, draw)


def _by_density(
    scores: Sequence[Score],
    measures: dict[str, Callable[[Score], float]],
    log: list[bool],
    ax: Many,
    draw: dict[str, Any],
) -> np.ndarray:
    factor, x_label = in_units("r_s / bohr", draw.pop("units", None))
    with panels(ax, (2, 3), (11, 6), draw, sharex=True) as (axes, options):
        looks = _looks(scores, {"marker": "o", "ls": "none", "ms": 4, "alpha": 0.8}, options)
        for ax, (label, value), logarithmic in zip(axes.ravel(), measures.items(), log, strict=True):
            for look, members in looks:
                y = np.array([value(s) for s in members], dtype=float)
                y = np.maximum(y, LEAST) if logarithmic else y
                ax.plot([factor * s.r_s for s in members], y, **look)
            ax.set(ylabel=label, yscale="log" if logarithmic else "linear")
        for ax in axes[1]:
            ax.set(xlabel=x_label)
        axes[0, 0].legend(fontsize=7)
    return axes


def plot_power(scores: Sequence[Score], ax: Axes | None = None, **draw: Any) -> Axes:
    """S(k) of the residual by kind, k = 0 left out; shaded are the long waves."""
    with drawing(ax, options=draw) as (ax, options):
        for look, members in _looks(scores, {}, options):
            rows = [row for row in power_table(members) if row["S"] > 0]
            ax.plot([r["k"] for r in rows], [r["S"] for r in rows], **look)
        limit = 2 * np.pi / LONG_WAVE
        ax.axvspan(0, limit, color="#9aa4ae", alpha=0.2, lw=0, label=f"over {LONG_WAVE:g} Å")
        ax.set(xlabel="k / Å⁻¹", ylabel="S(k) / ELF² Å³", yscale="log", xlim=(0, 16))
        low, high = ax.get_ylim()
        ax.set_ylim(max(low, high * 1e-7), high)
        ax.legend(fontsize=8)
    return ax


def plot_correlation(
    scores: Sequence[Score], ax: Axes | None = None, *, units: str | None = None, **draw: Any
) -> Axes:
    """C(r)/C(0) of the residual by kind; dotted is 1/e, which defines its length."""
    factor, x_label = in_units("r / Å", units)
    with drawing(ax, options=draw) as (ax, options):
        for look, members in _looks(scores, {}, options):
            rows = correlation_table(members)
            ax.plot([factor * r["r"] for r in rows], [r["C"] for r in rows], **look)
        ax.axhline(0, color="#9aa4ae", lw=0.8)
        ax.axhline(np.exp(-1), color="#9aa4ae", lw=0.8, ls=":")
        ax.set(xlabel=x_label, ylabel="C(r) / C(0)")
        ax.margins(x=0)
        ax.legend(fontsize=8)
    return ax


def plot_parity(
    scores: Sequence[Score],
    ax: Many = None,
    *,
    names: tuple[str, str] = ("reference", "predicted"),
    cmap: str = "viridis",
    **draw: Any,
) -> np.ndarray:
    """Prediction against reference at every point, and the distributions of both, under their names: two axes.

    ``cmap`` is that of the first, and ``draw`` goes to the curves of the second.
    """
    joint = np.mean([score.joint for score in scores], axis=0)
    middle = (np.arange(len(joint)) + 0.5) / len(joint)
    with panels(ax, (1, 2), (9.4, 4.0), draw) as (axes, options):
        left, right = axes[0]
        shown = np.log10(np.where(joint > 0, joint, np.nan))
        picture = left.imshow(shown.T, origin="lower", extent=(0, 1, 0, 1), cmap=cmap)
        left.figure.colorbar(picture, ax=left, label="log₁₀ of the share of points")
        left.plot([0, 1], [0, 1], color="#c8502d", lw=0.8)
        left.set(xlabel=f"ELF, {names[0]}", ylabel=f"ELF, {names[1]}")
        for color, name, axis in zip(palette(2, options), names, (1, 0), strict=True):
            look = {"where": "mid", "color": color, "label": name} | options
            right.step(middle, joint.sum(axis) * len(joint), **look)
        right.set(xlabel="ELF", ylabel="density of points", ylim=(0, None))
        right.legend()
    return axes


def plot_calibration(scores: Sequence[Score], ax: Many = None, **draw: Any) -> np.ndarray:
    """Errors made against σ predicted, and how much one σ covers in each structure: two axes."""
    factor, x_label = in_units("r_s / bohr", draw.pop("units", None))
    with panels(ax, (1, 2), (9.4, 3.6), draw) as (axes, options):
        left, right = axes[0]
        highest = 0.0
        for look, members in _looks(scores, {"marker": "o"}, options):
            rows = calibration_table(members)
            x, y = [row["sigma"] for row in rows], [row["error"] for row in rows]
            highest = max([highest, *x, *y])
            left.plot(x, y, **{"ms": 3, "lw": 1} | look)
            told = [s for s in members if s.bars]
            coverage = [s.coverage for s in told]
            right.plot([factor * s.r_s for s in told], coverage, **{"ms": 4, "ls": "none"} | look)
        left.plot([0, highest], [0, highest], color="#2a3038", lw=0.8)
        left.set(xlabel="predicted σ (tenths of the points)", ylabel="root mean square error")
        left.locator_params(axis="x", nbins=5)
        left.legend(fontsize=8)
        right.axhline(0.683, color="#2a3038", lw=0.8)
        right.axhspan(0.60, 0.75, color="#9aa4ae", alpha=0.2, lw=0)
        right.set(xlabel=x_label, ylabel="points within 1 σ", ylim=(0, 1))
    return axes


def _looks(
    scores: Sequence[Score], look: dict[str, Any], options: dict[str, Any]
) -> list[tuple[dict[str, Any], list[Score]]]:
    """Of every kind of structure what its curve is drawn with, and its scores."""
    kinds = {name: members for name, members in grouped(scores).items() if name != ALL}
    colors = palette(len(kinds), options)
    return [
        (look | {"color": color, "label": name} | options, members)
        for color, (name, members) in zip(colors, kinds.items(), strict=True)
    ]
