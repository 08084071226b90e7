"""A toy of dense molecular hydrogen that moves, for examples about something else.

Harmonic molecules that repel each other: no dissociation, no electrons, no physics to quote.
"""

from __future__ import annotations

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import Calculator, all_changes
from ase.md.langevin import Langevin

BOND, STIFFNESS = 0.74, 35.9  # Å, eV/Å²
STRENGTH, RANGE = 30.0, 0.32  # eV, Å


class ToyHydrogen(Calculator):
    """Atoms 0-1, 2-3, ... are molecules; atoms of different ones repel exponentially."""

    implemented_properties = ["energy", "forces"]

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        vectors = atoms.get_all_distances(mic=True, vector=True)  # [i, j]: from i to j
        lengths = np.linalg.norm(vectors, axis=-1) + np.eye(len(atoms))
        molecule = np.arange(len(atoms)) // 2
        bonded = (molecule[:, None] == molecule) & ~np.eye(len(atoms), dtype=bool)
        apart = molecule[:, None] != molecule
        repulsion = np.where(apart, STRENGTH * np.exp(-lengths / RANGE), 0.0)
        stretch = np.where(bonded, lengths - BOND, 0.0)
        slope = STIFFNESS * stretch - repulsion / RANGE  # dE/dr of a pair
        self.results = {
            "energy": 0.5 * (0.5 * STIFFNESS * stretch**2 + repulsion).sum(),
            "forces": ((slope / lengths)[:, :, None] * vectors).sum(axis=1),
        }


def fluid(r_s: float = 1.5, *, seed: int = 0) -> Atoms:
    """Eight molecules on a simple cubic lattice, turned at random; ``r_s`` in bohr."""
    rng = np.random.default_rng(seed)
    side = r_s * units.Bohr * (4 * np.pi / 3 * 16) ** (1 / 3)
    centers = (np.stack(np.meshgrid(*[[0, 1]] * 3), -1).reshape(-1, 3) + 0.5) * side / 2
    axes = rng.normal(size=(8, 3))
    axes *= BOND / 2 / np.linalg.norm(axes, axis=1)[:, None]
    positions = np.stack([centers - axes, centers + axes], axis=1).reshape(-1, 3)
    return Atoms("H16", positions, cell=[side] * 3, pbc=True, calculator=ToyHydrogen())


def dynamics(atoms: Atoms, *, seed: int = 0) -> Langevin:
    """Molecular dynamics at 1000 K in steps of 0.5 fs."""
    rng = np.random.default_rng(seed)
    friction = 0.02 / units.fs
    return Langevin(
        atoms, 0.5 * units.fs, temperature_K=1000, friction=friction, fixcm=False, rng=rng
    )
