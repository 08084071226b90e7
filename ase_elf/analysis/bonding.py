"""Pairs of atoms in one frame: neighbors, bonds with what the ELF says along them, molecules.

Every distance is that of the nearest image or of every image within range, as stated. Knows no
element: which pairs bond is in the settings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ase_elf.analysis.elf_regions import bond_points
from ase_elf.geometry.neighbors import neighbor_list

if TYPE_CHECKING:
    from ase import Atoms

    from ase_elf.analysis.frame import AnalysisSettings
    from ase_elf.grid import ELFGrid
    from ase_elf.topology import Networking

LINE = np.linspace(0.0, 1.0, 13)
"""Where the ELF is sampled between two nuclei; the middle one is the midpoint."""

TIE = 1e-6
"""Å. Neighbors closer together in distance than this are equally near."""


BOND_COLUMNS = (
    "i", "j", "length", "elf_mid", "elf_min", "elf_point", "mutual",
    "label", "ruler_length", "deviation", "uncertainty", "outside",
)  # fmt: skip
"""What is kept of every bond."""


@dataclass(frozen=True, eq=False)
class Neighbors:
    """Every pair within range once per end: i, j, length (Å), vector i to j (Å)."""

    i: np.ndarray
    j: np.ndarray
    length: np.ndarray
    vector: np.ndarray
    once: np.ndarray
    """bool: one of the two ends of every pair."""


def neighbors(atoms: Atoms, settings: AnalysisSettings) -> Neighbors:
    """Pairs close enough to bond or to be resolved by ELF; g(r) reaches further, and needs less."""
    reach = max(settings.resolved_edges[-1], *settings.bonds.values(), 0.0)
    i, j, length, vector, shift = neighbor_list("ijdDS", atoms, reach)
    order = np.lexsort((*shift.T[::-1], j, i))  # the library states no order
    i, j, length, vector, shift = (a[order] for a in (i, j, length, vector, shift))
    i, j = i.astype(np.int64), j.astype(np.int64)
    # Of an atom and its own image keep the lattice vector that is positive in some fixed sense.
    sign = shift @ np.array([10**8, 10**4, 1], dtype=np.int64)
    return Neighbors(i, j, length, vector, (i < j) | ((i == j) & (sign > 0)))


def pair_counts(atoms: Atoms, settings: AnalysisSettings) -> np.ndarray:
    """Unordered pairs per bin of ``settings.r_edges``, a row per pair of elements."""
    # Of thousands of atoms there are tens of millions of pairs: only lengths, in no order.
    i, j, length = neighbor_list("ijd", atoms, settings.r_max)
    symbols = np.array(atoms.get_chemical_symbols())
    rows = []
    for pair in settings.pairs:
        a, b = pair.split("-")
        counts = np.histogram(length[(symbols == a)[i] & (symbols == b)[j]], settings.r_edges)[0]
        rows.append(counts // 2 if a == b else counts)  # like atoms come from both ends
    return np.array(rows, dtype=np.int64)


def resolved_counts(
    atoms: Atoms,
    near: Neighbors,
    grid: ELFGrid,
    settings: AnalysisSettings,
    classes: np.ndarray,
) -> np.ndarray:
    """Pairs per class of ELF half way and bin of distance, for elements that can bond."""
    edges = settings.resolved_edges
    rows = []
    for pair in settings.bonding_pairs:
        chosen = _between(atoms, near, pair) & (near.length < edges[-1])
        middle = atoms.positions[near.i[chosen]] + near.vector[chosen] / 2
        rows.append(np.histogram2d(grid.sample(middle), near.length[chosen], [classes, edges])[0])
    return np.array(rows, dtype=np.int64).reshape(-1, len(classes) - 1, len(edges) - 1)


def _between(atoms: Atoms, near: Neighbors, pair: str) -> np.ndarray:
    """bool per entry of ``near``: pairs of these elements, each once."""
    symbols = np.array(atoms.get_chemical_symbols())
    a, b = pair.split("-")
    return (symbols[near.i] == a) & (symbols[near.j] == b) & (near.once | (a != b))


def find_bonds(
    atoms: Atoms,
    near: Neighbors,
    grid: ELFGrid,
    network: Networking,
    settings: AnalysisSettings,
) -> dict[str, np.ndarray]:
    """Bond table of the frame, plus the vector of every bond."""
    symbols = np.array(atoms.get_chemical_symbols())
    cutoff = np.zeros(len(near.i))
    for (a, b), longest in settings.bonds.items():
        si, sj = symbols[near.i], symbols[near.j]
        cutoff[((si == a) & (sj == b)) | ((si == b) & (sj == a))] = longest
    bonded = near.length <= cutoff
    mutual = _mutual(near.i, near.j, np.where(cutoff > 0, near.length, np.inf), len(atoms))
    keep = bonded & near.once
    start, vector = atoms.positions[near.i[keep]], near.vector[keep]
    points = start[:, None] + LINE[:, None] * vector[:, None]
    elf = grid.sample(points.reshape(-1, 3)).reshape(-1, len(LINE))
    return {
        "i": near.i[keep],
        "j": near.j[keep],
        "length": near.length[keep],
        "elf_mid": elf[:, len(LINE) // 2],
        "elf_min": elf.min(axis=1, initial=1.0),
        "elf_point": bond_points(network, start, vector),
        "mutual": mutual[keep],
        "vector": vector,
        **_read_bonds(atoms, near.i[keep], near.j[keep], vector, grid, settings),
    }


def _read_bonds(
    atoms: Atoms,
    i: np.ndarray,
    j: np.ndarray,
    vectors: np.ndarray,
    grid: ELFGrid,
    settings: AnalysisSettings,
) -> dict[str, np.ndarray]:
    """Type of every bond, and its length as a ruler reads it where rulers are asked for."""
    from ase_elf.ruler.bonds import RULER_COLUMNS, bond_rows, name_types, packs_of, read_rulers

    rows = bond_rows(atoms, i, j, vectors)
    packs = packs_of(atoms, grid) if len(rows) else []
    for pack in packs:
        name_types(rows, atoms, pack)
    if settings.rulers:
        extrapolated = bool(grid.info.get("out_of_domain"))
        read_rulers(rows, vectors, atoms, packs, grid.sample, extrapolated=extrapolated)
    return {name: rows[name] for name in RULER_COLUMNS}


def _mutual(i: np.ndarray, j: np.ndarray, length: np.ndarray, n_atoms: int) -> np.ndarray:
    """bool per pair: each atom is the other's one nearest neighbor; ties make none."""
    nearest = np.full(n_atoms, np.inf)
    np.minimum.at(nearest, i, length)
    is_nearest = np.isfinite(length) & (length <= nearest[i] + TIE)
    alone = np.bincount(i[is_nearest], minlength=n_atoms) == 1
    return is_nearest & (length <= nearest[j] + TIE) & alone[i] & alone[j] & (i != j)


def molecules(atoms: Atoms, bonds: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Unit axes and midpoints (Å) of the molecules; two arrays of shape (n, 3)."""
    mutual = bonds["mutual"]
    vector = bonds["vector"][mutual]
    centers = atoms.positions[bonds["i"][mutual]] + vector / 2
    return vector / np.maximum(bonds["length"][mutual], 1e-12)[:, None], centers


def nematic_order(axes: np.ndarray) -> float:
    """Largest eigenvalue of Q = <3uu - 1>/2 (P. G. de Gennes, J. Prost, 1993)."""
    if not len(axes):
        return np.nan
    tensor = 1.5 * axes.T @ axes / len(axes) - 0.5 * np.eye(3)
    return float(np.linalg.eigvalsh(tensor)[-1])


def orientation(
    axes: np.ndarray, centers: np.ndarray, atoms: Atoms, settings: AnalysisSettings
) -> np.ndarray:
    """Sum of P2 and number of pairs of molecules per bin of center distance."""
    from ase import Atoms as Points

    edges = settings.orientation_edges
    if not len(axes):
        return np.zeros((2, len(edges) - 1))
    points = Points(numbers=np.ones(len(centers)), positions=centers, cell=atoms.cell, pbc=True)
    i, j, length = neighbor_list("ijd", points, settings.r_max)
    order = np.lexsort((length, j, i))
    i, j, length = i[order], j[order], length[order]
    cosine = np.einsum("nk,nk->n", axes[i], axes[j])
    # Every pair comes from both ends: half of each.
    p2 = np.histogram(length, edges, weights=0.5 * (1.5 * cosine**2 - 0.5))[0]
    return np.array([p2, 0.5 * np.histogram(length, edges)[0]])
