"""Named recipes. Labels of one model all come from one recipe, so these do not change.

Hydrogen: PBE, norm-conserving Troullier-Martins pseudopotential with r_c 0.90 bohr,
80 Ry, cold smearing of 0.02 Ry (Marzari, Vanderbilt, De Vita, Payne, PRL 82, 3296 (1999)),
Monkhorst-Pack mesh shifted off Γ. The mesh carries most of the error that is left: on
128-atom fluids at r_s 1.54 the shifted 2×2×2 mesh agrees with the shifted 4×4×4 to
better than 0.003 rms in ELF, at r_s 1.2 it needs 3×3×3 for that.

Many elements: PBE, PseudoDojo 0.5 (standard, scalar-relativistic), spin-paired, symmetry used,
Γ-centred meshes, which keep the symmetry of hexagonal cells. Against 140 Ry and a spacing of
0.14 bohr⁻¹ the ELF farther than 0.7 Å from nuclei is off by 0.001 rms in hydrides, by 0.003 at
worst; metals without hydrogen need the finer mesh.
"""

from __future__ import annotations

import numpy as np
from ase import Atoms

from ase_elf.domains import describe
from ase_elf.errors import InputError

HARD = frozenset("N O F Sc Ti V Cr Mn Fe Co Ni Cu Zn".split())
"""Elements whose PseudoDojo potentials need 100 Ry instead of 80."""

ANIONS = frozenset("H N O F S Cl Se Br I".split())
"""Elements whose crystals a k-spacing of 0.20 bohr⁻¹ converges; others may be metals."""

RECIPES: dict[str, dict] = {
    "hydrogen-fluid": {
        "ecutwfc": 80.0,
        "smearing": "cold",
        "degauss": 0.02,
        # (r_s up to, spacing): denser hydrogen has a Fermi surface that needs a finer mesh.
        "mesh": ((1.3, 0.23), (np.inf, 0.34)),
        "kshift": True,
        # A fluid has no symmetry to find, and looking for it may only find a false one.
        "nosym": True,
    },
    "hydrogen-crystal": {
        "ecutwfc": 80.0,
        "smearing": "cold",
        "degauss": 0.02,
        "mesh": ((np.inf, 0.28),),
        "kshift": True,
        "nosym": False,
    },
    "many-elements": {
        "hard": 100.0,
        "ecutwfc": 80.0,
        "smearing": "cold",
        "degauss": 0.02,
        "kshift": False,
        "nosym": False,
        "pseudopotentials": "PseudoDojo 0.5, PBE, standard, scalar-relativistic",
    },
}


def get_recipe(name: str) -> dict:
    """The recipe called ``name``; :class:`InputError` names those that exist."""
    if name not in RECIPES:
        raise InputError(f"no recipe is called {name!r}; there are {', '.join(RECIPES)}.")
    return RECIPES[name]


def cutoff_for(atoms: Atoms, recipe: dict) -> float:
    """Plane-wave cutoff (Ry) of ``recipe`` for the elements of ``atoms``."""
    hard = "hard" in recipe and not HARD.isdisjoint(atoms.symbols)
    return recipe["hard" if hard else "ecutwfc"]


def spacing_for(atoms: Atoms, recipe: dict) -> float:
    """Largest allowed k-mesh spacing (bohr⁻¹) of ``recipe`` for ``atoms``."""
    if "mesh" not in recipe:
        return 0.16 if ANIONS.isdisjoint(atoms.symbols) else 0.20
    mesh = recipe["mesh"]
    r_s = describe(atoms)["r_s_bohr"]
    for limit, spacing in mesh:
        if r_s < limit:
            return spacing
    raise InputError(
        f"r_s = {r_s:.3f} bohr is beyond the last limit of the k-mesh table {mesh}; set `kspacing` or `kpts`."
    )
