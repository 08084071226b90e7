"""CPU seconds per frame of `analyze`: model, network and statistics apart.

Run as ``python benchmarks/analyze_speed.py [n_points_per_edge]``. Processor time is printed,
so that other work on the machine changes little; set OMP_NUM_THREADS=1 for one core.
"""

import platform
import sys
import time

from ase_elf.analysis.frame import analyze_frame, settings_for
from ase_elf.domains import domain_for
from ase_elf.grid import ELFGrid
from ase_elf.statistics import RunStatistics
from ase_elf.structures.trajectory import Frame
from ase_elf.testing import molecular_fluid
from ase_elf.topology import networking

FRAMES = 5


def main(edge: int = 80) -> None:
    images = molecular_fluid(64, FRAMES, length=6.3)
    domain = domain_for(images[0].get_chemical_symbols())
    settings = settings_for(images[0], domain)
    model, statistics = domain.load(), RunStatistics(settings.plan())
    model.predict(images[:1], [(edge,) * 3])  # tables are built once
    seconds = dict.fromkeys(("model", "network", "network and per-frame counts", "update"), 0.0)
    for k, atoms in enumerate(images):
        marks = [time.process_time()]
        found = model.predict([atoms], [(edge,) * 3])[0]
        marks.append(time.process_time())
        networking(ELFGrid(found.values, atoms, sigma=found.sigma))
        marks.append(time.process_time())
        grid = ELFGrid(found.values, atoms, sigma=found.sigma)
        result, _, _ = analyze_frame(Frame(k, float(k), atoms), grid, settings)
        marks.append(time.process_time())
        statistics.update(result)
        marks.append(time.process_time())
        for name, begin, end in zip(seconds, marks, marks[1:], strict=False):
            seconds[name] += (end - begin) / FRAMES
    print(f"{platform.processor() or platform.machine()}, 128 atoms, {edge}³ points")
    for name, value in seconds.items():
        print(f"{name:32s} {value:.3f} s")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
