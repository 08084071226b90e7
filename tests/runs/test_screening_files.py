"""Ranking by the ELF that files hold, what is left out, and Tc from the states that lie beside."""

import json
import re

import numpy as np
import pytest
from ase import Atoms
from ase.io import write
from command import call
from crystals import crystals, rows_of
from elf_files import CELL, field

from ase_elf import write_elf
from ase_elf.formats.collection import Collection, is_collection
from ase_elf.formats.store import ELFStore
from ase_elf.grid import ELFGrid
from ase_elf.topology import estimate_tc, hydrogen_share, networking
from ase_elf.topology.beside import dos_beside, fermi_beside

pytestmark = pytest.mark.usefixtures("stand_in_pack")

POSITIONS = np.array([(0.2, 0.3, 0.4), (0.2, 0.3, 1.14), (1.2, 1.1, 1.3)])


def elf(width=0.35, symbols="H2O"):
    atoms = Atoms(symbols, POSITIONS, cell=CELL, pbc=True)
    return ELFGrid(field((12, 10, 14), POSITIONS, CELL, width=width), atoms)


def doscar(path, hydrogen=0.5, oxygen=1.0, n_atoms=3):
    """Constant densities of states on two hydrogen atoms and an oxygen atom."""
    header = "1.0 -1.0 2 0.0 1.0\n"
    block = header + "-1.0 {0}\n1.0 {0}\n"
    path.write_text(
        f"{n_atoms} {n_atoms} 1 0\n" + "x\n" * 4 + block.format("1.0 1.0").replace("0.0 1.0", "0.0 1.0", 1)
        + block.format(hydrogen) * 2 + block.format(oxygen)
    )  # fmt: skip
    return path


@pytest.fixture
def folder(tmp_path):
    """ELF files of three formats with different networking values."""
    path = tmp_path / "dft"
    path.mkdir()
    for name, width in (("low.cube", 0.3), ("ELFCAR_high", 0.5), ("middle.xsf", 0.4)):
        write_elf(path / name, elf(width))
    return path


def test_a_folder_is_ranked_by_its_own_elf(folder, tmp_path):
    output = call("analyze", folder, "-o", tmp_path / "out")
    assert "ELF: 3 from files" in output and "ranking in" in output
    assert [line.split()[-1] for line in output.splitlines() if line[:1].isdigit()] == [
        "ELFCAR_high", "middle.xsf", "low.cube",
    ]  # fmt: skip
    rows = rows_of(tmp_path / "out" / "screening.csv")
    assert [row["name"] for row in rows] == ["ELFCAR_high", "middle.xsf", "low.cube"]
    for row, width in zip(rows, (0.5, 0.4, 0.3), strict=True):
        assert float(row["elf_phi"]) == pytest.approx(networking(elf(width)).phi, abs=1e-6)
        assert (row["elf"], row["domain"], row["elf_outside"]) == ("file", "", "")
    summary = json.loads((tmp_path / "out" / "screening.json").read_text())
    assert summary["from_files"] == 3 and summary["out_of_domain"] == 0
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Nothing was predicted" in page and 'id="network"' in page and "<td>file</td>" in page


def test_the_topology_command_ranks_a_folder_alike(folder, tmp_path):
    (folder / "notes.txt").write_text("no structure")
    write(folder / "a.cif", crystals(1))
    output = call("topology", folder)
    places = re.findall(r"^(\d) +(\S+) ± .*H2O +(\S+)$", output, re.MULTILINE)
    assert [name for _, _, name in places] == ["ELFCAR_high", "middle.xsf", "low.cube"]
    assert "a.cif" not in output
    call("topology", folder, "-o", tmp_path / "out")
    ranked = [row["name"] for row in rows_of(tmp_path / "out" / "screening.csv")]
    assert ranked == [name for _, _, name in places]
    lines = [json.loads(line) for line in call("topology", folder, "--json").splitlines()]
    assert [line["name"] for line in lines] == ranked
    assert "--points: not for a folder" in call("topology", folder, "--points", "x.csv", code=2)


def test_rows_of_a_mixed_folder_say_where_their_elf_is_from(folder, tmp_path):
    write(folder / "a.cif", crystals(1))
    output = call("analyze", folder, "-o", tmp_path / "out")
    assert "3 from files" in output and "1 from stand-in 000000000000" in output
    rows = {row["name"]: row for row in rows_of(tmp_path / "out" / "screening.csv")}
    assert rows["a.cif"]["elf"] == "predicted by stand-in 000000000000"
    assert {row["elf"] for name, row in rows.items() if name != "a.cif"} == {"file"}
    assert rows["a.cif"]["elf_outside"] in "01" and rows["low.cube"]["elf_outside"] == ""
    assert "not of one kind" in (tmp_path / "out" / "report.html").read_text()


def test_all_is_predicted_where_that_is_asked_for(tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a.cube", "ELFCAR_b"):
        write_elf(tmp_path / "in" / name, elf(symbols="H3"))
    output = call("analyze", tmp_path / "in", "-o", tmp_path / "out", "--predict", "--no-report")
    assert "from stand-in" in output and "from files" not in output
    rows = rows_of(tmp_path / "out" / "screening.csv")
    assert [row["elf"] for row in rows] == ["predicted by stand-in 000000000000"] * 2
    one = call("analyze", tmp_path / "in" / "a.cube", "-o", tmp_path / "one", "--predict", "--no-report")
    assert "is not used: that of its structures is predicted anew" in one
    assert (tmp_path / "one" / "frames.csv").is_file()


def test_what_is_wrong_with_a_file_is_its_row_and_stops_nothing(folder, tmp_path):
    cut = (folder / "low.cube").read_text()
    (folder / "cut.cube").write_text(cut[: len(cut) // 2])
    write_elf(folder / "nameless.ELFCAR", elf())
    text = (folder / "nameless.ELFCAR").read_text().splitlines(keepends=True)
    (folder / "nameless.ELFCAR").write_text("NPT\n" + "".join(text[1:5] + text[6:]))
    output = call("analyze", folder, "-o", tmp_path / "out", "--no-report")
    assert "2 of 5 structures could not be analysed" in output and "cut.cube: ends after" in output
    rows = {row["name"]: row for row in rows_of(tmp_path / "out" / "screening.csv")}
    assert "the file is truncated" in rows["cut.cube"]["error"]
    assert "--elements" in rows["nameless.ELFCAR"]["error"]
    output = call("topology", folder)
    assert "error: cut.cube: ends after" in output and "2 of 5 could not be analysed" in output
    given = call("topology", folder, "--elements", "H,O")
    assert "1 of 5 could not be analysed" in given


@pytest.mark.parametrize("command", ["analyze", "topology"])
def test_where_nothing_could_be_analysed_there_is_no_ranking(tmp_path, command):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "cut.cube").write_text(
        "a\nb\n 1 0 0 0\n 2 1 0 0\n 2 0 1 0\n 2 0 0 1\n 1 1.0 0 0 0\n0.5"
    )
    output = call(command, tmp_path / "in", "-o", tmp_path / "out", code=1)
    assert "nothing could be analysed" in output and "ranking" not in output
    assert "cut.cube: ends after 1 of 8 values" in output


def test_warnings_of_reading_are_notes_of_the_row(folder, tmp_path):
    grid = elf()
    closed = np.pad(grid.values, (0, 1), mode="wrap")
    stretched = grid.atoms.copy()
    stretched.set_cell(CELL * (np.array(closed.shape) / grid.shape)[:, None])
    write_elf(folder / "closed.cube", ELFGrid(closed, stretched))
    call("analyze", folder, "-o", tmp_path / "out")
    rows = {row["name"]: row for row in rows_of(tmp_path / "out" / "screening.csv")}
    assert "--end-plane drop or keep" in rows["closed.cube"]["notes"]
    assert not rows["low.cube"]["notes"]
    call("analyze", folder, "-o", tmp_path / "dropped", "--end-plane", "drop", "--no-report")
    dropped = {row["name"]: row for row in rows_of(tmp_path / "dropped" / "screening.csv")}
    assert float(dropped["closed.cube"]["elf_phi"]) == pytest.approx(networking(grid).phi, abs=1e-6)


@pytest.mark.parametrize("name", ["ELFCAR", "one.cube", "one.xsf", "one.h5", "ELFCAR.gz"])
def test_a_single_file_gets_its_critical_points_and_network_too(tmp_path, name):
    import gzip

    plain = tmp_path / name.removesuffix(".gz")
    write_elf(plain, elf())
    if name.endswith(".gz"):
        (tmp_path / name).write_bytes(gzip.compress(plain.read_bytes()))
    assert is_collection(tmp_path / name)
    output = call("analyze", tmp_path / name, "-o", tmp_path / "out", "--no-report")
    assert "ELF: 1 from files" in output and "critical points:" in output
    for file in ("points.csv", "basins.csv", "network.graphml", "topology.json", "screening.csv"):
        assert (tmp_path / "out" / file).stat().st_size
    record = json.loads((tmp_path / "out" / "topology.json").read_text())
    assert record["phi"] == pytest.approx(networking(elf()).phi, abs=2e-5)
    assert "--predict" in call("analyze", tmp_path / name, "--spacing", 0.3, code=2)


def test_a_store_is_ranked_frame_by_frame(tmp_path):
    store = ELFStore(tmp_path / "run.elfstore")
    for width in (0.3, 0.5):
        store.append(elf(width))
    call("analyze", tmp_path / "run.elfstore", "-o", tmp_path / "out", "--no-report")
    rows = rows_of(tmp_path / "out" / "screening.csv")
    assert [row["name"] for row in rows] == ["run.elfstore#1", "run.elfstore#0"]


def test_other_files_of_a_run_beside_its_elfcar_are_left_out_and_said(tmp_path):
    run = tmp_path / "in" / "run1"
    run.mkdir(parents=True)
    write_elf(run / "ELFCAR", elf())
    write(run / "POSCAR", elf().atoms, format="vasp")
    for name in ("INCAR", "KPOINTS", "OUTCAR", "vasprun.xml", "CHGCAR.gz"):
        (run / name).write_text("text")
    doscar(run / "DOSCAR")
    write(tmp_path / "in" / "POSCAR", crystals(1)[0], format="vasp")  # of no run
    found = Collection(tmp_path / "in")
    assert [c.name for c in found] == ["POSCAR", "run1/ELFCAR"]
    assert [p.name for p in found.left_out()] == ["CHGCAR.gz", "OUTCAR", "POSCAR", "vasprun.xml"]
    output = call("analyze", tmp_path / "in", "-o", tmp_path / "out", "--no-report")
    assert "left out: 4 files of runs whose ELF is read" in output


def test_a_killed_ranking_of_files_goes_on_and_a_changed_file_is_refused(folder, tmp_path):
    out = tmp_path / "out"
    call("analyze", folder, "-o", out, "--no-report")
    whole = (out / "screening.csv").read_bytes()
    journal = (out / "journal.jsonl").read_bytes()
    (out / "journal.jsonl").write_bytes(journal[: len(journal) // 2])
    call("analyze", folder, "-o", out, "--no-report")
    assert (out / "screening.csv").read_bytes() == whole
    assert "end_plane" in (out / "config.yaml").read_text()
    assert "reading" in call("analyze", folder, "-o", out, "--end-plane", "keep", code=1)


# Densities of states


@pytest.mark.parametrize(
    ("name", "dos"),
    [("ELFCAR", "DOSCAR"), ("ELFCAR_a", "DOSCAR_a"), ("a.ELFCAR", "a.DOSCAR"), ("a.cube", "a.DOSCAR"),
     ("a-elf.cube", "DOSCAR_a"), ("a.xsf", "DOSCAR")],
)  # fmt: skip
def test_tc_of_a_density_of_states_beside(tmp_path, name, dos):
    (tmp_path / "in").mkdir()
    write_elf(tmp_path / "in" / name, elf())
    doscar(tmp_path / "in" / dos)
    call("analyze", tmp_path / "in", "-o", tmp_path / "out")
    (row,) = rows_of(tmp_path / "out" / "screening.csv")
    assert float(row["h_dos"]) == pytest.approx(0.5)
    network = networking(elf())
    estimates = {e.name.lower(): e for e in estimate_tc(network.phi, network.phi_star, 2 / 3, 0.5)}
    for key, estimate in estimates.items():
        assert float(row[f"tc_{key}"]) == pytest.approx(estimate.kelvin, abs=0.1)
    assert "h_dos" in call("topology", tmp_path / "in") and "0.500" in call("topology", tmp_path / "in")
    kelvin = sorted(e.kelvin for e in estimates.values())
    assert f"{kelvin[0]:.0f} to\u00a0{kelvin[-1]:.0f}" in (tmp_path / "out" / "report.html").read_text()


def test_a_density_of_states_belongs_to_nothing_where_that_is_not_clear(folder):
    doscar(folder / "DOSCAR")
    assert dos_beside(folder / "low.cube") is None
    doscar(folder / "low.DOSCAR")
    assert dos_beside(folder / "low.cube") == folder / "low.DOSCAR"
    assert dos_beside(folder / "middle.xsf") is None


@pytest.mark.parametrize(
    ("how", "note"),
    [(lambda p: doscar(p, 0, 0), "an insulator by DOSCAR"), (lambda p: doscar(p, n_atoms=4), "of 4 atoms"),
     (lambda p: p.write_text("3 3 1 0\nx\n"), "no complete DOSCAR"), (lambda p: doscar(p, 0), "no states of hydrogen")],
)  # fmt: skip
def test_without_an_estimate_the_row_says_why(tmp_path, how, note):
    (tmp_path / "in").mkdir()
    write_elf(tmp_path / "in" / "ELFCAR", elf())
    how(tmp_path / "in" / "DOSCAR")
    call("analyze", tmp_path / "in", "-o", tmp_path / "out", "--no-report")
    (row,) = rows_of(tmp_path / "out" / "screening.csv")
    assert "no Tc" in row["notes"] and note in row["notes"]
    assert row["rank"] == "1" and not row["tc_sr2"]


def projwfc(folder, prefix="x"):
    table = "# E\n-1.0 {0} {0}\n1.0 {0} {0}\n"
    (folder / f"{prefix}.pdos_tot").write_text(table.format(2.0))
    (folder / f"{prefix}.pdos_atm#1(H)_wfc#1(s)").write_text(table.format(0.5))
    (folder / f"{prefix}.pdos_atm#2(H_1)_wfc#1(s)").write_text(table.format(0.3))
    (folder / f"{prefix}.pdos_atm#3(O)_wfc#1(s)").write_text(table.format(1.2))


def test_states_of_projwfc_with_the_fermi_level_of_a_file_beside(tmp_path):
    (tmp_path / "in").mkdir()
    projwfc(tmp_path / "in")
    write_elf(tmp_path / "in" / "x.cube", elf())
    call("analyze", tmp_path / "in", "-o", tmp_path / "out", "--no-report")
    (row,) = rows_of(tmp_path / "out" / "screening.csv")
    assert "where the Fermi level is" in row["notes"] and not row["h_dos"]
    (tmp_path / "in" / "scf.out").write_text("     the Fermi energy is     9.1000 ev\n")
    (tmp_path / "in" / "nscf.out").write_text("     the Fermi energy is     0.2500 ev\n")
    assert fermi_beside(tmp_path / "in" / "x") == 0.25
    (tmp_path / "in" / "x.dos").write_text("#  E (eV)   dos(E)     Int dos(E) EFermi =   -0.500 eV\n")
    assert fermi_beside(tmp_path / "in" / "x") == -0.5
    found = Collection(tmp_path / "in", only_elf=True)
    assert [c.name for c in found] == ["x.cube"]
    assert hydrogen_share(tmp_path / "in" / "x", ["H", "H", "O"], fermi=0.0) == pytest.approx(0.4)


def test_packed_densities_of_states_are_read(tmp_path):
    import gzip

    plain = doscar(tmp_path / "DOSCAR")
    (tmp_path / "DOSCAR.gz").write_bytes(gzip.compress(plain.read_bytes().replace(b"0.5", b"5.D-1")))
    assert hydrogen_share(tmp_path / "DOSCAR.gz", ["H", "H", "O"]) == pytest.approx(0.5)
    plain.unlink()
    write_elf(tmp_path / "ELFCAR", elf())
    assert dos_beside(tmp_path / "ELFCAR") == tmp_path / "DOSCAR.gz"


def test_several_files_are_printed_then_ranked_and_one_that_fails_stops_none(folder, tmp_path):
    (folder / "cut.cube").write_text((folder / "low.cube").read_text()[:3000])
    doscar(folder / "low.DOSCAR")
    files = [folder / name for name in ("low.cube", "cut.cube", "ELFCAR_high")]
    output = call("topology", *files)
    assert output.index("low.cube:") < output.index("ELFCAR_high:") < output.index("h_dos")
    assert "1 of 3 could not be analysed" in output and "error: " in output and "truncated" in output
    assert "--dos belongs to a single ELF" in call("topology", *files, "--dos", "x", code=2)
    call("topology", folder / "cut.cube", code=1)
    records = [json.loads(line) for line in call("topology", *files, "--json").splitlines() if line[0] == "{"]
    assert [bool(r.get("error")) for r in records] == [False, True, False]
    assert set(records[0]["tc_kelvin"]) == {"leastsq", "sr2", "sr4", "sr5"}
