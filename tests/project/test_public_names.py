"""What a documented module offers is said in its ``__all__``."""

import importlib
import inspect
import re

import pytest
from places import ROOT

DOCUMENTED = sorted(
    name
    for page in (ROOT / "docs" / "reference").glob("*.md")
    for name in re.findall(r"automodule:: (ase_elf[\w.]*)", page.read_text(encoding="utf-8"))
)


def test_there_are_documented_modules():
    assert len(DOCUMENTED) > 50 and {"ase_elf.calculator", "ase_elf.analysis.settings"} < set(DOCUMENTED)


@pytest.mark.parametrize("name", DOCUMENTED)
def test_all_public_names_of_a_module_are_listed_and_exist(name):
    module = importlib.import_module(name)
    own = {
        each
        for each, thing in vars(module).items()
        if (inspect.isfunction(thing) or inspect.isclass(thing))
        and thing.__module__ == name
        and not each.startswith("_")
    }
    assert own <= set(module.__all__)
    assert all(hasattr(module, each) for each in module.__all__)
