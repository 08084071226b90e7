"""The entry for the registry of MDAKits: complete, and the same as what is installed."""

import configparser
import importlib
import inspect

import pytest
import yaml
from MDAnalysis.analysis.base import AnalysisBase
from MDAnalysis.coordinates.base import ProtoReader
from MDAnalysis.topology.base import TopologyReaderBase
from MDAnalysis.transformations.base import TransformationBase
from places import ROOT

TEXTS = ("project_name", "description", "license", "project_home", "documentation_home",
         "documentation_type", "python_requires", "import_name", "mdanalysis_requires",
         "project_org", "development_status", "changelog")  # fmt: skip
LISTS = ("authors", "maintainers", "keywords", "install", "src_install", "run_tests",
         "test_dependencies")  # fmt: skip
"""What the registry reads, by what it takes each for."""


@pytest.fixture(scope="module")
def entry():
    return yaml.safe_load((ROOT / "docs" / "mdakit" / "metadata.yaml").read_text())


@pytest.fixture(scope="module")
def setup():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    return config


def test_every_field_is_there_and_of_its_kind(entry):
    assert set(entry) == {*TEXTS, *LISTS}
    assert all(isinstance(entry[name], str) and entry[name] for name in TEXTS)
    for name in LISTS:
        assert entry[name] and all(isinstance(item, str) for item in entry[name])


def test_it_says_what_setup_says(entry, setup):
    assert entry["project_name"] == setup["metadata"]["name"]
    assert entry["license"] == setup["metadata"]["license"]
    assert entry["python_requires"] == setup["options"]["python_requires"]
    assert f"mdanalysis{entry['mdanalysis_requires']}" in setup["options"]["install_requires"].split()


def test_the_tests_it_runs_are_there(entry):
    named = [word for line in entry["run_tests"] for word in line.split() if word.endswith(".py")]
    assert named and all((ROOT / name).is_file() for name in named)


def test_the_module_it_imports_holds_what_a_kit_is_made_of(entry):
    kit = importlib.import_module(entry["import_name"])
    classes = [item for _, item in inspect.getmembers(kit, inspect.isclass)]
    for base in (AnalysisBase, ProtoReader, TopologyReaderBase, TransformationBase):
        assert any(issubclass(one, base) for one in classes), base
