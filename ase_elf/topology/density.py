"""Electron densities from files, to count the electrons of basins."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from ase.units import Bohr

from ase_elf.errors import FormatError, InputError

SAME_CELL = 0.01
"""Å by which the cell vectors in two files of one run may differ: some print four digits."""


def read_density(path: str | os.PathLike, cell: np.ndarray) -> np.ndarray:
    """The electron density in a file, for :meth:`ase_elf.topology.basins.Basins.populations`.

    Parameters
    ----------
    path : path-like
        A Gaussian cube file in electrons per bohr^3, or a VASP ``CHGCAR`` (its total
        density; of pseudo-valence electrons, as VASP writes it).
    cell : ndarray, shape (3, 3), Å
        Cell of the ELF the density belongs to.

    Returns
    -------
    ndarray, shape (nx, ny, nz), float64, electrons per Å^3

    Raises
    ------
    FormatError
        If the file is truncated, malformed or of another kind.
    InputError
        If its cell is another one, or its values are no density.
    """
    from ase_elf.formats import detect

    path = Path(path)
    if not path.is_file():
        raise InputError(f"the density file {path} does not exist.")
    kind = detect(path)
    try:
        if kind == "cube":
            own_cell, density = _from_cube(path)
        elif kind == "elfcar":
            own_cell, density = _from_chgcar(path)
        else:
            raise FormatError(f"a density is read from cube files and CHGCAR, not from {kind}.")
    except (ArithmeticError, IndexError, KeyError, TypeError, ValueError) as error:
        raise FormatError(f"{path}: no complete density ({error}).") from error
    if not np.allclose(own_cell, cell, atol=SAME_CELL):
        raise InputError(
            f"the cell of {path}, {own_cell.round(4).tolist()} Å, is not that of the ELF, "
            f"{np.round(cell, 4).tolist()} Å; give the density of the same run."
        )
    if not np.isfinite(density).all() or density.sum() <= 0:
        raise InputError(f"{path} holds no electron density: its sum is {density.sum():g}.")
    return density


def _from_cube(path: Path) -> tuple[np.ndarray, np.ndarray]:
    from ase_elf.formats.cube import read_cube

    with path.open(encoding="utf-8", errors="replace") as fd:
        atoms, values, _ = read_cube(fd, repeated_end_plane=None)
    return atoms.cell.array, np.asarray(values, float) / Bohr**3


def _from_chgcar(path: Path) -> tuple[np.ndarray, np.ndarray]:
    from ase.calculators.vasp import VaspChargeDensity

    charge = VaspChargeDensity(str(path))
    if not charge.chg:
        raise FormatError("the grid ends before its last number")
    return charge.atoms[-1].cell.array, charge.chg[-1]
