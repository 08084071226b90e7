"""`ase-elf ruler`: bonds of structures, trajectories or ELF files, read off their ELF."""

from __future__ import annotations

import csv
import json
import math
from collections import Counter
from pathlib import Path

import click

from ase_elf.cli import options, records


@click.command(name="ruler", context_settings=options.CONTEXT)
@click.argument("file", type=click.Path(exists=True, path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder of tables and pictures.")
@click.option(
    "--structure", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Structure of an ELF file that holds none, or names its atoms otherwise.",
)  # fmt: skip
@click.option("--modes/--no-modes", default=True, help="Find the reading mode of every bond.")
@options.together(*options.frames)
@options.together(options.domain, options.device)
@options.together(*options.grids)
@options.progress
@records.as_json
@options.config
@click.pass_context
def command(ctx: click.Context, file: Path, output: Path | None, **given) -> None:
    """Measure the bonds of FILE with the ELF.

    FILE is an ELFCAR, cube, XSF or store, or a structure or trajectory whose ELF is
    predicted. OUTPUT gets bonds.csv, bonds.json, report.html, a picture for every bond type, and
    the structure with strain per atom for viewers.
    """
    import sys

    from tqdm import tqdm

    from ase_elf.analysis.bond_frames import bond_frame
    from ase_elf.ruler.survey import BondSurvey

    survey, last, frames = BondSurvey(modes=given["modes"]), None, []
    formulas: list[str] = []
    show = sys.stderr.isatty() if given["progress"] is None else given["progress"]
    with tqdm(unit="frame", disable=not show, file=sys.stderr) as bar:
        for index, atoms, elf in _sources(file, given):
            rows = survey.add(atoms, elf, frame=index)
            last = atoms, rows
            frames.append(bond_frame(atoms, rows, _pack(atoms, elf), frame=index, time_fs=math.nan))
            formulas.append(str(atoms.symbols))
            bar.update()
    missed: Counter[str] = Counter()
    for frame in frames:
        missed.update(frame.not_covered)
    record = {"file": str(file), "frames": len(frames), "labels": survey.by_label(),
              "not_covered": dict(sorted(missed.items()))}  # fmt: skip
    if output:
        _write(output, survey, record, *last)
        _write_report(output, survey, frames, formulas, last[0], elf)
        records.write_beside(ctx, output / "bonds.json")
        record["output"] = str(output)
    records.say("\n".join(_lines(record)), record, machine=given["as_json"])


def _sources(file: Path, given: dict):
    """(frame number, structure, ELF) of everything in a file."""
    from ase_elf import ELFCalculator
    from ase_elf.formats import holds_elf, iread_elf

    if holds_elf(file):
        for frame, grid in iread_elf(file, **options.reading(given)):
            yield frame or 0, *_with_structure(grid, given["structure"])
    else:
        calculator = ELFCalculator(domain=given["domain"], device=given["device"])
        for frame in options.open_trajectory(file, given):
            yield frame.index, frame.atoms, calculator


def _with_structure(grid, path: Path | None):
    from ase_elf import ELFGrid
    from ase_elf.errors import InputError
    from ase_elf.structures.trajectory import Trajectory

    if path is None:
        return grid.atoms, grid
    for frame in Trajectory(path):  # the last one, as ASE would have it
        atoms = frame.atoms
    if len(grid.atoms) and len(grid.atoms) != len(atoms):
        raise InputError(f"{path} has {len(atoms)} atoms, the ELF file {len(grid.atoms)}.")
    atoms.cell, atoms.pbc = grid.cell, True
    return atoms, ELFGrid(grid.values, atoms, grid.info, grid.sigma)


def _write(folder: Path, survey, record: dict, atoms, rows) -> None:
    from ase_elf.report.ruler_plots import plot_example, plot_readings
    from ase_elf.report.tables import plain
    from ase_elf.storage.atomic import replacing, writing_into

    with writing_into(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with (
            replacing(folder / "bonds.csv") as part,
            part.open("w", newline="", encoding="utf-8") as handle,
        ):
            writer = csv.writer(handle)
            writer.writerow(survey.rows.dtype.names)
            writer.writerows(row.tolist() for row in survey.rows)
        with replacing(folder / "bonds.json") as part:
            part.write_text(json.dumps(plain(record), indent=1, allow_nan=False), encoding="utf-8")
        plot_readings(survey).figure.savefig(folder / "readings.png")
        for label, example in survey.examples.items():
            plot_example(example)[0, 0].figure.savefig(folder / f"bond-{label}.png")
        _write_structure(folder, atoms, rows)


def _pack(atoms, elf):
    """The pack that names motifs and limits; None for an ELF of any other origin."""
    return elf.domain_of(atoms) if hasattr(elf, "domain_of") else None


def _write_report(folder: Path, survey, frames: list, formulas: list[str], atoms, elf) -> None:
    from ase_elf.analysis.bond_history import BondHistory
    from ase_elf.report.bonds import write_bond_report
    from ase_elf.storage.atomic import replacing

    pack = _pack(atoms, elf)
    alike = [frame for frame, its in zip(frames, formulas, strict=True) if its == formulas[-1]]
    others = len(frames) - len(alike)
    with replacing(folder / "report.html") as part:
        write_bond_report(
            part, BondHistory(alike, atoms.get_chemical_symbols()), atoms,
            typical=[example for _, example in sorted(survey.examples.items())], strange=survey.strangest,
            packs={} if pack is None else {pack.name: [pack.digest()]},
            notes=[f"{others} structures of other atoms than the last are in bonds.csv only."] if others else [],
        )  # fmt: skip


def _write_structure(folder: Path, atoms, rows) -> None:
    """The last structure: extended XYZ with strain as columns, PDB with it as B factor."""
    import numpy as np
    from ase.io import write

    read = rows[np.isfinite(rows["deviation"])]
    ends = np.concatenate([read["i"], read["j"]])
    total = np.bincount(ends, np.tile(read["deviation"], 2), minlength=len(atoms))
    count = np.bincount(ends, minlength=len(atoms))
    coloured = atoms.copy()
    coloured.calc = None
    coloured.info = {}
    for name in set(coloured.arrays) - {"numbers", "positions"}:
        del coloured.arrays[name]
    coloured.arrays["deviation"] = total / np.maximum(count, 1)
    coloured.arrays["n_bonds"] = count
    write(folder / "structure.extxyz", coloured, format="extxyz")
    # B factors are printed with two decimals: strain in mÅ.
    coloured.arrays["bfactor"] = 1000 * coloured.arrays["deviation"]
    write(folder / "structure.pdb", coloured, format="proteindatabank")


def _lines(record: dict) -> list[str]:
    lines = [f"{'type':12s} {'bonds':>6s} {'length':>8s} {'read':>8s} {'deviation':>10s}   modes"]
    for label, entry in record["labels"].items():
        read = entry.get("ruler_length")
        none = "outside" if entry["outside"] else "no ruler"
        told = f"{none:>19s}" if read is None else f"{read:8.4f} {entry['deviation']:+10.4f}"
        sure = entry.get("mode_sure", {})
        modes = ", ".join(f"{name} {n} ({sure[name]} sure)" for name, n in entry.get("mode", {}).items())
        lines.append(f"{label:12s} {entry['bonds']:6d} {entry['length']:8.4f} {told}   {modes}")
    lines.append("Å; deviation is length less reading, the mean over the bonds")
    outside = {label: entry["outside"] for label, entry in record["labels"].items() if entry["outside"]}
    if outside:
        each = ", ".join(f"{n} {label}" for label, n in outside.items())
        lines.append(
            f"{sum(outside.values())} bonds ({each}) are none that the ruler was fitted to, by their length "
            "or by what surrounds them: marked `outside`, without deviation, and in no mean"
        )
    if any("mode" in entry for entry in record["labels"].values()):
        lines.append(
            "a mode is sure where its probability and the networks agree on it; the others are a coin toss"
        )
    if record["not_covered"]:
        each = ", ".join(f"{name} {n}" for name, n in record["not_covered"].items())
        lines.append(f"not covered, contacts that no ruler reads: {each}")
    if "output" in record:
        lines.append(f"tables and pictures in {record['output']}")
    return lines
