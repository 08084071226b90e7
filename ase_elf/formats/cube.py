"""Gaussian cube files: bohr, z fastest, no word about periodicity.

Kept beside ASE's reader because that one believes declared sizes and forgets a grid that
does not start at the atoms' origin, and its writer keeps six digits.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from ase_elf.errors import ElfWarning, FormatError
from ase_elf.formats.numbers import read_numbers, write_numbers

if TYPE_CHECKING:
    from ase import Atoms

    from ase_elf.grid import ELFGrid


def read_cube(
    fd: TextIO, *, repeated_end_plane: bool | None = None
) -> tuple[Atoms, np.ndarray, dict[str, Any]]:
    """Atoms, values (nx, ny, nz) float32 and notes for ``info``; see :func:`read_elf`."""
    from ase.units import Bohr

    from ase_elf.formats.structure import sound_atoms

    lines = iter(fd)
    comments = next(lines, "") + next(lines, "")
    declared, *origin_and_count = _words(lines)
    origin = np.array(origin_and_count[:3], dtype=float) * Bohr
    shape, voxel = _read_axes(lines)
    numbers, positions = _read_atoms(lines, abs(int(declared)))
    per_point = int(origin_and_count[3]) if len(origin_and_count) > 3 else 1
    if int(declared) < 0:  # then labels of the fields follow the atoms
        per_point = int(_words(lines)[0])
    if per_point != 1:
        raise FormatError(f"holds {per_point} values per grid point; one, the ELF, is expected.")
    values = read_numbers(lines, shape).reshape(shape)
    if _drop_end_plane(values, comments, repeated_end_plane):
        values = np.ascontiguousarray(values[:-1, :-1, :-1])
    cell = voxel * np.array(values.shape)[:, None]
    atoms = sound_atoms(numbers, positions * Bohr - origin, cell)
    return atoms, values, {"origin": origin.tolist()} if origin.any() else {}


def write_cube(fd: TextIO, grid: ELFGrid) -> None:
    """Write ``grid`` with its atoms; the file starts at the origin of the cell."""
    from ase.units import Bohr

    formula = grid.atoms.get_chemical_formula()
    fd.write(f"ELF of {formula}, written by ase_elf: periodic, end plane excluded\n")
    fd.write("OUTER LOOP: X, MIDDLE LOOP: Y, INNER LOOP: Z\n")
    row = "{:5d} {:15.10f} {:15.10f} {:15.10f}"
    fd.write(row.format(len(grid.atoms), 0.0, 0.0, 0.0) + "\n")
    for n, vector in zip(grid.shape, grid.cell / Bohr, strict=True):
        fd.write(row.format(n, *(vector / n)) + "\n")
    for number, xyz in zip(grid.atoms.numbers, grid.atoms.positions / Bohr, strict=True):
        charge = f"{number:5d} {float(number):11.6f}"
        fd.write(charge + "".join(f" {x:15.10f}" for x in xyz) + "\n")
    for column in grid.values.reshape(-1, grid.shape[2]):
        write_numbers(fd, column, per_line=6)  # every run along z starts a line


def _words(lines: Iterator[str]) -> list[str]:
    line = next(lines, None)
    if line is None:
        raise FormatError("ends within its header: the file is truncated.")
    return line.split()


def _read_axes(lines: Iterator[str]) -> tuple[tuple[int, int, int], np.ndarray]:
    from ase.units import Bohr

    rows = [_words(lines) for _ in range(3)]
    counts = [int(row[0]) for row in rows]
    voxel = np.array([row[1:4] for row in rows], dtype=float)
    if 0 in counts:
        raise FormatError(f"declares a grid of {counts[0]}x{counts[1]}x{counts[2]} points.")
    # A negative count says that this vector is in Å already.
    voxel *= np.where(np.array(counts)[:, None] > 0, Bohr, 1.0)
    return tuple(abs(n) for n in counts), voxel


def _read_atoms(lines: Iterator[str], n_atoms: int) -> tuple[np.ndarray, np.ndarray]:
    """Atomic numbers and positions (bohr); memory follows the lines that are there."""
    rows = [line.split() for line in itertools.islice(lines, n_atoms)]
    if len(rows) < n_atoms:
        raise FormatError(f"has {len(rows)} of {n_atoms} declared atoms: the file is truncated.")
    numbers = np.array([row[0] for row in rows], dtype=int)
    return numbers, np.array([row[2:5] for row in rows], dtype=float).reshape(-1, 3)


def _drop_end_plane(values: np.ndarray, comments: str, repeated: bool | None) -> bool:
    if repeated is None:
        if "castep2cube" in comments:
            repeated = True
        elif _looks_repeated(values):
            warnings.warn(
                "the first and last grid planes along every axis are equal: either the "
                "writer repeats the end plane, or the crystal has mirrors there. Pass "
                "repeated_end_plane=True (drop it) or False (keep it) to say which.",
                ElfWarning,
                stacklevel=4,
            )
    if repeated and min(values.shape) < 2:
        raise FormatError(f"a grid of {values.shape} has no end plane to drop.")
    return bool(repeated)


def _looks_repeated(values: np.ndarray) -> bool:
    if min(values.shape) < 4:
        return False
    ends = all(np.allclose(values.take(0, a), values.take(-1, a), atol=1e-5) for a in range(3))
    # A field that hardly changes from plane to plane says nothing about its end planes.
    steps = [np.abs(values.take(0, a) - values.take(1, a)).max() for a in range(3)]
    return ends and min(steps) > 1e-3
