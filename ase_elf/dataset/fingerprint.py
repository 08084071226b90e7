"""How alike two structures are: sorted distances, which no motion or renaming changes."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.neighborlist import neighbor_list

N_BINS = 64


def fingerprint(atoms: Atoms) -> np.ndarray:
    """Pair-distance profile of a structure, for each pair of elements apart.

    Invariant under translation, rotation, permutation and choice of cell. Distances are
    counted up to 3 Wigner-Seitz diameters of the structure, smeared by one bin and weighted
    by 1/r² so that all bins count alike.

    Returns
    -------
    ndarray, shape (n_pairs·64 + 1,), float64
        The last number is the volume per atom to the power 1/3 (Å), which tells apart what
        differs in density alone.
    """
    scale = _length(atoms)
    reach = 3 * scale
    # Five bins farther, so that no pair drops out of the sum while it still counts.
    i, j, distance = neighbor_list("ijd", atoms, reach * (1 + 5 / N_BINS))
    numbers = atoms.numbers
    profile = []
    centres = (np.arange(N_BINS) + 0.5) / N_BINS * reach
    for a in sorted(set(numbers)):
        for b in sorted(n for n in set(numbers) if n >= a):
            chosen = distance[(numbers[i] == a) & (numbers[j] == b)]
            profile.append(_smeared_counts(chosen, centres) / len(atoms) * scale**2)
    return np.concatenate([*profile, [scale]])


def distances(fingerprints: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Root mean square difference between fingerprints, shape (n, m); 0 for equal structures."""
    squares = (fingerprints**2).sum(1)[:, None] + (others**2).sum(1) - 2 * fingerprints @ others.T
    return np.sqrt(np.maximum(squares, 0) / fingerprints.shape[1])


def _length(atoms: Atoms) -> float:
    """Volume per atom to the power 1/3; without a cell, a length of chemical size (Å)."""
    return (atoms.get_volume() / len(atoms)) ** (1 / 3) if atoms.pbc.all() else 1.5


def _smeared_counts(values: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Σ exp(−(r − centre)²/2w²)/r² at each centre, w being the bin width."""
    width = centres[1] - centres[0]
    counts = np.zeros(len(centres))
    # A block at a time: a large cell has 10⁵ pairs within reach.
    for part in np.array_split(values, max(1, len(values) // 20000)):
        counts += (np.exp(-0.5 * ((centres[:, None] - part) / width) ** 2) / part**2).sum(axis=1)
    return counts
