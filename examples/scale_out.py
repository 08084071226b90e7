"""One trajectory analysed by one process, by two, by a Dask cluster, and by a Slurm array.

    python examples/scale_out.py [frames]

Whoever computes, the results are those of one process: equal bytes for workers, who share the
batches of one run, and round-off for parts that are merged. The Slurm array is `slurm_array.sh`,
here run task by task by hand. Takes seconds; what more workers gain shows with more frames.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# Sums over two threads differ in the last bit from those of one.
os.environ["OMP_NUM_THREADS"] = "1"

from distributed import LocalCluster

from ase_elf.domains import get_domain
from ase_elf.runs.trajectory import AnalysisRun
from ase_elf.structures.trajectory import Trajectory

HERE = Path(__file__).resolve().parent
TRAJECTORY = HERE / "dense-hydrogen.extxyz"
SHAPE = 24
TASKS = 2


def analyse(folder: Path, frames: int, workers: int | str | None = None) -> float:
    """Seconds it took."""
    began = time.perf_counter()
    run = AnalysisRun(
        Trajectory(TRAJECTORY, stop=frames), get_domain("dense-hydrogen"), folder, batch=2,
        chosen={"shape": (SHAPE,) * 3}, workers=workers, report=False,
    )  # fmt: skip
    run.execute()
    return time.perf_counter() - began


def array(folder: Path, frames: int) -> float:
    """The tasks of a Slurm array, at once, and the merge of their parts."""
    began = time.perf_counter()
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    options = ["--shape", str(SHAPE), str(SHAPE), str(SHAPE), "--batch", "2"]
    script = ["bash", HERE / "slurm_array.sh", TRAJECTORY, str(frames // TASKS), folder, *options]
    tasks = [
        subprocess.Popen(
            script,
            env={**os.environ, "PATH": path, "SLURM_ARRAY_TASK_ID": str(task)},
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        for task in range(TASKS)
    ]
    codes = [task.wait() for task in tasks]
    if any(codes):
        raise SystemExit("a task of the array failed")
    parts = sorted(folder.glob("part-*"))
    merge = ["ase-elf", "merge", *parts, "-o", folder / "all"]
    subprocess.run(merge, env={**os.environ, "PATH": path}, check=True, capture_output=True)
    return time.perf_counter() - began


def averages(folder: Path) -> dict[str, float]:
    found = json.loads((folder / "summary.json").read_text())["averages"]
    return {name: average["mean"] for name, average in found.items()}


def main(frames: int = 8) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        serial = folder / "serial"
        seconds = {"one process": analyse(serial, frames)}
        seconds["two workers"] = analyse(folder / "two workers", frames, 2)
        quiet = {"dashboard_address": None, "silence_logs": logging.ERROR}
        with LocalCluster(n_workers=2, threads_per_worker=1, **quiet) as cluster:
            address = cluster.scheduler_address
            seconds["Dask cluster"] = analyse(folder / "Dask cluster", frames, address)
        seconds["Slurm array"] = array(folder / "array", frames)

        print(f"{frames} frames      seconds  compared with one process")
        print(f"{'one process':16s}{seconds['one process']:8.1f}")
        journal = (serial / "journal.jsonl").read_bytes()
        for way in ("two workers", "Dask cluster"):
            same = (folder / way / "journal.jsonl").read_bytes() == journal
            print(f"{way:16s}{seconds[way]:8.1f}  {'equal bytes' if same else 'DIFFERENT BYTES'}")
        one, merged = averages(serial), averages(folder / "array" / "all")
        apart = max(abs(merged[k] - v) / max(1.0, abs(v)) for k, v in one.items() if v is not None)
        print(f"{'Slurm array':16s}{seconds['Slurm array']:8.1f}  largest difference {apart:.0e}")


if __name__ == "__main__":  # workers import this file again
    main(*map(int, sys.argv[1:2]))
