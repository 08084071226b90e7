"""A few numbers per structure that say what its ELF is like, for tables and trajectories.

Their names carry the prefix ``elf_``, under which they appear in ``atoms.info``,
``atoms.arrays`` and CSV columns.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from ase_elf.analysis.quantities import INFO, names_of
from ase_elf.errors import ElfWarning, InputError, refuse_unknown
from ase_elf.geometry.neighbors import neighbor_list

if TYPE_CHECKING:
    from ase import Atoms

    from ase_elf.domains import Domain
    from ase_elf.grid import ELFGrid

__all__ = [
    "ARRAYS",
    "SCALARS",
    "WITHOUT_GRID",
    "accepted_names",
    "is_outside",
    "nearest_neighbor_elf",
    "structure_scalars",
]

NETWORK = {
    "elf_phi": "phi",
    "elf_phi1": "phi1",
    "elf_phi2": "phi2",
    "elf_phi_star": "phi_star",
}
"""Scalars that need the network of the ELF, and what they are called there."""

SCALARS = names_of(INFO)
"""All scalars: networking value in three, one and two dimensions and molecularity index
(see :func:`ase_elf.topology.networking`), mean over the cell, and whether the structure
lies outside the trained range of the domain pack that predicted it."""

WITHOUT_GRID = ("elf_outside",)
"""Scalars that need no ELF on a grid. Of a structure that is periodic nowhere the others say how its box was
chosen: no region of it runs through the box, and most of the box is vacuum."""

ARRAYS = ("elf_nearest",)
"""All per-atom values: the ELF half way to the nearest neighbour, see
:func:`nearest_neighbor_elf`."""


def structure_scalars(grid: ELFGrid, names: Iterable[str] = SCALARS) -> dict[str, float | bool]:
    """Scalars of one structure.

    Parameters
    ----------
    grid : ELFGrid
    names : iterable of str
        Of ``SCALARS``. The network is built only where one of those needs it.

    Returns
    -------
    dict
        In the order of ``names``. A network scalar of a field without a network (constant
        ELF) is NaN, with an :class:`~ase_elf.errors.ElfWarning`.

    Raises
    ------
    InputError
        If a name is not one of ``SCALARS``.
    """
    names = accepted_names(names, SCALARS, "scalar")
    network = _network(grid) if set(names) & set(NETWORK) else None
    out: dict[str, float | bool] = {}
    for name in names:
        if name in NETWORK:
            out[name] = float(getattr(network, NETWORK[name])) if network else np.nan
        elif name == "elf_mean":
            out[name] = float(grid.values.mean(dtype=np.float64))
        else:
            out[name] = bool(grid.info.get("out_of_domain"))
    return out


def is_outside(atoms: Atoms, pack: Domain) -> bool:
    """``elf_outside`` without a grid: whether the structure lies outside the trained range of its pack."""
    pack.check(atoms)
    return bool(pack.outside(atoms, pack.distance(atoms)))


def nearest_neighbor_elf(grid: ELFGrid) -> np.ndarray:
    """ELF at the midpoint between each atom and its nearest neighbour.

    High where the pair shares a localised electron pair (H2: close to 1), low where the
    nearest neighbour is not bonded. Periodic images count as neighbours.

    Parameters
    ----------
    grid : ELFGrid

    Returns
    -------
    ndarray, shape (n_atoms,), float64, in [0, 1]
    """
    positions = grid.atoms.positions
    return grid.sample(positions + _nearest_vectors(grid.atoms) / 2)


def accepted_names(names: Iterable[str], accepted: tuple[str, ...], what: str) -> tuple[str, ...]:
    """``names`` as a tuple, or :class:`InputError` with the near miss."""
    if isinstance(names, str):
        names = (names,)
    names = tuple(names)
    refuse_unknown(names, accepted, what)
    return names


def _network(grid: ELFGrid):
    from ase_elf.topology import networking

    try:
        return networking(grid)
    except InputError as error:
        # A run must not die of a structure that merely has no network.
        warnings.warn(f"no ELF network: {error}", ElfWarning, stacklevel=3)
        return None


def _nearest_vectors(atoms: Atoms) -> np.ndarray:
    """Vector from each atom to its nearest neighbour, ndarray, shape (n_atoms, 3), Å."""
    periodic = atoms.copy()
    periodic.pbc = True  # as the grid is
    cutoff = (periodic.get_volume() / len(periodic)) ** (1 / 3)
    while True:
        first, second, lengths, vectors, images = neighbor_list("ijdDS", periodic, cutoff)
        if len(np.unique(first)) == len(periodic):
            break
        cutoff *= 1.5
    # The library states no order: of neighbours equally far the choice must not hang on it.
    order = np.lexsort((*images.T[::-1], second, lengths, first))
    _, start = np.unique(first[order], return_index=True)
    return vectors[order][start]
