"""How `analyze` and the model scale: with workers, with frames, with atoms.

    python benchmarks/scale.py                       a little of the first and the last
    python benchmarks/scale.py workers [--frames 64] [--counts 1 2 4]
    python benchmarks/scale.py frames [--frames 10000] [--shape 24]
    python benchmarks/scale.py atoms [--sizes 128 512 2048 4096 16384] [--spacing 0.2]

Structures are the shipped trajectory of dense hydrogen: two frames of 64 atoms stacked make
128, repeated and shaken (0.03 Å) where more are wanted. ``frames`` writes such a trajectory,
runs the real command on it in this process, and fits memory against frames. ``atoms`` starts
a fresh process per size, so that the peak is its own. Set OMP_NUM_THREADS=1 for one core;
processor time is printed beside the time on the clock, which other work lengthens.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import make_supercell
from ase.io import read, write

SHIPPED = Path(__file__).parents[1] / "examples" / "dense-hydrogen.extxyz"


def structure(n_atoms: int, rng: np.random.Generator, frames: list[Atoms]) -> Atoms:
    """``n_atoms`` (64 times a product of three powers of 2) of a shaken fluid."""
    repeats, n = [1, 1, 1], n_atoms // 64
    axis = 0
    while n > 1:
        repeats[axis % 3] *= 2
        n, axis = n // 2, axis + 1
    atoms = make_supercell(frames[rng.integers(len(frames))], np.diag(repeats))
    atoms.positions += rng.normal(0, 0.03, atoms.positions.shape)
    atoms.wrap()
    return Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)


def shipped() -> list[Atoms]:
    return read(SHIPPED, ":")


def trajectory(path: Path, n_frames: int, n_atoms: int = 128) -> None:
    rng, frames = np.random.default_rng(0), shipped()
    with path.open("w") as stream:
        for k in range(n_frames):
            atoms = structure(n_atoms, rng, frames)
            atoms.info["time_fs"] = float(k)
            write(stream, atoms, format="extxyz")


def memory_mb() -> float:
    """Resident memory of this process now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def used() -> float:
    """Processor seconds of this process and its ended children."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (
        resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
    ))  # fmt: skip


def analysis(path: Path, out: Path, **how):
    from ase_elf.domains import get_domain
    from ase_elf.run import AnalysisRun
    from ase_elf.trajectory import Trajectory

    return AnalysisRun(Trajectory(path), get_domain("dense-hydrogen"), out, **how)


def by_workers(n_frames: int, counts: list[int], shape: int) -> None:
    print("workers  frames/s  of one process  processor s per frame")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fluid.extxyz"
        trajectory(path, n_frames)
        first = None
        for n in (None, *counts):
            times, began, cpu = [], time.perf_counter(), used()
            run = analysis(
                path, Path(folder) / f"{n}", chosen={"shape": (shape,) * 3}, workers=n, batch=4,
                report=False,
            )  # fmt: skip
            run.execute(lambda done, times=times: times.append((time.perf_counter(), done)))
            # From the first batch on: starting a process costs seconds once per run.
            (t0, d0), (t1, d1) = times[1], times[-1]
            rate = (d1 - d0) / (t1 - t0)
            first = first or rate
            print(f"{n or 'none':7}  {rate:8.2f}  {rate / first:14.2f}  "
                  f"{(used() - cpu) / n_frames:8.3f}   {time.perf_counter() - began:6.1f} s in all")


def by_frames(n_frames: int, shape: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fluid.extxyz"
        trajectory(path, n_frames)
        print(f"trajectory of {path.stat().st_size / 2**20:.0f} MiB")
        seen: list[tuple[int, float]] = []
        cpu, began = used(), time.perf_counter()

        def watch(done: int) -> None:
            seen.append((done, memory_mb()))
            if done % max(8, n_frames // 20 // 8 * 8) == 0:
                print(f"{done:7d} frames  {seen[-1][1]:7.1f} MiB  {used() - cpu:8.1f} s", flush=True)

        analysis(path, Path(folder) / "out", chosen={"shape": (shape,) * 3}).execute(watch)
        later = np.array([s for s in seen if s[0] > n_frames / 4])
        slope = np.polyfit(*later.T, 1)[0]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        size = sum(p.stat().st_size for p in (Path(folder) / "out").rglob("*") if p.is_file())
        print(f"{n_frames} frames of 128 atoms on {shape}³ points: {used() - cpu:.0f} s of "
              f"processor, {time.perf_counter() - began:.0f} s on the clock, with the report")
        print(f"memory: {1024 * slope:.2f} KiB per frame while analysing, peak {peak:.0f} MiB; "
              f"results of {size / 2**20:.0f} MiB")


def by_atoms(sizes: list[int], spacing: float) -> None:
    print("atoms   model s  network s  ms/atom  peak MiB  grid")
    for size in sizes:
        done = subprocess.run(
            [sys.executable, __file__, "one", str(size), str(spacing)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        found = json.loads(done.stdout)
        print(f"{size:6d}  {found['model']:8.2f}  {found['network']:8.2f}  "
              f"{1e3 * found['model'] / size:7.2f}  {found['peak']:8.0f}  {found['shape']}",
              flush=True)  # fmt: skip


def one_size(n_atoms: int, spacing: float) -> None:
    """Processor seconds and peak memory of one structure, as JSON."""
    from ase_elf.domains import get_domain
    from ase_elf.grid import ELFGrid, fast_shape
    from ase_elf.topology import networking

    atoms = structure(n_atoms, np.random.default_rng(1), shipped())
    model = get_domain("dense-hydrogen").load()
    shape = fast_shape(atoms.cell[:], spacing)
    model.predict([structure(128, np.random.default_rng(2), shipped())], [(8, 8, 8)])
    marks = [time.process_time()]
    (found,) = model.predict([atoms], [shape])
    marks.append(time.process_time())
    networking(ELFGrid(found.values, atoms, sigma=found.sigma))
    marks.append(time.process_time())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({
        "model": marks[1] - marks[0], "network": marks[2] - marks[1], "peak": peak,
        "shape": list(shape),
    }))  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="what")
    workers = commands.add_parser("workers")
    workers.add_argument("--frames", type=int, default=64)
    workers.add_argument("--counts", type=int, nargs="+", default=[1, 2])
    workers.add_argument("--shape", type=int, default=40)
    frames = commands.add_parser("frames")
    frames.add_argument("--frames", type=int, default=10_000)
    frames.add_argument("--shape", type=int, default=24)
    atoms = commands.add_parser("atoms")
    atoms.add_argument("--sizes", type=int, nargs="+", default=[128, 512, 2048, 4096, 16384])
    atoms.add_argument("--spacing", type=float, default=0.2)
    one = commands.add_parser("one")
    one.add_argument("n_atoms", type=int)
    one.add_argument("spacing", type=float)
    given = parser.parse_args()
    if given.what == "one":
        one_size(given.n_atoms, given.spacing)
        return
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, "
          f"load {os.getloadavg()[0]:.1f}, OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS')}")
    if given.what is None:  # something of everything, in a minute or two
        by_workers(24, [1, 2], 24)
        by_atoms([128, 512, 1024, 2048], 0.2)
    elif given.what == "workers":
        by_workers(given.frames, given.counts, given.shape)
    elif given.what == "frames":
        by_frames(given.frames, given.shape)
    else:
        by_atoms(given.sizes, given.spacing)


if __name__ == "__main__":
    main()
