"""An editable installation of a clone that has the package's name, as a clone has."""

import configparser
import shutil
import site
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
from places import ROOT

SCRIPT = """
from ase_elf import ELFCalculator
from ase_elf.domains import installed
print(*sorted(installed()))
"""

FIND = """
from importlib.util import find_spec
print(find_spec("ase_elf").origin, find_spec("ase_elf_espresso").origin, sep="\\n")
"""


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """What an installation needs, in a folder called as the package."""
    clone = tmp_path_factory.mktemp("above") / "ase_elf"
    for name in ("setup.cfg", "pyproject.toml", "build_backend.py", "MANIFEST.in", "README.md", "LICENSE"):
        clone.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, clone / name)
    code = shutil.ignore_patterns("__pycache__", "*.npz", "*.gz", "*.jsonl", "*.safetensors")
    for folder in ("ase_elf", "plugins"):
        shutil.copytree(ROOT / folder, clone / folder, ignore=code)
    return clone


@pytest.fixture(scope="module")
def python(clone, tmp_path_factory):
    """Python of an environment with that clone installed, and with the packages of this one."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "outside.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--ignore-installed",
         "--no-build-isolation", "--no-index", "--disable-pip-version-check", "-e", str(clone)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return python


@pytest.mark.parametrize("where", [".", "..", "plugins", "/"])
def test_an_editable_installation_is_found_from_every_folder(clone, python, where):
    done = subprocess.run([python, "-c", FIND], cwd=clone / where, capture_output=True, text=True)
    package, plugin = map(Path, done.stdout.splitlines())
    assert package == clone / "ase_elf" / "__init__.py"
    assert plugin == clone / "plugins" / "espresso" / "__init__.py"


def test_scripts_in_the_folder_above_a_clone_work(clone, python):
    (clone.parent / "script.py").write_text(SCRIPT)
    for how in (["script.py"], ["-c", SCRIPT]):
        done = subprocess.run([python, *how], cwd=clone.parent, capture_output=True, text=True)
        assert done.stdout == "dense-hydrogen gold-thiolate many-elements\n", done.stderr


def test_a_module_written_later_is_found(clone, python):
    (clone / "ase_elf" / "written_later.py").write_text("VALUE = 7\n")
    done = subprocess.run(
        [python, "-c", "from ase_elf.written_later import VALUE; print(VALUE)"],
        cwd=clone.parent, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout == "7\n", done.stderr


def test_uninstalling_leaves_nothing_behind(clone, tmp_path):
    """The line that is added is in the wheel's list of files."""
    done = subprocess.run(
        [sys.executable, "-c", f"import build_backend as b; print(b.build_editable({str(tmp_path)!r}))"],
        cwd=clone, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(tmp_path / done.stdout.splitlines()[-1]) as wheel:
        assert wheel.testzip() is None
        (record,) = (name for name in wheel.namelist() if name.endswith("RECORD"))
        listed = {line.split(",")[0] for line in wheel.read(record).decode().splitlines()}
        assert listed == set(wheel.namelist())


def test_every_folder_of_modules_is_a_package_that_is_installed():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    listed = set(setup["options"]["packages"].split())
    found = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "ase_elf").rglob("*.py")}
    assert found <= listed
    places = dict(line.split(" = ") for line in setup["options"]["package_dir"].strip().splitlines())
    assert {f"plugins/{path.parent.name}" for path in (ROOT / "plugins").glob("*/__init__.py")} <= set(
        places.values()
    )
    assert set(places) <= listed
