"""report.html: one file that opens offline and says first what may be wrong."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ase_elf import __version__
from ase_elf.analysis.quantities import FRAMES
from ase_elf.report import network_view
from ase_elf.report.tables import bond_rows
from ase_elf.statistics.rounding import with_error

if TYPE_CHECKING:
    from ase_elf.report.results import RunResults
    from ase_elf.report.snapshots import Snapshot

MOST_ROWS = 200
"""Rows of a bond table; all of them are in ``bonds.csv``."""

BOND_HEAD = (
    "i", "j", "pair", "length / Å", "ELF half way", "lowest ELF", "ELF at the bond point", "mutual nearest",
    "type", "length the ruler reads / Å", "deviation / Å", "uncertainty / Å", "outside",
)  # fmt: skip
"""Heads of :func:`ase_elf.report.tables.bond_rows`."""

FIGURES = (
    ("networking", "Networking values",
     "φ is the highest ELF isovalue at which one connected region runs through the crystal or "
     "fluid in all three directions; φ₂ and φ₁ ask for two and one. φ* is the highest isovalue "
     "at which two atoms are connected at all: near 1 where there are molecules. A φ close to "
     "φ* means that all links are alike, a φ far below it that molecules are weakly linked. "
     "In a fluid φ is a percolation threshold: it depends on the number of atoms."),
    ("molecular_fraction", "Molecular fraction",
     "By three definitions: pairs with nobody else within the bond length, pairs of mutual "
     "nearest neighbors within it, and ELF domains of exactly two atoms at the isovalue. Where "
     "they differ, distance and electrons disagree about what a molecule is. A fourth, pairs "
     "that last, stands with the bond lifetime."),
    ("cluster_numbers", "ELF domains by size",
     "Connected regions with ELF above the isovalue, by the number of nuclei inside."),
    ("bond_length", "Bond lengths", "Pairs within the bond length, and nearest neighbors."),
    ("rdf", "Radial distribution function",
     "All periodic images counted; the dotted line marks the first minimum."),
    ("resolved_rdf", "g(r) by the ELF half way",
     "The same g(r), in layers: how many of the pairs at a distance share electrons (high ELF half "
     "way between the nuclei), and how many only lie side by side (low ELF)."),
    ("percolation", "Percolation of the ELF network",
     "Share of frames whose network is periodic in one, two, three directions at an isovalue, "
     "and the share of atoms in the largest domain."),
    ("lifetime", "Bond lifetime",
     "C(t): bonded at 0 and at t, whatever in between. S(t): bonded all the time."),
    ("clusters", "Cluster sizes", "Mean number of ELF domains per frame, by number of atoms."),
    ("degrees", "Neighbors in the network", "Links of an atom at the isovalue."),
    ("midpoint", "ELF at bond midpoints",
     "Against bond length. The band is the spread among bonds of equal length: what the "
     "surroundings do to a bond."),
    ("bond_point", "ELF at the critical points of bonds",
     "At the bond point between the attractors of two atoms, or at their common one, against "
     "bond length."),
    ("orientation", "Orientational order of molecules",
     "1 parallel, −1/2 perpendicular, 0 no order, against the distance of their centers."),
    ("elf", "ELF in the cell", "Share of the volume."),
)  # fmt: skip
"""File name, title and explanation of the plots, in order of appearance."""

CITE = (
    ("Electron localization function",
     "A. D. Becke, K. E. Edgecombe, J. Chem. Phys. 92, 5397 (1990)", "10.1063/1.458517"),
    ("Networking value φ",
     "F. Belli, T. Novoa, J. Contreras-García, I. Errea, Nat. Commun. 12, 5381 (2021)",
     "10.1038/s41467-021-25687-0"),
    ("Molecularity index φ*",
     "M. E. di Mauro et al., arXiv:2403.07584 (2024)", ""),
    ("Errors of correlated series",
     "U. Wolff, Comput. Phys. Commun. 156, 143 (2004)", "10.1016/S0010-4655(03)00467-3"),
    ("Structures and calculators (ASE)",
     "A. H. Larsen et al., J. Phys.: Condens. Matter 29, 273002 (2017)",
     "10.1088/1361-648X/aa680e"),
)  # fmt: skip


def write_report(path: Path, results: RunResults, plots: Path, snapshots: list[Snapshot]) -> None:
    """Write the report.

    Parameters
    ----------
    path : Path
    results : RunResults
    plots : Path
        Folder with the SVG files to embed.
    snapshots : list of Snapshot
        Frames for the 3D view.
    """
    text = render(
        "page.html",
        title=_title(results),
        facts=_facts(results),
        warnings=results.warnings(),
        fine="All frames lie within the trained range of the domain pack.",
        averages=_averages(results),
        lifetime=_lifetime(results),
        shown=len(snapshots),
        isovalue=f"{results.settings.isovalue:g}",
        figures=[_figure(plots, *figure) for figure in FIGURES],
        columns=BOND_HEAD,
        bonds=list(_bond_tables(results)),
        topics=CITE,
        packs={results.domain.name: list(results.weights)},
        view=network_view.figure(
            snapshots,
            {number: frame.bonds for number, frame in results.bonds.items()},
            [results.settings.isovalue] * len(snapshots),
        ),
    )
    path.write_text(text, encoding="utf-8")


@cache
def _pages() -> Environment:
    """Templates beside this file; what they are given is text unless it is marked as HTML."""
    return Environment(
        loader=PackageLoader("ase_elf.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def render(template: str, *, view: Mapping[str, Any], shown: int, **values: Any) -> str:
    """A page as text.

    Parameters
    ----------
    template : str
        Name of a file in this folder, which extends ``base.html``.
    view : mapping
        Figure of :func:`ase_elf.report.network_view.figure`.
    shown : int
        Structures in it; 0 leaves plotly.js out of the page.
    **values
        What the template asks for. A missing one is an error.
    """
    style = files("ase_elf.report").joinpath("style.css").read_text(encoding="utf-8")
    return _pages().get_template(template).render(
        style=Markup(style),  # noqa: S704 - a file of this folder
        plotly=plotly_js() if shown else "",
        network=Markup(script_json(view)),  # noqa: S704 - made safe there
        shown=shown,
        version=__version__,
        **values,
    )  # fmt: skip


def _title(results: RunResults) -> str:
    formula = "".join(f"{symbol}{n}" for symbol, n in results.composition.items())
    return f"ELF network of {formula}, {results.n} frame{'s' if results.n != 1 else ''}"


def _facts(results: RunResults) -> dict[str, str]:
    first, last = results.ends[0], results.ends[-1]
    facts = {"frames": f"{first.frame} to {last.frame}, {results.n} analysed"}
    if np.isfinite([first.time_fs, last.time_fs]).all():
        facts["time"] = f"{first.time_fs:g} to {last.time_fs:g} fs"
    facts["density"] = f"r_s = {results.averages['r_s_bohr'].mean:.3f} bohr"
    facts["isovalue"] = f"{results.settings.isovalue:g}"
    facts["bonds"] = ", ".join(f"{a}-{b} up to {cut:g} Å" for (a, b), cut in results.settings.bonds.items())
    facts["domain pack"] = results.domain.name
    facts["φ"] = str(results.averages["elf_phi"])
    return facts


def _averages(results: RunResults) -> list[dict]:
    rows = []
    for quantity in FRAMES:
        average = results.averages[quantity.name]
        time = f"{average.correlation_frames:.2g}" if np.isfinite(average.correlation_frames) else ""
        column = Markup("<code>{}</code>").format(quantity.name)
        rows.append([quantity.described, str(average), time, column])
    return table_rows(rows)


def table_rows(rows: Iterable[Sequence[object]], mark: str = "") -> list[dict]:
    """Cells of a table as the templates take them, and the class of each row."""
    return [{"cells": cells, "mark": mark} for cells in rows]


def _lifetime(results: RunResults) -> Iterator[tuple[str, str]]:
    """Paragraphs on bond lifetimes: what of, and what there is to say."""
    lifetime = results.results["lifetime"]
    if lifetime.refused:
        yield "Bond lifetime", f"not given, {lifetime.refused}"
        return
    short = " (too short for an error: too few lifetimes observed)" if lifetime.too_short else ""
    if not lifetime.breaks:
        yield "Bond lifetime", f"no bond broke{short}."
        return
    value = with_error(lifetime.lifetime_fs, lifetime.lifetime_error_fs, "fs")
    again = (
        f"C(t) falls to 1/e in {lifetime.recurrence_fs:.3g} fs"
        if np.isfinite(lifetime.recurrence_fs)
        else "C(t) does not fall to 1/e within the longest lag"
    )
    lasting = (
        f"{with_error(lifetime.lasting_fraction, lifetime.lasting_fraction_error)} of the atoms are in "
        f"pairs that last {lifetime.lasting_fs:.3g} fs, ten vibrations"
        if np.isfinite(lifetime.lasting_fraction)
        else f"which pairs last {lifetime.lasting_fs:.3g} fs, ten vibrations, lies beyond the longest lag"
    )
    exchange = with_error(lifetime.exchange_rate, lifetime.exchange_rate_error)
    yield "Bond lifetime", f"{value} to the first break, {lifetime.breaks} breaks seen; {again}{short}."
    yield "Lasting molecules", f"{lasting}."
    yield (
        "Exchange",
        (f"an atom changes its partner {exchange} times per ps; {lifetime.exchanges} changes seen."),
    )


def _figure(folder: Path, name: str, title: str, text: str) -> dict[str, str]:
    return embedded(name, (folder / f"{name}.svg").read_bytes(), title, text)


def embedded(name: str, svg: bytes, title: str, text: str) -> dict[str, str]:
    """A figure that is part of the page, with its explanation."""
    return {"name": name, "title": title, "text": text, "data": base64.b64encode(svg).decode()}


def _bond_tables(results: RunResults) -> Iterator[dict]:
    for number, frame in results.bonds.items():
        rows = sorted(bond_rows(frame, list(results.symbols)), key=lambda row: row[3])
        yield {
            "frame": number,
            "total": len(rows),
            "more": len(rows) - MOST_ROWS,
            "rows": table_rows(rows[:MOST_ROWS]),
        }


def plotly_js() -> Markup:
    """plotly.js, from the installed package."""
    from plotly.offline import get_plotlyjs

    return Markup(f"<script>{get_plotlyjs()}</script>")  # noqa: S704 - the library itself


def script_json(content: Mapping[str, Any]) -> str:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
