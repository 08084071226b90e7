"""Random crystals of hydrogen, and the rows of a table that a screening run writes."""

import csv

import numpy as np
from ase import Atoms

from ase_elf.domains import shortest_distance


def crystals(n=6, seed=1):
    """Random cells of different size, no two atoms closer than 0.5 Å."""
    rng = np.random.default_rng(seed)
    found = []
    while len(found) < n:
        n_atoms = 2 + len(found) % 4
        cell = (2.2 * n_atoms) ** (1 / 3) * (np.eye(3) + rng.uniform(-0.2, 0.2, (3, 3)))
        atoms = Atoms(f"H{n_atoms}", scaled_positions=rng.random((n_atoms, 3)), cell=cell, pbc=True)
        if shortest_distance(atoms) > 0.5:
            found.append(atoms)
    return found


def rows_of(path):
    return list(csv.DictReader(path.read_text().splitlines()))
