"""VASP's ELFCAR: a POSCAR, then the grid with x fastest, one block per spin channel.

Laid out like CHGCAR but, unlike a density, not multiplied by the cell volume
(https://vasp.at/wiki/ELFCAR); ASE's ``VaspChargeDensity`` would scale it. Also home of the
``elfcar`` format of ``ase.io``.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from ase_elf.errors import ElfWarning, FormatError, InputError, remedy
from ase_elf.formats.numbers import Lines, read_numbers, read_shape, write_numbers
from ase_elf.formats.poscar import read_poscar

if TYPE_CHECKING:
    from ase import Atoms

    from ase_elf.grid import ELFGrid

SPINS = ("up", "down")


def read_blocks(
    fd: Iterable[str],
    elements: Sequence[str] | None = None,
    *,
    nameless: bool = False,
    most: int = len(SPINS),
) -> tuple[Atoms, list[np.ndarray]]:
    """Atoms and one (nx, ny, nz) float32 array per block, of which a file may have ``most``.

    ``elements`` are those of the species, where the file names none; with ``nameless`` they need
    not be known, and atoms without one are of number 0.
    """
    lines = fd if isinstance(fd, Lines) else Lines(fd)
    atoms = read_poscar(lines, elements, nameless=nameless)
    sizes = next((line for line in lines if line.strip()), "").split()
    if not sizes:
        raise FormatError("ends after its atoms: it holds a structure and no grid, or is truncated.")
    shape = read_shape(sizes)
    blocks = [_read_block(lines, shape)]
    # Later blocks repeat the grid sizes; anything before that (augmentation
    # occupancies, magnetic moments) is not grid data.
    for line in lines:
        if line.split() == [str(n) for n in shape]:
            blocks.append(_read_block(lines, shape))
    if len(blocks) > most:
        raise FormatError(f"holds {len(blocks)} blocks; an ELFCAR has one, or two for spin up and down.")
    return atoms, blocks


def select_spin(blocks: list[np.ndarray], spin: str | None) -> tuple[np.ndarray, dict[str, Any]]:
    """The block of one or two asked for, and what to note about it in ``info``."""
    if spin is not None and spin not in SPINS:
        raise InputError(f"spin = {spin!r}; accepted are {', '.join(SPINS)}.")
    if len(blocks) == 1:
        if spin is not None:
            raise InputError(f"spin = {spin!r}, but the file holds a single, spin-paired ELF.")
        return blocks[0], {}
    if spin is None and not np.array_equal(blocks[0], blocks[1]):
        choice = remedy("spin='up' or 'down'", "--spin up or down")
        warnings.warn(
            f"the file holds spin up and spin down, which differ; up is read. Choose with {choice}.",
            ElfWarning,
            stacklevel=3,
        )
    spin = spin or "up"
    return blocks[SPINS.index(spin)], {"spin": spin}


def read_elfcar(fd: TextIO, read_data: bool = False) -> Atoms | tuple[Atoms, list[np.ndarray]]:
    """For ``ase.io.read("ELFCAR")``: the atoms, with ``read_data`` also the blocks.

    The grid itself is better read with :func:`ase_elf.read_elf`.
    """
    atoms, blocks = read_blocks(fd)
    return (atoms, blocks) if read_data else atoms


def write_elfcar(fd: TextIO, atoms: Atoms, *, elf: ELFGrid, spin_down: ELFGrid | None = None) -> None:
    """For ``ase.io.write("ELFCAR", atoms, elf=grid)`` and :func:`ase_elf.write_elf`."""
    from ase import Atoms
    from ase.io.vasp import write_vasp

    if isinstance(atoms, list):  # ase.io.write hands over a list of images
        (atoms,) = atoms
    for grid in filter(None, (elf, spin_down)):
        if grid.shape != elf.shape or not np.allclose(grid.cell, atoms.cell.array, atol=1e-6):
            raise InputError(
                f"the grid ({grid.shape}, cell {grid.cell.tolist()} Å) does not belong to the "
                "structure or to the other spin channel."
            )
    # ASE would put velocities between the structure and the grid, where no reader expects any.
    still = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)
    write_vasp(fd, still, direct=True)
    for grid in filter(None, (elf, spin_down)):
        fd.write("\n" + " ".join(f"{n:5d}" for n in grid.shape) + "\n")
        write_numbers(fd, grid.values.ravel(order="F"), per_line=5)


def _read_block(lines: Lines, shape: tuple[int, int, int]) -> np.ndarray:
    return read_numbers(lines, shape).reshape(shape, order="F")
