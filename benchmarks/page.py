"""The benchmark page of the documentation: runs benchmarks and keeps what they print.

    python benchmarks/page.py NAME [ARGUMENTS ...]     run benchmarks/NAME.py again
    python benchmarks/page.py --all                    run every one that needs no arguments
    python benchmarks/page.py --page                   only write the page from what is kept

What a benchmark printed, with the command, the day and the machine, is kept in
docs/benchmarks/NAME.txt; docs/benchmarks.md is written from these files.
"""

from __future__ import annotations

import ast
import datetime
import os
import platform
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
KEPT = HERE.parent / "docs" / "benchmarks"


def names() -> list[str]:
    return sorted(path.stem for path in HERE.glob("*.py") if path.stem != Path(__file__).stem)


def processor() -> str:
    """As the system calls it, with the threads numerical libraries were allowed."""
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return f"{model}, {os.environ.get('OMP_NUM_THREADS', 'all')} thread(s)"


def run(name: str, arguments: list[str]) -> None:
    if name not in names():
        sys.exit(f"there is no benchmark {name!r}; there are {', '.join(names())}.")
    path = os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, HERE / f"{name}.py", *arguments],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"{name} ended with {done.returncode}; what was kept of it is unchanged.")
    keep(name, arguments, done.stdout)


def keep(name: str, arguments: list[str], printed: str) -> None:
    command = " ".join(["python", f"benchmarks/{name}.py", *arguments])
    KEPT.mkdir(exist_ok=True)
    head = f"$ {command}\n# {datetime.date.today()}, {processor()}\n\n"
    (KEPT / f"{name}.txt").write_text(head + printed.rstrip() + "\n", encoding="utf-8")


def page() -> str:
    parts = [
        "# Benchmarks\n",
        (
            "Every speed and accuracy stated anywhere comes from a script in `benchmarks/`. This page shows\n"
            "what each printed when it ran last; `python benchmarks/page.py NAME` runs one again and writes\n"
            "its part anew. Times are of a machine that others used as well: processor time means more\n"
            "than time on the clock.\n"
        ),
    ]
    for name in names():
        summary = ast.get_docstring(ast.parse((HERE / f"{name}.py").read_text())) or name
        parts.append(f"## {name}\n\n{summary.splitlines()[0]}\n")
        if (KEPT / f"{name}.txt").exists():
            parts.append(f"```{{literalinclude}} benchmarks/{name}.txt\n:language: text\n```\n")
        else:
            parts.append(f"Nothing is kept of it; `python benchmarks/page.py {name}` runs it.\n")
    return "\n".join(parts)


def main(arguments: list[str]) -> None:
    if not arguments or arguments[0] in ("-h", "--help"):
        sys.exit(__doc__)
    if arguments[0] == "--all":
        for name in names():
            run(name, [])
    elif arguments[0] != "--page":
        run(arguments[0], arguments[1:])
    (HERE.parent / "docs" / "benchmarks.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
