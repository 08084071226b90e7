"""The command itself: light, lazy, and never a traceback."""

import json
import subprocess
import sys

import pytest
from ase.io import write
from click.testing import CliRunner

from ase_elf import read_elf
from ase_elf.cli import COMMANDS, main
from ase_elf.testing import molecular_fluid
from stand_in_cli import stand_in


def call(*arguments, code=0):
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result.output


def test_help_imports_nothing_heavy():
    program = (
        "import sys; from ase_elf.cli import main\n"
        "try: main(['analyze', '--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'ase', 'MDAnalysis', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--isovalue" in done.stdout


def test_every_listed_command_has_help():
    listed = main.list_commands(None)
    assert {"analyze", "predict", "merge", "info"} <= set(listed) <= set(COMMANDS)
    for name in listed:
        assert "Usage" in call(name, "--help")


def test_misspelt_command_and_option_are_usage_errors():
    assert "Did you mean 'analyze'?" in call("analyse", code=2)
    assert "--isovalue" in call("analyze", __file__, "--isovalu", "1", code=2)


def test_bugs_are_reported_without_a_traceback(monkeypatch):
    def broken(*_):
        raise RuntimeError("cosmic ray")

    monkeypatch.setattr("ase_elf.cli.info.collect", broken)
    output = call("info", code=1)
    assert "cosmic ray" in output and "ASE_ELF_DEBUG" in output


def test_info_prints_versions_and_cards():
    found = json.loads(call("info", "--json"))
    assert found["versions"]["ase_elf"] and "cpu" in found["devices"]
    for name in found["domain packs"]:
        assert json.loads(call("info", name))["elements"]
    assert "no domain pack is called 'nowhere'" in call("info", "nowhere", code=1)


@pytest.mark.parametrize("name", ["one.cube", "ELFCAR", "one.xsf"])
def test_predict_writes_files_that_read_back(tmp_path, monkeypatch, name):
    monkeypatch.setattr("ase_elf.domains.domain_for", stand_in)
    images = molecular_fluid(8, 3, length=3.6)
    write(tmp_path / "in.extxyz", images)
    call("predict", tmp_path / "in.extxyz", "-o", tmp_path / name, "--stop", 1, "--shape", 10, 10, 10)
    grid = read_elf(tmp_path / name)
    assert grid.shape == (10, 10, 10) and len(grid.atoms) == 16
    assert grid.sample(images[0].positions).min() > 0.8


def test_predict_numbers_the_files_of_several_frames(tmp_path, monkeypatch):
    monkeypatch.setattr("ase_elf.domains.domain_for", stand_in)
    write(tmp_path / "in.extxyz", molecular_fluid(8, 3, length=3.6))
    call("predict", tmp_path / "in.extxyz", "-o", tmp_path / "elf.cube", "--spacing", 0.4)
    assert sorted(p.name for p in tmp_path.glob("*.cube")) == [
        f"elf-{k:06d}.cube" for k in range(3)
    ]
