"""Fuzz formats one after the other, and add to the figures of earlier runs.

    cd tests && python -m fuzz [--minutes M] [--inputs N] [--results FILE] [FORMAT ...]

The corpus is kept in ``build/fuzz``: a later run goes on from it. Exit code 1 if anything
was found.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

from fuzz import FORMATS

TESTS = Path(__file__).resolve().parents[1]
RESULTS = TESTS.parent / "benchmarks" / "results" / "fuzz.json"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("formats", nargs="*", choices=[*FORMATS, []], metavar="FORMAT")
    parser.add_argument("--minutes", type=float, default=1.0, help="per format")
    parser.add_argument("--inputs", type=int, default=10**9, help="at most, per format")
    parser.add_argument("--state", type=Path, default=TESTS.parent / "build" / "fuzz")
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    found = 0
    for name in given.formats or FORMATS:
        new = fuzz(name, given.state / name, 60 * given.minutes, given.inputs)
        print(f"{name:10} {new['inputs']:9} inputs, {new['seconds']:7.0f} s, {new['findings']}")
        add(given.results, name, new)
        found += len(new["findings"])
    return bool(found)


def fuzz(name: str, state: Path, seconds: float, inputs: int) -> dict:
    """Fuzz one format in a process of its own, started again whenever it dies."""
    state.mkdir(parents=True, exist_ok=True)
    for old in state.glob("tally-*.json"):
        old.unlink()
    ended, crashes = time.monotonic() + seconds, {}
    while (left := ended - time.monotonic()) > 1 and (rest := inputs - _sum(state)["inputs"]) > 0:
        before = _sum(state)["inputs"]
        command = [sys.executable, "-m", "fuzz.worker", name, state, left, rest]
        with (state / "worker.log").open("w") as log:
            done = subprocess.run([str(c) for c in command], cwd=TESTS, stdout=log, stderr=log)
        if done.returncode:
            made = max(state.glob("*-*"), key=lambda path: path.stat().st_mtime, default=None)
            crashes[f"process ended with {done.returncode}"] = str(made)
        if _sum(state)["inputs"] == before:
            break  # it does not even start; its log says why
    new = _sum(state)
    new["findings"] |= crashes
    return new


def _sum(state: Path) -> dict:
    tallies = [json.loads(path.read_text()) for path in state.glob("tally-*.json")]
    total = {"inputs": 0, "seconds": 0.0, "slowest_s": 0.0, "peak_bytes": 0, "findings": {}}
    for tally in tallies:
        total = _joined(total, tally)
    return total


def _joined(one: dict, two: dict) -> dict:
    return {
        "inputs": one["inputs"] + two["inputs"],
        "seconds": round(one["seconds"] + two["seconds"], 1),
        "slowest_s": max(one["slowest_s"], two["slowest_s"]),
        "peak_bytes": max(one["peak_bytes"], two["peak_bytes"]),
        "findings": one["findings"] | two["findings"],
    }


def add(path: Path, name: str, new: dict) -> None:
    """Add a run to the figures; what was found and mended since is left to its tests."""
    known = json.loads(path.read_text()) if path.is_file() else {}
    before = known.get(name, {"inputs": 0, "seconds": 0, "slowest_s": 0, "peak_bytes": 0, "runs": []})
    total = _joined(before | {"findings": {}}, new)
    run = {"date": date.today().isoformat(), "python": platform.python_version(), **new}
    known[name] = {
        **{key: total[key] for key in ("inputs", "seconds", "slowest_s", "peak_bytes")},
        "runs": [*before["runs"], run],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(known, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
