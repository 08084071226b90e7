"""What describes one ELF: a plane, the network against the isovalue, critical points, bonds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ase_elf.plotting.figure import COLORS, new_axis, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh

BINS = np.linspace(0, 1, 41)


def draw_plane(ax: Axes, xy: np.ndarray, elf: np.ndarray, nuclei: np.ndarray) -> QuadMesh:
    """Draw the ELF in a plane, in true proportion.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    xy : ndarray, shape (n, m, 2)
        Å.
    elf : ndarray, shape (n, m)
    nuclei : ndarray, shape (k, 2)
        Å.

    Returns
    -------
    matplotlib.collections.QuadMesh
        For a color bar.
    """
    image = ax.pcolormesh(xy[..., 0], xy[..., 1], elf, vmin=0, vmax=1, shading="gouraud", rasterized=True)
    if len(nuclei):
        ax.plot(*nuclei.T, "k.", markersize=4)
    ax.set(ylabel="Å", aspect="equal")
    return image


def plot_plane(
    xy: np.ndarray, elf: np.ndarray, nuclei: np.ndarray, ax: Axes | None = None, *, x_label: str, title: str
) -> Axes:
    """One plane with a color bar; arrays as for :func:`draw_plane`."""
    with style():
        ax = new_axis(ax, (4.8, 4.0))
        ax.grid(visible=False)
        image = draw_plane(ax, xy, elf, nuclei)
        ax.set(xlabel=x_label, title=title)
        ax.figure.colorbar(image, ax=ax, label="ELF")
    return ax


def plot_network(
    isovalues: np.ndarray,
    n_regions: np.ndarray,
    largest: np.ndarray,
    marks: Mapping[str, float],
    ax: Axes | None = None,
) -> Axes:
    """Number of ELF regions and share of atoms in the largest against the isovalue.

    Parameters
    ----------
    isovalues, n_regions, largest : ndarray, shape (n,)
    marks : mapping of str to float
        Isovalues that get a vertical line; where they coincide they share a label. NaN gets none.
    """
    with style():
        ax = new_axis(ax)
        ax.plot(isovalues, largest, color=COLORS[-1], ls="--", label="share of atoms in the largest")
        ax.set(xlabel="ELF isovalue", ylabel="share of atoms (dashed)", ylim=(0, 1.25), xlim=(0, 1))
        right = ax.twinx()
        right.plot(isovalues, n_regions, color=COLORS[0])
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


def plot_kinds(values: Mapping[str, np.ndarray], ax: Axes | None = None, *, title: str) -> Axes:
    """Stacked histogram of the ELF at critical points, by kind; ``title`` is that of the legend."""
    with style():
        ax = new_axis(ax)
        labels = [f"{kind} ({len(v)})" for kind, v in values.items()]
        ax.hist(list(values.values()), BINS, stacked=True, color=COLORS[: len(values)], label=labels)
        ax.set(xlabel="ELF", ylabel="critical points", xlim=(0, 1))
        ax.legend(title=title, fontsize=9, title_fontsize=9)
    return ax


def plot_bonds(bonds: Mapping[str, tuple[np.ndarray, ...]], ax: Axes | None = None) -> Axes:
    """ELF half way against bond length, one color for each label; whiskers down to the lowest.

    Parameters
    ----------
    bonds : mapping of str to three ndarray, shape (n,)
        Length (Å), ELF half way and lowest ELF of the bonds of each label.
    """
    with style():
        ax = new_axis(ax, (5.0, 3.4))
        for k, (label, (length, middle, lowest)) in enumerate(bonds.items()):
            color = COLORS[k % len(COLORS)]
            ax.vlines(length, lowest, middle, color=color, alpha=0.25)
            ax.plot(length, middle, ".", color=color, label=f"{label} ({len(length)})")
        ax.set(xlabel="bond length / Å", ylabel="ELF half way", ylim=(0, 1.03))
        if bonds:
            ax.legend(fontsize=9)
    return ax
