"""What the commands write, compared byte by byte between a commit and the working tree.

    python tests/tools/goldens.py HEAD~3

installs both, each into a folder of its own, runs the same commands with each, and compares every
file written. Outputs change only in commits that say why; digits differ between processors, so both
runs are made on one machine.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

GRID = """
from ase.io import read
from ase_elf import ELFCalculator, write_elf
atoms = read("{examples}/dense-hydrogen.extxyz", index=2)
write_elf("hydrogen.cube", ELFCalculator().get_elf(atoms, shape=(40, 40, 40)))
"""

ANALYZE = ("analyze", "{examples}/dense-hydrogen.extxyz", "--stop", "12", "--workers", "1")

COMMANDS = {
    "analyze": (*ANALYZE, "-o", "analyze"),
    "analyze with rulers": (*ANALYZE, "--stop", "3", "--rulers", "-o", "rulers"),
    "analyze gold": ("analyze", "{examples}/gold-ring.extxyz", "--stop", "2", "-o", "gold"),
    "screening": ("analyze", "structures", "--workers", "1", "-o", "screening"),
    "topology": ("topology", "hydrogen.cube", "--points", "points.csv", "--graph", "network.json"),
    "ruler": ("ruler", "{examples}/gold-ring.extxyz", "-o", "ruler"),
    "predict": ("predict", "{examples}/dense-hydrogen.extxyz", "--stop", "2", "-o", "predicted.cube"),
}

MAIN = "from ase_elf.cli import main; main()"

STRUCTURES = """
from pathlib import Path
from ase.io import iread, write
Path("structures").mkdir()
for i, atoms in enumerate(iread("{examples}/dense-hydrogen.extxyz", index="::40")):
    write(f"structures/{{i}}.vasp", atoms)
"""

_CHANGING = re.compile(
    rb"/[^\s\"']{0,200}(?=golden)|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[.\d]*(?:\+00:00|Z)?|"
    rb"\"?(?:seconds|started|ended|host|duration|version)\"?: [^,\n}]*"
)
"""Paths, times and versions, which differ between two runs of one commit. The length of a path is bounded:
figures in a report are words of megabytes with many slashes, and each would be searched to its end."""


def outputs(tree: Path, folder: Path) -> dict[str, bytes]:
    """Every file the commands of ``tree`` write into ``folder``, by name."""
    installed, work = folder / "golden-installed", folder / "golden"
    work.mkdir(parents=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(installed)]
    subprocess.run([*pip, str(tree)], check=True)
    environment = os.environ | {"PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"}
    examples = {"examples": ROOT / "examples"}

    def call(name: str, *command: str) -> None:
        done = subprocess.run(command, cwd=work, env=environment, capture_output=True)
        (work / f"{name}.txt").write_bytes(done.stdout)
        if done.returncode:
            raise SystemExit(f"{name} failed:\n{done.stderr.decode()}")

    for code in (STRUCTURES, GRID):
        call("set-up", sys.executable, "-c", code.format(**examples))
    for name, arguments in COMMANDS.items():
        call(name, sys.executable, "-c", MAIN, *(a.format(**examples) for a in arguments))
    files = (p for p in sorted(work.rglob("*")) if p.is_file() and ".git" not in p.parts)
    return {str(p.relative_to(work)): _CHANGING.sub(b"", p.read_bytes()) for p in files}


def differences(before: dict[str, bytes], after: dict[str, bytes]) -> list[str]:
    """One line for every file that is not the same in both."""
    lines = [f"only before: {name}" for name in before.keys() - after.keys()]
    lines += [f"only after: {name}" for name in after.keys() - before.keys()]
    for name in before.keys() & after.keys():
        if before[name] != after[name]:
            lines.append(f"differs: {name} ({_where(before[name], after[name])})")
    return sorted(lines)


def _where(one: bytes, two: bytes) -> str:
    for number, (a, b) in enumerate(zip(one.splitlines(), two.splitlines(), strict=False), 1):
        if a != b:
            return f"line {number}: {a[:120]!r} | {b[:120]!r}"
    return f"{len(one)} and {len(two)} bytes"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("commit", help="compared with the working tree")
    arguments = parser.parse_args()
    commit = subprocess.run(
        ["git", "rev-parse", arguments.commit], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.strip()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        tree = folder / "tree"
        tree.mkdir()
        archive = subprocess.run(["git", "archive", commit], cwd=ROOT, check=True, capture_output=True).stdout
        subprocess.run(["tar", "x", "-C", str(tree)], input=archive, check=True)
        before = outputs(tree, folder / "before")
        after = outputs(ROOT, folder / "after")
    lines = differences(before, after)
    print("\n".join(lines) or f"{len(before)} files are the same")
    raise SystemExit(bool(lines))


if __name__ == "__main__":
    main()
