"""Cost of a frame of `analyze` at its defaults, in parts, as ratios to one FFT in the same run.

    python benchmarks/analyze_speed.py [--edge 80] [--frames 9]

One thread, 64 hydrogen molecules of a fluid (seed of :func:`ase_elf.testing.molecular_fluid`). Processor time, as
medians and their spread; an FFT (complex128, `scipy.fft.fftn`, workers=1, of as many points) is
timed before and after each frame, as other work on the machine slows both.
"""

import argparse
import os
import platform
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import scipy.fft
import torch

from ase_elf.analysis.frame import analyze_frame, settings_for
from ase_elf.domains import domain_for
from ase_elf.grid import ELFGrid
from ase_elf.statistics import RunStatistics
from ase_elf.structures.trajectory import Frame
from ase_elf.testing import molecular_fluid
from ase_elf.topology import networking

PARTS = ("model", "network and per-frame counts", "update", "whole frame", "network alone")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--edge", type=int, default=80)
    parser.add_argument("--frames", type=int, default=9)
    given = parser.parse_args()
    torch.set_num_threads(1)
    shape = (given.edge,) * 3
    images = molecular_fluid(64, given.frames + 1, length=6.3)
    domain = domain_for(images[0].get_chemical_symbols())
    settings = settings_for(images[0], domain)
    model, statistics = domain.load(), RunStatistics(settings.plan())
    rng = np.random.default_rng(0)
    cube = rng.random(shape) + 1j * rng.random(shape)

    def clock(n: int, atoms) -> tuple[np.ndarray, float]:
        """Seconds of each part of a frame, and of an FFT beside it."""
        marks = [time.process_time()]
        scipy.fft.fftn(cube, workers=1)
        marks.append(time.process_time())
        found = model.predict([atoms], [shape])[0]
        marks.append(time.process_time())
        grid = ELFGrid(found.values, atoms, sigma=found.sigma)
        result, _, _ = analyze_frame(Frame(n, float(n), atoms), grid, settings)
        marks.append(time.process_time())
        statistics.update(result)
        marks.append(time.process_time())
        networking(ELFGrid(found.values, atoms, sigma=found.sigma))
        marks.append(time.process_time())
        scipy.fft.fftn(cube, workers=1)
        marks.append(time.process_time())
        before, *parts, alone, after = np.diff(marks)
        return np.array([*parts, sum(parts), alone]), (before + after) / 2

    clock(0, images[0])  # tables are built and kernels compiled once
    seconds, ffts = zip(*(clock(n, atoms) for n, atoms in enumerate(images[1:], start=1)), strict=True)
    print(f"{platform.processor() or platform.machine()}, one thread, 128 atoms, {given.edge}³ points")
    print(f"FFT {1e3 * np.median(ffts):.1f} ms\npart                             seconds   FFTs (min-max)")
    for name, each in zip(PARTS, np.transpose(seconds), strict=True):
        ratios = each / np.array(ffts)
        print(
            f"{name:32s} {np.median(each):7.3f}  {np.median(ratios):5.1f} ({ratios.min():.1f}-{ratios.max():.1f})"
        )


if __name__ == "__main__":
    main()
