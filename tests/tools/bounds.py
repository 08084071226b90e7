"""Do an installation and the tests work at both ends of what setup.cfg allows?

    python tests/tools/bounds.py lowest|newest [--python 3.13] [--wheel FILE] [--commands | --all]

Makes a virtual environment in a temporary folder, installs every dependency in the lowest
version that setup.cfg names, or the newest that the registry has, and the package. The installed
command analyses a trajectory in an empty folder; tests follow.

Where the version of Python is missing or the registry of packages does not answer, nothing can be told: that is
printed as skipped, and the exit code is 0. Whatever fails otherwise is a failure, with exit code 1.
"""

from __future__ import annotations

import argparse
import configparser
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import figures

ROOT = Path(__file__).resolve().parents[2]
SMOKE = ("tests/test_grid.py", "tests/formats/test_formats.py", "tests/test_calculator.py",
         "tests/test_ase_hooks.py", "tests/model/test_field_model.py", "tests/structures/test_trajectory.py",
         "tests/mda/test_extxyz.py", "tests/mda/test_mda_analysis.py", "tests/cli/test_plot_compare.py",
         "tests/plotting/test_plots.py", "tests/topology/test_critical.py",
         "tests/topology/test_networking.py", "tests/plugins/test_numbers.py")  # fmt: skip
"""Tests that use every required dependency: two to three processor minutes."""

ALL = (*SMOKE, "tests/formats/test_elf_store.py", "tests/test_observers.py", "tests/test_potential.py",
       "tests/project/test_mdakit.py", "tests/cli/test_analyze.py", "tests/training/test_training.py",
       "tests/report/test_report.py", "tests/plugins/test_dense_hydrogen.py")  # fmt: skip
"""Those, and more of the same."""

COMMANDS = (
    "ase-elf info",
    "python -m ase_elf.examples",
    "ase-elf analyze hydrogen.extxyz --stop 3 -o report",
    "ase-elf plot report --what gr -o gr.pdf",
)
"""What the installed package must do, away from the source tree."""


def declared(extras: bool = False) -> list[str]:
    """``name>=version`` of what setup.cfg requires, and of its extras where they are wanted."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    optional = setup["options.extras_require"]
    more = optional.values() if extras else []
    lists = [*more, setup["options"]["install_requires"]]
    lines = [line.partition(";")[0].strip() for line in "\n".join(lists).splitlines()]
    return [line for line in lines if line]


def requirements(end: str) -> list[str]:
    """What setup.cfg requires, at one end, and what the tests need."""
    bounds = declared()
    if end == "lowest":
        bounds = [bound.replace(">=", "==") for bound in bounds]
    return [*bounds, "pytest>=8", "pytest-xdist>=3.5", "hypothesis>=6.100", "sybil>=9"]


def interpreter(wanted: str | None) -> str | None:
    """Python of a version, as 3.13: on the path, or one of those that pyenv keeps."""
    if wanted is None:
        return sys.executable
    kept = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    places = [shutil.which(f"python{wanted}"), *sorted(map(str, kept.glob(f"{wanted}.*/bin/python")))]
    for place in filter(None, places):
        # A shim of pyenv is there for every version that is kept, and fails where it is not chosen.
        done = subprocess.run([place, "-c", ""], capture_output=True)
        if done.returncode == 0:
            return place
    return None


def answers(variables: dict[str, str]) -> bool:
    """Whether the registry gives a small package that it has, and a machine seldom has beside pip."""
    with tempfile.TemporaryDirectory() as folder:
        fetch = ["python", "-m", "pip", "download", "--quiet", "--no-deps", "--no-cache-dir"]
        done = subprocess.run([*fetch, "--retries=1", "--dest", folder, "finufft"], env=variables)
    return done.returncode == 0


def install(needed: list[str], variables: dict[str, str]) -> bool:
    """Install packages, at a second try if need be; False where the registry does not answer.

    Raises
    ------
    subprocess.CalledProcessError
        If the registry answers and the packages cannot be installed all the same.
    """
    command = ["python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *needed]
    if subprocess.run(command, env=variables).returncode == 0:
        return True
    if not answers(variables):
        return False
    subprocess.run(command, check=True, env=variables)
    return True


def environment(folder: Path, python: str) -> dict[str, str]:
    """Variables of a new virtual environment."""
    subprocess.run([python, "-m", "venv", folder], check=True)
    variables = {**os.environ, "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    variables.pop("PYTHONPATH", None)
    return variables


def skipped(end: str, why: str) -> int:
    """Say that nothing was tested; no failure."""
    print(f"SKIPPED: {end} versions of dependencies: {why}", flush=True)
    return 0


def versions(variables: dict[str, str], needed: list[str]) -> dict[str, str]:
    """What was installed of what is needed."""
    listed = subprocess.run(["python", "-m", "pip", "list", "--format=json"], check=True, env=variables,
                            capture_output=True, text=True).stdout  # fmt: skip
    named = {re.split("[>=]", line)[0].lower() for line in needed}
    found = {p["name"].lower(): p["version"] for p in json.loads(listed)}
    return {name: version for name, version in found.items() if name in named}


def spent(began: float) -> str:
    """Time since the beginning, on the clock and of processors."""
    own = os.times()
    processor = own.children_user + own.children_system
    return f"until here {time.perf_counter() - began:.0f} s, {processor:.0f} s of processor time"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("end", choices=["lowest", "newest"])
    parser.add_argument("tests", nargs="*")
    parser.add_argument("--python", metavar="X.Y", help="version of Python  [default: this one]")
    parser.add_argument("--wheel", type=Path, help="what is installed  [default: made from this folder]")
    parser.add_argument("--all", action="store_true", help="more tests: seven processor minutes")
    parser.add_argument("--commands", action="store_true", help="no tests, only the installed commands")
    parser.add_argument("--results", type=Path, help="JSON file that is added to")
    given = parser.parse_intermixed_args()
    python = interpreter(given.python)
    if python is None:
        return skipped(given.end, f"Python {given.python} is not present here")
    began = time.perf_counter()
    tests = given.tests or (ALL if given.all else SMOKE)
    needed = requirements(given.end)
    with tempfile.TemporaryDirectory(prefix="bounds-") as folder:
        variables = environment(Path(folder) / "venv", python)
        if not install(needed, variables):
            return skipped(given.end, "the registry of packages does not answer")
        pip = ["python", "-m", "pip", "--disable-pip-version-check"]
        package = given.wheel.resolve() if given.wheel else ROOT
        subprocess.run([*pip, "install", "--quiet", "--no-deps", str(package)], check=True, env=variables)
        subprocess.run([*pip, "check"], check=True, env=variables)
        found = versions(variables, needed)
        number = subprocess.run(["python", "-c", "import platform; print(platform.python_version())"],
                                env=variables, check=True, capture_output=True, text=True).stdout.strip()  # fmt: skip
        print(f"{given.end}, Python {number}: {', '.join(map(' '.join, found.items()))}", flush=True)
        away = Path(folder) / "away"
        away.mkdir()
        for command in COMMANDS:
            subprocess.run(command.split(), cwd=away, env=variables, check=True, stdout=subprocess.DEVNULL)
        print("installed, described itself, analysed a trajectory and drew a figure", flush=True)
        print(spent(began), flush=True)
        if given.commands:
            return 0
        # Versions that were not made for each other warn of each other's ways.
        words = ["-q", "-p", "no:cacheprovider", "-W", "default", "-n", "2", "--dist", "loadfile",
                 "-m", "not long and not ci and not dft"]  # fmt: skip
        done = subprocess.run(["python", "-m", "pytest", *words, *tests], cwd=ROOT, stdout=subprocess.PIPE,
                              env={**variables, "PYTHONPATH": str(ROOT)}, text=True)  # fmt: skip
    print(done.stdout[-6000:], spent(began), sep="\n")
    if given.results:
        known = figures.read(given.results)
        outcome = done.stdout.strip().splitlines()[-1].strip("= ")
        known[given.end] = {"date": date.today().isoformat(), "python": number, "outcome": outcome,
                            "versions": found}  # fmt: skip
        figures.write(given.results, known)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
