"""screening.csv, screening.json and report.html of a screening."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from ase_elf import __version__
from ase_elf.analysis.quantities import TC, names_of
from ase_elf.analysis.screening import ORDERS, VALUES, Screened, rank, temperatures
from ase_elf.errors import DomainError
from ase_elf.plotting.figure import drawing, label_points, palette, svg
from ase_elf.report import network_view
from ase_elf.report.html import CITE, embedded, render, table_rows
from ase_elf.report.snapshots import Snapshot
from ase_elf.report.tables import kind_of, number, write_json
from ase_elf.statistics.rounding import with_error
from ase_elf.storage.atomic import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ase_elf.formats.own_table import OwnTable
    from ase_elf.grid import ELFGrid

    Found = tuple[ELFGrid, dict[tuple[str, str], float] | None]

TC_VALUES = names_of(TC)

COLUMNS = (
    "rank", "name", "formula", "n_atoms", "elf", *VALUES, *TC_VALUES, "elf_outside",
    "reasons_outside", "domain", "weights", "notes", "error",
)  # fmt: skip
"""Columns of ``screening.csv``. Lengths in Å, r_s in bohr, Tc in K; empty = undefined."""

MOST_ROWS = 500
"""Rows of the table in the page; all of them are in ``screening.csv``."""

RANKING_HEAD = (
    "", "structure", "formula", "atoms", "φ", "φ*", "φ₁", "φ₂", "r_s / bohr", "ELF", "Tc / K", "notes",
)  # fmt: skip

BEST = 8
"""Structures in the 3D view."""


def write_screening(
    directory: Path,
    ranked: Sequence[Screened],
    *,
    source: str,
    grids: Callable[[Sequence[Screened]], Iterable[Found | None]] | None = None,
    failure: Exception | None = None,
    own: OwnTable | None = None,
    by: str = "phi",
) -> None:
    """Write tables and, where the run wants one, the report.

    Parameters
    ----------
    directory : Path
    ranked : sequence of Screened
        As :func:`ase_elf.analysis.screening.rank` orders them.
    source : str
        Where the structures are from.
    grids : callable, optional
        Gives, for each of some rows, its grid and the longest bonds of its pack (None where the ELF is
        from a file), or None where the grid does not fit into memory. Without it no report is made.
    failure : Exception, optional
        What stopped the run before its end.
    own : OwnTable, optional
        Whose columns are added to the tables.
    by : str
        What the ranking is by, of :data:`ase_elf.analysis.screening.ORDERS`; the page says it.
    """
    with replacing(directory / "screening.csv") as part:
        write_table(part, ranked, own)
    if grids is not None:
        page = _page(ranked, source, grids, failure, by)
        with replacing(directory / "report.html") as part:
            part.write_text(page, encoding="utf-8")
    with replacing(directory / "screening.json") as part:
        write_json(part, _summary(ranked, failure, own))


def write_table(path: Path, ranked: Sequence[Screened], own: OwnTable | None = None) -> None:
    """The ranking as CSV; structures that were not analysed have no rank."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        columns = (*COLUMNS, *_own_columns(own))
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        for record in _records(ranked, own):
            values = {k: number(v) if isinstance(v, float) else v for k, v in record.items()}
            writer.writerow(values)


def _own_columns(own: OwnTable | None) -> list[str]:
    """Columns of a user's table; one called like one of ours says whose it is."""
    return [] if own is None else [f"own_{name}" if name in COLUMNS else name for name in own.columns]


def _records(ranked: Sequence[Screened], own: OwnTable | None = None):
    for place, row in enumerate(ranked, 1):
        good = row.error is None
        yield {
            "rank": place if good else "",
            "name": row.name,
            "formula": row.formula,
            "n_atoms": row.n_atoms or "",
            "elf": row.elf,
            **{name: row.values.get(name, math.nan) for name in (*VALUES, *TC_VALUES)},
            # Of an ELF that was read no model extrapolates.
            "elf_outside": int(bool(row.outside)) if good and not row.from_file else "",
            "reasons_outside": "; ".join(row.outside),
            "domain": row.domain,
            "weights": row.weights,
            "notes": "; ".join(row.notes),
            "error": row.error or "",
            **({} if own is None else _of_own(own, row.name)),
        }


def _of_own(own: OwnTable, name: str) -> dict[str, str]:
    row = own.of(name) or {}
    return {shown: row.get(column, "") for shown, column in zip(_own_columns(own), own.columns, strict=True)}


def _summary(ranked: Sequence[Screened], failure: Exception | None, own: OwnTable | None = None) -> dict:
    empty = {"": None}
    return {
        "status": "stopped" if failure else "complete",
        "stopped_by": None if failure is None else str(failure),
        "structures": len(ranked),
        "failed": sum(row.error is not None for row in ranked),
        "out_of_domain": sum(bool(row.outside) for row in ranked),
        "from_files": sum(row.from_file for row in ranked),
        "warnings": _warnings(ranked, failure),
        "ase_elf": __version__,
        "ranking": [
            {key: empty.get(value, value) if isinstance(value, str) else value
             for key, value in record.items()}
            for record in _records(ranked, own)
        ],
    }  # fmt: skip


def _warnings(ranked: Sequence[Screened], failure: Exception | None) -> list[str]:
    out = []
    if failure is not None:
        out.append(f"The screening stopped early, after {len(ranked)} structures: {failure}")
    outside = [row for row in ranked if row.outside]
    if outside:
        kinds = sorted({kind_of(reason) for row in outside for reason in row.outside})
        out.append(
            f"{len(outside)} of {len(ranked)} structures lie outside the range the domain pack was "
            f"trained on ({', '.join(kinds)}): the model extrapolates there, and its stated "
            "uncertainty need not cover the error."
        )
    kinds = {row.elf for row in ranked if row.error is None}
    if len(kinds) > 1:
        out.append(
            "The ELF is not of one kind: " + ", ".join(sorted(kinds)) + ". What differs by less than "
            "the model errs, or two recipes of DFT do, is no order."
        )
    noted = sum(bool(row.notes) for row in ranked)
    if noted:
        out.append(f"{noted} of {len(ranked)} have notes on what was read; see their last column.")
    failed = sum(row.error is not None for row in ranked)
    if failed:
        out.append(f"{failed} of {len(ranked)} could not be analysed; the reasons are listed below.")
    return out


def _page(
    ranked: Sequence[Screened],
    source: str,
    grids: Callable[[Sequence[Screened]], Iterable[Found | None]],
    failure: Exception | None,
    by: str,
) -> str:
    good = [row for row in ranked if row.error is None]
    shown = _shown(good[:BEST], grids(good[:BEST]))
    columns, ranking = _ranking(good[:MOST_ROWS])
    used = sorted({row.domain for row in good if row.domain})
    weights = {name: sorted({row.weights for row in good if row.domain == name}) for name in used}
    return render(
        "screening.html",
        title=f"ELF networks of {len(good)} structures, ranked",
        facts=_facts(ranked, good, source),
        warnings=_warnings(ranked, failure),
        fine="All structures lie within the trained range."
        if used
        else "Nothing was predicted: the ELF is that of the files.",
        best=_best(good),
        shown=len(shown.labels),
        figures=list(_figures(good)),
        most=f"The first {MOST_ROWS} are shown." if len(good) > MOST_ROWS else "",
        columns=columns,
        ranking=ranking,
        outside=any(row.outside for row in good),
        order=f"In the order of {'φ' if by == 'phi' else f'Tc ({ORDERS[by]})'}, the highest first.",
        tc=any(temperatures(row.values) for row in good),
        failed=table_rows([(row.name, row.formula, row.error) for row in ranked if row.error][:MOST_ROWS]),
        topics=CITE[:3] + CITE[4:],
        packs=weights,
        view=shown.figure(),
        picture=shown.picture(),
    )


def _facts(ranked: Sequence[Screened], good: Sequence[Screened], source: str) -> dict:
    facts = {"from": source, "structures": f"{len(ranked)}"}
    for what, n in (("not analysed", len(ranked) - len(good)),
                    ("outside the trained range", sum(bool(row.outside) for row in good))):  # fmt: skip
        if n:
            facts[what] = f"{n}"
    if good:
        atoms = [row.n_atoms for row in good]
        facts["atoms in a cell"] = f"{min(atoms)} to {max(atoms)}"
        sources = Counter("of files" if r.from_file else f"by {r.domain}" for r in good)
        facts["ELF"] = ", ".join(f"{n} {source}" for source, n in sources.items())
    return facts


def _best(good: Sequence[Screened]) -> dict[str, str] | None:
    """Highest φ and whose it is; the ranking may be by something else."""
    if not good:
        return None
    row = rank(good)[0]
    value = _with_error(row.values["elf_phi"], row.values["elf_phi_uncertainty"])
    return {"value": value, "name": row.name, "formula": row.formula}


@dataclass
class _Shown:
    """Structures in 3D, each with the surface on which it is just connected."""

    snapshots: list[Snapshot] = field(default_factory=list)
    bonds: dict[int, dict[str, np.ndarray]] = field(default_factory=dict)
    isovalues: list[float] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)

    def figure(self) -> dict | None:
        """All structures in one view, or None if there are no structures."""
        if not self.labels:
            return None
        return network_view.figure(self.snapshots, self.bonds, self.isovalues, self.labels)

    def picture(self) -> bytes:
        """Of the first."""
        if not self.labels:
            return b""
        first = self.snapshots[0]
        return network_view.picture(first, self.bonds.get(first.frame), self.isovalues[0])


def _shown(best: Sequence[Screened], grids: Iterable[Found | None]) -> _Shown:
    """The first of the ranking, but those whose grid does not fit into memory."""
    from ase_elf.ruler import measure_bonds
    from ase_elf.topology import networking

    shown = _Shown()
    for place, (row, found) in enumerate(zip(best, grids, strict=True), 1):
        if found is None:
            continue
        grid, cutoffs = found
        shown.snapshots.append(Snapshot.of(place, math.nan, grid, networking(grid)))
        with suppress(DomainError):  # of elements that nothing installed has bonds for
            table = measure_bonds(grid.atoms, grid, cutoffs=cutoffs)
            shown.bonds[place] = {name: table[name] for name in table.columns}
        shown.isovalues.append(row.values["elf_phi"])
        name = row.name if len(row.name) < 28 else f"{row.name[:12]}…{row.name[-14:]}"
        shown.labels.append(f"{place}. {name}  φ = {row.values['elf_phi']:.3f}")
    return shown


def _figures(good: Sequence[Screened]):
    drawn = (
        ("uncertainty", plot_uncertainty, ("elf_phi", "elf_phi_uncertainty"), "φ against its uncertainty",
         "One standard deviation from grid and, where the ELF is predicted, model. High and to the left is "
         "what is both well connected and known well. The five highest have their place in the ranking by φ."),
        ("density", plot_density, ("elf_phi", "r_s_bohr"), "φ against density",
         "r_s is the radius of the sphere an atom has for itself. Bars are one standard deviation."),
        ("molecularity", plot_molecularity, ("elf_phi", "elf_phi_star"), "φ against φ*",
         "On the line all links are alike; below it hydrogen forms units that are linked weakly."),
    )  # fmt: skip
    for name, plot, needed, title, text in drawn:
        rows = [row for row in good if all(math.isfinite(row.values[each]) for each in needed)]
        if rows:
            yield embedded(name, svg(plot(rows).figure), title, text)


def plot_uncertainty(rows: Sequence[Screened], ax: Axes | None = None, **draw: Any) -> Axes:
    """φ against its uncertainty; the five highest are numbered by their place."""
    ax = _scatter(rows, "elf_phi_uncertainty", ax, **draw)
    ax.set(xlabel="uncertainty of φ", ylabel="networking value φ", xlim=(0, None))
    best = [row.values for row in rank(rows)[:5]]
    at = np.array([(values["elf_phi_uncertainty"], values["elf_phi"]) for values in best])
    label_points(ax, at, [str(place) for place in range(1, len(best) + 1)])
    return ax


def plot_density(rows: Sequence[Screened], ax: Axes | None = None, **draw: Any) -> Axes:
    """φ with its uncertainty against r_s, one symbol per structure."""
    ax = _scatter(rows, "r_s_bohr", ax, error="elf_phi_uncertainty", **draw)
    ax.set(xlabel="r_s / bohr", ylabel="networking value φ")
    return ax


def plot_molecularity(rows: Sequence[Screened], ax: Axes | None = None, **draw: Any) -> Axes:
    """φ against φ*, with the line on which they are equal."""
    ax = _scatter(rows, "elf_phi_star", ax, **draw)
    low = min((row.values["elf_phi"] for row in rows), default=0.0)
    ax.plot([low, 1], [low, 1], color="#9aa4ae", lw=0.8, zorder=0)
    ax.set(xlabel="molecularity index φ*", ylabel="networking value φ")
    return ax


def _scatter(
    rows: Sequence[Screened], x_name: str, ax: Axes | None, *, error: str | None = None, **draw: Any
) -> Axes:
    groups = (
        ("within the trained range", 0, True, lambda r: not r.outside and not r.from_file),
        ("outside the trained range", 1, False, lambda r: bool(r.outside)),
        ("ELF from files", 2, True, lambda r: r.from_file),
    )
    with drawing(ax, (5.4, 3.8), draw) as (ax, options):
        colors = palette(3, options)
        for label, color, filled, belongs in groups:
            chosen = [row.values for row in rows if belongs(row)]
            if not chosen:
                continue
            x = np.array([values[x_name] for values in chosen])
            y = np.array([values["elf_phi"] for values in chosen])
            color = options.get("color", colors[color])
            if error is not None:
                bars = [values[error] for values in chosen]
                ax.errorbar(x, y, bars, fmt="none", ecolor=color, alpha=0.25, lw=0.8)
            look = {
                "s": 9 if filled else 12, "linewidths": 0.8, "edgecolors": color,
                "facecolors": color if filled else "none", "label": f"{label} ({len(chosen)})",
            }  # fmt: skip
            ax.scatter(x, y, **look | options)
        ax.legend(fontsize=8)
    return ax


def _ranking(rows: Sequence[Screened]) -> tuple[list[str], list[dict]]:
    """Head and rows of the table, without the columns in which nothing stands."""
    lines: list[dict] = []
    for place, row in enumerate(rows, 1):
        v = row.values
        cells = [
            str(place), row.name, row.formula, str(row.n_atoms),
            _with_error(v["elf_phi"], v["elf_phi_uncertainty"]),
            _with_error(v["elf_phi_star"], v["elf_phi_star_uncertainty"]),
            _plain(v["elf_phi1"]), _plain(v["elf_phi2"]), _plain(v["r_s_bohr"]),
            row.elf if row.from_file else "; ".join(row.outside) or "predicted, within",
            _temperatures(v), _folded(row.notes),
        ]  # fmt: skip
        lines += table_rows([cells], "outside" if row.outside else "")
    full = [k for k in range(len(RANKING_HEAD)) if any(line["cells"][k] not in ("", "–") for line in lines)]
    for line in lines:
        line["cells"] = [line["cells"][k] for k in full]
    return [RANKING_HEAD[k] for k in full], lines


def _folded(notes: Sequence[str]) -> str:
    """Notes behind their number: they are long, and alike in many rows."""
    if not notes:
        return ""
    items = Markup("").join(Markup("<li>{}</li>").format(note) for note in notes)
    head = "1 note" if len(notes) == 1 else f"{len(notes)} notes"
    return Markup('<details class="notes"><summary>{}</summary><ul>{}</ul></details>').format(head, items)


def _temperatures(values: Mapping[str, float]) -> str:
    """The range of the published estimates, and the larger of the errors that are known."""
    kelvin = temperatures(values).values()
    if not kelvin:
        return ""
    errors = [value for name, value in values.items() if name.startswith("tc_") and name.endswith("_error")]
    return f"{min(kelvin):.0f} to\u00a0{max(kelvin):.0f}" + (
        f"\u00a0±\u00a0{max(errors):.0f}" if errors else ""
    )


def _plain(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"


def _with_error(value: float, error: float) -> str:
    return "–" if math.isnan(value) else with_error(value, error).replace(" ", "\u00a0")
