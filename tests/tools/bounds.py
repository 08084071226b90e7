"""Do the tests pass at both ends of what setup.cfg allows?

    python tests/tools/bounds.py lowest|newest [--keep NAME] [--results FILE] [TEST ...]

Makes a virtual environment in a temporary folder, installs every dependency in the lowest
version that setup.cfg names, or the newest that the registry has, and runs tests there.
"""

from __future__ import annotations

import argparse
import configparser
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import venv
from datetime import date
from importlib.metadata import version
from pathlib import Path

import figures

ROOT = Path(__file__).resolve().parents[2]
QUICK = ("tests/test_grid.py", "tests/formats/test_formats.py", "tests/formats/test_elf_store.py",
         "tests/test_calculator.py", "tests/test_ase_hooks.py", "tests/test_observers.py",
         "tests/model/test_field_model.py", "tests/test_potential.py", "tests/project/test_mdakit.py",
         "tests/plugins/test_numbers.py", "tests/structures/test_trajectory.py", "tests/mda/test_extxyz.py",
         "tests/mda/test_mda_analysis.py", "tests/cli/test_analyze.py", "tests/training/test_training.py",
         "tests/topology/test_critical.py", "tests/topology/test_networking.py",
         "tests/report/test_report.py", "tests/plugins/test_dense_hydrogen.py")  # fmt: skip
"""Tests that use every required dependency."""


def declared(extras: bool = False) -> list[str]:
    """``name>=version`` of what setup.cfg requires, and of its extras where they are wanted."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    optional = setup["options.extras_require"]
    more = optional.values() if extras else []
    lists = [*more, setup["options"]["install_requires"]]
    lines = [line.partition(";")[0].strip() for line in "\n".join(lists).splitlines()]
    return [line for line in lines if line]


def requirements(end: str, keep: list[str]) -> list[str]:
    """What setup.cfg requires, and what the tests need, at one end; ``keep`` as it is here."""
    bounds = declared()
    if end == "lowest":
        bounds = [bound.replace(">=", "==") for bound in bounds]
    for name in keep:
        bounds = [bound for bound in bounds if re.split("[>=]", bound)[0] != name]
        bounds.append(f"{name}=={version(name)}")
    return [*bounds, "pytest>=8", "hypothesis>=6.100", "sybil>=9"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("end", choices=["lowest", "newest"])
    parser.add_argument("tests", nargs="*", default=QUICK)
    parser.add_argument("--keep", action="append", default=[], metavar="NAME",
                        help="use the version that is installed here (a torch without CUDA)")  # fmt: skip
    parser.add_argument("--results", type=Path, help="JSON file that is added to")
    given = parser.parse_intermixed_args()
    with tempfile.TemporaryDirectory(prefix="bounds-") as folder:
        venv.create(folder, with_pip=True)
        python = str(Path(folder) / "bin" / "python")
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, *requirements(given.end, given.keep)], check=True)
        subprocess.run([*install, "--no-deps", str(ROOT)], check=True)
        listed = subprocess.run([python, "-m", "pip", "list", "--format=json"], check=True,
                                capture_output=True, text=True).stdout  # fmt: skip
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        # Versions that were not made for each other warn of each other's ways.
        words = ["-q", "-p", "no:cacheprovider", "-W", "default"]
        done = subprocess.run([python, "-m", "pytest", *words, *given.tests], cwd=ROOT,
                              env=environment, stdout=subprocess.PIPE, text=True)  # fmt: skip
    print(done.stdout[-6000:])
    if given.results:
        known = figures.read(given.results)
        versions = {p["name"].lower(): p["version"] for p in json.loads(listed)}
        needed = requirements(given.end, given.keep)
        named = {re.split("[>=]", line)[0].lower() for line in needed}
        known[given.end] = {
            "date": date.today().isoformat(), "python": platform.python_version(),
            "outcome": done.stdout.strip().splitlines()[-1].strip("= "),
            "versions": {name: version for name, version in versions.items() if name in named},
        }  # fmt: skip
        figures.write(given.results, known)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
