"""What the README names is there; its code runs as that of every page does (conftest.py)."""

import re

from click.testing import CliRunner
from places import ROOT

from ase_elf.cli import main

README = (ROOT / "README.md").read_text()


def test_every_command_in_the_readme_exists():
    named = set(re.findall(r"^ase-elf (\w+)", README, flags=re.MULTILINE))
    assert len(named) >= 5
    for command in named:
        result = CliRunner().invoke(main, [command, "--help"])
        assert result.exit_code == 0, f"ase-elf {command}: {result.output}"


def test_files_the_readme_points_to_are_there():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target
