"""Structures of different size, predicted together and one by one: the same ELF, sooner.

    python examples/many_structures.py [structures.png] [number]

Small crystals and cells of the fluid of 8, 64 and 128 atoms, mixed. The first of them are also
predicted with a model that says, as PyTorch does, that memory has run out for more than three: the
batch is halved until it fits. Takes seconds.
"""

from __future__ import annotations

import sys
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from ase.io import read

from ase_elf import ELFCalculator
from ase_elf.domains import Domain, get_domain


def mixed(number: int) -> list[Atoms]:
    """Four shaken simple crystals to every two cells of the fluid."""
    rng = np.random.default_rng(0)
    fluid = read(Path(__file__).with_name("dense-hydrogen.extxyz"), index=0)
    density = len(fluid) / fluid.get_volume()
    structures = []
    for k in range(number):
        if k % 3 == 2:
            atoms = fluid * ((2, 1, 1) if k % 6 == 5 else (1, 1, 1))
            atoms = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)
            atoms.rattle(0.03, rng=rng)
        else:
            places = np.stack(np.meshgrid(*[[0, 0.5]] * 3), -1).reshape(-1, 3)
            atoms = Atoms("H8", scaled_positions=places, pbc=True,
                          cell=[(8 / density) ** (1 / 3)] * 3)  # fmt: skip
            atoms.rattle(0.08, rng=rng)
        structures.append(atoms)
    return structures


class SmallMemory(Domain):
    """The hydrogen pack on a device that holds three structures."""

    def load(self, device: str | None = None, dtype: str = "float32"):
        model = super().load(device, dtype)
        predict, self.batches[:] = model.predict, []

        def in_little_memory(structures, shapes, **options):
            if len(structures) > 3:
                torch.empty(2**55)  # PyTorch refuses, in its own words
            self.batches.append(len(structures))
            return predict(structures, shapes, **options)

        model.predict = in_little_memory
        return model

    batches: list[int] = []


def main(picture: str = "structures.png", number: int = 12) -> None:
    from matplotlib.figure import Figure

    warnings.simplefilter("ignore")  # simple cubic hydrogen is outside of what was trained on
    structures = mixed(number)
    calc = ELFCalculator(domain="dense-hydrogen", device="cpu")
    calc.predict(structures[:1])  # loads the weights
    began = time.process_time()
    alone = [calc.get_elf(atoms) for atoms in structures]
    middle = time.process_time()
    together = calc.predict(structures)
    ended = time.process_time()
    apart = max(np.abs(a.values - b.values).max() for a, b in zip(alone, together, strict=True))
    print(f"{number} structures: one by one {middle - began:.2f} s, together {ended - middle:.2f} s, "
          f"largest difference {apart:.0e}")  # fmt: skip

    small = SmallMemory(get_domain("dense-hydrogen").folder)
    halved = ELFCalculator(domain=small, device="cpu").predict(structures[:8])
    equal = max(np.abs(a.values - b.values).max() for a, b in zip(halved, together, strict=False))
    print(f"with memory for three: batches of {small.batches}, largest difference {equal:.0e}")

    figure = Figure(figsize=(6, 3.4), layout="constrained")
    axis = figure.subplots()
    kinds = {8: ("#c8502d", "shaken simple cubic"), 64: ("#1f5fa8", "fluid of 64 atoms"),
             128: ("#3b8a5a", "fluid of 128 atoms")}  # fmt: skip
    for size, (color, label) in kinds.items():
        for grid in (grid for grid in together if len(grid.atoms) == size):
            axis.hist(grid.values.ravel(), bins=50, density=True, histtype="step", color=color,
                      label=label)  # fmt: skip
            label = None  # one line of the legend for all
    axis.set(xlabel="ELF", ylabel="density of the volume")
    axis.legend()
    figure.savefig(picture, dpi=120)
    print(f"see {picture}")


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(int, sys.argv[2:3]))
