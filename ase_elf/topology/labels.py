"""Names for what is found: hydrogen units, and kinds of attractors elsewhere.

The units of a network are named by its atoms and its dimensionality, which is exact. The
kinds of attractors are named by where they lie relative to the nuclei, in units of the
covalent radii: a convention, stated in the constants below.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ase_elf.topology.tree import ELFDomain

if TYPE_CHECKING:
    from ase_elf.topology.networking import Networking

__all__ = ["CONTACT", "CORE_RADIUS", "SHARED", "label_attractors", "label_domains"]

CORE_RADIUS = 0.45
"""Covalent radii from a nucleus within which an attractor belongs to its core shells."""

CONTACT = 1.6
"""Covalent radii from a nucleus beyond which an attractor does not belong to its valence."""

SHARED = 1.35
"""An attractor is shared with every nucleus at most this many times as far away, in
covalent radii, as the nearest one."""

EXTENDED = {1: "chain", 2: "sheet", 3: "3D network"}


def label_domains(net: Networking, isovalue: float) -> list[tuple[ELFDomain, str]]:
    """Every domain at ``isovalue`` with its name.

    Finite: ``"H2 unit"``, ``"H3"``, ``"H7"``, any formula such as ``"CaH4"``, ``"H atom"``
    for a single atom, ``"non-nuclear"`` without any. Extended: ``"chain"``, ``"sheet"``,
    ``"3D network"``.
    """
    symbols = np.array(net.atoms.get_chemical_symbols())
    named = []
    for domain in net.tree.domains(isovalue):
        if domain.dimension:
            name = EXTENDED[domain.dimension]
        elif not domain.atoms:
            name = "non-nuclear"
        else:
            name = _formula(symbols[list(domain.atoms)])
        named.append((domain, name))
    return named


def _formula(symbols: np.ndarray) -> str:
    from ase.formula import Formula

    formula = Formula.from_list(symbols.tolist()).format("metal")
    if len(symbols) == 1:
        return f"{formula} atom"
    return f"{formula} unit" if len(symbols) == 2 else formula


def label_attractors(net: Networking) -> np.ndarray:
    """What each attractor stands for.

    Returns
    -------
    ndarray, shape (n_attractors,), str
        ``"hydrogen"`` (at a hydrogen nucleus), ``"core"``, ``"covalent bond"`` (two
        nuclei share it), ``"multicentre"`` (three or more), ``"lone pair"`` (one),
        ``"non-nuclear"`` (none within reach).
    """
    from ase.data import covalent_radii
    from ase.geometry import get_distances

    atoms = net.atoms
    _, distance = get_distances(net.basins.positions, atoms.positions, cell=net.basins.field.cell, pbc=True)
    relative = distance / covalent_radii[atoms.numbers]
    closest = relative.argmin(axis=1)
    least = relative.min(axis=1)
    is_hydrogen = atoms.numbers == 1
    # Hydrogen has no core: what sits on it or within its radius is its own electron pair.
    shared = ((relative <= SHARED * least[:, None]) & (relative <= CONTACT)).sum(axis=1)
    names = np.choose(
        np.minimum(shared, 3), ["non-nuclear", "lone pair", "covalent bond", "multicentre"]
    ).astype("U13")
    names[(least < CORE_RADIUS) & ~is_hydrogen[closest]] = "core"
    names[(least < 1) & is_hydrogen[closest]] = "hydrogen"
    return names
