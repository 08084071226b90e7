"""Hydrides of any element in the structures that are predicted under pressure.

Volumes come from covalent radii: a volume factor of 1 is about 150 GPa, 2 about ambient
pressure. Nothing here is relaxed: a field model has to know strained structures too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.data import atomic_numbers, covalent_radii
from ase.spacegroup import crystal

PARTNERS = (
    "Li Be B C N O F Na Mg Al Si P S Cl K Ca Sc Ti V Cr Cu Zn Ga Ge As Se Br Rb Sr Y Zr Nb Mo "
    "Tc Ru Rh Pd Ag Cd In Sn Sb Te I Cs Ba La Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi"
).split()

CLOSEST = {"HH": 0.62, "HX": 0.85, "XX": 1.3}
"""Å. Structures with nearer neighbours are not made: H-H, H with another, two others."""


def volume(element: str, n_hydrogen: float, factor: float = 1.0) -> float:
    """Å³ per formula unit at the volume ``factor``."""
    metal = 6.1 + 0.78 * covalent_radii[atomic_numbers[element]] ** 3
    return factor * (metal + 2.05 * n_hydrogen)


def _cubic(group: int, *sites: tuple[float, float, float]) -> Callable[[str], Atoms]:
    return lambda x: crystal(
        [x] + ["H"] * (len(sites) - 1), sites, spacegroup=group,
        cellpar=[4, 4, 4, 90, 90, 90], primitive_cell=True,
    )  # fmt: skip


def _tilted(group: int, cell: list[float], *sites: tuple[float, float, float]):
    return lambda x: crystal(
        [x] + ["H"] * (len(sites) - 1), sites, spacegroup=group, cellpar=cell, primitive_cell=True
    )


HEX = [1.0, 1.0, 1.6, 90, 90, 120]

PROTOTYPES: dict[str, Callable[[str], Atoms]] = {
    # name: (metal first, then hydrogen sites); space group and sites are those of the type.
    "MH-rocksalt": lambda x: bulk(x + "H", "rocksalt", a=4.0),
    "MH-cscl": lambda x: bulk(x + "H", "cesiumchloride", a=3.0),
    "MH-zincblende": lambda x: bulk(x + "H", "zincblende", a=4.0),
    "MH-nias": _tilted(194, HEX, (0, 0, 0), (1 / 3, 2 / 3, 0.25)),
    "MH2-fluorite": _cubic(225, (0, 0, 0), (0.25, 0.25, 0.25)),
    "MH2-rutile": _tilted(136, [1, 1, 0.65, 90, 90, 90], (0, 0, 0), (0.305, 0.305, 0)),
    "MH2-ni2in": _tilted(
        194, [1, 1, 1.25, 90, 90, 120], (1 / 3, 2 / 3, 0.25), (0, 0, 0), (1 / 3, 2 / 3, 0.75)
    ),
    "MH2-molecules": lambda x: Atoms(
        [x, "H", "H"],
        scaled_positions=[(0, 0, 0), (0.5, 0.5, 0.38), (0.5, 0.5, 0.62)],
        cell=[3, 3, 3.3],
        pbc=True,
    ),  # fmt: skip
    "MH3-im3m": _cubic(229, (0, 0, 0), (0, 0.5, 0.5)),
    "MH3-a15": _cubic(223, (0, 0, 0), (0.25, 0, 0.5)),
    "MH3-bif3": _cubic(225, (0, 0, 0), (0.25, 0.25, 0.25), (0.5, 0.5, 0.5)),
    "MH3-cu3au": _cubic(221, (0, 0, 0), (0, 0.5, 0.5)),
    "MH4-i4mmm": _tilted(139, [1, 1, 1.9, 90, 90, 90], (0, 0, 0), (0, 0.5, 0.25), (0, 0, 0.37)),
    "MH5-cacu5": _tilted(191, [1, 1, 0.8, 90, 90, 120], (0, 0, 0), (1 / 3, 2 / 3, 0), (0.5, 0, 0.5)),
    "MH6-im3m": _cubic(229, (0, 0, 0), (0.25, 0.5, 0)),
    "MH6-r3m": _tilted(166, [1, 1, 2.4, 90, 90, 120], (0, 0, 0), (0.17, 0.83, 0.26)),
    "MH9-p63mmc": _tilted(
        194,
        [1, 1, 1.55, 90, 90, 120],
        (1 / 3, 2 / 3, 0.75),
        (0, 0, 0.25),
        (1 / 3, 2 / 3, 0.155),
        (0.156, 0.312, 0.062),
    ),  # fmt: skip
    "MH10-fm3m": _cubic(225, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25), (0.12, 0.12, 0.12)),
}


def hydride(element: str, prototype: str, factor: float) -> Atoms:
    """One formula unit (or two) of ``element`` in ``prototype`` at the volume ``factor``."""
    atoms = PROTOTYPES[prototype](element)
    atoms = Atoms(atoms.numbers, scaled_positions=atoms.get_scaled_positions(), cell=atoms.cell, pbc=True)
    symbols = np.array(atoms.get_chemical_symbols())
    units = int((symbols == element).sum())
    wanted = volume(element, (len(atoms) - units) / units, factor) * units
    atoms.set_cell(atoms.cell * (wanted / atoms.get_volume()) ** (1 / 3), scale_atoms=True)
    return atoms


def distorted(
    atoms: Atoms, random: np.random.Generator, *, strain: float = 0.03, shift: float = 0.08
) -> Atoms:
    """A copy with a random symmetric strain and displacements, normal with these widths (Å)."""
    bent = atoms.copy()
    noise = random.normal(0, strain, (3, 3))
    bent.set_cell(bent.cell.array @ (np.eye(3) + (noise + noise.T) / 2), scale_atoms=True)
    bent.positions += random.normal(0, shift, (len(bent), 3))
    return bent


def sensible(atoms: Atoms) -> bool:
    """Whether no two nuclei are closer than :data:`CLOSEST`."""
    distances = atoms.repeat(2).get_all_distances(mic=True)
    hydrogen = np.tile(atoms.numbers == 1, 8)
    same, other = np.logical_and.outer(hydrogen, hydrogen), ~np.logical_or.outer(hydrogen, hydrogen)
    least = np.where(same, CLOSEST["HH"], np.where(other, CLOSEST["XX"], CLOSEST["HX"]))
    np.fill_diagonal(distances, np.inf)
    return bool((distances > least).all())


def seeded(name: str) -> np.random.Generator:
    """Random numbers that depend on ``name`` alone, so that a list can grow and stay the same."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big"))


def binary_hydrides(kind: str = "distorted") -> Iterator[Atoms]:
    """Binary hydrides of every partner, ``info["id"]`` set: each partner in turn, one after another.

    Parameters
    ----------
    kind : str
        "distorted": strained and displaced; "symmetric": as the prototype has them.
    """
    names = list(PROTOTYPES)
    for turn in range(len(names)):
        for index, element in enumerate(PARTNERS):
            prototype = names[(7 * index + 5 * turn) % len(names)]
            random = seeded(f"{kind}-{element}-{prototype}")
            factor = random.uniform(0.95, 1.9 if random.random() < 0.3 else 1.4)
            perfect = hydride(element, prototype, factor)
            for _ in range(20):
                if kind == "symmetric":
                    made = perfect
                else:
                    made = distorted(perfect, random, shift=random.uniform(0.02, 0.14))
                if sensible(made):
                    made.info["id"] = f"{kind}-{element}-{prototype}-{factor:.3f}"
                    yield made
                    break
