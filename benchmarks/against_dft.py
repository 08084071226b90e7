"""A prediction against the DFT calculation it stands for: the same snapshot on the same core.

    OMP_NUM_THREADS=1 python benchmarks/against_dft.py [--labels DIR] [--r-s 1.45] [--shape 80 80 80]

The fluid of 128 atoms nearest to a density among the test structures is computed by Quantum ESPRESSO as the
labels were (pw.x, then pp.x for the ELF; one thread), and predicted nine times, moved by 0.001 Å each time, five
times before and four after. Compared are processor seconds, those of the programs with all that their start
costs. R² is that of the prediction on the grid of the calculation.
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import scipy.fft
import torch
from ase import Atoms

from ase_elf import ELFCalculator
from ase_elf.dataset import read_labels
from ase_elf.domains import describe
from ase_elf.reference import get_engine

LABELS = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "hydrogen" / "labels"

REPEATS = 9


def snapshot(labels: Path, r_s: float) -> Atoms:
    """The test structure of 128 atoms nearest to a density."""
    fluids = [label.atoms for label in read_labels(labels, "test") if len(label.atoms) == 128]
    return min(fluids, key=lambda atoms: abs(describe(atoms)["r_s_bohr"] - r_s))


def children() -> float:
    """Processor seconds of the processes that were started and have ended."""
    return sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])


def timed(
    calc: ELFCalculator, atoms: Atoms, shape: tuple[int, ...], repeats: int
) -> list[tuple[float, float]]:
    """Processor seconds of predictions, and of an FFT beside each; the ELF of equal atoms would be a look-up."""
    rng = np.random.default_rng(0)
    cube, found = rng.random((80, 80, 80)) + 0j, []
    for _ in range(repeats):
        moved = atoms.copy()
        moved.positions += rng.normal(0, 1e-3, moved.positions.shape)
        marks = [time.process_time()]
        calc.get_elf(moved, shape=shape)
        marks.append(time.process_time())
        scipy.fft.fftn(cube, workers=1)
        marks.append(time.process_time())
        found.append(tuple(np.diff(marks)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labels", type=Path, default=LABELS)
    parser.add_argument("--r-s", type=float, default=1.45)
    parser.add_argument("--shape", type=int, nargs=3, default=(80, 80, 80))
    given = parser.parse_args()
    torch.set_num_threads(1)
    atoms, shape = snapshot(given.labels, given.r_s), tuple(given.shape)
    calc, engine = ELFCalculator(domain="dense-hydrogen"), get_engine("espresso", recipe="hydrogen-fluid")
    timed(calc, atoms, shape, 2)  # tables are built and kernels compiled once
    print(
        f"{len(atoms)} atoms, r_s {describe(atoms)['r_s_bohr']:.3f} bohr, load {os.getloadavg()[0]:.1f}",
        flush=True,
    )
    ours = timed(calc, atoms, shape, REPEATS // 2 + 1)
    engine.check({"H"})  # the pseudopotential is made before the clock starts
    began, wall = children(), time.monotonic()
    result = engine.compute(atoms)
    dft, wall = children() - began, time.monotonic() - wall
    timed(calc, atoms, shape, 2)
    ours += timed(calc, atoms, shape, REPEATS // 2)
    seconds, ffts = np.transpose(ours)
    reference = result.grid.values.astype(float)
    off = calc.get_elf(atoms, shape=reference.shape).values - reference
    r2 = 1 - (off**2).mean() / reference.var()
    made = result.provenance
    print(
        f"{made.code} {made.version}: {dft:.1f} s of the processor, {wall:.0f} s on the clock, k-mesh {made.kpts}, "
        f"{made.cutoff_ry:g} Ry, {made.scf_steps} steps, grid {reference.shape}\n"
        f"get_elf on {shape}: {np.median(seconds):.3f} s ({seconds.min():.3f}-{seconds.max():.3f}), "
        f"{np.median(seconds / ffts):.1f} FFTs of {1e3 * np.median(ffts):.1f} ms; R² {r2:.5f}\n"
        f"ratio {dft / np.median(seconds):.0f} ({dft / seconds.max():.0f}-{dft / seconds.min():.0f}), "
        f"load {os.getloadavg()[0]:.1f}"
    )


if __name__ == "__main__":
    main()
