"""What the README tells a newcomer to type works."""

import re
from pathlib import Path

from click.testing import CliRunner

from ase_elf.cli import main

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def test_python_blocks_run_as_they_stand(monkeypatch):
    monkeypatch.chdir(ROOT)
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.S)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {"__name__": "readme"})


def test_every_command_in_the_readme_exists():
    named = set(re.findall(r"^ase-elf (\w+)", README, flags=re.M))
    assert len(named) >= 5
    for command in named:
        result = CliRunner().invoke(main, [command, "--help"])
        assert result.exit_code == 0, f"ase-elf {command}: {result.output}"


def test_files_the_readme_points_to_are_there():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target
