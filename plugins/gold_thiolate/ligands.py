"""Methyl thiolates of a cluster exchanged for ligands that the pack never saw.

For measuring whether it says so: positions are ideal ones, turned to where there is room.
"""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.build import molecule
from scipy.spatial.transform import Rotation

KINDS = ("SH", "ethyl", "phenyl", "benzyl", "adamantyl", "selenolate", "silver", "thiophene", "phosphine")
"""What :func:`exchanged` can put in. Silver takes the place of a gold atom, and the last two stand beside one."""

LENGTHS = {"SH": 1.35, "ethyl": 1.53, "phenyl": 1.78, "benzyl": 1.51, "adamantyl": 1.85}
"""Å, of the bond that is made."""

BESIDE = {"thiophene": ("C4H4S", "S", 2.4), "phosphine": ("PH3", "P", 2.3)}
"""Molecule, atom that binds, and its distance from gold in Å."""

ROOM = 1.9
"""Å. Nearest contact to other atoms that a ligand put in may have."""


def methyls(atoms: Atoms) -> list[tuple[int, int, list[int]]]:
    """Sulfur, carbon and hydrogens of each SCH3."""
    apart, found = atoms.get_all_distances(), []
    sulfur, hydrogen = atoms.symbols.indices()["S"], atoms.symbols.indices()["H"]
    for carbon in atoms.symbols.indices()["C"]:
        near = [int(h) for h in hydrogen if apart[carbon, h] < 1.3]
        found.append((int(sulfur[apart[carbon, sulfur].argmin()]), int(carbon), near))
    return found


def exchanged(atoms: Atoms, kind: str, n: int) -> tuple[Atoms, int] | None:
    """A copy with its n-th methyl thiolate exchanged, or with a molecule beside its n-th gold.

    Returns
    -------
    atoms : Atoms
    int
        The atom that binds to gold, or the silver.
    None
        Where there is no room.
    """
    atoms = Atoms(atoms.numbers, atoms.positions)
    if kind in BESIDE:
        return _beside(atoms, kind, int(atoms.symbols.indices()["Au"][n]))
    if kind == "silver":
        place = int(atoms.symbols.indices()["Au"][n])
        atoms.symbols[place] = "Ag"
        return atoms, place
    sulfur, carbon, hydrogens = methyls(atoms)[n]
    if kind == "selenolate":
        atoms.symbols[sulfur] = "Se"
        return atoms, sulfur
    if kind in ("SH", "phenyl", "adamantyl"):
        choices = [(sulfur, carbon, [carbon, *hydrogens])]
    else:
        choices = [(carbon, h, [h]) for h in hydrogens]
    options = []
    for start, end, gone in choices:
        way = atoms.positions[end] - atoms.positions[start]
        way *= LENGTHS[kind] / np.linalg.norm(way)
        kept = np.setdiff1d(np.arange(len(atoms)), gone)
        others = np.setdiff1d(kept, [start])
        options.append((*_fitted(_fragment(kind), way, atoms.positions[start] + way,
                                 atoms.positions[others]), kept))  # fmt: skip
    room, fragment, kept = max(options, key=lambda option: option[0])
    if room < ROOM and kind != "SH":
        return None
    return atoms[kept] + fragment, int(np.flatnonzero(kept == sulfur)[0])


def _beside(atoms: Atoms, kind: str, gold: int) -> tuple[Atoms, int] | None:
    name, binding, distance = BESIDE[kind]
    fragment = molecule(name)
    first = int(fragment.symbols.indices()[binding][0])
    fragment = fragment[[first, *np.setdiff1d(np.arange(len(fragment)), [first])]]
    fragment.positions -= fragment.positions[0]
    outwards = atoms.positions[gold] - atoms.positions.mean(0)
    if np.linalg.norm(outwards) < 0.1:
        outwards = np.array([0.0, 0.0, 1.0])
    outwards *= distance / np.linalg.norm(outwards)
    at = atoms.positions[gold] + outwards
    room, placed = _fitted(fragment, outwards, at, np.delete(atoms.positions, gold, axis=0))
    return None if room < ROOM else (atoms + placed, len(atoms))


def _fragment(kind: str) -> Atoms:
    """What replaces methyl or one of its hydrogens; its first atom binds."""
    if kind == "SH":
        return Atoms("H")
    if kind == "adamantyl":
        return _adamantyl()
    if kind == "ethyl":
        whole = molecule("CH3SH")
        carbon = int(whole.symbols.indices()["C"][0])
        near = [int(h) for h in whole.symbols.indices()["H"] if whole.get_distance(carbon, h) < 1.3]
        fragment = whole[[carbon, *near]]
    else:
        fragment = molecule("C6H6")
        hydrogen = int(np.argmin([fragment.get_distance(0, h) if h > 5 else 9.0 for h in range(12)]))
        del fragment[hydrogen]
    fragment.positions -= fragment.positions[0]
    return fragment


def _adamantyl() -> Atoms:
    """C10H15 of ideal angles; its first carbon, which holds no hydrogen, binds."""
    a, h = 1.54 / np.sqrt(3), 1.10 / np.sqrt(3)
    corners = np.array([(1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1)], float)
    edges = np.concatenate([np.eye(3), -np.eye(3)])
    hydrogens = [(a + h) * corner for corner in corners[1:]]
    for edge in edges:
        # Two of the corners are its neighbours; its hydrogens lie across from them.
        near = corners[corners @ edge > 0]
        across = np.cross(edge, near[0] - near[1])
        across *= np.sqrt(2) / np.linalg.norm(across)
        hydrogens += [2 * a * edge + h * (edge + side * across) for side in (1, -1)]
    fragment = Atoms("C10H15", np.concatenate([a * corners, 2 * a * edges, hydrogens]))
    fragment.positions -= fragment.positions[0]
    return fragment


def _fitted(fragment: Atoms, way: np.ndarray, at: np.ndarray, others: np.ndarray) -> tuple[float, Atoms]:
    """The fragment at ``at``, along ``way``, turned about it to where there is most room (Å)."""
    fragment, axis = fragment.copy(), fragment.positions.mean(0)
    if len(fragment) > 1:
        turn, _ = Rotation.align_vectors([way], [axis])
        fragment.positions = turn.apply(fragment.positions)
    best = (-1.0, fragment.positions + at)
    for angle in np.radians(np.arange(0, 360, 15)):
        placed = Rotation.from_rotvec(angle * way / np.linalg.norm(way)).apply(fragment.positions) + at
        room = np.linalg.norm(placed[:, None] - others, axis=-1).min() if len(others) else 9.0
        best = max(best, (float(room), placed), key=lambda option: option[0])
    fragment.positions = best[1]
    return best[0], fragment
