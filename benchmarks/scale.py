"""How `analyze` and the model scale: with workers, with frames, with atoms.

    python benchmarks/scale.py                       a little of the first and the last
    python benchmarks/scale.py workers [--frames 64] [--counts 1 2 4]
    python benchmarks/scale.py frames [--frames 10000] [--shape 24] [--folder DIR]
    python benchmarks/scale.py memory DIR/memory-10000.csv
    python benchmarks/scale.py atoms [--sizes 128 512 2048 4096 16384] [--spacing 0.2]
    python benchmarks/scale.py sums [--sizes 256 512 1024]

Structures are frames of the shipped trajectory of dense hydrogen, 64 atoms, repeated and shaken
(0.03 Å). ``frames`` writes a trajectory of 128 atoms, runs what `analyze` runs on it in this
process, and fits memory against frames. ``atoms`` starts a fresh process per size, so that the
peak is its own. ``sums`` times the two ways to structure factors: MANY of
ase_elf/model/nonuniform.py is the number of atoms from which on the second is taken. Set
OMP_NUM_THREADS=1 for one core; processor time is printed beside the time on the clock, which
other work lengthens.
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
from functools import partial
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import make_supercell
from ase.io import read, write
from scipy.stats import linregress

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
    from ase_elf.runs.trajectory import AnalysisRun
    from ase_elf.structures.trajectory import Trajectory

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
            print(
                f"{n or 'none':7}  {rate:8.2f}  {rate / first:14.2f}  "
                f"{(used() - cpu) / n_frames:8.3f}   {time.perf_counter() - began:6.1f} s in all"
            )


def by_frames(n_frames: int, shape: int, folder: Path) -> None:
    """Memory against frames; goes on where an earlier call with this folder was stopped."""
    folder.mkdir(parents=True, exist_ok=True)
    path, kept = folder / f"fluid-{n_frames}.extxyz", folder / f"memory-{n_frames}.csv"
    if not path.exists():
        part = path.with_suffix(".part")
        trajectory(part, n_frames)
        part.replace(path)
    began, wall = used(), time.perf_counter()
    first: list[int] = []

    def watch(done: int) -> None:
        first.append(done)
        with kept.open("a") as rows:
            print(os.getpid(), done - first[0], done, f"{memory_mb():.2f}", f"{used() - began:.2f}",
                  f"{time.perf_counter() - wall:.1f}", sep=",", file=rows)  # fmt: skip

    out = folder / f"out-{n_frames}-{shape}"
    analysis(path, out, chosen={"shape": (shape,) * 3}).execute(watch)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    size = sum(p.stat().st_size for p in out.rglob("*") if p.is_file())
    print(f"trajectory of {path.stat().st_size / 2**20:.0f} MiB, results of {size / 2**20:.0f} MiB")
    print(f"peak of the process that wrote the report: {peak:.0f} MiB")
    memory_of(kept)


def memory_of(kept: Path) -> None:
    """What one or several processes on one trajectory wrote down, with a slope for each.

    The slope is fitted to the means of twenty equal parts after the first tenth: neighbouring
    frames do not count as independent.
    """
    rows = np.loadtxt(kept, delimiter=",", ndmin=2)
    print("process  frames  CPU s/frame  on the clock  MiB at 100 frames, half, end  "
          "KiB per 1000 frames")  # fmt: skip
    for number, pid in enumerate(dict.fromkeys(rows[:, 0]), 1):
        own = rows[rows[:, 0] == pid]
        n, mib = own[:, 1], own[:, 3]
        if n[-1] < 200:
            continue
        at = [np.interp(k, n, mib) for k in (100, n[-1] / 2, n[-1])]
        late = n > 0.1 * n[-1]
        parts = [(a.mean(), b.mean()) for a, b in zip(
            np.array_split(n[late], 20), np.array_split(mib[late], 20), strict=True)]  # fmt: skip
        fit = linregress(*np.array(parts).T)
        print(f"{number:7d}  {n[-1]:6.0f}  {own[-1, 4] / n[-1]:11.3f}  {own[-1, 5] / n[-1]:12.3f}"
              f"  {at[0]:9.0f} {at[1]:9.0f} {at[2]:8.0f}  "
              f"{1024e3 * fit.slope:9.0f} ± {1024e3 * fit.stderr:.0f}")  # fmt: skip


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


def by_sums(sizes: list[int]) -> None:
    """Direct sum and non-uniform FFT of all channels that the shipped weights have."""
    import torch
    from ase.units import Bohr

    from ase_elf.domains import get_domain
    from ase_elf.model import nonuniform, spectral
    from ase_elf.model.field_model import REACH, native_shape

    model = get_domain("dense-hydrogen").load(device="cpu")
    print("atoms  direct s  FFT s  ratio   processor seconds, best of 3")
    for size in sizes:
        atoms = structure(size, np.random.default_rng(1), shipped())
        cell = atoms.cell.array / Bohr
        shape = native_shape(cell, model.native_spacing)
        reach = REACH * np.pi / model.native_spacing
        waves = spectral.Waves.of(
            cell, shape, reach, model.network.output_invariants, model.device, model.dtype
        )
        fractional = torch.from_numpy(atoms.get_scaled_positions())
        coefficients = torch.randn(size, model.arch.channels[0] + 3 * model.arch.n_vectors)
        out = torch.empty(coefficients.shape[1], 2, waves.angular.shape[1])
        best = []
        for way in (nonuniform._factors_by_products, partial(nonuniform._factors_by_nufft, exact=1e-12)):
            times = []
            for _ in range(3):
                began = time.process_time()
                way(waves.frequencies, fractional, coefficients, out)
                times.append(time.process_time() - began)
            best.append(min(times))
        print(f"{size:5d}  {best[0]:8.3f}  {best[1]:5.3f}  {best[0] / best[1]:5.2f}", flush=True)


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
    frames.add_argument("--folder", type=Path, help="of trajectory and results, to go on later")
    memory = commands.add_parser("memory")
    memory.add_argument("kept", type=Path)
    atoms = commands.add_parser("atoms")
    atoms.add_argument("--sizes", type=int, nargs="+", default=[128, 512, 2048, 4096, 16384])
    atoms.add_argument("--spacing", type=float, default=0.2)
    sums = commands.add_parser("sums")
    sums.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024])
    one = commands.add_parser("one")
    one.add_argument("n_atoms", type=int)
    one.add_argument("spacing", type=float)
    given = parser.parse_args()
    if given.what == "one":
        one_size(given.n_atoms, given.spacing)
        return
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, "
        f"load {os.getloadavg()[0]:.1f}, OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS')}"
    )
    if given.what is None:  # something of everything, in a minute or two
        by_workers(24, [1, 2], 24)
        by_atoms([128, 512, 1024, 2048], 0.2)
    elif given.what == "workers":
        by_workers(given.frames, given.counts, given.shape)
    elif given.what == "frames":
        with tempfile.TemporaryDirectory() as temporary:
            by_frames(given.frames, given.shape, given.folder or Path(temporary))
    elif given.what == "memory":
        memory_of(given.kept)
    elif given.what == "sums":
        by_sums(given.sizes)
    else:
        by_atoms(given.sizes, given.spacing)


if __name__ == "__main__":
    main()
