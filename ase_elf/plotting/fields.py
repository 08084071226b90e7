"""What describes one ELF: a plane, the network against the isovalue, critical points, bonds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_elf.plotting.figure import COLORS, drawing, in_units, palette

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh

BINS = np.linspace(0, 1, 41)


def draw_plane(ax: Axes, xy: np.ndarray, elf: np.ndarray, nuclei: np.ndarray, **draw: Any) -> QuadMesh:
    """Draw the ELF in a plane, in true proportion.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    xy : ndarray, shape (n, m, 2)
        Å.
    elf : ndarray, shape (n, m)
    nuclei : ndarray, shape (k, 2)
        Å.
    **draw
        Go to :meth:`matplotlib.axes.Axes.pcolormesh`.

    Returns
    -------
    matplotlib.collections.QuadMesh
        For a color bar.
    """
    look = {"vmin": 0, "vmax": 1, "shading": "gouraud", "rasterized": True} | draw
    image = ax.pcolormesh(xy[..., 0], xy[..., 1], elf, **look)
    if len(nuclei):
        ax.plot(*nuclei.T, "k.", markersize=4)
    ax.set(ylabel="Å", aspect="equal")
    return image


def plot_plane(
    xy: np.ndarray,
    elf: np.ndarray,
    nuclei: np.ndarray,
    ax: Axes | None = None,
    *,
    x_label: str,
    title: str,
    units: str | None = None,
    bar: str = "ELF",
    **draw: Any,
) -> Axes:
    """One plane with a color bar labelled ``bar``; arrays as for :func:`draw_plane`."""
    factor, x_label = in_units(x_label, units)
    with drawing(ax, (4.8, 4.0), draw) as (ax, options):
        ax.grid(visible=False)
        image = draw_plane(ax, factor * xy, elf, factor * nuclei, **options)
        ax.set(xlabel=x_label, ylabel=units or "Å", title=title)
        ax.figure.colorbar(image, ax=ax, label=bar)
    return ax


def plot_network(
    isovalues: np.ndarray,
    n_regions: np.ndarray,
    largest: np.ndarray,
    marks: Mapping[str, float],
    ax: Axes | None = None,
    **draw: Any,
) -> Axes:
    """Number of ELF regions and share of atoms in the largest against the isovalue.

    Parameters
    ----------
    isovalues, n_regions, largest : ndarray, shape (n,)
    marks : mapping of str to float
        Isovalues that get a vertical line; where they coincide they share a label. NaN gets none.
    """
    with drawing(ax, options=draw) as (ax, options):
        ax.plot(isovalues, largest, color=COLORS[-1], ls="--", label="share of atoms in the largest")
        ax.set(xlabel="ELF isovalue", ylabel="share of atoms (dashed)", ylim=(0, 1.25), xlim=(0, 1))
        right = ax.twinx()
        right.plot(isovalues, n_regions, **{"color": palette(1, options)[0]} | options)
        right.set(ylabel="ELF domains", ylim=(0, None))
        right.grid(visible=False)
        right.spines["right"].set_visible(True)
        for value, name in _labels(marks):
            ax.axvline(value, color=COLORS[1], lw=1)
            ax.text(value - 0.008, 1.23, name, color=COLORS[1], ha="right", va="top", fontsize=9)
    return ax


def _labels(marks: Mapping[str, float]) -> list[tuple[float, str]]:
    """Values in order with their names; of those too close to be written apart the first has all."""
    labels: list[tuple[float, str]] = []
    first = 0
    for value, name in sorted((v, n) for n, v in marks.items() if np.isfinite(v)):
        if labels and value - labels[first][0] < 0.05:
            labels[first] = (labels[first][0], f"{labels[first][1]} {name}")
            labels.append((value, ""))
        else:
            first = len(labels)
            labels.append((value, name))
    return labels


def plot_kinds(values: Mapping[str, np.ndarray], ax: Axes | None = None, *, title: str, **draw: Any) -> Axes:
    """Stacked histogram of the ELF at critical points, by kind; ``title`` is that of the legend."""
    with drawing(ax, options=draw) as (ax, options):
        labels = [f"{kind} ({len(v)})" for kind, v in values.items()]
        look = {"bins": BINS, "stacked": True, "color": palette(len(values), options), "label": labels}
        if "color" in options:  # one for all of them
            options["color"] = [options["color"]] * len(values)
        ax.hist(list(values.values()), **look | options)
        ax.set(xlabel="ELF", ylabel="critical points", xlim=(0, 1))
        ax.legend(title=title, fontsize=9, title_fontsize=9)
    return ax


def plot_bonds(
    bonds: Mapping[str, tuple[np.ndarray, ...]],
    ax: Axes | None = None,
    *,
    units: str | None = None,
    **draw: Any,
) -> Axes:
    """ELF half way against bond length, one color for each label; whiskers down to the lowest.

    Parameters
    ----------
    bonds : mapping of str to three ndarray, shape (n,)
        Length (Å), ELF half way and lowest ELF of the bonds of each label.
    """
    factor, x_label = in_units("bond length / Å", units)
    with drawing(ax, (5.0, 3.4), draw) as (ax, options):
        colors = palette(len(bonds), options)
        for color, (label, (length, middle, lowest)) in zip(colors, bonds.items(), strict=True):
            look = {"color": color, "label": f"{label} ({len(length)})"} | options
            ax.vlines(factor * length, lowest, middle, color=look["color"], alpha=0.25)
            ax.plot(factor * length, middle, **{"marker": ".", "ls": "none"} | look)
        ax.set(xlabel=x_label, ylabel="ELF half way", ylim=(0, 1.03))
        if bonds:
            ax.legend(fontsize=9)
    return ax
