"""Tables, pictures and report of bonds, of one structure or of a trajectory."""

from __future__ import annotations

import base64
import csv
import warnings
from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ase_elf.analysis.bond_history import FAR, BondHistory
from ase_elf.errors import ElfWarning
from ase_elf.plotting.figure import save, style, svg
from ase_elf.report import bond_view, ruler_plots
from ase_elf.report.html import CITE, embedded, render, table_rows
from ase_elf.report.tables import number, write_json
from ase_elf.ruler.modes import SURE, is_sure
from ase_elf.ruler.survey import BondSurvey, Example, has_modes
from ase_elf.statistics.rounding import with_error
from ase_elf.storage.atomic import replacing

if TYPE_CHECKING:
    from ase import Atoms
    from matplotlib.figure import Figure

    from ase_elf.analysis.bond_frames import BondFrame
    from ase_elf.ruler.source import PredictsELF
    from ase_elf.statistics.series import ScalarAverage

__all__ = ["TEXTS", "write_bond_report", "write_bond_results"]

MOST_ROWS = 200
"""Rows of a table on the page; all are in ``bonds.csv``."""

SHOWN = 8
"""Frames in 3D."""

TEXTS = {
    "readings": ("Readings", "Length read off the ELF against the length; on the diagonal electrons are where "
                 "a bond of that length has them."),
    "deviations": ("Deviations", "Length less reading, by type of bond."),
    "deviation_series": ("Deviations in time", "Mean over the bonds of a type in every frame."),
    "reading_series": ("Readings in time", "Mean over the bonds of a type in every frame."),
    "strain": ("Deviation and strain", "Against the length less the mean length of bonds of the type."),
    "motifs": ("Motifs in time", "How many rings, staples and the like every frame has."),
}  # fmt: skip
"""Title and explanation of the plots, by the names of their files."""

REFERENCE = (
    ("Reading bond lengths off the ELF", "“Build a Ruler to Measure Electron Localization Function” (ELFnet)", ""),
    ("Attribution maps", "M. Sundararajan, A. Taly, Q. Yan, arXiv:1703.01365 (2017)", ""),
)  # fmt: skip


def write_bond_results(
    directory: Path,
    frames: Iterable[BondFrame],
    atoms: Atoms,
    elf: PredictsELF,
    *,
    step: int = 1,
    cutoffs: dict[tuple[str, str], float] | None = None,
    report: bool = True,
    failure: str | None = None,
) -> BondHistory:
    """All files of a run over bonds: ``frames.csv``, ``bonds.csv``, ``summary.json``, plots and report.

    Images of typical and of strange bonds are taken anew from the frames they are in.

    Parameters
    ----------
    directory : Path
    frames : iterable of BondFrame
    atoms : ase.Atoms
        The first structure; positions of the others are in ``frames``.
    elf : calculator
    step, cutoffs
        Of the run.
    report : bool
        Also plots and ``report.html``.
    failure : str, optional
        What ended the run before the trajectory did.
    """
    history = BondHistory(frames, atoms.get_chemical_symbols(), step=step)
    _write_tables(directory, history)
    pack = elf.domain_of(atoms)
    if report:
        typical, strange = _examples(history, atoms, elf, cutoffs)
        folder = directory / "plots"
        folder.mkdir(exist_ok=True)
        figures = _figures(history)
        with style():
            for name, figure in figures.items():
                save(figure, folder / name)
        with replacing(directory / "report.html") as part:
            write_bond_report(
                part, history, atoms, typical=typical, strange=strange, figures=figures,
                packs={pack.name: [pack.digest()]},
                notes=[f"The run ended before the trajectory: {failure}"] if failure else [],
            )  # fmt: skip
    with replacing(directory / "summary.json") as part:
        write_json(part, {**history.summary(), "domain": pack.name, "stopped_by": failure})
    return history


def write_bond_report(
    path: Path,
    history: BondHistory,
    atoms: Atoms,
    *,
    typical: Sequence[Example] = (),
    strange: Sequence[Example] = (),
    figures: dict[str, Figure] | None = None,
    packs: dict[str, list[str]] | None = None,
    notes: Sequence[str] = (),
) -> None:
    """Write one page that opens offline: table, 3D, images, and how to cite; ``notes`` stand above all."""
    figures = _figures(history) if figures is None else figures
    n = len(history.frames)
    shown = np.unique(np.linspace(0, n - 1, min(n, SHOWN)).round().astype(int)).tolist()
    outliers, far = history.outliers()
    text = render(
        "bonds.html",
        title=f"Bonds of {atoms.get_chemical_formula()}, {n} frame{'s' if n > 1 else ''}",
        facts=_facts(history),
        warnings=[*notes, *_warnings(history)],
        fine="All bonds are of the kind that their rulers were fitted to, all structures within the trained range.",
        types=table_rows(_type_rows(history)),
        changes=table_rows(_change_rows(history)),
        outliers=table_rows(_row_cells(history, outliers[:MOST_ROWS], far)),
        n_outliers=len(outliers),
        far=FAR,
        correlations=table_rows(
            [c.pair, c.quantity, _two(c.between), _two(c.within), c.n] for c in history.correlations()
        ) if n > 1 or len(history.rows) > 2 else [],
        motifs=table_rows([name, _average(average)] for name, average in history.motif_averages().items()),
        not_covered=", ".join(f"{name} ({count:.3g})" for name, count in history.not_covered.items()),
        sure=SURE,
        figures=[embedded(name, svg(figure), *TEXTS[name]) for name, figure in figures.items()],
        typical=[_picture(example) for example in typical],
        strange=[_picture(example) for example in strange],
        bonds=table_rows(_row_cells(history, np.flatnonzero(history.at == n - 1)[:MOST_ROWS])),
        last=history.frames[-1].frame,
        topics=(*REFERENCE, CITE[0], CITE[-1]),
        packs=packs or {},
        picture=bond_view.picture(atoms),
        view=bond_view.figure(history, atoms.numbers, shown),
    )  # fmt: skip
    path.write_text(text, encoding="utf-8")


def _facts(history: BondHistory) -> dict[str, str]:
    first, last = history.frames[0], history.frames[-1]
    facts = {"frames": f"{first.frame} to {last.frame}, {len(history.frames)} analysed"}
    if np.isfinite([first.time_fs, last.time_fs]).all() and len(history.frames) > 1:
        facts["time"] = f"{first.time_fs:g} to {last.time_fs:g} fs"
    read = np.isfinite(history.rows["deviation"])
    facts["bonds"] = f"{len(history.rows)}, of which {read.sum()} were read"
    if read.any():
        deviation = history.rows["deviation"][read]
        facts["deviation"] = f"{deviation.mean():+.4f} Å, spread {deviation.std():.4f} Å"
        facts["largest deviation"] = f"{deviation[np.abs(deviation).argmax()]:+.4f} Å"
    return facts


def _warnings(history: BondHistory) -> list[str]:
    rows, frames, found = history.rows, history.frames, []
    if outside := sum(bool(frame.outside) for frame in frames):
        reason = next(frame.outside[0] for frame in frames if frame.outside)
        found.append(
            f"{outside} of {len(frames)} frames lie outside what the domain pack was trained on ({reason})."
        )
    if strange := int(rows["outside"].sum()):
        found.append(
            f"{strange} of {len(rows)} bonds are none that the ruler was fitted to, by their length or by what "
            "surrounds them: they are marked outside, without deviation, and in no mean."
        )
    if not np.isfinite(rows["ruler_length"]).any():
        found.append("No bond was read: no ruler is installed for these pairs of elements, or none fits.")
    elif not has_modes():
        found.append("Reading modes were not looked for: they need the package captum.")
    return found


def _type_rows(history: BondHistory) -> Iterator[list[object]]:
    sure = is_sure(history.rows["mode_confidence"], history.rows["mode_agreement"])
    for label in history.labels:
        mine = history.rows["label"] == label
        modes = history.rows["mode"]
        told = ", ".join(
            f"{mode} {(mine & (modes == mode)).sum()} ({(mine & sure & (modes == mode)).sum()} sure)"
            for mode in sorted(set(modes[mine].tolist()) - {""})
        )
        averages = history.averages[label]
        yield [label, int(mine.sum()), int(np.isfinite(history.rows["deviation"][mine]).sum()),
               int(history.rows["outside"][mine].sum()),
               *(_average(averages[name]) for name in ("length", "ruler_length", "deviation")), told]  # fmt: skip


def _average(average: ScalarAverage) -> str:
    if not np.isfinite(average.mean):
        return "not read"
    return str(average) if average.n > 1 else f"{average.mean:.4f}"


def _change_rows(history: BondHistory) -> Iterator[list[object]]:
    for change in history.type_changes()[:MOST_ROWS]:
        told = ", ".join(f"{label or 'no bond'} {n}" for label, n in change.frames.items())
        yield [_named(history, change.i), _named(history, change.j), change.changes, told]


def _row_cells(
    history: BondHistory, chosen: np.ndarray, far: np.ndarray | None = None
) -> Iterator[list[object]]:
    """Cells of rows of the history, in the order of ``bonds.html``."""
    for k, n in enumerate(chosen.tolist()):
        row = history.rows[n]
        read = np.isfinite(row["deviation"])
        value = (
            with_error(row["ruler_length"], row["uncertainty"], "Å") if read else _three(row["ruler_length"])
        )
        ends = _named(history, row["i"]), _named(history, row["j"])
        yield [int(row["frame"]), *ends, str(row["label"]), f"{row['length']:.4f}", value,
               f"{row['deviation']:+.4f}" if read else "", "outside" if row["outside"] else "", _mode(row),
               *([] if far is None else [f"{far[k]:.1f}"])]  # fmt: skip


def _mode(row: np.void) -> str:
    if not row["mode"]:
        return ""
    word = "" if is_sure(row["mode_confidence"], row["mode_agreement"]) else "undecided, rather "
    return f"{word}{row['mode']} ({row['mode_confidence']:.2f}; {row['mode_agreement']:.0%} of the networks)"


def _named(history: BondHistory, atom: int) -> str:
    return f"{history.symbols[atom]}{atom}"


def _three(value: float) -> str:
    return f"{value:.3f}" if np.isfinite(value) else ""


def _two(value: float) -> str:
    return f"{value:+.2f}" if np.isfinite(value) else "does not vary"


def _figures(history: BondHistory) -> dict[str, Figure]:
    """Plots by name; series only where there are frames to follow, nothing where nothing was read."""
    figures = {}
    if np.isfinite(history.rows["deviation"]).any():
        figures["readings"] = ruler_plots.plot_readings(history).figure
        figures["deviations"] = ruler_plots.plot_deviations(history).figure
        figures["strain"] = ruler_plots.plot_strain(history).figure
        if len(history.frames) > 1:
            figures["deviation_series"] = ruler_plots.plot_history(history, "deviation").figure
            figures["reading_series"] = ruler_plots.plot_history(history, "ruler_length").figure
    if any(np.ptp(values) for values in history.motifs.values()):
        figures["motifs"] = ruler_plots.plot_motifs(history).figure
    return figures


def _picture(example: Example) -> dict[str, str]:
    stream = BytesIO()
    with style():
        figure = ruler_plots.plot_example(example)[0, 0].figure
        figure.savefig(stream, format="png", dpi=80, metadata={"Software": None})
    row = example.row
    return {
        "title": f"{row['label']}, atoms {row['i']} and {row['j']}, frame {row['frame']}",
        "data": base64.b64encode(stream.getvalue()).decode(),
    }


def _examples(
    history: BondHistory, atoms: Atoms, elf: PredictsELF, cutoffs: dict[tuple[str, str], float] | None
) -> tuple[list[Example], list[Example]]:
    """Images of a typical bond of every type, of median deviation, and of the strangest bonds of all."""
    rows, chosen = history.rows, []
    for label in history.labels:
        mine = np.flatnonzero((rows["label"] == label) & np.isfinite(rows["deviation"]))
        if len(mine):
            chosen.append(int(mine[np.argsort(rows["deviation"][mine], kind="stable")[len(mine) // 2]]))
    typical = len(chosen)
    seen = set()
    for n in history.outliers()[0].tolist():
        bond = int(rows["i"][n]), int(rows["j"][n])
        if bond not in seen and len(seen) < ruler_plots.MOST_STRANGE:
            seen.add(bond)
            chosen.append(n)
    found = [_example(history, n, atoms, elf, cutoffs) for n in chosen]
    return [e for e in found[:typical] if e is not None], [e for e in found[typical:] if e is not None]


def _example(
    history: BondHistory, n: int, atoms: Atoms, elf: PredictsELF, cutoffs: dict[tuple[str, str], float] | None
) -> Example | None:
    moved = atoms.copy()
    moved.positions = history.frames[history.at[n]].positions
    row = history.rows[n]
    survey = BondSurvey(modes=has_modes(), types=False, wanted=(int(row["i"]), int(row["j"])))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ElfWarning)  # the page says it of all frames
        survey.add(moved, elf, frame=int(row["frame"]), cutoffs=cutoffs)
    return survey.strangest[0] if survey.strangest else None


def _write_tables(directory: Path, history: BondHistory) -> None:
    with replacing(directory / "bonds.csv") as part, part.open("w", newline="", encoding="utf-8") as file:
        names = [name for name in history.rows.dtype.names if not name.startswith("image_type")]
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["frame", "time_fs", *names[1:]])
        times = history.times
        for n, row in zip(history.at.tolist(), history.rows[names].tolist(), strict=True):
            writer.writerow([row[0], number(times[n]), *map(_cell, row[1:])])
    columns = {
        f"{measure}_{label}": history.series(label, measure)
        for label in history.labels for measure in ("length", "ruler_length", "deviation")
    } | {f"motif_{name}": values.astype(float) for name, values in history.motifs.items()}  # fmt: skip
    with replacing(directory / "frames.csv") as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["frame", "time_fs", *columns, "reasons_outside"])
        for n, frame in enumerate(history.frames):
            values = [number(float(values[n])) for values in columns.values()]
            writer.writerow([frame.frame, number(frame.time_fs), *values, "; ".join(frame.outside)])


def _cell(value: object) -> object:
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{value:.5f}"
    return int(value) if isinstance(value, bool) else value
