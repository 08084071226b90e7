"""report.html: one file that opens offline and says first what may be wrong."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

import numpy as np

from ase_elf import __version__
from ase_elf.report import network_view
from ase_elf.report.results import DEFINITIONS
from ase_elf.report.tables import bond_rows
from ase_elf.statistics.rounding import with_error

if TYPE_CHECKING:
    from ase_elf.domains import Domain
    from ase_elf.report.results import RunResults
    from ase_elf.report.snapshots import Snapshot

MOST_ROWS = 200
"""Rows of a bond table; all of them are in ``bonds.csv``."""

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
    page = Template(files("ase_elf.report").joinpath("page.html").read_text(encoding="utf-8"))
    text = page.substitute(
        title=escape(_title(results)),
        style=style(),
        facts=_facts(results),
        warnings=_warnings(results),
        averages=_averages(results),
        lifetime=_lifetime(results),
        figures="".join(_figure(plots, *figure) for figure in FIGURES),
        view=_view(results, snapshots),
        bonds=_bond_tables(results),
        cite=cite([results.domain], weights={results.domain.name: list(results.weights)}),
        version=escape(__version__),
        plotly=plotly_js() if snapshots else "",
        network=script_json(
            network_view.figure(
                snapshots,
                {number: frame.bonds for number, frame in results.bonds.items()},
                [results.settings.isovalue] * len(snapshots),
            )
        ),
    )
    path.write_text(text, encoding="utf-8")


def _title(results: RunResults) -> str:
    formula = "".join(f"{symbol}{n}" for symbol, n in results.composition.items())
    return f"ELF network of {formula}, {results.n} frame{'s' if results.n != 1 else ''}"


def style() -> str:
    """The style sheet of every page."""
    return files("ase_elf.report").joinpath("style.css").read_text(encoding="utf-8")


def facts_of(facts: Mapping[str, str]) -> str:
    """The boxes under the title."""
    return "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts.items()
    )


def warnings_of(lines: Sequence[str], fine: str) -> str:
    """The box that is read first, or a line that says all is well."""
    if not lines:
        return f'<p class="fine">{escape(fine)}</p>'
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f'<section class="warnings"><h2>Read this first</h2><ul>{items}</ul></section>'


def _facts(results: RunResults) -> str:
    first, last = results.ends[0], results.ends[-1]
    facts = {"frames": f"{first.frame} to {last.frame}, {results.n} analysed"}
    if np.isfinite([first.time_fs, last.time_fs]).all():
        facts["time"] = f"{first.time_fs:g} to {last.time_fs:g} fs"
    facts["density"] = f"r_s = {results.averages['r_s_bohr'].mean:.3f} bohr"
    facts["isovalue"] = f"{results.settings.isovalue:g}"
    facts["bonds"] = ", ".join(f"{a}-{b} up to {cut:g} Å" for (a, b), cut in results.settings.bonds.items())
    facts["domain pack"] = results.domain.name
    facts["φ"] = str(results.averages["elf_phi"])
    return facts_of(facts)


def _warnings(results: RunResults) -> str:
    fine = "All frames lie within the trained range of the domain pack."
    return warnings_of(results.warnings(), fine)


def _averages(results: RunResults) -> str:
    rows = []
    for name, definition in DEFINITIONS.items():
        average = results.averages[name]
        time = f"{average.correlation_frames:.2g}" if np.isfinite(average.correlation_frames) else ""
        cells = [escape(definition), escape(str(average)), time, f"<code>{escape(name)}</code>"]
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    head = "<tr><th>quantity</th><th>mean ± standard error</th>" \
        "<th>correlation time / frames</th><th>column of frames.csv</th></tr>"  # fmt: skip
    return f"<table>{head}{''.join(rows)}</table>"


def _lifetime(results: RunResults) -> str:
    lifetime = results.results["lifetime"]
    if lifetime.refused:
        return f"<p><b>Bond lifetime:</b> not given, {escape(lifetime.refused)}</p>"
    short = " (too short for an error: too few lifetimes observed)" if lifetime.too_short else ""
    if not lifetime.breaks:
        return f"<p><b>Bond lifetime:</b> no bond broke{escape(short)}.</p>"
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
    return (
        f"<p><b>Bond lifetime:</b> {escape(value)} to the first break, {lifetime.breaks} breaks "
        f"seen; {escape(again)}{escape(short)}.</p>"
        f"<p><b>Lasting molecules:</b> {escape(lasting)}.</p>"
        f"<p><b>Exchange:</b> an atom changes its partner {escape(exchange)} times per ps; "
        f"{lifetime.exchanges} changes seen.</p>"
    )


def _figure(folder: Path, name: str, title: str, text: str) -> str:
    return embedded(name, (folder / f"{name}.svg").read_bytes(), title, text)


def embedded(name: str, svg: bytes, title: str, text: str) -> str:
    """A figure that is part of the page, with its explanation."""
    data = base64.b64encode(svg).decode()
    return (
        f'<figure id="{name}"><h3>{escape(title)}</h3>'
        f'<img alt="{escape(title)}" src="data:image/svg+xml;base64,{data}">'
        f"<figcaption>{escape(text)}</figcaption></figure>"
    )


def _view(results: RunResults, snapshots: list[Snapshot]) -> str:
    if not snapshots:
        return ""
    return (
        "<h2>The network in 3D</h2><p>Surface of ELF = "
        f"{results.settings.isovalue:g}, nuclei, bonds colored by the lowest ELF along them. "
        "Drag to turn, scroll to zoom, click the legend to hide, move the slider for other "
        'frames.</p><div id="network" class="network"></div>'
    )


def _bond_tables(results: RunResults) -> str:
    parts = []
    for number, frame in results.bonds.items():
        rows = [
            "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>"
            for row in sorted(bond_rows(frame, list(results.symbols)), key=lambda row: row[3])
        ]
        more = len(rows) - MOST_ROWS
        note = f"<p>{more} more in bonds.csv.</p>" if more > 0 else ""
        parts.append(
            f"<details><summary>frame {number}: {len(rows)} bonds</summary><table><tr>"
            "<th>i</th><th>j</th><th>pair</th><th>length / Å</th><th>ELF half way</th>"
            "<th>lowest ELF</th><th>mutual nearest</th></tr>"
            f"{''.join(rows[:MOST_ROWS])}</table>{note}</details>"
        )
    return "".join(parts)


def cite(
    domains: Sequence[Domain],
    topics: Sequence[tuple[str, str, str]] = CITE,
    *,
    weights: Mapping[str, Sequence[str]],
) -> str:
    """What to cite, with the weights of every pack that took part, by the name of the pack."""
    items = [f"<li>ase_elf {escape(__version__)}, see CITATION.cff of the package</li>"]
    for what, reference, doi in topics:
        link = f' <a href="https://doi.org/{doi}">doi:{doi}</a>' if doi else ""
        items.append(f"<li>{escape(what)}: {escape(reference)}{link}</li>")
    for domain in domains:
        digests = ", ".join(f"<code>{escape(each)}</code>" for each in weights.get(domain.name, ()))
        items.append(
            f"<li>Domain pack {escape(domain.name)}, weights SHA-256 {digests or 'none'}; "
            f"<code>ase-elf info {escape(domain.name)}</code> prints its model card</li>"
        )
    return f"<ul>{''.join(items)}</ul>"


def plotly_js() -> str:
    """plotly.js, from the installed package."""
    from plotly.offline import get_plotlyjs

    return f"<script>{get_plotlyjs()}</script>"


def script_json(content: dict) -> str:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
