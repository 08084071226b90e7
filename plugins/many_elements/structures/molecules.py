"""Molecules in boxes: those of the G2 set, and hydrides of single atoms in the shapes of their groups."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from ase import Atoms
from ase.build import molecule
from ase.collections import g2
from ase.data import atomic_numbers, covalent_radii
from ase_elf_many_elements.splits import HELD_OUT, reduced_formula
from ase_elf_many_elements.structures.hydrides import seeded
from ase_elf_many_elements.structures.trials import VACUUM

SHAPES = {
    # shape: (atoms that have it, number of hydrogen atoms, angle between two bonds in degrees)
    "diatomic": ("Li Na K Rb Cs Cu Ag Au F Cl Br I In Tl", 1, 0),
    "linear": ("Be Mg Zn Cd Hg Sr", 2, 180),
    "flat": ("B Al In Sc La", 3, 120),
    "tetrahedral": ("C Si Ge Sn Pb Ti Zr", 4, 109.47),
    "pyramidal": ("N P As Sb Bi", 3, 94),
    "bent": ("O S Se Te", 2, 93),
}

TURNS = 3
"""Structures of each: bonds of 0.9 to 1.2 sums of covalent radii, angles of 0.9 to 1.1 times those of the shape."""


def molecules(elements: set[str]) -> Iterator[Atoms]:
    """Closed-shell molecules of the G2 set, each in a box with 4 Å of vacuum around it."""
    for name in g2.names:
        atoms = molecule(name)
        if atoms.get_initial_magnetic_moments().any() or not set(atoms.symbols) <= elements:
            continue
        if sum(atoms.numbers) % 2 or len(atoms) == 1 or reduced_formula(atoms) in HELD_OUT:
            continue
        atoms.center(vacuum=VACUUM)
        yield Atoms(
            atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=False,
            info={"id": f"g2-{name}", "source": "G2/97 geometries as in ASE"},
        )  # fmt: skip


def single_atom_hydrides() -> Iterator[Atoms]:
    """XH to XH4 with stretched bonds and bent angles, hydrogen displaced by 0.05 Å; none that is held out."""
    for turn in range(TURNS):
        for symbols, count, angle in SHAPES.values():
            for symbol in symbols.split():
                random = seeded(f"hydride-molecule-{symbol}-{turn}")
                length = random.uniform(0.9, 1.2) * (
                    covalent_radii[1] + covalent_radii[atomic_numbers[symbol]]
                )
                ways = _directions(count, min(180.0, angle * random.uniform(0.9, 1.1)))
                places = length * ways + random.normal(0, 0.05, ways.shape)
                atoms = Atoms(f"{symbol}H{len(ways)}", np.vstack([np.zeros(3), places]), pbc=False)
                if reduced_formula(atoms) in HELD_OUT:
                    continue
                atoms.center(vacuum=VACUUM)
                atoms.info["id"] = f"hydride-molecule-{symbol}H{len(ways)}-{turn}"
                yield atoms


def _directions(count: int, angle: float) -> np.ndarray:
    """Unit vectors of bonds on a cone, (count, 3), ``angle`` degrees between neighbours; four are a tetrahedron."""
    if count == 4:
        return np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / np.sqrt(3)
    if count < 2:
        return np.array([[0.0, 0.0, 1.0]])
    # Chord of two bonds, and of two places on the circle that the bonds end on.
    radius = min(1.0, np.sin(np.radians(angle) / 2) / np.sin(np.pi / count))
    turns = 2 * np.pi * np.arange(count) / count
    flat = radius * np.stack([np.cos(turns), np.sin(turns)], -1)
    return np.column_stack([flat, np.full(count, np.sqrt(1 - radius**2))])
