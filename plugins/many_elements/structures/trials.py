"""Structures of compounds that no fit may see: what a pack of many elements is judged by."""

from __future__ import annotations

from collections.abc import Iterator

from ase import Atoms
from ase.build import bulk, molecule
from ase.spacegroup import crystal
from ase_elf_many_elements.structures.hydrides import distorted, hydride, seeded, sensible

PUBLISHED = {
    # Lattice constants in Å as published: CaH6 at 150, YH6 at 120, LaH10 at 250, H3S at 200 GPa.
    ("Ca", "MH6-im3m"): 3.501,
    ("Y", "MH6-im3m"): 3.578,
    ("La", "MH10-fm3m"): 4.841,
    ("S", "MH3-im3m"): 2.984,
}

HYDRIDES = (
    ("La", "MH10-fm3m"), ("Y", "MH10-fm3m"), ("Ca", "MH6-im3m"), ("Y", "MH6-im3m"),
    ("Mg", "MH6-im3m"), ("Sc", "MH6-im3m"), ("S", "MH3-im3m"), ("Se", "MH3-im3m"),
    ("Nb", "MH4-i4mmm"), ("Sn", "MH4-i4mmm"), ("Ga", "MH3-a15"), ("Ba", "MH2-ni2in"),
    ("S", "MH3-a15"), ("Mg", "MH6-r3m"), ("Ba", "MH2-fluorite"), ("Ga", "MH3-bif3"),
)  # fmt: skip

MOLECULES = ("CH4", "NH3", "C2H4", "H2O")

VACUUM = 4.0
"""Å between a molecule and the side of its box."""


def crystals() -> Iterator[Atoms]:
    """Si to Au, at equilibrium lattice constants (Å)."""
    listed = (
        ("Si", bulk("Si")), ("NaCl", bulk("NaCl", "rocksalt", a=5.64)),
        ("MgO", bulk("MgO", "rocksalt", a=4.212)), ("Al", bulk("Al")),
        ("GaAs", bulk("GaAs", "zincblende", a=5.653)), ("BN", bulk("BN", "zincblende", a=3.615)),
        ("LiF", bulk("LiF", "rocksalt", a=4.026)), ("SiC", bulk("SiC", "zincblende", a=4.36)),
        ("ZnS", bulk("ZnS", "zincblende", a=5.41)), ("CsCl", bulk("CsCl", "cesiumchloride", a=4.123)),
        ("Cu", bulk("Cu")), ("Mg", bulk("Mg")), ("diamond", bulk("C")), ("Au", bulk("Au")),
        ("TiO2", crystal(["Ti", "O"], [(0, 0, 0), (0.305, 0.305, 0)], spacegroup=136,
                         cellpar=[4.594, 4.594, 2.959, 90, 90, 90])),
        ("graphite", bulk("C", "hcp", a=2.461, c=6.708)),
    )  # fmt: skip
    for name, atoms in listed:
        if name == "graphite":
            atoms = crystal("CC", [(0, 0, 0.25), (1 / 3, 2 / 3, 0.25)], spacegroup=194,
                            cellpar=[2.461, 2.461, 6.708, 90, 90, 120])  # fmt: skip
        plain = Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=True)
        plain.info["id"] = f"crystal-{name}"
        yield plain


def molecules() -> Iterator[Atoms]:
    for name in MOLECULES:
        atoms = molecule(name)
        atoms.center(vacuum=VACUUM)
        atoms.set_initial_magnetic_moments(None)
        atoms.info["id"] = f"molecule-{name}"
        yield atoms


def hydrides(kind: str) -> Iterator[Atoms]:
    """Held-out hydrides, "symmetric" at two volumes or "distorted" at two others."""
    for element, prototype in HYDRIDES:
        factors = (1.0, 1.25) if kind == "symmetric" else (1.05, 1.4)
        constant = PUBLISHED.get((element, prototype))
        for number, factor in enumerate(factors):
            made = hydride(element, prototype, factor)
            if constant and number == 0:
                volume = constant**3 / (4 if "fm3m" in prototype else 2)
                made.set_cell(made.cell * (volume / made.get_volume()) ** (1 / 3), scale_atoms=True)
            if kind == "distorted":
                random = seeded(f"trial-{element}-{prototype}-{factor}")
                for _ in range(50):
                    bent = distorted(made, random, shift=random.uniform(0.02, 0.12))
                    if sensible(bent):
                        break
                made = bent
            made.info["id"] = f"{kind}-{element}-{prototype}-{number}"
            yield made
