"""XCrySDen's XSF: Å, x fastest, a periodic grid whose end planes repeat the first.

(http://www.xcrysden.org/doc/XSF.html, "general grid".) The repeated planes are dropped on
reading and added on writing.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from ase_elf.errors import FormatError
from ase_elf.formats.numbers import read_numbers, read_shape, write_numbers

if TYPE_CHECKING:
    from ase import Atoms

    from ase_elf.grid import ELFGrid

_END_PLANE = 2e-3
"""Two printings of one ELF value, possibly with few digits, differ by less."""


def read_xsf(fd: TextIO) -> tuple[Atoms, np.ndarray, dict[str, Any]]:
    """Atoms, values (nx, ny, nz) float32 and notes for ``info``, of the first data grid."""
    from ase_elf.formats.structure import sound_atoms

    lines = (line for line in (raw.split("#")[0].strip() for raw in fd) if line)
    cell = numbers = positions = None
    for line in lines:
        keyword = line.split()[0].upper()
        if keyword == "PRIMVEC":
            cell = _vectors(lines)
        elif keyword == "PRIMCOORD":
            numbers, positions = _atoms(lines, int(_next(lines).split()[0]))
        elif keyword == "ATOMS":
            numbers, positions, line = _atoms_to_keyword(lines)
            keyword = line.split()[0].upper() if line else ""
        if keyword.startswith(("BEGIN_DATAGRID_3D", "DATAGRID_3D")):
            break
    else:
        raise FormatError("holds no three-dimensional data grid.")
    values, origin, span = _datagrid(lines)
    if numbers is None:
        raise FormatError("holds a data grid but no atoms.")
    _check_span(span, cell)
    atoms = sound_atoms(numbers, positions - origin, span if cell is None else cell)
    return atoms, values, {"origin": origin.tolist()} if origin.any() else {}


def write_xsf(fd: TextIO, grid: ELFGrid) -> None:
    """Write ``grid`` as a crystal with one general grid."""
    from ase.io.xsf import write_xsf as write_structure

    atoms = grid.atoms.copy()
    atoms.pbc = True
    write_structure(fd, [atoms])
    fd.write("BEGIN_BLOCK_DATAGRID_3D\nELF\nBEGIN_DATAGRID_3D_ELF\n")
    closed = np.pad(grid.values, (0, 1), mode="wrap")
    fd.write(" ".join(str(n) for n in closed.shape) + "\n0.0 0.0 0.0\n")
    for vector in grid.cell:
        fd.write(" ".join(f"{x:.14f}" for x in vector) + "\n")
    write_numbers(fd, closed.ravel(order="F"), per_line=6)
    fd.write("END_DATAGRID_3D\nEND_BLOCK_DATAGRID_3D\n")


def _next(lines: Iterator[str]) -> str:
    line = next(lines, None)
    if line is None:
        raise FormatError("ends in the middle of a section: the file is truncated.")
    return line


def _vectors(lines: Iterator[str]) -> np.ndarray:
    return np.array([_next(lines).split()[:3] for _ in range(3)], dtype=float).reshape(3, 3)


def _atoms(lines: Iterator[str], n_atoms: int) -> tuple[np.ndarray, np.ndarray]:
    rows = list(itertools.islice(lines, n_atoms))
    if len(rows) < n_atoms:
        raise FormatError(f"has {len(rows)} of {n_atoms} declared atoms: the file is truncated.")
    return _numbers_and_positions(rows)


def _atoms_to_keyword(lines: Iterator[str]) -> tuple[np.ndarray, np.ndarray, str]:
    """Atoms of a molecule, whose number is not declared, and the line that ended them."""
    rows = []
    for line in lines:
        if line.upper().startswith(("BEGIN", "PRIM", "CONV", "DATAGRID")):
            return *_numbers_and_positions(rows), line
        rows.append(line)
    return *_numbers_and_positions(rows), ""


def _numbers_and_positions(rows: list[str]) -> tuple[np.ndarray, np.ndarray]:
    from ase.data import atomic_numbers

    words = [row.split() for row in rows]
    numbers = [int(word[0]) if word[0].isdigit() else atomic_numbers[word[0]] for word in words]
    positions = np.array([word[1:4] for word in words], dtype=float).reshape(-1, 3)
    return np.array(numbers, dtype=int), positions


def _datagrid(lines: Iterator[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    shape = read_shape(_next(lines).split())
    origin = np.array(_next(lines).split(), dtype=float).reshape(3)
    span = _vectors(lines)
    values = read_numbers(lines, shape).reshape(shape, order="F")
    if min(shape) < 2:
        raise FormatError(f"a general grid of {shape} points has no end plane to drop.")
    gaps = [np.abs(values.take(0, a) - values.take(-1, a)).max() for a in range(3)]
    if max(gaps) > _END_PLANE:
        raise FormatError(
            f"the last grid plane differs from the first by up to {max(gaps):.3g}: not a "
            "periodic XSF grid, in which the end planes repeat. Export a cube file instead."
        )
    return np.ascontiguousarray(values[:-1, :-1, :-1]), origin, span


def _check_span(span: np.ndarray, cell: np.ndarray | None) -> None:
    if cell is not None and np.abs(span - cell).max() > 1e-3 * np.abs(cell).max():
        raise FormatError(
            f"the data grid spans {span.tolist()} Å, but the cell is {cell.tolist()} Å; only "
            "a grid over exactly one primitive cell is periodic with it. (ASE writes other "
            "span vectors by default; use a cube file, or write_elf.)"
        )
