"""Code blocks of README and docs are tests: each page is a program, run in a folder of its own.

Blocks of a page follow each other in one namespace and one working directory. ``python`` is
executed, ``bash`` is run with the commands of this environment, ``yaml`` is written to the file its
first line names. A comment ``<!-- skip: next "why" -->`` or ``<!-- skip: next if(...) -->`` before a
block leaves it out, and an HTML comment ``invisible-code-block`` runs without being shown. Fences
without a language, or ``text``, are no code.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from sybil import Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser, SkipParser

ROOT = Path(__file__).parent


def bash(example):
    """Run a block; what it prints is the message where it fails."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", example.parsed],
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=900,
    )
    if done.returncode:
        return f"exit code {done.returncode}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return None


def write_file(example):
    """``# name.yaml`` in the first line says where the block goes."""
    path = Path(example.parsed.partition("\n")[0].lstrip("# ").split(";")[0].strip())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(example.parsed)


def enter_folder(namespace):
    folder = Path(tempfile.mkdtemp(prefix="ase-elf-docs-"))
    (folder / "examples").symlink_to(ROOT / "examples")
    namespace.update(_back=os.getcwd(), _folder=folder, shutil=shutil, ROOT=ROOT)
    os.environ.setdefault("MPLBACKEND", "Agg")
    os.chdir(folder)


def leave_folder(namespace):
    os.chdir(namespace["_back"])
    shutil.rmtree(namespace["_folder"], ignore_errors=True)


pytest_collect_file = Sybil(
    parsers=[
        SkipParser(),
        PythonCodeBlockParser(),
        CodeBlockParser("bash", bash),
        CodeBlockParser("yaml", write_file),
    ],
    patterns=["README.md", "docs/**/*.md", "docs/*.md"],
    excludes=["docs/_build/**"],
    setup=enter_folder,
    teardown=leave_folder,
).pytest()
