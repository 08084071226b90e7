"""How fast random crystals are screened: `ase-elf analyze` on a folder of CIF files.

    python benchmarks/screening.py [--count 1000] [--seed 0] [-o DIR]

Crystals are random triclinic cells of 4 to 24 hydrogen atoms at r_s 1.3 to 1.9 bohr, a random
share of them in molecules, placed one after the other where they overlap with nothing.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import write
from ase.units import Bohr

from ase_elf.formats.collection import Collection
from ase_elf.runs.provenance import versions
from ase_elf.runs.screening import ScreeningRun

CLOSEST = 0.95
"""Å between atoms of different units; the molecule itself measures 0.70 to 0.80."""


def random_crystal(rng: np.random.Generator) -> Atoms:
    """One crystal; tries cells until everything fits."""
    while True:
        n_atoms = int(rng.integers(4, 25))
        n_molecules = int(rng.integers(0, n_atoms // 2 + 1))
        r_s = rng.uniform(1.3, 1.9) * Bohr
        lengths, angles = rng.uniform(0.7, 1.4, 3), rng.uniform(65, 115, 3)
        cell = Atoms(cell=[*lengths, *angles]).cell[:]
        cell *= (n_atoms * 4 / 3 * np.pi * r_s**3 / np.linalg.det(cell)) ** (1 / 3)
        placed = _fill(rng, cell, n_molecules, n_atoms - 2 * n_molecules)
        if placed is not None:
            return Atoms(f"H{n_atoms}", positions=placed, cell=cell, pbc=True)


def _fill(rng: np.random.Generator, cell: np.ndarray, n_molecules: int, n_single: int) -> np.ndarray | None:
    """Positions in Å, molecules first; None where one of them found no room."""
    shifts = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), -1).reshape(-1, 3) @ cell
    placed = np.empty((0, 3))
    for number in range(n_molecules + n_single):
        for _ in range(300):
            center = rng.random(3) @ cell
            unit = center[None]
            if number < n_molecules:
                axis = rng.normal(size=3)
                half = rng.uniform(0.35, 0.40) * axis / np.linalg.norm(axis)
                unit = np.stack([center - half, center + half])
            others = np.concatenate([placed, unit])
            apart = np.linalg.norm(unit[:, None, None] - others[:, None] - shifts, axis=-1)
            own = np.isclose(apart[:, len(placed) :], 0.0)
            if number < n_molecules:  # the bond itself is allowed
                own |= apart[:, len(placed) :] < 0.81
            apart[:, len(placed) :][own] = np.inf
            if apart.min() > CLOSEST:
                placed = others
                break
        else:
            return None
    return placed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, help="keep the results here")
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "crystals"
        folder.mkdir()
        for k in range(given.count):
            write(folder / f"{k:04d}.cif", random_crystal(rng))
        output = given.output or Path(name) / "out"
        began, cpu = time.perf_counter(), time.process_time()
        ranked = ScreeningRun(Collection(folder), output, report=bool(given.output)).execute()
        wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    phi = np.array([row.values["elf_phi"] for row in ranked if row.error is None])
    print(json.dumps({
        "structures": len(ranked),
        "failed": len(ranked) - len(phi),
        "out_of_domain": sum(bool(row.outside) for row in ranked),
        "atoms": sum(row.n_atoms for row in ranked),
        "phi": [round(float(q), 3) for q in np.quantile(phi, [0, 0.25, 0.5, 0.75, 1])],
        "cpu_s": round(cpu, 1),
        "wall_s": round(wall, 1),
        "structures_per_cpu_second": round(len(ranked) / cpu, 2),
        "machine": platform.processor() or platform.machine(),
        "seed": given.seed,
        **versions(),
    }, indent=1))  # fmt: skip


if __name__ == "__main__":
    main()
