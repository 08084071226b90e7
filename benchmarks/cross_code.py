"""One hydrogen cell by two codes, and by one code with two settings: rms ELF differences.

    python benchmarks/cross_code.py [--basis gth-tzvp ...]

16 atoms at r_s 1.5 bohr, molecules of 0.74 Å on a simple cubic lattice, turned at random
(seed 7); shifted 2×2×2 mesh. Compared on a grid of 0.25 Å.
"""

import argparse
import time

import numpy as np
from ase import Atoms
from ase.units import Bohr

from ase_elf.reference import get_engine
from ase_elf.reference.engine import grid_points


def molecular_cell() -> Atoms:
    random = np.random.default_rng(7)
    length = (16 * 4 * np.pi / 3) ** (1 / 3) * 1.5 * Bohr
    centres = np.stack(np.meshgrid(*[np.arange(2)] * 3, indexing="ij"), -1).reshape(-1, 3)
    bonds = random.normal(size=(8, 3))
    bonds *= 0.37 / np.linalg.norm(bonds, axis=1, keepdims=True)
    centres = centres / 2 * length
    positions = np.concatenate([centres + bonds, centres - bonds])
    return Atoms("H16", positions=positions, cell=[length] * 3, pbc=True)


def show(name, values, reference, energy, started):
    difference = values.astype(float) - reference
    print(
        f"{name:36s} rms {np.sqrt((difference**2).mean()):.4f}  bias {difference.mean():+.4f}  "
        f"max {np.abs(difference).max():.3f}  {energy:.4f} eV  {time.monotonic() - started:.0f} s",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--basis", nargs="*", default=["gth-dzvp", "gth-tzvp"])
    arguments = parser.parse_args()
    atoms = molecular_cell()
    points, _ = grid_points(atoms, 0.25)
    recipe = {"recipe": "hydrogen-fluid", "kpts": (2, 2, 2)}
    started = time.monotonic()
    reference = get_engine("espresso", **recipe).compute(atoms, points=points)
    show("the recipe", reference.values, reference.values, reference.energy, started)
    for name, changes in {
        "120 Ry": {"ecutwfc": 120.0},
        "Fermi-Dirac smearing, 0.002 Ry": {"smearing": "fermi-dirac", "degauss": 0.002},
        "mesh not shifted": {"kshift": False},
    }.items():
        started = time.monotonic()
        result = get_engine("espresso", **recipe | changes).compute(atoms, points=points)
        show(f"Quantum ESPRESSO, {name}", result.values, reference.values, result.energy, started)
    for basis in arguments.basis:
        started = time.monotonic()
        engine = get_engine("pyscf", basis=basis, kpts=(2, 2, 2), kshift=True)
        result = engine.compute(atoms, points=points)
        show(f"PySCF, {basis}", result.values, reference.values, result.energy, started)


if __name__ == "__main__":
    main()
