"""ELF of Gaussian-basis orbitals at any points, through PySCF's evaluator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from ase.units import Bohr

from ase_elf.reference.becke_edgecombe import OrbitalSums

if TYPE_CHECKING:
    from pyscf.gto import Mole

BLOCK_BYTES = 64e6
"""Memory for the basis functions of one block of points."""


def elf_at_points(
    mole: Mole,
    coefficients: list[np.ndarray],
    occupations: list[np.ndarray],
    points: np.ndarray,
    *,
    kpts: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """ELF and density of the filled orbitals.

    Parameters
    ----------
    mole : pyscf.gto.Mole or pyscf.pbc.gto.Cell
        Supplies the basis functions.
    coefficients : list of ndarray, shape (n_basis, n_orbitals)
        One per k-point; a single one for a molecule.
    occupations : list of ndarray, shape (n_orbitals,)
        0 to 2, times the k-point's weight.
    points : ndarray, shape (n, 3), Å, Cartesian
    kpts : ndarray, shape (n_k, 3), bohr⁻¹, optional
        For a periodic cell.

    Returns
    -------
    elf : ndarray, shape (n,), float64
    density : ndarray, shape (n,), float64, e/Å³
    """
    # Orbitals that hold less than this many electrons cannot be seen in the ELF.
    filled = [np.flatnonzero(occupation > 1e-10) for occupation in occupations]
    coefficients = [c[:, index] for c, index in zip(coefficients, filled, strict=True)]
    occupations = [o[index] for o, index in zip(occupations, filled, strict=True)]
    width = 8 * 4 * mole.nao * (1 if kpts is None else 2 * len(kpts))
    block = max(64, int(BLOCK_BYTES / width))
    elf, density = np.empty(len(points)), np.empty(len(points))
    for start in range(0, len(points), block):
        part = slice(start, start + block)
        sums = OrbitalSums(len(points[part]))
        basis = _basis_functions(mole, points[part] / Bohr, kpts)
        for functions, c, occupation in zip(basis, coefficients, occupations, strict=True):
            sums.add(functions @ c, occupation)
        elf[part] = sums.elf()
        density[part] = sums.density / Bohr**3
    return elf, density


def _basis_functions(mole: Mole, coordinates: np.ndarray, kpts: np.ndarray | None) -> list:
    """Values and first derivatives, (4, n, n_basis), for every k-point."""
    coordinates = np.ascontiguousarray(coordinates)
    if kpts is None:
        return [mole.eval_gto("GTOval_sph_deriv1", coordinates)]
    return mole.pbc_eval_gto("GTOval_sph_deriv1", coordinates, kpts=kpts)
