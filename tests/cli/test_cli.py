"""The command itself: light, lazy, and never a traceback."""

import json
import os
import subprocess
import sys

import click
import pytest
import yaml
from ase.io import write
from click.testing import CliRunner
from command import call
from stand_in_cli import stand_in

from ase_elf import read_elf
from ase_elf.cli import COMMANDS, main
from ase_elf.testing import molecular_fluid


def test_help_imports_nothing_heavy():
    program = (
        "import sys; from ase_elf.cli import main\n"
        "try: main(['analyze', '--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'ase', 'MDAnalysis', 'matplotlib', 'numba'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--isovalue" in done.stdout


def commands():
    """Every command with its full name; those of groups too."""
    for name in main.list_commands(None):
        command = main.get_command(None, name)
        if isinstance(command, click.Group):
            yield from ((f"{name} {sub}", command.commands[sub]) for sub in command.commands)
        else:
            yield name, command


VOCABULARY = {
    "--domain": "domain", "--device": "device", "--spacing": "spacing", "--shape": "shape",
    "--start": "start", "--stop": "stop", "--step": "step", "--config": "config",
    "--progress": "progress", "--json": "as_json", "-o": "output",
}  # fmt: skip


@pytest.mark.parametrize(("name", "command"), list(commands()), ids=str)
def test_one_word_means_one_thing(name, command):
    """An option has the same name, type and help wherever it occurs."""
    for option in command.params:
        for word in getattr(option, "opts", ()):
            if word in VOCABULARY:
                assert option.name == VOCABULARY[word], f"{name} {word}"
    words = {word for option in command.params for word in option.opts}
    reads_keys_itself = "config" in words  # the argument of train and dataset build
    if name not in ("info", "dataset check"):
        assert "--config" in words or reads_keys_itself, name


def test_exit_codes_are_those_of_the_help(monkeypatch, tmp_path):
    assert "0 done, 1 stopped early or bad input, 2 wrong usage, 130" in call("--help").replace(
        "\n", ""
    ).replace("  ", " ")
    call("info")
    call("info", "nowhere", code=1)
    call("info", "--nonsense", code=2)

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("ase_elf.cli.info.collect", interrupted)
    assert "goes on where it was" in call("info", code=130)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_commands_and_options(shell):
    def complete(**env):
        done = subprocess.run(
            [sys.executable, "-c", "from ase_elf.cli import main; main(prog_name='ase-elf')"],
            env={**os.environ, **env}, capture_output=True, text=True,
        )  # fmt: skip
        return done.stdout

    script = complete(_ASE_ELF_COMPLETE=f"{shell}_source")
    assert "ase-elf" in script and "complet" in script
    words = complete(_ASE_ELF_COMPLETE="bash_complete", COMP_WORDS="ase-elf ana", COMP_CWORD="1")
    assert words.strip() == "plain,analyze"


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
    assert sorted(p.name for p in tmp_path.glob("*.cube")) == [f"elf-{k:06d}.cube" for k in range(3)]


def test_predict_records_its_options_and_takes_them_again(tmp_path, monkeypatch):
    monkeypatch.setattr("ase_elf.domains.domain_for", stand_in)
    write(tmp_path / "in.extxyz", molecular_fluid(8, 2, length=3.6))
    said = json.loads(
        call("predict", tmp_path / "in.extxyz", "-o", tmp_path / "elf.cube", "--spacing", 0.4, "--json")
    )
    assert said["files"] == [str(tmp_path / f"elf-{k:06d}.cube") for k in range(2)]
    written = tmp_path / "elf.cube.config.yaml"
    record = yaml.safe_load(written.read_text())
    assert record["spacing"] == 0.4 and record["provenance"]["sources"]["spacing"] == "command line"
    assert record["provenance"]["structures"].endswith("in.extxyz")
    assert record["provenance"]["versions"]["ase"]
    call("predict", tmp_path / "in.extxyz", "-o", tmp_path / "again.cube", "--config", written)
    again = yaml.safe_load((tmp_path / "again.cube.config.yaml").read_text())
    assert again["spacing"] == 0.4 and again["provenance"]["sources"]["spacing"] == "file"


def test_progress_is_on_stderr_and_only_when_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr("ase_elf.domains.domain_for", stand_in)
    write(tmp_path / "in.extxyz", molecular_fluid(8, 2, length=3.6))
    arguments = ["predict", str(tmp_path / "in.extxyz"), "-o", str(tmp_path / "e.cube"),
                 "--spacing", "0.4"]  # fmt: skip
    quiet = CliRunner().invoke(main, arguments)
    assert quiet.stderr == "" and "frame" not in quiet.stdout
    shown = CliRunner().invoke(main, [*arguments, "--progress"])
    assert "frame" in shown.stderr and shown.stdout == quiet.stdout
