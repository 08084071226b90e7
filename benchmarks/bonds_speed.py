"""Bonds per second, structure in and table out: many structures together against one at a time.

    OMP_NUM_THREADS=1 python benchmarks/bonds_speed.py [n_structures]

Structures are [Au25(SCH3)18]- with every atom displaced at random by 0.03 Å. Processor time. One at a
time is what :func:`measure_bonds` did before structures were read together: points of every structure through
:meth:`ELFCalculator.get_elf`. The ratio is of the same run, which other work on the machine changes little.
"""

import sys
import time
import warnings

import numpy as np
import torch

from ase_elf import ELFCalculator
from ase_elf.examples import au25
from ase_elf.ruler.bonds import read_many
from ase_elf.ruler.survey import BondSurvey


class OneAtATime:
    """A calculator that is asked for the points of one structure, and for nothing else."""

    def __init__(self, calculator: ELFCalculator) -> None:
        self.get_elf, self.domain_of = calculator.get_elf, calculator.domain_of


def displaced(n: int) -> list:
    found = [au25() for _ in range(n)]
    for seed, atoms in enumerate(found):
        atoms.rattle(0.03, seed=seed)
    return found


def timed(work) -> tuple[float, list]:
    began = time.process_time()
    found = work()
    return time.process_time() - began, found


def main(n: int = 16) -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    structures, calculator = displaced(n), ELFCalculator(device="cpu")
    alone = OneAtATime(calculator)
    read_many(structures[:1], calculator)
    read_many(structures[:1], alone)
    batches = [structures[k : k + 8] for k in range(0, n, 8)]
    ways = {
        "one at a time, as before": lambda: [read_many([atoms], alone)[0] for atoms in structures],
        "one at a time": lambda: [read_many([atoms], calculator)[0] for atoms in structures],
        "eight together": lambda: [one for batch in batches for one in read_many(batch, calculator)],
        "eight together, with modes": lambda: [
            (rows, []) for batch in batches
            for rows in BondSurvey(types=False).add_many(batch, calculator, frames=range(len(batch)))
        ],
    }  # fmt: skip
    seconds, first = {}, None
    for name, work in ways.items():
        seconds[name], found = timed(work)
        lengths = np.concatenate([rows["ruler_length"] for rows, _ in found])
        first = lengths if first is None else first
        seconds[name] /= len(lengths)
        ratio, off = seconds["one at a time, as before"] / seconds[name], np.abs(lengths - first).max()
        print(f"{name:28s} {1 / seconds[name]:7.0f} bonds/s, {ratio:5.2f} times as fast; "
              f"readings differ by {off:.1e} Å", flush=True)  # fmt: skip


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
