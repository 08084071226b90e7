"""Comparisons: of two ELF of one structure, and of two analysed trajectories."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_elf.analysis.quantities import FRAMES
from ase_elf.errors import InputError
from ase_elf.grid import ELFGrid
from ase_elf.statistics.rounding import with_error

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ase_elf.report.results import RunResults
    from ase_elf.statistics import ScalarAverage
    from ase_elf.training.evaluate import Score

__all__ = ["GridComparison", "RunComparison", "compare_elf", "compare_runs"]

SAME_PLACE = 0.02
"""Å. Atoms of two structures this close are at the same place; cell vectors likewise."""


@dataclass(frozen=True, eq=False)
class GridComparison:
    """Two ELF of one structure.

    Parameters
    ----------
    names : tuple of str
        Of the reference A, and of B.
    reference, other : ELFGrid
        On the grid of the reference.
    score : Score
        How far B is from A: R² against the mean of A, errors, φ, critical points.
    """

    names: tuple[str, str]
    reference: ELFGrid
    other: ELFGrid
    score: Score

    def rows(self) -> list[tuple[str, str]]:
        """What a table says: name and value."""
        s = self.score
        rows = [
            ("R² of B against A", f"{s.r2:.5f}"),
            ("mean absolute difference", f"{s.mae:.4f}"),
            ("root mean square difference", f"{s.rmse:.4f}"),
            ("mean of B - A", f"{s.bias:+.4f}"),
            ("largest difference", f"{s.max_error:.3f}"),
            ("φ of A", f"{s.phi_reference:.4f}"),
            ("φ of B", with_error(s.phi, s.phi_uncertainty)),
            ("φ of B - A", f"{s.phi_error:+.4f}"),
        ]
        for kind, match in (s.matches or {}).items():
            apart = f", {match.displacement:.3f} Å apart in the mean" if match.matched else ""
            rows.append(
                (f"{kind}: A, B, matched", f"{match.reference}, {match.predicted}, {match.matched}{apart}")
            )
        if not math.isnan(s.f1):
            rows.append(("bonds of the network that agree (F1)", f"{s.f1:.3f}"))
        return rows

    def record(self) -> dict[str, Any]:
        """All numbers, by name."""
        matches = {
            kind: {"a": m.reference, "b": m.predicted, "matched": m.matched, "displacement": m.displacement}
            for kind, m in (self.score.matches or {}).items()
        }
        leave_out = ("name", "kind", "split", "distance", "seconds")
        row = {name: value for name, value in self.score.row().items() if name not in leave_out}
        return {"a": self.names[0], "b": self.names[1], **row, "critical_points": matches}

    def headline(self) -> tuple[str, str]:
        """The result in a few words, and what it is."""
        s = self.score
        return (
            f"R² = {s.r2:.4f}",
            f"mean absolute difference {s.mae:.4f}; φ of B - A = {s.phi_error:+.4f}",
        )

    def figures(self) -> dict[str, tuple[str, Any]]:
        """Title and figure, by file name."""
        from ase_elf.report.accuracy_plots import plot_parity

        return {
            "difference": ("Where they differ most", self.plot().figure),
            "parity": ("Value by value", plot_parity([self.score], names=("A", "B"))[0, 0].figure),
        }

    def plot(self, ax: Axes | None = None, **draw: Any) -> Axes:
        """B - A in the plane of two cell vectors through the point where they differ most."""
        from ase_elf.geometry.plane import Plane
        from ase_elf.plotting.fields import plot_plane

        difference = self.other.values.astype(float) - self.reference.values
        at = np.unravel_index(np.abs(difference).argmax(), difference.shape)
        normal = 2
        plane = Plane(self.reference.cell, normal, at[normal] / difference.shape[normal])
        values = self.other.sample(plane.points) - self.reference.sample(plane.points)
        most = float(np.abs(values).max()) or 1.0
        look = {"cmap": "RdBu_r", "vmin": -most, "vmax": most, "bar": "ELF of B - A"} | draw
        nuclei = plane.nuclei(self.reference.atoms.get_scaled_positions())
        return plot_plane(
            plane.xy, values.reshape(plane.xy.shape[:2]), nuclei, ax, x_label=plane.x_label,
            title=plane.title, **look,
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class RunComparison:
    """Two analysed trajectories of the same elements.

    Parameters
    ----------
    names : tuple of str
    first, second : RunResults
    """

    names: tuple[str, str]
    first: RunResults
    second: RunResults

    def rows(self) -> list[tuple[str, str, str, str]]:
        """Quantity, A, B, and the difference with its error and in standard errors."""
        rows = []
        for quantity in FRAMES:
            a, b = (run.averages[quantity.name] for run in (self.first, self.second))
            if not (math.isfinite(a.mean) and math.isfinite(b.mean)):
                continue
            what = quantity.described.partition(":")[0]
            rows.append((what, _short(a), _short(b), _difference(a, b)))
        for pair, apart, r in self._rdf():
            rows.append((f"g(r) of {pair}", "", "", f"{apart:.3f} at most, at {r:.2f} Å"))
        return rows

    def record(self) -> dict[str, Any]:
        """All numbers, by name."""
        found = {}
        for quantity in FRAMES:
            a, b = (run.averages[quantity.name] for run in (self.first, self.second))
            error = math.hypot(a.stated_error, b.stated_error)
            found[quantity.name] = {
                "a": a.mean, "a_error": a.stated_error, "b": b.mean, "b_error": b.stated_error,
                "difference": b.mean - a.mean, "difference_error": error,
            }  # fmt: skip
        rdf = {pair: {"largest_difference": apart, "at": r} for pair, apart, r in self._rdf()}
        return {"a": self.names[0], "b": self.names[1], "averages": found, "rdf": rdf}

    def headline(self) -> tuple[str, str]:
        """The result in a few words, and what it is."""
        a, b = (run.averages["elf_phi"] for run in (self.first, self.second))
        return f"φ of B - A = {_difference(a, b)}", f"{_short(a)} in A, {_short(b)} in B"

    def figures(self) -> dict[str, tuple[str, Any]]:
        """Title and figure, by file name."""
        figures = {"phi": ("φ along both runs", self._plot_phi().figure)}
        for pair, _, _ in self._rdf():
            name = "gr" if len(self.first.results["rdf"].pairs) == 1 else f"gr-{pair}"
            figures[name] = (f"g(r) of {pair}", self._plot_rdf(pair).figure)
        return figures

    def _rdf(self) -> list[tuple[str, float, float]]:
        """Of each pair of elements the largest difference of g(r), and where it is (Å)."""
        a, b = (run.results["rdf"] for run in (self.first, self.second))
        reach = min(a.edges[-1], b.edges[-1])
        found = []
        for pair in a.pairs:
            if pair not in b.pairs:
                continue
            r = a.r[a.r < reach]
            apart = np.interp(r, b.r, b.g[b.pairs.index(pair)]) - a.g[a.pairs.index(pair)][: len(r)]
            if np.isfinite(apart).any():
                k = int(np.nanargmax(np.abs(apart)))
                found.append((pair, float(apart[k]), float(r[k])))
        return found

    def _plot_phi(self) -> Axes:
        from ase_elf.plotting.figure import COLORS

        ax = self.first.plot_series("phi")
        self.second.plot_series("phi", ax, color=COLORS[1])
        _name_lines(ax)
        return ax

    def _plot_rdf(self, pair: str) -> Axes:
        from ase_elf.plotting.curves import plot_radial
        from ase_elf.plotting.figure import COLORS

        ax = None
        for name, run, color in zip(("A", "B"), (self.first, self.second), COLORS, strict=False):
            rdf = run.results["rdf"]
            k = rdf.pairs.index(pair)
            ax = plot_radial(rdf.edges, {name: (rdf.g[k], rdf.error[k])}, [None], None, ax, color=color)
        return ax


def compare_elf(reference: ELFGrid, other: ELFGrid, names: tuple[str, str] = ("A", "B")) -> GridComparison:
    """Two ELF of one structure, the second on the grid of the first.

    Raises
    ------
    InputError
        If cells, elements or positions differ by more than :data:`SAME_PLACE`.
    """
    from ase_elf.training.evaluate import compare_grids

    _check_same(reference, other, names)
    if other.shape != reference.shape:
        on = other.resample(reference.shape)
        other = ELFGrid(on.values, reference.atoms, other.info, on.sigma)
    return GridComparison(names, reference, other, compare_grids(reference, other))


def compare_runs(first: RunResults, second: RunResults, names: tuple[str, str] = ("A", "B")) -> RunComparison:
    """Two analysed trajectories.

    Raises
    ------
    InputError
        If they are of different elements, or were analysed at different isovalues.
    """
    if set(first.composition) != set(second.composition):
        a, b = (", ".join(sorted(run.composition)) for run in (first, second))
        raise InputError(f"{names[0]} is of {a} and {names[1]} of {b}; compare runs of the same elements.")
    if first.settings.isovalue != second.settings.isovalue:
        raise InputError(
            f"{names[0]} was analysed at isovalue {first.settings.isovalue:g} and {names[1]} at "
            f"{second.settings.isovalue:g}; analyse both with the same --isovalue."
        )
    return RunComparison(names, first, second)


def _check_same(a: ELFGrid, b: ELFGrid, names: tuple[str, str]) -> None:
    apart = float(np.abs(a.cell - b.cell).max())
    if apart > SAME_PLACE:
        raise InputError(
            f"the cells of {names[0]} and {names[1]} differ by up to {apart:.3f} Å; two ELF are compared "
            "in the same cell, with its vectors in the same order."
        )
    if sorted(a.atoms.symbols) != sorted(b.atoms.symbols):
        raise InputError(f"{names[0]} is of {a.atoms.symbols} and {names[1]} of {b.atoms.symbols}.")
    for symbol in set(a.atoms.symbols):
        one, two = (g.atoms.positions[g.atoms.symbols == symbol] for g in (a, b))
        far = _farthest(one, two, a.cell)
        if far > SAME_PLACE:
            raise InputError(
                f"an atom {symbol} of {names[0]} is {far:.3f} Å from the nearest one of {names[1]}: they are "
                "not the same structure, or the origin of one is shifted."
            )


def _farthest(one: np.ndarray, two: np.ndarray, cell: np.ndarray) -> float:
    """Å: of the points of one set, the largest distance to the nearest point of the other."""
    from ase.geometry import find_mic

    vectors = (one[:, None] - two[None]).reshape(-1, 3)
    return float(find_mic(vectors, cell)[1].reshape(len(one), len(two)).min(axis=1).max())


def _short(average: ScalarAverage) -> str:
    return str(average).partition(" (")[0]


def _difference(a: ScalarAverage, b: ScalarAverage) -> str:
    """B - A with its error, and in standard errors; without where one run is too short for one."""
    apart = b.mean - a.mean
    error = math.hypot(a.stated_error, b.stated_error)
    if not error > 0:
        return f"{apart:+.3g}"
    sign = "+" if apart >= 0 else ""
    return f"{sign}{with_error(apart, error)} ({abs(apart) / error:.1f}σ)"


def _name_lines(ax: Axes) -> None:
    """A and B in front of the labels of a legend."""
    handles, labels = ax.get_legend_handles_labels()
    kept = [(h, f"{name}  {text}") for h, text, name in zip(handles, labels, "AB", strict=True)]
    ax.legend(*zip(*kept, strict=True), loc="lower left", bbox_to_anchor=(0.0, 1.0), fontsize=9)
