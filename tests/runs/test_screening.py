"""Screening: ranked rows for everything in a collection, whatever is wrong with some of it."""

import json

import ase.db
import pytest
from ase import Atoms
from ase.io import write
from command import call
from crystals import crystals, rows_of

from ase_elf.analysis.screening import Screened, rank
from ase_elf.formats.collection import Collection, is_collection
from ase_elf.runs.screening import Screener, ScreeningRun
from ase_elf.testing import GaussianDomain, molecular_fluid
from ase_elf.topology import networking

pytestmark = pytest.mark.usefixtures("stand_in_pack")


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "crystals"
    path.mkdir()
    for k, atoms in enumerate(crystals()):
        write(path / f"c{k}.cif", atoms)
    return path


def test_folder_database_and_mixed_file_are_collections_and_a_run_is_not(folder, tmp_path):
    assert is_collection(folder)
    with ase.db.connect(tmp_path / "some.db") as db:
        for atoms in crystals(3):
            db.write(atoms)
    assert is_collection(tmp_path / "some.db")
    write(tmp_path / "mixed.extxyz", crystals(3))
    assert is_collection(tmp_path / "mixed.extxyz")
    write(tmp_path / "run.extxyz", molecular_fluid(4, 3, length=3.0))
    assert not is_collection(tmp_path / "run.extxyz")
    (tmp_path / "run.xtc").write_bytes(b"of which only MDAnalysis, with a topology, knows more")
    assert not is_collection(tmp_path / "run.xtc")
    write(tmp_path / "one.cif", crystals(1))
    assert not is_collection(tmp_path / "one.cif")


def test_names_and_order_of_a_collection(tmp_path):
    (tmp_path / "sub").mkdir()
    write(tmp_path / "b.extxyz", crystals(2))
    write(tmp_path / "sub" / "a.cif", crystals(1))
    (tmp_path / ".hidden").write_text("no structure")
    (tmp_path / "readme.md").write_text("no structure")
    found = list(Collection(tmp_path))
    assert [c.name for c in found] == ["b.extxyz#0", "b.extxyz#1", "readme.md", "sub/a.cif"]
    assert found[2].atoms is None and "readme.md" in found[2].error
    assert [c.name for c in Collection(tmp_path, 1, 3)] == ["b.extxyz#1", "readme.md"]


def test_a_file_that_breaks_off_keeps_what_is_before(tmp_path):
    write(tmp_path / "cut.extxyz", crystals(3))
    text = (tmp_path / "cut.extxyz").read_text()
    (tmp_path / "cut.extxyz").write_text(text[:-30])
    found = list(Collection(tmp_path))
    assert [c.name for c in found] == ["cut.extxyz#0", "cut.extxyz#1", "cut.extxyz#2"]
    assert found[1].error is None and "ends within frame 2" in found[2].error


def test_values_do_not_depend_on_what_is_in_the_batch(folder):
    candidates = list(Collection(folder))
    together = [row for group in Screener().screen(candidates) for row in group]
    alone = [row for c in candidates for row in next(iter(Screener().screen([c])))]
    assert together == alone
    domain = GaussianDomain()
    for candidate, row in zip(candidates, together, strict=True):
        grid = Screener().grids([candidate.atoms], [domain])[0]
        assert row.values["elf_phi"] == networking(grid).phi


def test_highest_phi_first_failures_last():
    def row(name, phi, star=0.9, error=None):
        return Screened(name, values={"elf_phi": phi, "elf_phi_star": star}, error=error)

    ranked = rank([row("a", 0.3), row("bad", 0, error="?"), row("c", 0.5), row("b", 0.5, 0.95)])
    assert [r.name for r in ranked] == ["b", "c", "a", "bad"]


def test_bad_structures_are_rows_with_their_reason(folder, tmp_path):
    (folder / "broken.cif").write_text("data_nothing")
    (folder / "empty.cif").touch()
    write(folder / "xenon.cif", Atoms("Xe", cell=[4] * 3, pbc=True))
    write(folder / "overlap.cif", Atoms("H2", [(0, 0, 0), (0.1, 0, 0)], cell=[3] * 3, pbc=True))
    write(folder / "molecule.xyz", Atoms("H2", [(0, 0, 0), (0.7, 0, 0)]))
    output = call("analyze", folder, "-o", tmp_path / "out")
    assert "5 of 11 structures could not be analysed" in output
    rows = rows_of(tmp_path / "out" / "screening.csv")
    assert [row["rank"] for row in rows] == ["1", "2", "3", "4", "5", "6"] + [""] * 5
    phi = [float(row["elf_phi"]) for row in rows[:6]]
    assert phi == sorted(phi, reverse=True)
    reasons = {row["name"]: row["error"] for row in rows[6:]}
    assert "no three-dimensional cell" in reasons["molecule.xyz"]
    assert "apart" in reasons["overlap.cif"] and "Xe" in reasons["xenon.cif"]
    assert "empty" in reasons["empty.cif"] and reasons["broken.cif"]
    summary = json.loads((tmp_path / "out" / "screening.json").read_text())
    assert summary["failed"] == 5 and summary["ranking"][0]["name"] == rows[0]["name"]
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.index("Read this first") < page.index("<h2>Ranking") < page.index("Not analysed")
    assert 'id="network"' in page and "How to cite" in page


def test_nothing_but_failures_is_a_failure(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "broken.cif").write_text("data_nothing")
    call("analyze", tmp_path / "in", "-o", tmp_path / "out", "--no-report", code=1)
    assert rows_of(tmp_path / "out" / "screening.csv")[0]["error"]


def test_a_killed_screening_goes_on_and_ends_with_the_same_bytes(folder, tmp_path):
    def contents(out):
        names = ("screening.csv", "screening.json", "report.html", "journal.jsonl")
        return [(out / name).read_bytes() for name in names]

    whole, torn = tmp_path / "whole", tmp_path / "torn"
    ScreeningRun(Collection(folder), whole, batch=2).execute()
    torn.mkdir()
    (torn / "config.yaml").write_bytes((whole / "config.yaml").read_bytes())
    rows = (whole / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (torn / "journal.jsonl").write_bytes(b"".join(rows[:4]) + rows[4][: len(rows[4]) // 2])
    done = []
    ScreeningRun(Collection(folder), torn, batch=2).execute(done.append)
    assert contents(torn) == contents(whole)
    assert done[0] == 4  # of six; the torn row was dropped


def test_a_directory_that_a_killed_screening_was_about_to_take_is_taken(folder, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "config.yaml.part").touch()
    call("analyze", folder, "-o", tmp_path / "out", "--no-report")
    assert (tmp_path / "out" / "screening.csv").is_file()


def test_a_changed_collection_or_another_grid_is_refused(folder, tmp_path):
    call("analyze", folder, "-o", tmp_path / "out", "--no-report")
    output = call("analyze", folder, "-o", tmp_path / "out", "--spacing", 0.3, code=1)
    assert "spacing None there, 0.3 now" in output
    write(folder / "c1.cif", crystals(1, seed=5))
    assert "was changed" in call("analyze", folder, "-o", tmp_path / "out", code=1)


def test_options_of_trajectories_are_refused_and_the_choice_can_be_overruled(folder, tmp_path):
    assert "--r-max" in call("analyze", folder, "--r-max", 3, code=2)
    write(tmp_path / "run.extxyz", molecular_fluid(4, 2, length=3.0))
    out = tmp_path / "out"
    call("analyze", tmp_path / "run.extxyz", "--screen", "-o", out, "--no-report")
    assert {row["name"] for row in rows_of(out / "screening.csv")} == {"#0", "#1"}
    import yaml

    config = yaml.safe_load((out / "config.yaml").read_text())
    assert config["screen"] is True and config["provenance"]["versions"]["ase_elf"]
