"""What CONTRIBUTING, the stability page and the hooks promise is there."""

import configparser
import re
import tomllib
from importlib import import_module

import pytest
import yaml
from places import ROOT

STABLE = re.findall(
    r"^\| `(ase_elf\S*)` \| (.+) \|$", (ROOT / "docs" / "stability.md").read_text(), re.MULTILINE
)


def test_every_target_that_contributing_names_exists():
    named = set(re.findall(r"^make (\S+)", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE))
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert named
    assert named <= targets


def test_hooks_run_what_make_check_runs_and_fetch_nothing():
    (local,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert local["repo"] == "local"
    makefile = (ROOT / "Makefile").read_text()
    for hook in local["hooks"]:
        assert hook["language"] == "system"
        words = hook["entry"].split()
        assert re.search(
            rf"^\t{' '.join(w for w in words if not w.startswith('-'))}\b", makefile, re.MULTILINE
        ), words


def test_every_fragment_of_the_changelog_has_a_kind_and_ends_up_in_it():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["towncrier"]
    kinds = {kind["directory"] for kind in settings["type"]}
    for path in (ROOT / "changes").glob("*.md"):
        topic, kind, _ = path.name.split(".")
        assert topic
        assert kind in kinds, path.name
        assert path.read_text().strip()
    assert settings["start_string"] in (ROOT / "CHANGELOG.md").read_text()


def test_the_changelog_begins_with_the_version_of_the_package():
    from ase_elf import __version__

    newest = re.search(r"^## (\S+?),? ", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[1]
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"]
    assert newest == cited == __version__


@pytest.mark.parametrize(("module", "names"), STABLE)
def test_every_stable_name_is_there(module, names):
    for name in re.findall(r"`(\w+)`", names):
        assert hasattr(import_module(module), name) or name == "__all__"


def test_types_are_strict_where_the_stability_page_says_so():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]
    text = re.search(r"`errors`.*?mypy", (ROOT / "docs" / "stability.md").read_text(), re.DOTALL)[0]
    assert settings["strict"]
    assert {f"ase_elf.{name}" for name in re.findall(r"`(\w+)`", text)} == set(settings["packages"])


def test_every_folder_of_tests_is_named_as_a_package_is():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    rooms = {
        name.split(".")[1] for name in setup["options"]["packages"].split() if name.startswith("ase_elf.")
    }
    for folder in (ROOT / "tests").iterdir():
        if folder.is_dir() and any(folder.glob("test_*.py")):
            assert folder.name in rooms | {"plugins", "project"}


def test_names_of_test_files_are_unique():
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert len(names) == len(set(names))
