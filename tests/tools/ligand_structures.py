"""Structures for labels of S-Au bonds with ligands that the gold pack never saw, and of stretched bonds.

    python tests/tools/ligand_structures.py FOLDER   # makes ligands.extxyz and labels.yaml
    ase-elf dataset build FOLDER/labels.yaml         # images of bonds by CP2K; can be killed, and goes on where it was

Rings [Au(SH)]n are relaxed with GFN1-xTB (tblite), R takes the place of hydrogen on every other sulfur, and every gold
and every SR is displaced at random by 0.05 to 0.12 Å; in two of three one SR is moved along one of its bonds until
that is 2.7 to 3.2 Å long. The order is mixed, so that a build that is stopped has some of everything.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import yaml
from ase import Atoms
from ase.build import molecule
from ase.io import write
from ase.optimize import LBFGS

LENGTHS = {"SH": 1.35, "phenyl": 1.78, "benzyl": 1.84, "tert-butyl": 1.86, "methyl": 1.83}
"""Å, of S-R."""

SIZES = (3, 4, 5)
CLOSEST = 0.9
"""Å. Structures with atoms nearer than that are left out."""

ROUNDS = 12
"""Structures of each ligand and size."""

STRETCHED = (2.7, 3.2)
"""Å, of the bond that is stretched."""

CUTOFF = 3.25
IMAGE = {"size": 48, "half_width": 2.56, "reference": 2.4, "planes": [0, 1]}


def fragment(ligand: str) -> Atoms:
    """R of SR: its first atom, at the origin, is the one that binds; sulfur has its place along -x."""
    if ligand == "SH":
        return Atoms("H")
    if ligand == "benzyl":
        carbon, ring = fragment("methyl"), fragment("phenyl")
        way = carbon.positions[1] / np.linalg.norm(carbon.positions[1])
        ring.rotate((1, 0, 0), way)
        ring.positions += 1.51 * way
        return carbon[[0, 2, 3]] + ring
    if ligand == "phenyl":
        whole = molecule("C6H6")
        gone = int(np.argmin(whole.get_distances(0, range(6, 12)))) + 6
    else:
        whole = molecule({"methyl": "CH4", "tert-butyl": "isobutane"}[ligand])
        symbols = np.array(whole.get_chemical_symbols())
        carbons, hydrogens = np.flatnonzero(symbols == "C"), np.flatnonzero(symbols == "H")
        near = whole.get_all_distances()
        middle = int(carbons[(near[np.ix_(carbons, carbons)] < 1.7).sum(1).argmax()])
        gone = int(hydrogens[near[middle, hydrogens].argmin()])
        whole = whole[[middle, gone, *(k for k in range(len(whole)) if k not in (middle, gone))]]
        gone = 1
    whole.positions -= whole.positions[0]
    way = whole.positions[gone].copy()
    del whole[gone]
    whole.rotate(way, (-1, 0, 0))
    return whole


def ring(n: int) -> Atoms:
    """[Au(SH)]n as a polygon with sulfur at its corners, hydrogen in turn above and below, relaxed with GFN1-xTB."""
    from tblite.ase import TBLite

    angle, radius = 2 * np.pi * np.arange(n) / n, 2.36 / np.sin(np.pi / n)
    corners = radius * np.stack([np.cos(angle), np.sin(angle), 0 * angle], 1)
    middles = (corners + np.roll(corners, -1, 0)) / 2 * (1.1 if n == 3 else 1.0)
    ways = np.stack([0.5 * np.cos(angle), 0.5 * np.sin(angle), 0.87 * (-1.0) ** np.arange(n)], 1)
    atoms = Atoms(f"Au{n}S{n}H{n}", np.concatenate([middles, corners, corners + 1.35 * ways]))
    atoms.calc = TBLite(method="GFN1-xTB", verbosity=0)
    LBFGS(atoms, logfile=None, maxstep=0.1).run(fmax=0.1, steps=80)
    return Atoms(atoms.numbers, atoms.positions)


def with_ligands(base: Atoms, ligand: str, rng: np.random.Generator) -> tuple[Atoms, list[list[int]]]:
    """The ring with hydrogen of every other sulfur exchanged, and the atoms of each SR, sulfur first.

    Of 60 turns about S-R the one with most room is taken.
    """
    n = len(base) // 3
    atoms, units, start = base[: 2 * n], [[n + k] for k in range(n)], int(rng.integers(n))
    chosen = {(start + 2 * k) % n for k in range(max(n // 2, 1))}
    for k in sorted(range(n), key=lambda k: k in chosen):
        sulfur, way = atoms.positions[n + k], base.positions[2 * n + k] - base.positions[n + k]
        own = fragment(ligand if k in chosen else "SH")
        length = LENGTHS[ligand if k in chosen else "SH"]
        own.rotate((1, 0, 0), way)
        own.positions += sulfur + length * way / np.linalg.norm(way)
        best, others = (0.0, own), np.delete(atoms.positions, n + k, axis=0)
        for _ in range(60 if len(own) > 1 else 1):
            own = own.copy()
            own.rotate(rng.uniform(0, 360), way, center=sulfur)
            room = np.linalg.norm(own.positions[:, None] - others, axis=-1).min()
            best = max(best, (room, own), key=lambda one: one[0])
        units[k] += range(len(atoms), len(atoms) + len(own))
        atoms += best[1]
    return atoms, units


def displaced(atoms: Atoms, units: list[list[int]], rng: np.random.Generator, stretched: bool) -> Atoms:
    """Every gold and every SR moved at random, and one SR along one of its bonds."""
    atoms, n, width = atoms.copy(), len(units), rng.uniform(0.05, 0.12)
    for unit in [[k] for k in range(n)] + units:
        atoms.positions[unit] += rng.normal(size=3) * width
    if stretched:
        # Mostly one whose ligand was exchanged: those are larger.
        chosen = max((units[k] for k in rng.permutation(n)), key=len) if rng.random() < 0.7 else units[0]
        sulfur = chosen[0]
        gold = rng.choice(np.argsort(atoms.get_distances(sulfur, range(n)))[:2])
        way = atoms.positions[sulfur] - atoms.positions[gold]
        length = np.linalg.norm(way)
        atoms.positions[chosen] += way / length * (rng.uniform(*STRETCHED) - length)
    return atoms


def make(folder: Path) -> None:
    """Write the structures and the configuration of their labels."""
    folder.mkdir(parents=True, exist_ok=True)
    rng, made = np.random.default_rng(26), []
    bases = {n: ring(n) for n in SIZES}
    for turn in range(ROUNDS):
        for n, base in bases.items():
            for ligand in LENGTHS:
                atoms = displaced(*with_ligands(base, ligand, rng), rng, stretched=turn % 3 != 0)
                if (atoms.get_all_distances() + 9 * np.eye(len(atoms))).min() < CLOSEST:
                    continue
                atoms.info = {"id": f"{ligand}-au{n}s{n}-{turn}", "charge": 0}
                made.append(atoms)
    write(folder / "ligands.extxyz", made)
    images = {"pair": "Au-S", "cutoff": CUTOFF, "image": IMAGE}
    config = {"structures": [{"path": "ligands.extxyz", "kind": "displaced"}], "engine": "cp2k",
              "output": "store", "images": images, "attempts": 2}  # fmt: skip
    (folder / "labels.yaml").write_text(yaml.safe_dump(config))
    print(f"{len(made)} structures")


if __name__ == "__main__":
    make(Path(sys.argv[1]))
