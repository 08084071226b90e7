"""Matplotlib figures of one ELF: a plane, the network against the isovalue, points, bonds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ase_elf.plotting.statistics import COLORS, new_axis, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ase_elf.grid import ELFGrid
    from ase_elf.ruler import BondTable
    from ase_elf.topology.critical import CriticalPoints
    from ase_elf.topology.networking import Networking

BINS = np.linspace(0, 1, 41)


def plot_grid(grid: ELFGrid, ax: Axes | None = None, *, normal: int = 2, at: float = 0.5) -> Axes:
    """One plane of a grid, with nuclei close to it and a color bar."""
    from ase_elf.viewer import draw_plane

    with style():
        ax = new_axis(ax, (4.8, 4.0))
        ax.grid(visible=False)
        point = np.full(3, 0.5)
        point[normal] = at
        image = draw_plane(grid, normal, point, ax=ax)
        ax.figure.colorbar(image, ax=ax, label="ELF")
    return ax


def plot_networking(network: Networking, ax: Axes | None = None) -> Axes:
    """Number of ELF domains and share of atoms in the largest against the isovalue.

    Vertical lines mark φ*, φ1, φ2 and φ; where they coincide they share a label.
    """
    isovalues = np.linspace(0.02, 0.98, 49)
    found = [network.tree.domains(t) for t in isovalues]
    n_atoms = max(1, len(network.atoms))
    with style():
        ax = new_axis(ax)
        share = [max((len(d.atoms) for d in domains), default=0) / n_atoms for domains in found]
        ax.plot(isovalues, share, color=COLORS[-1], ls="--", label="share of atoms in the largest")
        ax.set(xlabel="ELF isovalue", ylabel="share of atoms (dashed)", ylim=(0, 1.25), xlim=(0, 1))
        right = ax.twinx()
        right.plot(isovalues, [len(domains) for domains in found], color=COLORS[0])
        right.set(ylabel="ELF domains", ylim=(0, None))
        right.grid(visible=False)
        right.spines["right"].set_visible(True)
        for value, name in _labels(network):
            ax.axvline(value, color=COLORS[1], lw=1)
            ax.text(value - 0.008, 1.23, name, color=COLORS[1], ha="right", va="top", fontsize=9)
    return ax


def _labels(network: Networking) -> list[tuple[float, str]]:
    """Values in order with their names; of those too close to be written apart the first has all."""
    values = {"φ": network.phi, "φ₂": network.phi2, "φ₁": network.phi1, "φ*": network.phi_star}
    labels: list[tuple[float, str]] = []
    first = 0
    for value, name in sorted((v, n) for n, v in values.items() if np.isfinite(v)):
        if labels and value - labels[first][0] < 0.05:
            labels[first] = (labels[first][0], f"{labels[first][1]} {name}")
            labels.append((value, ""))
        else:
            first = len(labels)
            labels.append((value, name))
    return labels


def plot_critical_points(points: CriticalPoints, ax: Axes | None = None) -> Axes:
    """How many critical points of each kind there are at which ELF."""
    from ase_elf.topology.critical import KINDS

    with style():
        ax = new_axis(ax)
        values = [points.values[points.kind == kind] for kind in KINDS]
        labels = [f"{kind} ({len(v)})" for kind, v in zip(KINDS, values, strict=True)]
        ax.hist(values, BINS, stacked=True, color=COLORS[: len(KINDS)], label=labels)
        ax.set(xlabel="ELF", ylabel="critical points", xlim=(0, 1))
        ax.legend(title=f"Morse sum {points.euler}", fontsize=9, title_fontsize=9)
    return ax


def plot_bonds(table: BondTable, ax: Axes | None = None) -> Axes:
    """ELF half way against bond length, one color for each label; whiskers down to the lowest."""
    with style():
        ax = new_axis(ax, (5.0, 3.4))
        for k, label in enumerate(sorted(set(table["label"].tolist()))):
            rows = table.rows[table["label"] == label]
            color = COLORS[k % len(COLORS)]
            ax.vlines(rows["length"], rows["elf_min"], rows["elf_mid"], color=color, alpha=0.25)
            ax.plot(rows["length"], rows["elf_mid"], ".", color=color, label=f"{label} ({len(rows)})")
        ax.set(xlabel="bond length / Å", ylabel="ELF half way", ylim=(0, 1.03))
        if len(table):
            ax.legend(fontsize=9)
    return ax
