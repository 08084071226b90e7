"""Fuzz formats in turn, and add to the figures of earlier runs.

    cd tests/tools && python -m fuzz [--minutes M] [--rounds R] [--inputs N] [FORMAT ...]

Minutes are of processor time. The corpus is kept in ``build/fuzz``: a later run goes on from
it, and adds what one that was stopped had counted. Several may run at once, each with formats
of its own. Exit code 1 if anything was found.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import platform
import shutil
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path

import figures

from fuzz import FORMATS

TOOLS = Path(__file__).resolve().parents[1]
ROOT = TOOLS.parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "fuzz.json"
MEMORY = Path("/dev/shm")
"""Where inputs are written, if there is such a place: one on a disk costs more than reading it."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("formats", nargs="*", choices=[*FORMATS, []], metavar="FORMAT")
    parser.add_argument("--minutes", type=float, default=1.0, help="per format and round")
    parser.add_argument("--rounds", type=int, default=1, help="times every format has its turn")
    parser.add_argument("--inputs", type=int, default=10**9, help="at most, per format and round")
    parser.add_argument("--state", type=Path, default=ROOT / "build" / "fuzz")
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    found = 0
    for name in (given.formats or FORMATS) * given.rounds:
        state = given.state / name
        state.mkdir(parents=True, exist_ok=True)
        collect(given.results, name, state)
        crashes = fuzz(name, state, 60 * given.minutes, given.inputs)
        new = collect(given.results, name, state, crashes)
        print(f"{name:10} {new['inputs']:9} inputs, {new['seconds']:7.0f} s, {new['findings']}", flush=True)
        found += len(new["findings"])
    return bool(found)


def fuzz(name: str, state: Path, seconds: float, inputs: int) -> dict[str, str]:
    """Fuzz one format in a process of its own, started again whenever it dies; its crashes."""
    crashes = {}
    while True:
        before = _sum(state)
        left, rest = seconds - before["seconds"], inputs - before["inputs"]
        if left < 1 or rest < 1:
            return crashes
        with tempfile.TemporaryDirectory(prefix="fuzz-", dir=MEMORY if MEMORY.is_dir() else None) as folder:
            words = [sys.executable, "-m", "fuzz.worker", name, state, folder, left, rest]
            with (state / "worker.log").open("w") as log:
                done = subprocess.run([str(word) for word in words], cwd=TOOLS, stdout=log, stderr=log)
            if done.returncode:
                made = _kept(name, Path(folder), state)
                crashes[f"process ended with {done.returncode}"] = made
        if _sum(state)["inputs"] == before["inputs"]:
            crashes["it does not start"] = _name(state / "worker.log")
            return crashes


def _kept(name: str, folder: Path, state: Path) -> str:
    """Keep the input that a process was reading when it died; its name."""
    from fuzz.target import target

    left, kept = folder / target(name).file, state / f"crash-{date.today():%Y%m%d}-{folder.name}"
    if not left.exists():
        return "none"
    shutil.copyfile(left, kept)
    return _name(kept)


def _name(path: Path) -> str:
    """A path that means the same on every machine."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name


def collect(path: Path, name: str, state: Path, crashes: dict[str, str] | None = None) -> dict:
    """Add what processes have counted since, and what they died of, to the figures."""
    new = _sum(state)
    new["findings"] |= crashes or {}
    if new["inputs"] or new["findings"]:
        with (state.parent / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # others may be at other formats
            add(path, name, new)
    for counted in state.glob("tally-*.json"):
        counted.unlink()
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
    known = figures.read(path)
    before = known.get(name, {"inputs": 0, "seconds": 0, "slowest_s": 0, "peak_bytes": 0, "runs": []})
    total = _joined(before | {"findings": {}}, new)
    when = {"date": date.today().isoformat(), "python": platform.python_version()}
    runs = before["runs"]
    if runs and when.items() <= runs[-1].items():  # one entry a day
        new = _joined(runs.pop(), new)
    known[name] = {
        **{key: total[key] for key in ("inputs", "seconds", "slowest_s", "peak_bytes")},
        "runs": [*runs, when | new],
    }
    figures.write(path, known)


if __name__ == "__main__":
    sys.exit(main())
