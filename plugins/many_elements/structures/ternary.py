"""Ternary hydrides, hot binary hydrides and mixtures of hydrogen with helium."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from ase import Atoms
from ase.spacegroup import crystal
from ase.units import Bohr
from ase_elf_many_elements.structures.hydrides import (
    PARTNERS,
    PROTOTYPES,
    distorted,
    hydride,
    seeded,
    sensible,
    volume,
)


def _cubic(group: int, *sites: tuple[str, tuple[float, float, float]]):
    def make(x: str, y: str) -> Atoms:
        names = [{"X": x, "Y": y}.get(name, name) for name, _ in sites]
        return crystal(names, [place for _, place in sites], spacegroup=group,
                       cellpar=[5, 5, 5, 90, 90, 90], primitive_cell=True)  # fmt: skip

    return make


TERNARY = {
    "XYH3-perovskite": _cubic(221, ("X", (0, 0, 0)), ("Y", (0.5, 0.5, 0.5)), ("H", (0.5, 0.5, 0))),
    "X2YH6-k2ptcl6": _cubic(225, ("X", (0.25, 0.25, 0.25)), ("Y", (0, 0, 0)), ("H", (0.24, 0, 0))),
    "XYH8-labeh8": _cubic(225, ("X", (0, 0, 0)), ("Y", (0.5, 0.5, 0.5)), ("H", (0.32, 0.32, 0.32))),
    "XYH2-ordered": _cubic(216, ("X", (0, 0, 0)), ("Y", (0.5, 0.5, 0.5)), ("H", (0.25, 0.25, 0.25)),
                           ("H", (0.75, 0.75, 0.75))),
    "XYH12-sodalite": _cubic(221, ("X", (0, 0, 0)), ("Y", (0.5, 0.5, 0.5)), ("H", (0.25, 0.5, 0))),
    "XH3Y-spinel": _cubic(227, ("X", (0.125, 0.125, 0.125)), ("Y", (0.625, 0.625, 0.625)),
                          ("H", (0.375, 0.125, 0.125))),
}  # fmt: skip


def ternary_hydrides() -> Iterator[Atoms]:
    """Prototypes with two partners drawn at random, one in three strained and displaced."""
    for turn in range(60):
        for prototype, make in TERNARY.items():
            random = seeded(f"ternary-{prototype}-{turn}")
            x, y = random.choice(PARTNERS, 2, replace=False)
            atoms = make(x, y)
            atoms = Atoms(
                atoms.numbers, scaled_positions=atoms.get_scaled_positions(), cell=atoms.cell, pbc=True
            )
            symbols = atoms.get_chemical_symbols()
            hydrogens = symbols.count("H")
            metals = sum(volume(s, 0) for s in symbols if s != "H")
            factor = random.uniform(0.95, 1.6)
            wanted = factor * (metals + 2.05 * hydrogens)
            atoms.set_cell(atoms.cell * (wanted / atoms.get_volume()) ** (1 / 3), scale_atoms=True)
            bent = distorted(atoms, random) if turn % 3 == 0 else atoms
            if len(atoms) <= 16 and sensible(bent):
                bent.info["id"] = f"ternary-{x}-{y}-{prototype}-{factor:.3f}"
                yield bent


def hot_hydrides() -> Iterator[Atoms]:
    """Binary hydrides doubled along one axis, displaced as in a hot or superionic crystal."""
    dense = [name for name in PROTOTYPES if name[:3] in ("MH3", "MH4", "MH6", "MH9")]
    for index, element in enumerate(PARTNERS):
        prototype = dense[index % len(dense)]
        random = seeded(f"hot-{element}-{prototype}")
        atoms = hydride(element, prototype, random.uniform(0.95, 1.4))
        if len(atoms) <= 8:
            atoms = atoms.repeat((1, 1, 2))
        for _ in range(50):
            bent = distorted(atoms, random, strain=0.02, shift=random.uniform(0.12, 0.25))
            if sensible(bent):
                bent.info["id"] = f"hot-{element}-{prototype}"
                yield bent
                break


def helium_mixtures(count: int = 60) -> Iterator[Atoms]:
    """Random mixtures of H2 molecules, atoms and He at r_s 1.2 to 2 bohr, 16 to 24 nuclei.

    Places are drawn at random and pushed apart until none are nearer than a share of what the
    density leaves; r_s counts all electrons.
    """
    for number in range(count):
        random = seeded(f"helium-{number}")
        helium = int(random.integers(2, 9))
        molecules = int(random.integers(2, 7))
        atoms = int(random.integers(0, 5)) if number % 2 else 0
        electrons = 2 * helium + 2 * molecules + atoms
        if electrons % 2:
            atoms, electrons = atoms + 1, electrons + 1
        r_s = random.uniform(1.2, 2.0)
        edge = (electrons * 4 / 3 * np.pi) ** (1 / 3) * r_s * Bohr
        centres = helium + molecules + atoms
        places = _apart(random, centres, edge)
        axes = random.normal(size=(molecules, 3))
        axes *= 0.5 * random.normal(0.75, 0.03) / np.linalg.norm(axes, axis=1, keepdims=True)
        middle = places[helium : helium + molecules]
        positions = [*places[:helium], *(middle - axes), *(middle + axes), *places[helium + molecules :]]
        symbols = ["He"] * helium + ["H"] * (2 * molecules + atoms)
        mixture = Atoms(symbols, positions=positions, cell=[edge] * 3, pbc=True)
        mixture.wrap()
        if sensible(mixture):
            mixture.info["id"] = f"helium-{number}-rs{r_s:.3f}"
            yield mixture


def _apart(random: np.random.Generator, count: int, edge: float) -> np.ndarray:
    """``count`` places in a cube, moved apart as soft spheres until they are evenly far away."""
    places = random.random((count, 3))
    reach = 1.1 * count ** (-1 / 3)
    for _ in range(300):
        between = places[:, None] - places[None]
        between -= np.round(between)
        distance = np.linalg.norm(between, axis=-1) + np.eye(count)
        push = np.clip(reach - distance, 0, None) / distance
        np.fill_diagonal(push, 0)
        places += 0.1 * (push[..., None] * between).sum(1)
        places += random.normal(0, 0.002, places.shape)
    return places * edge
