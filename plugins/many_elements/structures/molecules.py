"""Molecules in boxes: those of the G2 set, hydrides of single atoms in the shapes of their groups, pairs of groups."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations_with_replacement

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

GROUPS = {
    # central atom: (hydrogen atoms, degrees between them and the bond, degrees from one to the next around it)
    "N": (2, 108, 115),
    "O": (1, 104, 0),
    "C": (3, 109.47, 120),
    "F": (0, 0, 0),
    "Si": (3, 109.47, 120),
    "P": (2, 95, 94),
    "S": (1, 95, 0),
    "B": (2, 120, 180),
    "Cl": (0, 0, 0),
}
"""NH2, OH, CH3 and the like, two of which make a molecule with a single bond."""


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


def pairs_of_groups() -> Iterator[Atoms]:
    """Two of :data:`GROUPS` at random turns, bonds 0.95 to 1.08 sums of covalent radii; none that is held out."""
    for first, second in combinations_with_replacement(GROUPS, 2):
        random = seeded(f"group-{first}-{second}")
        apart = random.uniform(0.97, 1.05) * sum(
            covalent_radii[atomic_numbers[symbol]] for symbol in (first, second)
        )
        atoms = _group(first, random)
        other = _group(second, random)
        other.rotate(180, "x")
        other.translate([0, 0, apart])
        atoms += other
        if len(atoms) < 3 or reduced_formula(atoms) in HELD_OUT:
            continue
        atoms.center(vacuum=VACUUM)
        atoms.info["id"] = f"group-{first}-{second}"
        yield atoms


def _group(symbol: str, random: np.random.Generator) -> Atoms:
    """A group whose free bond points along z, turned at random around it."""
    count, polar, around = GROUPS[symbol]
    turns = np.radians(around) * np.arange(count) + random.uniform(0, 2 * np.pi)
    flat = np.sin(np.radians(polar)) * np.stack([np.cos(turns), np.sin(turns)], -1)
    ways = np.column_stack([flat, np.full(count, np.cos(np.radians(polar)))])
    length = random.uniform(0.95, 1.08) * (covalent_radii[1] + covalent_radii[atomic_numbers[symbol]])
    places = length * ways + random.normal(0, 0.03, ways.shape)
    return Atoms(f"{symbol}H{count}" if count else symbol, np.vstack([np.zeros((1, 3)), places]), pbc=False)


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
