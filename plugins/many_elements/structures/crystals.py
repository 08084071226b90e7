"""Published crystals of at most six atoms, one per compound.

Sources, CC BY 4.0: Materials Project (Jain et al., APL Mater. 1, 011002 (2013)), WBM (Wang,
Botti, Marques, npj Comput. Mater. 7, 12 (2021)), as JSON lists of pymatgen structures.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.data import atomic_numbers, covalent_radii, reference_states
from ase_elf_espresso.recipes import HARD
from ase_elf_many_elements.splits import HELD_OUT, reduced_formula
from ase_elf_many_elements.structures.hydrides import seeded

MOST_ATOMS = 6

SOLIDS = ("fcc", "bcc", "hcp", "diamond")
"""Structures of elements that ``ase.build.bulk`` makes from lattice constants alone."""

LARGEST = 150.0
"""Å³ of a cell, half of it where an element needs the higher cutoff: larger ones cost minutes."""


def read_published(path: Path, source: str) -> Iterator[Atoms]:
    """Every ordered structure of one JSON list; ``info`` holds ``id``, ``source`` and ``licence``."""
    for entry in json.loads(gzip.decompress(path.read_bytes())):
        sites = entry["structure"]["sites"]
        if any(len(site["species"]) > 1 for site in sites):
            continue
        identity = entry.get("mp_id") or entry["material_id"]
        yield Atoms(
            [site["species"][0]["element"] for site in sites],
            scaled_positions=[site["abc"] for site in sites],
            cell=entry["structure"]["lattice"]["matrix"],
            pbc=True,
            info={"id": identity, "source": source, "licence": "CC BY 4.0"},
        )


def chosen(
    structures: list[Atoms], count: int, elements: set[str], *, without: frozenset[str]
) -> list[Atoms]:
    """``count`` small crystals of different compounds that cover ``elements`` evenly.

    Each turn takes the element seen least so far, and of its compounds the one whose other
    elements were seen least; among polymorphs the one with the smallest cell.
    """
    smallest: dict[str, Atoms] = {}
    for atoms in sorted(structures, key=lambda a: a.get_volume()):
        formula = reduced_formula(atoms)
        known = set(atoms.symbols) <= elements
        cost = atoms.get_volume() * (1 if HARD.isdisjoint(atoms.symbols) else 2)
        if not known or len(atoms) > MOST_ATOMS or cost > LARGEST:
            continue
        if formula not in without and formula not in HELD_OUT:
            smallest.setdefault(formula, atoms)
    seen, taken = Counter(), []
    while smallest and len(taken) < count:
        best = min(smallest, key=lambda f: (sorted(seen[s] for s in set(smallest[f].symbols)), f))
        atoms = smallest.pop(best)
        seen.update(set(atoms.symbols))
        taken.append(atoms)
    return taken


def distorted_crystals(structures: list[Atoms]) -> Iterator[Atoms]:
    """Every fourth crystal once more, strained by 2 % and displaced by 0.03 Å per radius of 1.2 Å."""
    for atoms in structures[::4]:
        random = seeded(f"distorted-{atoms.info['id']}")
        noise = random.normal(0, 0.02, (3, 3))
        bent = atoms.copy()
        bent.set_cell(bent.cell.array @ (np.eye(3) + (noise + noise.T) / 2), scale_atoms=True)
        widths = 0.03 * covalent_radii[bent.numbers] / 1.2
        bent.positions += random.normal(0, 1, (len(bent), 3)) * widths[:, None]
        bent.info["id"] = f"distorted-{atoms.info['id']}"
        yield bent


def elements(known: set[str]) -> Iterator[Atoms]:
    """Elements in the structures they have as solids, where these are of one or two atoms, at two densities.

    Lattice constants are those of ASE (:data:`ase.data.reference_states`); the second density is what
    some 10 to 50 GPa make of a metal.
    """
    for symbol in sorted(known):
        state = reference_states[atomic_numbers[symbol]]
        if not state or state["symmetry"] not in SOLIDS or "basis" in state:
            continue
        for scale in (1.0, 0.95):
            atoms = bulk(symbol)
            atoms.set_cell(atoms.cell * scale, scale_atoms=True)
            atoms.info = {
                "id": f"element-{symbol}-{scale:.2f}",
                "source": "reference states of ASE",
                "licence": "facts",
            }
            yield atoms
