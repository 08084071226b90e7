"""`analyze` of a molecule or cluster: bonds of every frame, whole after a kill, and a page that shows them."""

import csv
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from ase.io import read, write
from browser import probed
from click.testing import CliRunner

from ase_elf import ELFCalculator
from ase_elf.cli import main
from ase_elf.errors import ElfWarning, OutputError
from ase_elf.ruler import measure_bonds
from ase_elf.runs.bonds import TrajectoryRun
from ase_elf.runs.merge import merge_runs
from ase_elf.structures.trajectory import Trajectory

RING = Path(__file__).parents[2] / "examples" / "gold-ring.extxyz"


@pytest.fixture(scope="module")
def ring(tmp_path_factory):
    """Five frames of a ring, which tears at one bond in the last."""
    path = tmp_path_factory.mktemp("ring") / "ring.traj"
    first, frames = read(RING, 0), []
    for n in range(5):
        atoms = first.copy()
        atoms.info = {}
        atoms.rattle(0.01, seed=n)
        frames.append(atoms)
    table = measure_bonds(first, ELFCalculator())
    i, j = int(table["i"][0]), int(table["j"][0])
    way = frames[4].positions[i] - frames[4].positions[j]
    frames[4].positions[i] += 0.9 * way / np.linalg.norm(way)
    write(path, frames)
    return path, frames


@pytest.fixture(scope="module")
def analysed(ring, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "out"
    done = CliRunner().invoke(
        main, ["analyze", str(ring[0]), "-o", str(folder), "--batch", "2", "--timestep", "5"]
    )
    assert done.exit_code == 0, done.output
    return folder


def files(folder):
    names = ("bonds.csv", "frames.csv", "summary.json", "journal.jsonl", "report.html")
    return {name: (folder / name).read_bytes() for name in names}


def test_every_bond_of_every_frame_is_in_the_table(ring, analysed):
    with (analysed / "bonds.csv").open() as file:
        rows = list(csv.DictReader(file))
    for number, atoms in enumerate(ring[1]):
        with warnings.catch_warnings(action="ignore"):  # the torn ring lies outside
            table = measure_bonds(atoms, ELFCalculator())
        mine = [row for row in rows if row["frame"] == str(number)]
        assert [int(row["i"]) for row in mine] == table["i"].tolist()
        np.testing.assert_allclose([float(row["length"]) for row in mine], table["length"], atol=1e-5)
        np.testing.assert_allclose(
            [float(row["ruler_length"] or "nan") for row in mine], table["ruler_length"], atol=2e-5
        )
        assert {row["time_fs"] for row in mine} == {str(5 * number)}
    summary = json.loads((analysed / "summary.json").read_text())
    assert summary["frames"] == 5 and summary["stopped_by"] is None and "elf_phi" not in str(summary)
    assert summary["motifs"]["ring-4"]["mean"] == pytest.approx(0.8)  # not in the frame in which it is torn
    torn = summary["type_changes"]
    assert torn and all(change["changes"] == 1 for change in torn)
    assert set(summary["not_covered"]) >= {"C-H", "C-S"}


def test_a_run_that_was_cut_off_ends_with_the_same_bytes(ring, analysed, tmp_path):
    run = TrajectoryRun(Trajectory(ring[0], timestep=5.0), None, tmp_path / "again", batch=2)

    class Cut(Exception):
        pass

    def cut(done):
        if done >= 2:
            raise Cut

    with pytest.raises(Cut):
        run.execute(cut)
    run.execute()
    again = files(tmp_path / "again")
    for name, content in files(analysed).items():
        assert again[name] == content, name


def test_options_of_fluids_are_refused_for_a_cluster(ring, tmp_path):
    done = CliRunner().invoke(main, ["analyze", str(ring[0]), "-o", str(tmp_path / "x"), "--isovalue", "0.7"])
    assert done.exit_code == 1 and "isovalue: of no use for a molecule or cluster" in done.output


def test_options_of_the_grid_are_said_to_have_no_effect(ring, tmp_path):
    run = TrajectoryRun(
        Trajectory(ring[0], stop=1), None, tmp_path / "x", chosen={"spacing": 0.2}, report=False
    )
    with pytest.warns(ElfWarning, match=r"spacing without effect: .* its bonds are read without a grid"):
        run.execute()
    assert (tmp_path / "x" / "bonds.csv").exists()


def test_runs_over_bonds_are_not_merged_as_if_they_were_of_fluids(analysed, tmp_path):
    with pytest.raises(OutputError, match="holds bonds of a molecule or cluster"):
        merge_runs([analysed], tmp_path / "merged")


def test_a_frame_that_cannot_be_used_ends_the_run_and_is_named(ring, tmp_path):
    broken = [atoms.copy() for atoms in ring[1][:3]]
    broken[2].positions[0] = broken[2].positions[1]
    write(tmp_path / "broken.traj", broken)
    done = CliRunner().invoke(main, ["analyze", str(tmp_path / "broken.traj"), "-o", str(tmp_path / "out"),
                                     "--no-report"])  # fmt: skip
    assert done.exit_code == 1 and "frame 2" in done.output
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["frames"] == 2 and "frame 2" in summary["stopped_by"]


@pytest.mark.browser
def test_the_page_shows_the_cluster_with_its_bonds_and_needs_nothing_from_outside(analysed, tmp_path):
    page = analysed / "report.html"
    text = page.read_text(encoding="utf-8")
    assert "http" not in text.split("<script>")[0].replace("https://doi.org", "")
    said = probed(
        page,
        "setTimeout(function () {"
        " var d = document.querySelector('#network .view').data;"
        " var broken = [].filter.call(document.images, function (i) { return !i.naturalWidth; });"
        " var lines = d.filter(function (t) { return t.mode === 'lines' && t.line.colorbar; });"
        " say([d.length, lines.length, document.images.length, broken.length,"
        "  document.querySelectorAll('table').length].join(' ')); }, 4000);",
        tmp_path,
    )
    traces, colored, images, broken, tables = map(int, said.split())
    assert traces == 15 and colored == 5 and broken == 0 and images >= 6 and tables >= 4
    for words in ("Typical bonds", "Not covered", " sure)", "How to cite", "ring-4"):
        assert words in text
