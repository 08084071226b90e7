"""Electron densities from files, to count the electrons of basins."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from ase.units import Bohr

from ase_elf.errors import FormatError, InputError

__all__ = ["SAME_CELL", "read_density"]

SAME_CELL = 0.01
"""Å by which the cell vectors in two files of one run may differ: some print four digits."""


def read_density(path: str | os.PathLike[str], cell: np.ndarray) -> np.ndarray:
    """The electron density in a file, for :meth:`ase_elf.topology.basins.Basins.populations`.

    Parameters
    ----------
    path : path-like
        A Gaussian cube file in electrons per bohr^3, or a VASP ``CHGCAR`` or ``vaspwave.h5``
        (its total density; of pseudo-valence electrons, as VASP writes it); also packed with
        gzip, bzip2 or xz.
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
    if kind not in _READERS:
        raise FormatError(
            f"{path}: a density is read from a cube file, CHGCAR or vaspwave.h5, not from {kind}."
        )
    try:
        own_cell, density = _READERS[kind](path, cell)
    except (ArithmeticError, IndexError, KeyError, OSError, TypeError, ValueError) as error:
        raise FormatError(f"{path}: no complete density ({error}).") from error
    if not np.allclose(own_cell, cell, atol=SAME_CELL):
        raise InputError(
            f"the cell of {path}, {own_cell.round(4).tolist()} Å, is not that of the ELF, "
            f"{np.round(cell, 4).tolist()} Å; give the density of the same run."
        )
    if not np.isfinite(density).all() or density.sum() <= 0:
        raise InputError(f"{path} holds no electron density: its sum is {density.sum():g}.")
    return density


def _from_cube(path: Path, cell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """End planes that repeat the first are dropped where the cell fits then, and only then."""
    from ase_elf.formats.cube import read_field
    from ase_elf.formats.opening import open_text

    with open_text(path) as fd:
        voxel, values = read_field(fd)
    shape = np.array(values.shape)[:, None]
    if not np.allclose(voxel * shape, cell, atol=SAME_CELL) and np.allclose(
        voxel * (shape - 1), cell, atol=SAME_CELL
    ):
        values, shape = values[:-1, :-1, :-1], shape - 1
    return voxel * shape, np.asarray(values, float) / Bohr**3


def _from_chgcar(path: Path, _: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first block, of all spins together, which VASP multiplies with the volume."""
    from ase_elf.formats.elfcar import read_blocks
    from ase_elf.formats.opening import open_text

    with open_text(path) as fd:
        # The elements do not matter here, and VASP 4 names none.
        atoms, blocks = read_blocks(fd, nameless=True, most=4)
    return atoms.cell.array, blocks[0].astype(float) / atoms.get_volume()


def _from_vasp_h5(path: Path, _: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from ase_elf.formats import vasp_h5
    from ase_elf.formats.opening import unpacked

    with unpacked(path) as plain:
        return vasp_h5.read_density(plain)


_READERS = {"cube": _from_cube, "elfcar": _from_chgcar, "vasp-h5": _from_vasp_h5}
