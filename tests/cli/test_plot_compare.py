"""`ase-elf plot` and `ase-elf compare`: every figure of every result, and what they refuse."""

import json
import re

import numpy as np
import pytest
from ase.io import write
from click.testing import CliRunner

from ase_elf import ELFGrid, write_elf
from ase_elf.cli import main
from ase_elf.cli.plot import GRID, RANKING, RUN
from ase_elf.formats.collection import Collection
from ase_elf.runs.comparison import compare_elf
from ase_elf.runs.screening import Screener, ScreeningRun
from ase_elf.testing import GaussianDomain, molecular_fluid


def asked(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Two runs of one fluid, a ranking, and one ELF in two files of different grids."""
    folder = tmp_path_factory.mktemp("results")
    images = molecular_fluid(8, 6, dt=2.0, length=3.6)
    domain = GaussianDomain()
    write(folder / "run.extxyz", images)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("domain_for", "get_domain"):
            patch.setattr(f"ase_elf.domains.{name}", lambda *_: domain)
        for name, words in (("a", ()), ("b", ("--start", "2"))):
            assert asked("analyze", folder / "run.extxyz", "-o", folder / name, *words).exit_code == 0
        (folder / "many").mkdir()
        for k in range(3):
            write(folder / "many" / f"{k}.extxyz", images[k])
        ScreeningRun(Collection(folder / "many"), folder / "ranking", Screener(domain)).execute()
        atoms = images[0]
        for name, n in (("fine", 24), ("coarse", 16)):
            x = np.arange(n) / n * 2 * np.pi
            wave = 0.5 + 0.3 * np.cos(x)[:, None, None] * np.cos(x)[:, None] + 0.1 * np.cos(x)
            write_elf(folder / f"{name}.cube", ELFGrid(wave, atoms))
        yield folder


@pytest.mark.parametrize("what", RUN)
def test_every_figure_of_a_run_is_drawn(results, what, tmp_path):
    done = asked("plot", results / "a", "--what", what, "-o", tmp_path / "a.svg", "--figsize", 4, 3,
                 "--color", "red", "--style", "ggplot", "--set", "alpha=0.5")  # fmt: skip
    assert done.exit_code == 0, done.output
    assert (tmp_path / "a.svg").read_text().startswith("<?xml")


@pytest.mark.parametrize("what", RANKING)
def test_every_figure_of_a_ranking_is_drawn(results, what, tmp_path):
    done = asked("plot", results / "ranking", "--what", what, "-o", tmp_path / "a.png")
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("what", GRID)
def test_every_figure_of_an_elf_is_drawn(results, what, tmp_path):
    done = asked("plot", results / "fine.cube", "--what", what, "-o", tmp_path / "a.pdf")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")


def test_keywords_reach_the_artists_and_the_axes(results, tmp_path):
    words = ("--units", "nm", "--style", "classic", "--set", "lw=3", "--set", "ylim=[0, 7]", "--color", "red")
    done = asked("plot", results / "a", "--what", "gr", "-o", tmp_path / "a.svg", *words)
    assert done.exit_code == 0, done.output
    text = (tmp_path / "a.svg").read_text()
    assert "stroke: #ff0000; stroke-width: 3" in text and "<!-- r / nm -->" in text and "<!-- 7 -->" in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("a", "--what", "nothing"), "choose from phi"),
        (("a", "--set", "lw"), "KEY=VALUE"),
        (("a", "--set", "nonsense=3"), "nonsense = 3"),
        (("a", "--units", "eV"), "it takes fs, ps, ns"),
        (("a", "--what", "degrees", "--units", "nm"), "no axis in units"),
        (("a", "-o", "a.docx"), "does not end in a format"),
        (("a", "--what", "network", "--frame", "77"), "was not kept"),
        (("fine.cube", "--through", "0", "0", "1"), "three different atoms"),
    ],
)
def test_what_cannot_be_drawn_is_told(results, tmp_path, words, said, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = asked("plot", results / words[0], *words[1:])
    assert done.exit_code != 0 and said in " ".join(done.output.split()), done.output
    assert not list(tmp_path.iterdir())


def test_a_plane_through_atoms_goes_through_them(results):
    from ase_elf import read_elf
    from ase_elf.geometry.plane import NEAR

    grid = read_elf(results / "fine.cube")
    plane = grid._plane_through((0, 1, 2))
    normal = np.linalg.svd(plane.points - plane.points.mean(axis=0), full_matrices=False)[2][2]
    heights = (plane.corners - plane.points[0]) @ normal
    assert np.abs(heights).max() < 1e-9
    marked = plane.nuclei(grid.atoms.get_scaled_positions())
    corners = (plane.corners - plane.corners[0]) @ plane._frame[:2].T
    assert all(np.linalg.norm(marked - corner, axis=1).min() < 1e-6 for corner in corners)
    apart = (grid.atoms.positions[3] - plane.corners[0]) @ plane._frame.T
    inside = abs(apart[2]) < NEAR
    assert inside or np.linalg.norm(marked - apart[:2], axis=1).min() > 1e-6


def test_an_elf_is_like_itself_and_on_another_grid_almost(results, tmp_path):
    done = asked("compare", results / "fine.cube", results / "fine.cube", "--json")
    record = json.loads(done.stdout)
    assert record["r2"] == 1 and record["mae"] == 0 and record["phi"] == record["phi_reference"]
    assert all(m["matched"] == m["a"] == m["b"] for m in record["critical_points"].values())
    out = tmp_path / "out"
    done = asked("compare", results / "fine.cube", results / "coarse.cube", "-o", out)
    assert done.exit_code == 0, done.output
    assert 0.999 < json.loads((out / "comparison.json").read_text())["r2"] <= 1
    text = (out / "report.html").read_text()
    assert re.search("R² = (0.999|1.000)", text) and "plotly" not in text and text.count("<figure") == 2


def test_a_known_difference_is_measured(results):
    from ase_elf import read_elf

    grid = read_elf(results / "fine.cube")
    lower = ELFGrid(grid.values - 0.02, grid.atoms)
    score = compare_elf(grid, lower).score
    assert score.bias == pytest.approx(-0.02, abs=1e-6) and score.mae == pytest.approx(0.02, abs=1e-6)
    assert score.r2 == pytest.approx(1 - 0.02**2 / grid.values.var(dtype=float), abs=1e-6)
    assert score.phi_error == pytest.approx(-0.02, abs=2e-3)


def test_two_runs_are_compared_with_errors(results, tmp_path):
    done = asked("compare", results / "a", results / "b", "-o", tmp_path / "out")
    assert done.exit_code == 0, done.output
    record = json.loads((tmp_path / "out" / "comparison.json").read_text())
    phi = record["averages"]["elf_phi"]
    assert phi["difference"] == pytest.approx(phi["b"] - phi["a"], abs=1e-6)
    assert "g(r) of H-H" in done.output and record["rdf"]["H-H"]["at"] > 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("a",), "with another one"),
        (("a", "fine.cube"), "with another one"),
        (("run.extxyz",), "no second one"),
    ],
)
def test_what_cannot_be_compared_is_told(results, words, said):
    done = asked("compare", *(results / word for word in words))
    assert done.exit_code == 2 and said in " ".join(done.output.split())


def test_other_structures_are_not_compared(results):
    from ase_elf import read_elf
    from ase_elf.errors import InputError

    grid = read_elf(results / "fine.cube")
    moved, larger = grid.atoms.copy(), grid.atoms.copy()
    moved.positions += 0.1
    larger.set_cell(1.1 * larger.cell, scale_atoms=True)
    for atoms, said in ((moved, "0.17"), (larger, "cells of A and B"), (grid.atoms[:-1], "H15")):
        with pytest.raises(InputError, match=said):
            compare_elf(grid, ELFGrid(grid.values, atoms))
