"""report.html: one file that opens offline and says first what may be wrong."""

from __future__ import annotations

import base64
import gzip
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
from ase_elf.analysis.quantities import FRAMES, named
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

SHORT = (
    "elf_phi", "elf_phi2", "elf_phi1", "elf_phi_star", "elf_molecular_fraction_domain", "elf_bond_length_mean",
    "elf_nearest_distance_mean", "elf_degree_mean", "elf_mean",
)  # fmt: skip
"""Averages of the short table; all of them are in the folded one."""

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
    isovalue = results.settings.isovalue
    bonds = {number: frame.bonds for number, frame in results.bonds.items()}
    first = snapshots[0] if snapshots else None
    text = render(
        "page.html",
        title=_title(results),
        facts=_facts(results),
        warnings=results.warnings(),
        fine="All frames lie within the trained range of the domain pack.",
        phi=_phi(results),
        series=_figure(plots, "phi", "φ along the run", ""),
        short=_short(results),
        averages=_averages(results),
        lifetime=_lifetime(results),
        isovalue=f"{isovalue:g}",
        figures=[_figure(plots, *figure) for figure in FIGURES],
        columns=BOND_HEAD,
        bonds=list(_bond_tables(results)),
        topics=CITE,
        packs={results.domain.name: list(results.weights)},
        view=network_view.figure(snapshots, bonds, [isovalue] * len(snapshots)) if snapshots else None,
        picture=network_view.picture(first, bonds.get(first.frame), isovalue) if first else b"",
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


def render(template: str, *, view: Mapping[str, Any] | None, picture: bytes = b"", **values: Any) -> str:
    """A page as text.

    Parameters
    ----------
    template : str
        Name of a file in this folder, which extends ``base.html``.
    view : mapping or None
        Figure of :func:`ase_elf.report.network_view.figure`; None leaves plotly.js out of the page.
    picture : bytes
        JPEG to be seen where the view cannot be drawn.
    **values
        What the template asks for. A missing one is an error.
    """
    style = files("ase_elf.report").joinpath("style.css").read_text(encoding="utf-8")
    arrays, network = Arrays(), ""
    if view is not None:
        network = packed(json.dumps(arrays.take(view), separators=(",", ":"), allow_nan=False).encode())
    return _pages().get_template(template).render(
        style=Markup(style),  # noqa: S704 - a file of this folder
        plotly=plotly_js() if view is not None else "",
        network=network,
        arrays=packed(arrays.bytes()),
        picture=base64.b64encode(picture).decode(),
        version=__version__,
        **values,
    )  # fmt: skip


def _title(results: RunResults) -> str:
    formula = "".join(f"{symbol}{n}" for symbol, n in results.composition.items())
    return f"ELF network of {formula}, {results.n} frame{'s' if results.n != 1 else ''}"


def _phi(results: RunResults) -> dict[str, str]:
    """The result in one line: φ, its error, and what the error is."""
    average = results.averages["elf_phi"]
    if results.n == 1:
        sigma = results.averages["elf_phi_uncertainty"].mean
        return {"value": with_error(average.mean, sigma),
                "what": "± the uncertainty that grid and model state for this one frame"}  # fmt: skip
    what = "mean over the frames"
    if average.too_short or not np.isfinite(average.mean):
        return {"value": str(average).split(" (")[0], "what": what + "; the run is too short for an error"}
    return {"value": str(average), "what": what + " ± standard error of correlated frames"}


def _facts(results: RunResults) -> dict[str, str]:
    first, last = results.ends[0], results.ends[-1]
    facts = {"frames": f"{results.n}, from {first.frame} to {last.frame}" if results.n > 1 else "1"}
    if np.isfinite([first.time_fs, last.time_fs]).all() and results.n > 1:
        facts["time"] = f"{first.time_fs:g} to {last.time_fs:g} fs"
    facts["density"] = f"r_s = {results.averages['r_s_bohr'].mean:.3f} bohr"
    facts["isovalue"] = f"{results.settings.isovalue:g}"
    if results.settings.bonds:
        facts["bonds"] = ", ".join(
            f"{a}-{b} up to {cut:g} Å" for (a, b), cut in results.settings.bonds.items()
        )
    facts["domain pack"] = results.domain.name
    return facts


def _short(results: RunResults) -> list[dict]:
    """Averages that describe a network, each under its name."""
    rows = []
    for quantity in named(*SHORT):
        what = quantity.definition.partition(":")[0] + (f" / {quantity.unit}" if quantity.unit else "")
        average = results.averages[quantity.name]
        if np.isfinite(average.mean):
            rows.append([what, str(average)])
    return table_rows(rows)


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


@cache
def plotly_js() -> str:
    """plotly.js of the installed package, packed."""
    from plotly.offline import get_plotlyjs

    return packed(get_plotlyjs().encode())


def packed(content: bytes) -> str:
    """Compressed and in letters, as ``unpacked()`` of the page reads it; no letter ends an element."""
    return base64.b64encode(gzip.compress(content, compresslevel=9, mtime=0)).decode()


class Arrays:
    """Arrays taken out of a figure: integers modulo 2^16, each as its difference from the one before.

    Neighbors on a surface are close, in space and by number, so that this compresses well.
    """

    def __init__(self) -> None:
        self._parts: list[np.ndarray] = []
        self._at = 0

    def take(self, content: object) -> object:
        """The same with every array replaced by where it lies: offset, length, first value and step."""
        if isinstance(content, Mapping):
            return {name: self.take(value) for name, value in content.items()}
        if isinstance(content, list):
            return [self.take(value) for value in content]
        return self._put(content) if isinstance(content, np.ndarray) else content

    def _put(self, array: np.ndarray) -> dict[str, list[float]]:
        start, step = 0.0, 1.0
        if array.dtype.kind == "f":  # steps of some 0.001 Å, which nobody sees
            start = float(array.min())
            step = float(np.ptp(array)) / 2**13 or 1.0
            array = np.round((array - start) / step)
        whole = array.astype(np.int64)
        steps = np.diff(whole, prepend=0) % 2**16
        self._parts.append(steps.astype("<u2"))
        place = self._at
        self._at += len(steps)
        return {"packed": [place, len(steps), start, step]}

    def bytes(self) -> bytes:
        """All of them, one after the other."""
        return b"".join(part.tobytes() for part in self._parts)
