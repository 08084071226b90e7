"""Which module may import which, and that docs/design.md shows the folders that are there."""

import ast
import re

import pytest
from places import ROOT

PACKAGE = ROOT / "ase_elf"

FOR_PLUGINS = (
    "ase_elf.dataset",
    "ase_elf.model",
    "ase_elf.plugins",
    "ase_elf.reference",
    "ase_elf.storage.locks",
    "ase_elf.training",
)
"""What engines and fits are made of: plugins may import it beside the modules of docs/reference."""


def test_lower_layers_never_import_higher_ones_and_no_plugin_is_named(capsys):
    """The contracts stand in setup.cfg; imports within functions and for types count."""
    cli = pytest.importorskip("importlinter.cli", reason="import-linter is not installed (extra [test])")
    failed = cli.lint_imports(config_filename=str(ROOT / "setup.cfg"), no_cache=True)
    assert not failed, capsys.readouterr().out


def test_plugins_import_published_names_only():
    pages = "".join(page.read_text() for page in (ROOT / "docs" / "reference").glob("*.md"))
    published = set(re.findall(r"automodule:: (\S+)", pages))
    published |= {f"ase_elf.{folder.parent.name}" for folder in PACKAGE.glob("*/__init__.py")} | {"ase_elf"}
    wrong = []
    for path in sorted((ROOT / "plugins").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ImportFrom) or not re.match(r"ase_elf(\.|$)", node.module or ""):
                continue
            module = node.module
            allowed = module in published or any(f"{module}.".startswith(f"{each}.") for each in FOR_PLUGINS)
            names = [*module.split("."), *(each.name for each in node.names)]
            if not allowed or any(name.startswith("_") for name in names):
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} imports {names[-1]} from {module}")
    assert not wrong, "\n".join(wrong)


def listed() -> set[str]:
    """Modules and folders of the package as it lies on disk."""
    modules = {path.name for path in PACKAGE.glob("*.py")}
    return modules | {f"{path.parent.name}/" for path in PACKAGE.glob("*/__init__.py")}


def test_at_most_16_modules_lie_at_the_top():
    assert len(list(PACKAGE.glob("*.py"))) <= 16


def test_the_design_page_shows_every_module_and_folder_once():
    page = (ROOT / "docs" / "design.md").read_text()
    table = page[page.index("| layer |") : page.index("## The field model")]
    named = re.findall(r"`(\w+(?:\.py|/))`", table.partition("\n\n")[0])
    assert sorted(named) == sorted(listed())


def test_the_layers_of_the_design_page_are_those_of_the_contract():
    page = (ROOT / "docs" / "design.md").read_text()
    table = page[page.index("| layer |") :].partition("\n\n")[0]
    rows = [set(re.findall(r"`(\w+)(?:\.py|/)`", row)) for row in table.splitlines()[2:]]
    contract = (ROOT / "setup.cfg").read_text().partition("layers =\n")[2].partition("\n\n")[0]
    layers = [set(re.findall(r"\w+", line)) for line in contract.splitlines()]
    assert [row - {"__init__"} for row in rows] == layers
