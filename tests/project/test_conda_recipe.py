"""The conda recipe and the container file ask for what setup.cfg does."""

import configparser
import re

import yaml
from places import ROOT

from ase_elf import __version__

CALLED = {"torch": "pytorch", "matplotlib": "matplotlib-base", "vesin": "python-vesin"}
"""What conda-forge calls otherwise."""

setup = configparser.ConfigParser()
setup.read(ROOT / "setup.cfg")


def test_the_conda_recipe_has_the_dependencies_of_the_package():
    recipe = yaml.safe_load((ROOT / "recipes" / "conda" / "recipe.yaml").read_text())
    needed = [line.split(">=") for line in setup["options"]["install_requires"].split()]
    wanted = {f"{CALLED.get(name, name)} >={least}" for name, least in needed}
    assert set(recipe["requirements"]["run"]) == wanted | {"python >=${{ python_min }}"}
    assert recipe["context"]["version"] == __version__
    assert recipe["about"]["license"] == setup["metadata"]["license"]
    assert recipe["about"]["summary"] == setup["metadata"]["description"]


def test_the_container_copies_what_is_there_and_asks_for_known_extras():
    text = (ROOT / "recipes" / "Dockerfile").read_text()
    for line in re.findall(r"^COPY (.*) /source", text, flags=re.MULTILINE):
        assert all((ROOT / name).exists() for name in line.split())
    (extras,) = re.findall(r"/source\[(.*?)\]", text)
    assert set(extras.split(",")) <= set(setup["options.extras_require"])
