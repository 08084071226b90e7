"""A user's own columns beside a ranking, and conditions on them."""

import csv

import pytest
from ase.io import write
from click.testing import CliRunner

from ase_elf.errors import FormatError, InputError
from ase_elf.formats.own_table import Condition, OwnTable
from ase_elf.testing import molecular_fluid

TABLE = """structure,pressure,stable,formula
a,150,yes,H8
deep/b.cif,20,no,H8
7,,yes,H8
"""


@pytest.fixture
def path(tmp_path):
    (path := tmp_path / "own.csv").write_text(TABLE)
    return path


def test_rows_are_found_by_name_file_stem_frame_and_number(path):
    table = OwnTable(path)
    assert table.columns == ("pressure", "stable", "formula")
    assert table.of("a.cif")["pressure"] == "150"
    assert table.of("folder/a.vasp#3")["pressure"] == "150"
    assert table.of("deep/b.cif")["pressure"] == "20"
    assert table.of("id=7")["stable"] == "yes"
    assert table.of("c.cif") is None


@pytest.mark.parametrize(
    ("text", "admitted"),
    [("pressure<=100", ["deep/b.cif"]), ("pressure > 100", ["a"]), ("stable = yes", ["a", "id=7"]),
     ("stable!=yes", ["deep/b.cif"]), ("pressure==20.0", ["deep/b.cif"])],
)  # fmt: skip
def test_conditions_compare_numbers_and_text(path, text, admitted):
    table = OwnTable(path, [Condition.parse(text)])
    assert [name for name in ("a", "deep/b.cif", "id=7", "unknown") if table.admits(name)] == admitted


@pytest.mark.parametrize("text", ["pressure", "<= 3", "pressure <=", "stable < yes"])
def test_what_is_no_condition_is_refused(text):
    with pytest.raises(InputError):
        Condition.parse(text)


def test_an_unknown_column_and_a_row_given_twice_are_refused(path):
    with pytest.raises(InputError, match="did you mean 'pressure'"):
        OwnTable(path, [Condition.parse("pressures<1")])
    path.write_text(TABLE + "a,1,no,H\n")
    with pytest.raises(FormatError, match="line 5: 'a' has a row already"):
        OwnTable(path)
    path.write_text("")
    with pytest.raises(FormatError, match="no line of headings"):
        OwnTable(path)


def test_a_ranking_holds_the_columns_and_leaves_out_what_does_not_meet_the_conditions(
    tmp_path, stand_in_pack
):
    from ase_elf.cli import main

    folder = tmp_path / "crystals"
    folder.mkdir()
    for name, atoms in zip("abc", molecular_fluid(4, 3), strict=True):
        write(folder / f"{name}.vasp", atoms)
    (own := tmp_path / "own.csv").write_text("file,GPa,elf\na,150,x\nb,20,y\n")
    words = ["analyze", str(folder), "-o", str(tmp_path / "all"), "--no-report", "--table", str(own)]
    found = CliRunner().invoke(main, words)
    assert found.exit_code == 0, found.output
    with (tmp_path / "all" / "screening.csv").open() as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    assert [rows[f"{name}.vasp"]["GPa"] for name in "abc"] == ["150", "20", ""]
    assert rows["a.vasp"]["own_elf"] == "x"
    assert rows["a.vasp"]["elf"].startswith("predicted")
    words[3] = str(tmp_path / "some")
    found = CliRunner().invoke(main, [*words, "--where", "GPa<100"])
    assert found.exit_code == 0, found.output
    with (tmp_path / "some" / "screening.csv").open() as file:
        assert [row["name"] for row in csv.DictReader(file)] == ["b.vasp"]
    found = CliRunner().invoke(main, [*words[:3], str(tmp_path / "none"), *words[4:], "--where", "GPa>900"])
    assert found.exit_code == 1
    assert "meet the conditions" in found.output
