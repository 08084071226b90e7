"""Gaussian cube files: bohr, z fastest, no word about periodicity.

Kept beside ASE's reader because that one believes declared sizes and forgets a grid that
does not start at the atoms' origin, and its writer keeps six digits.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from ase_elf.errors import ElfWarning, FormatError, InputError, remedy
from ase_elf.formats.doubts import refuse_density, seen_through_window
from ase_elf.formats.numbers import Lines, number, read_numbers, write_numbers
from ase_elf.formats.species import atomic_number

if TYPE_CHECKING:
    from ase import Atoms

    from ase_elf.grid import ELFGrid


_PERIODIC = ("pwscf", "castep", "ase_elf", "siesta", "abinit", "vasp")
"""Words in the comments of programs whose cube files span a cell."""


@dataclass
class _Cube:
    """What stands in a cube file."""

    comments: str
    voxel: np.ndarray
    """Å"""
    origin: np.ndarray
    """Å"""
    numbers: np.ndarray
    positions: np.ndarray
    """Å, from where ``origin`` counts."""
    charges: np.ndarray
    values: np.ndarray


def read_cube(
    fd: Iterable[str], *, repeated_end_plane: bool | None = None, grid: int | str | None = None
) -> tuple[Atoms, np.ndarray, dict[str, Any]]:
    """Atoms, values (nx, ny, nz) float32 and notes for ``info``; see :func:`read_elf`."""
    from ase_elf.formats.structure import sound_atoms

    cube = _read(fd, grid)
    values, origin = cube.values, cube.origin
    if _drop_end_plane(values, cube.comments, repeated_end_plane):
        values = np.ascontiguousarray(values[:-1, :-1, :-1])
    cell = cube.voxel * np.array(values.shape)[:, None]
    atoms = sound_atoms(cube.numbers, cube.positions - origin, cell)
    refuse_density(values, cell, cube.charges, cube.comments)
    known = any(word in cube.comments.lower() for word in _PERIODIC)
    atoms = seen_through_window(values, atoms, spans_cell=known)
    return atoms, values, {"origin": origin.tolist()} if origin.any() else {}


def read_field(fd: Iterable[str]) -> tuple[np.ndarray, np.ndarray]:
    """Voxel (3, 3) in Å and values (nx, ny, nz) of a field that need not be an ELF."""
    cube = _read(fd, None)
    return cube.voxel, cube.values


def _read(fd: Iterable[str], grid: int | str | None) -> _Cube:
    lines = fd if isinstance(fd, Lines) else Lines(fd)
    comments = next(lines, "") + next(lines, "")
    declared, *rest = _words(lines)
    counts, voxel = _read_axes(lines)
    numbers, positions, charges = _read_atoms(lines, abs(int(declared)))
    names = [str(k + 1) for k in range(int(rest[3]) if len(rest) > 3 else 1)]
    if int(declared) < 0:
        names = _read_names(lines)
    field = _chosen(names, grid)
    shape = tuple(map(abs, counts))
    values = read_numbers(lines, (*shape, len(names)) if len(names) > 1 else shape)
    if any(line.strip() for line in lines):
        raise FormatError(
            f"goes on after the {values.size} values that its {'x'.join(map(str, shape))} grid has."
        )
    values = np.ascontiguousarray(values.reshape(*shape, len(names))[..., field])
    origin = np.array([number(word) for word in rest[:3]])
    lengths = in_angstrom(counts, voxel, origin, positions)
    return _Cube(comments, *lengths[:2], numbers, lengths[2], charges, values)


def write_cube(fd: TextIO, grid: ELFGrid) -> None:
    """Write ``grid`` with its atoms; the file starts at the origin of the cell."""
    from ase.units import Bohr

    formula = grid.atoms.get_chemical_formula()
    fd.write(f"ELF of {formula}, written by ase_elf: periodic, end plane excluded\n")
    fd.write("OUTER LOOP: X, MIDDLE LOOP: Y, INNER LOOP: Z\n")
    row = "{:5d} {:15.10f} {:15.10f} {:15.10f}"
    fd.write(row.format(len(grid.atoms), 0.0, 0.0, 0.0) + "\n")
    fd.writelines(
        row.format(n, *(vector / n)) + "\n" for n, vector in zip(grid.shape, grid.cell / Bohr, strict=True)
    )
    for z, xyz in zip(grid.atoms.numbers, grid.atoms.positions / Bohr, strict=True):
        charge = f"{z:5d} {float(z):11.6f}"
        fd.write(charge + "".join(f" {x:15.10f}" for x in xyz) + "\n")
    for column in grid.values.reshape(-1, grid.shape[2]):
        write_numbers(fd, column, per_line=6)  # every run along z starts a line


def _words(lines: Iterator[str]) -> list[str]:
    line = next(lines, None)
    if line is None:
        raise FormatError("ends within its header: the file is truncated.")
    return line.split()


def _read_axes(lines: Iterator[str]) -> tuple[list[int], np.ndarray]:
    """Counts of points, which may be negative, and vectors between them as they stand."""
    rows = [_words(lines) for _ in range(3)]
    counts = [int(row[0]) for row in rows]
    if 0 in counts:
        raise FormatError(f"declares a grid of {counts[0]}x{counts[1]}x{counts[2]} points.")
    return counts, np.array([[number(word) for word in row[1:4]] for row in rows])


def in_angstrom(
    counts: list[int], voxel: np.ndarray, origin: np.ndarray, positions: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Voxels, origin and positions in Å.

    Bohr, unless counts are negative. Programs differ in what that says of: of the voxel alone,
    or of all lengths. All lengths it is here where all counts are negative, unless the atoms then
    lie outside of the box and otherwise within; of the vector alone where some are.
    """
    from ase.units import Bohr

    negative = np.array(counts) < 0
    scaled = voxel * np.where(negative, 1.0, Bohr)[:, None]
    unit, words = Bohr, "in bohr"
    if negative.all():
        span = scaled * np.abs(counts)[:, None]

        def fits(unit: float) -> bool:
            inside = (positions - origin) * unit @ np.linalg.pinv(span)
            return bool((np.abs(inside - 0.5) < 0.501).all())

        if fits(1.0) or not fits(Bohr):
            unit, words = 1.0, "in Å like the voxels"
    if negative.any() and len(positions):
        warnings.warn(
            f"the numbers of grid points are negative ({' '.join(map(str, counts))}): lengths of these "
            f"axes are read in Å, origin and atoms {words}. Programs differ in this; see "
            "whether distances between the atoms are right.",
            ElfWarning,
            stacklevel=4,
        )
    return scaled, origin * unit, positions * unit


def _read_atoms(lines: Iterator[str], n_atoms: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Atomic numbers, positions and charges of the cores; memory follows the lines there are."""
    rows = [line.split() for line in itertools.islice(lines, n_atoms)]
    if len(rows) < n_atoms:
        raise FormatError(f"has {len(rows)} of {n_atoms} declared atoms: the file is truncated.")
    numbers = np.array([atomic_number(row[0]) for row in rows], dtype=int)
    positions = np.array([[number(word) for word in row[2:5]] for row in rows]).reshape(-1, 3)
    return numbers, positions, np.array([number(row[1]) for row in rows])


def _read_names(lines: Iterator[str]) -> list[str]:
    """Identifiers of the fields, as many as their line begins with; they may take several."""
    count, *names = _words(lines)
    while len(names) < int(count):
        names += _words(lines)
    return names[: int(count)] or ["1"]


def _chosen(names: list[str], grid: int | str | None) -> int:
    """Which of the fields at each point is the one asked for, from 0."""
    if grid is None and len(names) == 1:
        return 0
    if grid is not None:
        if str(grid) in names:
            return names.index(str(grid))
        if str(grid).isdigit() and 1 <= int(grid) <= len(names):
            return int(grid) - 1
        raise InputError(f"grid = {grid!r}; the file holds {', '.join(names)}, by name or number.")
    raise FormatError(
        f"holds {len(names)} values per grid point ({', '.join(names[:12])}); say which is the ELF "
        f"({remedy('grid=, its name or number from 1', '--grid, its name or number from 1')})."
    )


def _drop_end_plane(values: np.ndarray, comments: str, repeated: bool | None) -> bool:
    if repeated is None:
        if "castep2cube" in comments:
            repeated = True
        elif _looks_repeated(values):
            warnings.warn(
                "the first and last grid planes along every axis are equal: either the "
                "writer repeats the end plane, or the crystal has mirrors there. It is kept; say which with "
                + remedy(
                    "repeated_end_plane=True (drop it) or False (keep it).", "--end-plane drop or keep."
                ),
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
