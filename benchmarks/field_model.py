"""Speed of the field model, as ratios to one FFT in the same run.

    python benchmarks/field_model.py [--domain dense-hydrogen] [--repeats 7]

One thread, random hydrogen fluids (seed 0, r_s = 1.45 bohr, no pair below 0.6 Å), the
default `get_elf` call from Atoms to ELFGrid with a cell it has seen before and positions
it has not, as in molecular dynamics. Prints medians of process CPU time and their spread.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
import warnings

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np  # noqa: E402
import scipy.fft  # noqa: E402
import torch  # noqa: E402
from ase import Atoms  # noqa: E402
from ase.units import Bohr  # noqa: E402

from ase_elf import ELFCalculator  # noqa: E402
from ase_elf.errors import ElfWarning  # noqa: E402


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


def median_seconds(action, repeats: int) -> tuple[float, float, float]:
    """Median, least and greatest process CPU time of ``action(i)``."""
    times = []
    for i in range(repeats):
        started = time.process_time()
        action(i)
        times.append(time.process_time() - started)
    return float(np.median(times)), min(times), max(times)


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
    fft = median_seconds(lambda _: scipy.fft.fftn(cube, workers=1), 3 * options.repeats)
    print(f"{platform.processor() or platform.machine()}, one thread, seed 0")
    print(f"complex128 80^3 scipy.fft.fftn: {fft[0] * 1e3:.1f} ms ({fft[1]*1e3:.1f}-{fft[2]*1e3:.1f})")
    print("atoms   grid    seconds (min-max)        points/s   ratio to FFT   us/atom")
    for n in options.sizes:
        base = fluid(n, rng)
        side = int(np.ceil(80 * (n / 128) ** (1 / 3)))
        frames = []
        for _ in range(options.repeats):
            moved = base.copy()
            moved.positions += rng.normal(scale=0.01, size=(n, 3))
            frames.append(moved)
        calc.get_elf(base, shape=(side,) * 3)
        t = median_seconds(
            lambda i, s=side, f=frames: calc.get_elf(f[i], shape=(s,) * 3), options.repeats
        )
        ratio = t[0] / (fft[0] * (side / 80) ** 3)
        print(
            f"{n:5d}  {side:4d}^3  {t[0]:8.3f} ({t[1]:.3f}-{t[2]:.3f})  {side**3 / t[0]:12.3g}"
            f"  {ratio:10.1f}  {1e6 * t[0] / n:10.1f}"
        )


if __name__ == "__main__":
    main()
