"""Speed of cheap orbitals: from Atoms to features on a grid.

    python benchmarks/minimal_basis.py [--spacing 0.2] [--repeats 5] [--large]

One thread, structures that have not been seen (atoms are moved a little each time; tables of elements have been
read). Prints medians of process CPU time by part: bands, fields of both Hamiltonians, superposed atoms. `--large`
adds a cell of 352 atoms, 10 s and more. Needs no data.
"""

from __future__ import annotations

import argparse
import os
import platform
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from ase import Atoms
from ase.build import bulk, molecule
from ase.spacegroup import crystal

from ase_elf.grid import cartesian
from ase_elf.model.minimal_basis import OccupiedOrbitals


def structures(large: bool) -> dict[str, Atoms]:
    methane = molecule("CH4")
    methane.center(vacuum=3)
    lanthanum = [(0.5, 0.5, 0.5), (0.25, 0.25, 0.25), (0.12, 0.12, 0.12)]
    a = [4.84] * 3 + [90] * 3
    found = {
        "H3S": crystal(["S", "H"], [(0, 0, 0), (0, 0.5, 0.5)], spacegroup=229, cellpar=[2.984] * 3 + [90] * 3,
                       primitive_cell=True),
        "LaH10": crystal(["La", "H", "H"], lanthanum, spacegroup=225, cellpar=a, primitive_cell=True),
        "NaCl, 8 atoms": bulk("NaCl", "rocksalt", a=5.64, cubic=True),
        "TiO2 rutile": crystal(["Ti", "O"], [(0, 0, 0), (0.305, 0.305, 0)], spacegroup=136,
                               cellpar=[4.59, 4.59, 2.96, 90, 90, 90]),
        "Cu": bulk("Cu"),
        "CH4 in a box": methane,
    }  # fmt: skip
    if large:
        cubic = crystal(["La", "H", "H"], lanthanum, spacegroup=225, cellpar=[5.1] * 3 + [90] * 3)
        found["LaH10, 352 atoms"] = cubic.repeat(2)
    return found


def seconds(atoms: Atoms, spacing: float) -> tuple[float, float, float]:
    """CPU time of bands, fields and superposed atoms."""
    shape = tuple(int(np.ceil(length / spacing)) for length in atoms.cell.lengths())
    points = cartesian(atoms.cell.array, shape).reshape(-1, 3)
    marks = [time.process_time()]
    orbitals = OccupiedOrbitals(atoms)
    _ = orbitals.states
    marks.append(time.process_time())
    orbitals.at(points)
    marks.append(time.process_time())
    orbitals.superposed(points)
    marks.append(time.process_time())
    return tuple(np.diff(marks))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--spacing", type=float, default=0.2, help="Å along lattice vectors")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--large", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    print(f"{platform.processor() or platform.machine()}, torch {torch.__version__}, {options.spacing} Å")
    for name, atoms in structures(options.large).items():
        taken = []
        for _ in range(1 if len(atoms) > 100 else options.repeats + 1):
            moved = atoms.copy()
            moved.positions += rng.normal(0, 0.03, (len(atoms), 3))
            taken.append(seconds(moved, options.spacing))
        bands, fields, sad = np.median(taken[1:] or taken, axis=0)
        total = bands + fields + sad
        print(f"{name:18s} {len(atoms):4d} atoms  bands {bands:.3f}  fields {fields:.3f}  superposed {sad:.3f}  "
              f"total {total:.3f} s")  # fmt: skip


if __name__ == "__main__":
    main()
