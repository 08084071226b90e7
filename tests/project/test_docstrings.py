"""Every example in a docstring runs and shows what it says."""

import doctest
import importlib

import pytest
from places import ROOT


def modules_with_examples():
    for path in sorted((ROOT / "ase_elf").rglob("*.py")):
        if ">>>" in path.read_text(encoding="utf-8"):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            yield name.removesuffix(".__init__")


@pytest.mark.parametrize("name", list(modules_with_examples()))
def test_examples(name, tmp_path, monkeypatch, request):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    # As in pytest's own doctest runner, examples may ask for fixtures.
    extra = {"getfixture": request.getfixturevalue}
    failed, tried = doctest.testmod(module, extraglobs=extra)
    assert tried and not failed
