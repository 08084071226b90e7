"""Figures of how good a model is on labels: what `ase-elf evaluate` draws."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from ase_elf.plotting.figure import COLORS, new_axis, style
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

LEAST = 1e-8
"""Errors below are drawn there, since zero has no place on a logarithmic axis."""


def write_figures(scores: Sequence[Score], folder: Path) -> list[Path]:
    """All figures that the scores have data for, as PNG; the same scores give the same bytes."""
    figures = {"against-density": plot_against_density(scores), "parity": plot_parity(scores)}
    if any(score.spectrum for score in scores):
        figures["spectrum"] = plot_power(scores).figure
        figures["correlation"] = plot_correlation(scores).figure
    if any(score.bars for score in scores):
        figures["calibration"] = plot_calibration(scores)
    if any(score.matches for score in scores):
        figures["critical-points"] = plot_agreement(scores)
    paths = []
    for name, figure in figures.items():
        paths.append(folder / f"{name}.png")
        with style():
            figure.savefig(paths[-1], metadata={"Software": None})
    return paths


def plot_against_density(scores: Sequence[Score]) -> Figure:
    """Errors of single structures against r_s, by kind."""
    panels: dict[str, Callable[[Score], float]] = {
        "1 - R²": lambda s: 1 - s.r2,
        "mean absolute error": lambda s: s.mae,
        "|Δφ|": lambda s: abs(s.phi_error),
        f"power of waves over {LONG_WAVE:g} Å (ELF²)": lambda s: (
            s.spectrum.long_power if s.spectrum else np.nan
        ),
        "correlation length (Å)": lambda s: s.spectrum.correlation_length if s.spectrum else np.nan,
        "Wasserstein-1 of the ELF values": lambda s: s.histogram,
    }
    return _by_density(scores, panels, log=[True, True, True, True, False, True])


def plot_agreement(scores: Sequence[Score]) -> Figure:
    """Recall and precision of critical points, and F1 of bond graphs, against r_s."""
    what = f"persistence > {PERSISTENCE:g}, within {REACH:g} Å"
    panels: dict[str, Callable[[Score], float]] = {
        f"attractors: recall\n({what})": lambda s: s.matches["attractor"].recall,
        f"bond points: recall\n({what})": lambda s: s.matches["bond"].recall,
        "bond graphs: F1": lambda s: s.f1,
        "attractors: precision": lambda s: s.matches["attractor"].precision,
        "bond points: precision": lambda s: s.matches["bond"].precision,
        "all points: displacement (Å)": lambda s: s.all_points.displacement,
    }
    return _by_density([s for s in scores if s.matches], panels, log=[False] * 6)


def _by_density(
    scores: Sequence[Score], panels: dict[str, Callable[[Score], float]], *, log: list[bool]
) -> Figure:
    with style():
        figure = Figure(figsize=(11, 6), layout="constrained")
        axes = figure.subplots(2, 3, sharex=True).ravel()
        for ax, (label, value), logarithmic in zip(axes, panels.items(), log, strict=True):
            for color, (name, members) in zip(_colors(), _kinds(scores), strict=False):
                y = np.array([value(s) for s in members], dtype=float)
                y = np.maximum(y, LEAST) if logarithmic else y
                ax.plot([s.r_s for s in members], y, "o", ms=4, color=color, alpha=0.8, label=name)
            ax.set(ylabel=label, yscale="log" if logarithmic else "linear")
        for ax in axes[3:]:
            ax.set(xlabel="r_s / bohr")
        axes[0].legend(fontsize=7)
    return figure


def plot_power(scores: Sequence[Score], ax: Axes | None = None) -> Axes:
    """S(k) of the residual by kind, k = 0 left out; shaded are the long waves."""
    with style():
        ax = new_axis(ax)
        for color, (name, members) in zip(_colors(), _kinds(scores), strict=False):
            rows = [row for row in power_table(members) if row["S"] > 0]
            ax.plot([r["k"] for r in rows], [r["S"] for r in rows], color=color, label=name)
        limit = 2 * np.pi / LONG_WAVE
        ax.axvspan(0, limit, color="#9aa4ae", alpha=0.2, lw=0, label=f"over {LONG_WAVE:g} Å")
        ax.set(xlabel="k / Å⁻¹", ylabel="S(k) / ELF² Å³", yscale="log", xlim=(0, 16))
        low, high = ax.get_ylim()
        ax.set_ylim(max(low, high * 1e-7), high)
        ax.legend(fontsize=8)
    return ax


def plot_correlation(scores: Sequence[Score], ax: Axes | None = None) -> Axes:
    """C(r)/C(0) of the residual by kind; dotted is 1/e, which defines its length."""
    with style():
        ax = new_axis(ax)
        for color, (name, members) in zip(_colors(), _kinds(scores), strict=False):
            rows = correlation_table(members)
            ax.plot([r["r"] for r in rows], [r["C"] for r in rows], color=color, label=name)
        ax.axhline(0, color="#9aa4ae", lw=0.8)
        ax.axhline(np.exp(-1), color="#9aa4ae", lw=0.8, ls=":")
        ax.set(xlabel="r / Å", ylabel="C(r) / C(0)")
        ax.margins(x=0)
        ax.legend(fontsize=8)
    return ax


def plot_parity(scores: Sequence[Score], names: tuple[str, str] = ("reference", "predicted")) -> Figure:
    """Prediction against reference at every point, and the distributions of both, under their names."""
    joint = np.mean([score.joint for score in scores], axis=0)
    middle = (np.arange(len(joint)) + 0.5) / len(joint)
    with style():
        figure = Figure(figsize=(9.4, 4.0), layout="constrained")
        left, right = figure.subplots(1, 2)
        shown = np.log10(np.where(joint > 0, joint, np.nan))
        picture = left.imshow(shown.T, origin="lower", extent=(0, 1, 0, 1), cmap="viridis")
        figure.colorbar(picture, ax=left, label="log₁₀ of the share of points")
        left.plot([0, 1], [0, 1], color="#c8502d", lw=0.8)
        left.set(xlabel=f"ELF, {names[0]}", ylabel=f"ELF, {names[1]}")
        for color, name, axis in zip(COLORS, names, (1, 0), strict=False):
            right.step(middle, joint.sum(axis) * len(joint), where="mid", color=color, label=name)
        right.set(xlabel="ELF", ylabel="density of points", ylim=(0, None))
        right.legend()
    return figure


def plot_calibration(scores: Sequence[Score]) -> Figure:
    """Errors made against σ predicted, and how much one σ covers in each structure."""
    with style():
        figure = Figure(figsize=(9.4, 3.6), layout="constrained")
        left, right = figure.subplots(1, 2)
        highest = 0.0
        for color, (name, members) in zip(_colors(), _kinds(scores), strict=False):
            rows = calibration_table(members)
            x, y = [row["sigma"] for row in rows], [row["error"] for row in rows]
            highest = max([highest, *x, *y])
            left.plot(x, y, "o-", ms=3, lw=1, color=color, label=name)
            told = [s for s in members if s.bars]
            right.plot([s.r_s for s in told], [s.coverage for s in told], "o", ms=4, color=color)
        left.plot([0, highest], [0, highest], color="#2a3038", lw=0.8)
        left.set(xlabel="predicted σ (tenths of the points)", ylabel="root mean square error")
        left.locator_params(axis="x", nbins=5)
        left.legend(fontsize=8)
        right.axhline(0.683, color="#2a3038", lw=0.8)
        right.axhspan(0.60, 0.75, color="#9aa4ae", alpha=0.2, lw=0)
        right.set(xlabel="r_s / bohr", ylabel="points within 1 σ", ylim=(0, 1))
    return figure


def _kinds(scores: Sequence[Score]) -> list[tuple[str, list[Score]]]:
    return [(name, members) for name, members in grouped(scores).items() if name != ALL]


def _colors() -> list[str]:
    return [*COLORS, "#2a9d9d", "#9d2a6b"]
