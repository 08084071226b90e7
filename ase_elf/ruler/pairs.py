"""Which atoms are near enough to be bonded: each pair once, its images told apart."""

from __future__ import annotations

import numpy as np
from ase import Atoms

from ase_elf.geometry.neighbors import neighbor_list


def find_pairs(
    atoms: Atoms, cutoffs: dict[tuple[str, str], float]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of elements closer than their cutoff.

    Parameters
    ----------
    atoms : ase.Atoms
        Its ``pbc`` says which directions repeat.
    cutoffs : dict of (str, str) to float, Å
        In either order of the elements; pairs not named are left out.

    Returns
    -------
    i, j : ndarray, shape (n,), int64
        i <= j (i = j: an atom and its own image); sorted by i, j and image.
    vectors : ndarray, shape (n, 3), Å
        From atom i to the image of atom j.
    shift : ndarray, shape (n, 3)
        Lattice cell of that image.
    """
    longest = max(cutoffs.values())
    i, j, lengths, vectors, shift = neighbor_list("ijdDS", atoms, longest)
    symbols = np.array(atoms.get_chemical_symbols())
    near = np.zeros(len(i), bool)
    for (a, b), cutoff in cutoffs.items():
        of_pair = ((symbols[i] == a) & (symbols[j] == b)) | ((symbols[i] == b) & (symbols[j] == a))
        near |= of_pair & (lengths < cutoff)
    # Every pair comes in both directions; an atom and its own image in both shifts.
    forward = i < j
    own = np.flatnonzero(i == j)
    forward[own] = [tuple(image) > (0, 0, 0) for image in shift[own].tolist()]
    i, j, vectors, shift = (each[near & forward] for each in (i, j, vectors, shift))
    order = np.lexsort((*shift.T[::-1], j, i))
    return i[order].astype(np.int64), j[order].astype(np.int64), vectors[order], shift[order]
