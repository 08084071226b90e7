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


def test_tests_and_programs_that_pages_name_are_there():
    """Pages tell where a claim is tested; a file that was renamed would leave it without."""
    tests = {path.name for path in (ROOT / "tests").rglob("test_*.py")}
    folders = r"(?:tests|benchmarks|examples|plugins|recipes)/[\w/.-]+\.(?:py|yaml|sh|extxyz|ipynb)"
    pages = [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "docs").glob("howto/*.md"),
    ]
    named = 0
    for page in pages:
        text = page.read_text()
        for name in re.findall(r"\btest_\w+\.py", text):
            assert name in tests, f"{page.name}: {name}"
            named += 1
        for path in re.findall(folders, text):
            assert (ROOT / path).exists(), f"{page.name}: {path}"
            named += 1
    assert named > 50
