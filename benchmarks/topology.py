"""Time and correctness of the topology, on analytic fields and DFT labels.

    OMP_NUM_THREADS=1 python benchmarks/topology.py [--shapes N ...] [--labels FOLDER] [--baderkit PYTHON]

First 128 hydrogen atoms on 80^3 points: ratios to one complex128 80^3 scipy.fft.fftn with workers=1,
which takes turns with what is measured (median, lowest and highest of seven rounds), and what compilation
costs once. Then, for each of --shapes, Markdown tables of analytic fields: CPU seconds on one
thread (best of three), and the ratio to that transform. --baderkit names a
Python interpreter that has BaderKit; it is run on the same fields after a warm-up that
pays for its compilation.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import scipy.fft
from ase import Atoms
from ase.units import Bohr

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from fields import CUBIC, NAMED, TRICLINIC, a15_rods, gaussians  # noqa: E402

from ase_elf import ELFCalculator, ELFGrid  # noqa: E402
from ase_elf.dataset import read_labels  # noqa: E402
from ase_elf.topology import critical_points, networking  # noqa: E402
from ase_elf.topology.record import summarize  # noqa: E402

PEER = """
import json, sys, time
import numpy as np
from baderkit import Grid
from baderkit.critical_points import CriticalPoints
from pymatgen.core import Lattice, Structure
def run(path):
    data = np.load(path)
    inverse = np.linalg.inv(data["cell"])
    structure = Structure(Lattice(data["cell"]), ["H"] * len(data["pos"]), data["pos"] @ inverse)
    grid = Grid(structure=structure, data={"total": data["values"].astype(float)})
    start = time.process_time()
    points = CriticalPoints(charge_grid=grid, reference_grid=grid, vacuum_tol=False)
    n = [len(points.maxima_vox), len(points.saddle2_vox), len(points.saddle1_vox),
         len(points.minima_vox)]
    return time.process_time() - start, n
run(sys.argv[1])
print(json.dumps([run(path) for path in sys.argv[1:]]))
"""


FIRST = """
import time
import numpy as np
from ase import Atoms
from ase_elf import ELFGrid
from ase_elf.topology import critical_points, networking
x, y, z = 2 * np.pi * np.indices((12, 12, 12)) / 12
elf = ((np.cos(x) + 0.8 * np.cos(y) + 0.6 * np.cos(z) + 2.4) / 4.8).astype(np.float32)
grid = ELFGrid(elf, Atoms("H", cell=[2, 2, 2], pbc=True))
start = time.process_time()
networking(grid).phi, critical_points(grid)
print(f"{time.process_time() - start:.1f}")
"""


def hydrogen() -> dict[str, ELFGrid]:
    """128 atoms on 80^3 points: a label of molecules, and what the model says of molecules and of a hot fluid."""
    labels = read_labels(ROOT / "plugins" / "dense_hydrogen" / "labels", "test")
    named = {label.name: label for label in labels}
    molecular, hot = named["molecular-1.70-1200-2-7"], named["hot-1.40-8000-12-3"]
    predict = ELFCalculator(domain="dense-hydrogen").get_elf
    return {
        "molecules at 1200 K, DFT": ELFGrid(molecular.values, molecular.atoms),
        "molecules at 1200 K, model": predict(molecular.atoms, shape=(80, 80, 80)),
        "fluid at 8000 K, model": predict(hot.atoms, shape=(80, 80, 80)),
    }


def in_turns(works: dict, rounds: int = 7) -> dict[str, str]:
    """Median, lowest and highest ratio of each of ``works`` to the transform of its round."""
    wave = np.random.default_rng(0).random((80, 80, 80)) + 0j
    ratios = {name: [] for name in works}
    for _ in range(rounds):
        fft = best(lambda: scipy.fft.fftn(wave, workers=1), 5)
        for name, work in works.items():
            ratios[name].append(best(work, 1) / fft)
    return {name: f"{np.median(r):.1f} ({min(r):.1f}-{max(r):.1f})" for name, r in ratios.items()}


def hydrogen_table() -> None:
    print("\n### 128 H on 80^3 points, in FFTs\n")
    print("| grid | att., bond, ring, cage | phi | `networking` | `critical_points` |\n|---|---|---|---|---|")
    for name, grid in hydrogen().items():
        net, points = networking(grid), critical_points(grid)
        found = in_turns({"phi": lambda g=grid: networking(g).phi, "all": lambda g=grid: critical_points(g)})
        counts = ", ".join(map(str, points.counts))
        print(f"| {name} | {counts} | {net.phi:.5f} | {found['phi']} | {found['all']} |", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "NUMBA_CACHE_DIR": folder}
        environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        first, later = (
            subprocess.run([sys.executable, "-c", FIRST], env=environment, capture_output=True, text=True,
                           check=True).stdout.strip() for _ in range(2)
        )  # fmt: skip
    print(f"\nBoth on a small grid in a new process: {first} s with compilation, {later} s from the cache.")


def best(work, repeat: int = 3) -> float:
    """Lowest CPU time of ``repeat`` runs, in seconds."""
    times = []
    for _ in range(repeat):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def analytic(shape: int) -> dict[str, ELFGrid]:
    """The analytic fields at one size."""
    fields = {name: field.grid(shape) for name, field in NAMED.items()}
    fields["a15 rods"] = a15_rods().grid(shape)
    for n, width in ((8, 0.5), (24, 0.42), (100, 0.27), (200, 0.215)):
        for name, cell in (("cubic", CUBIC), ("triclinic", TRICLINIC)):
            if width / 4.5 * shape >= 3:  # six voxels across two standard deviations
                field = gaussians(n, cell, width=width, seed=0, k_max=11)
                fields[f"{n} Gaussians, {name}"] = field.grid(shape)
    return fields


def labels(folder: Path) -> dict[str, ELFGrid]:
    """A few DFT labels (cell and positions in bohr, ELF as uint16)."""
    found = {}
    for path in sorted(folder.glob("fluid-*.npz"))[::12]:
        with np.load(path) as data:
            n = len(data["pos"])
            atoms = Atoms(f"H{n}", positions=data["pos"] * Bohr, cell=data["cell"] * Bohr, pbc=True)
            found[path.stem] = ELFGrid(data["elf"] / np.float32(65535), atoms)
    return found


def peer(python: str, grids: dict[str, ELFGrid]) -> dict[str, tuple[float, list[int]]]:
    """CPU seconds and counts of BaderKit on the same fields."""
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for i, grid in enumerate(grids.values()):
            paths.append(str(Path(folder) / f"{i}.npz"))
            np.savez(paths[-1], values=grid.values, cell=grid.cell, pos=grid.atoms.positions)
        done = subprocess.run([python, "-c", PEER, *paths], capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"\nBaderKit failed (exit {done.returncode}): {done.stderr.strip()[-400:]}")
        return {}
    return dict(zip(grids, json.loads(done.stdout.splitlines()[-1]), strict=True))


def table(title: str, grids: dict[str, ELFGrid], fft: float, python: str | None) -> None:
    print(f"\n### {title}\n")
    print(
        "| field | voxels | att., bond, ring, cage | sum | unres. | phi1 phi2 phi3 "
        "| phi, s | in FFTs | points, s | all, s | BaderKit, s | its counts |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|---|")
    others = peer(python, grids) if python else {}
    for name, grid in grids.items():
        net, points = networking(grid), critical_points(grid)
        phi = best(lambda grid=grid: networking(grid).phi)
        search = best(lambda grid=grid: critical_points(grid))
        whole = best(lambda grid=grid: summarize(grid), 2)
        other, counts = others.get(name, (None, None))
        shape = "x".join(map(str, grid.shape))
        theirs = "" if other is None else f"{other:.2f} | {', '.join(map(str, counts))}"
        print(
            f"| {name} | {shape} | {', '.join(map(str, points.counts))} | {points.euler} "
            f"| {len(points.unresolved)} | {net.phi1:.5f} {net.phi2:.5f} {net.phi3:.5f} "
            f"| {phi:.3f} | {phi / fft:.1f} | {search:.2f} | {whole:.2f} "
            f"| {theirs or ' | '} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labels", type=Path, help="folder of DFT labels")
    parser.add_argument("--baderkit", help="Python interpreter with BaderKit")
    parser.add_argument("--shapes", type=int, nargs="*", default=[80, 128], help="of the analytic fields")
    arguments = parser.parse_args()
    wave = np.random.default_rng(0).random((80, 80, 80)) + 0j
    fft = best(lambda: scipy.fft.fftn(wave, workers=1), 10)
    print(f"{platform.machine()}, one thread; complex128 80^3 scipy.fft.fftn: {fft * 1e3:.2f} ms")
    hydrogen_table()
    for shape in arguments.shapes:
        table(f"Analytic fields, {shape}^3", analytic(shape), fft, arguments.baderkit)
    if arguments.labels:
        table("DFT labels", labels(arguments.labels), fft, None)


if __name__ == "__main__":
    main()
