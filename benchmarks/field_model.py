"""Speed of the field model, as ratios to one FFT in the same run.

    python benchmarks/field_model.py [--domain dense-hydrogen] [--repeats 7]

One thread, random hydrogen fluids (seed 0, r_s = 1.45 bohr, no pair below 0.6 Å), the
default `get_elf` call from Atoms to ELFGrid with a cell it has seen before and positions
it has not, as in molecular dynamics. Transforms and predictions take turns, as other work on
the machine slows both. Prints medians of process CPU time and their spread.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
import warnings

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import scipy.fft
import torch
from ase import Atoms
from ase.units import Bohr

from ase_elf import ELFCalculator
from ase_elf.errors import ElfWarning


def fluid(n: int, rng: np.random.Generator, r_s: float = 1.45, closest: float = 0.6) -> Atoms:
    """Random packing, sequential with rejection, on a hash grid of the closest distance."""
    length = r_s * Bohr * (4 * np.pi / 3 * n) ** (1 / 3)
    cells = int(length / closest)
    taken: dict[tuple, list] = {}
    placed = []
    while len(placed) < n:
        p = rng.random(3) * length
        home = np.floor(p / length * cells).astype(int)
        near = [
            q
            for shift in np.ndindex(3, 3, 3)
            for q in taken.get(tuple((home + np.array(shift) - 1) % cells), [])
        ]
        if near:
            d = np.array(near) - p
            d -= length * np.round(d / length)
            if ((d**2).sum(1) < closest**2).any():
                continue
        placed.append(p)
        taken.setdefault(tuple(home), []).append(p)
    return Atoms(f"H{n}", positions=placed, cell=[length] * 3, pbc=True)


def seconds(action) -> float:
    """Process CPU time of ``action()``."""
    started = time.process_time()
    action()
    return time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--domain", default="dense-hydrogen")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--sizes", type=int, nargs="*", default=[128, 512, 2048])
    options = parser.parse_args()
    torch.set_num_threads(1)
    # Random atoms are no fluid, and predictions say so.
    warnings.simplefilter("ignore", ElfWarning)
    rng = np.random.default_rng(0)
    calc = ELFCalculator(domain=options.domain, device="cpu")

    cube = rng.random((80, 80, 80)) + 1j * rng.random((80, 80, 80))
    print(f"{platform.processor() or platform.machine()}, one thread, seed 0")
    print("FFT: complex128 80^3 scipy.fft.fftn, workers=1")
    print("atoms   grid    seconds (min-max)        points/s   FFT ms   ratio (min-max)       us/atom")
    for n in options.sizes:
        base = fluid(n, rng)
        side = int(np.ceil(80 * (n / 128) ** (1 / 3)))
        calc.get_elf(base, shape=(side,) * 3)
        ffts, times = [], []
        for _ in range(options.repeats):
            moved = base.copy()
            moved.positions += rng.normal(scale=0.01, size=(n, 3))
            three = [seconds(lambda: scipy.fft.fftn(cube, workers=1)) for _ in range(3)]
            ffts.append(np.median(three))
            times.append(seconds(lambda a=moved, s=side: calc.get_elf(a, shape=(s,) * 3)))
        t, fft = np.median(times), np.median(ffts)
        larger = (side / 80) ** 3
        each = np.array(times) / np.array(ffts) / larger
        print(
            f"{n:5d}  {side:4d}^3  {t:8.3f} ({min(times):.3f}-{max(times):.3f})  {side**3 / t:12.3g}"
            f"  {1e3 * fft:7.1f}  {t / fft / larger:7.1f} ({each.min():.1f}-{each.max():.1f})"
            f"  {1e6 * t / n:10.1f}"
        )


if __name__ == "__main__":
    main()
