"""XCrySDen's XSF: Å, x fastest, a periodic grid whose end planes repeat the first.

(http://www.xcrysden.org/doc/XSF.html, "general grid".) The repeated planes are dropped on
reading and added on writing.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from ase_elf.errors import ElfWarning, FormatError, InputError, remedy
from ase_elf.formats.doubts import refuse_density, seen_through_window
from ase_elf.formats.numbers import Lines, number, read_numbers, read_shape, write_numbers
from ase_elf.formats.species import atomic_number

if TYPE_CHECKING:
    from ase import Atoms

    from ase_elf.grid import ELFGrid

_END_PLANE = 2e-3
"""Two printings of one ELF value, possibly with few digits, differ by less."""


_GRID = ("BEGIN_DATAGRID_3D", "DATAGRID_3D")
"""What the line of a grid begins with, before its name."""

_OF_OTHERS = ("rho", "dens", "charge", "chg", "pot", "spin", "mag")
"""What names of grids contain that are no ELF."""


def read_xsf(fd: TextIO, *, grid: int | str | None = None) -> tuple[Atoms, np.ndarray, dict[str, Any]]:
    """Atoms, values (nx, ny, nz) float32 and notes for ``info``; see :func:`read_elf`.

    A file object is gone through twice: the names of all its grids are needed to choose one.
    """
    from ase_elf.formats.structure import sound_atoms

    names, steps = _names_of_grids(fd)
    fd.seek(0)
    chosen = _chosen(names, grid)
    if steps > 1:
        raise FormatError(
            f"holds {steps} structures (ANIMSTEPS) and a grid, without saying which of them it "
            "belongs to. Give a file of that structure alone."
        )
    lines = Lines(fd, comment="#")
    cell = numbers = positions = None
    molecule, seen = False, -1
    for line in lines:
        keyword = line.split()[0].upper()
        if keyword == "PRIMVEC":
            cell = _vectors(lines)
        elif keyword == "PRIMCOORD":
            numbers, positions = _atoms(lines, int(_next(lines).split()[0]))
        elif keyword == "ATOMS":
            molecule = True
            numbers, positions, line = _atoms_to_keyword(lines)
            keyword = line.split()[0].upper() if line else ""
        seen += keyword.startswith(_GRID)
        if seen == chosen:
            break
    values, origin, span = _datagrid(lines)
    if numbers is None:
        raise FormatError("holds a data grid but no atoms.")
    _check_span(span, cell)
    cell = span if cell is None else cell
    atoms = sound_atoms(numbers, positions - origin, cell)
    refuse_density(values, cell, numbers, names[chosen])
    atoms = seen_through_window(values, atoms, spans_cell=not molecule)
    notes = {"grid": names[chosen]} if len(names) > 1 else {}
    return atoms, values, notes | ({"origin": origin.tolist()} if origin.any() else {})


def _names_of_grids(fd: Iterable[str]) -> tuple[list[str], int]:
    """Names of all three-dimensional grids, and the number of structures (ANIMSTEPS)."""
    names: list[str] = []
    steps = 1
    for line in fd:
        if not line.lstrip()[:1].isalpha():  # numbers, nearly always
            continue
        if "DATAGRID_3D" in line.upper():
            word = line.split()[0]
            if (found := next((g for g in _GRID if word.upper().startswith(g)), None)) is not None:
                names.append(word[len(found) :].lstrip("_:") or str(len(names) + 1))
        elif line.lstrip().upper().startswith("ANIMSTEPS"):
            steps = int(line.split()[1])
    return names, steps


def _chosen(names: list[str], grid: int | str | None) -> int:
    """Which of the grids is read, from 0, with a warning where that had to be guessed."""
    if not names:
        raise FormatError("holds no three-dimensional data grid.")
    listed = ", ".join(f"{k}: {name}" for k, name in enumerate(names[:12], 1))
    if grid is not None:
        low = [name.lower() for name in names]
        if low.count(str(grid).lower()) == 1:
            return low.index(str(grid).lower())
        if str(grid).isdigit() and 1 <= int(grid) <= len(names):
            return int(grid) - 1
        raise InputError(f"grid = {grid!r}; the file holds {listed}, by name or number.")
    if len(names) == 1:
        return 0
    elf = [k for k, name in enumerate(names) if "elf" in name.lower()]
    others = [k for k, name in enumerate(names)
              if not any(word in name.lower() for word in _OF_OTHERS)]  # fmt: skip
    (chosen, *_) = elf or others or [0]
    warnings.warn(
        f"the file holds {len(names)} data grids ({listed}); {names[chosen]} is read. Choose with "
        f"{remedy('grid=, a name or number', '--grid, a name or number')}.",
        ElfWarning,
        stacklevel=4,
    )
    return chosen


def write_xsf(fd: TextIO, grid: ELFGrid) -> None:
    """Write ``grid`` as a crystal with one general grid."""
    from ase.io.xsf import write_xsf as write_structure

    atoms = grid.atoms.copy()
    atoms.pbc = True
    write_structure(fd, [atoms])
    fd.write("BEGIN_BLOCK_DATAGRID_3D\nELF\nBEGIN_DATAGRID_3D_ELF\n")
    closed = np.pad(grid.values, (0, 1), mode="wrap")
    fd.write(" ".join(str(n) for n in closed.shape) + "\n0.0 0.0 0.0\n")
    fd.writelines(" ".join(f"{x:.14f}" for x in vector) + "\n" for vector in grid.cell)
    write_numbers(fd, closed.ravel(order="F"), per_line=6)
    fd.write("END_DATAGRID_3D\nEND_BLOCK_DATAGRID_3D\n")


def _next(lines: Iterator[str]) -> str:
    line = next(lines, None)
    if line is None:
        raise FormatError("ends in the middle of a section: the file is truncated.")
    return line


def _vectors(lines: Iterator[str]) -> np.ndarray:
    return np.array([_triple(_next(lines)) for _ in range(3)])


def _triple(line: str) -> list[float]:
    found = [number(word) for word in line.split()[:3]]
    if len(found) < 3:
        raise FormatError(f"has {line[:60]!r} where three numbers are expected.")
    return found


def _atoms(lines: Iterator[str], n_atoms: int) -> tuple[np.ndarray, np.ndarray]:
    rows = list(itertools.islice(lines, n_atoms))
    if len(rows) < n_atoms:
        raise FormatError(f"has {len(rows)} of {n_atoms} declared atoms: the file is truncated.")
    return _numbers_and_positions(rows)


def _atoms_to_keyword(lines: Iterator[str]) -> tuple[np.ndarray, np.ndarray, str]:
    """Atoms of a molecule, whose number is not declared, and the line that ended them."""
    rows: list[str] = []
    for line in lines:
        if line.upper().startswith(("BEGIN", "PRIM", "CONV", "DATAGRID")):
            return *_numbers_and_positions(rows), line
        rows.append(line)
    return *_numbers_and_positions(rows), ""


def _numbers_and_positions(rows: list[str]) -> tuple[np.ndarray, np.ndarray]:
    words = [row.split(maxsplit=1) for row in rows]
    numbers = [atomic_number(word[0]) for word in words]
    positions = np.array([_triple(word[-1]) for word in words], dtype=float).reshape(-1, 3)
    return np.array(numbers, dtype=int), positions


def _datagrid(lines: Lines) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    shape = read_shape(_next(lines).split())
    origin = np.array(_triple(_next(lines)))
    span = _vectors(lines)
    values = read_numbers(lines, shape).reshape(shape, order="F")
    after = next(lines, "END")
    if not after.upper().startswith("END"):
        raise FormatError(
            f"goes on with {after[:40]!r} in line {lines.number}, after the {values.size} values of "
            f"its {'x'.join(map(str, shape))} grid."
        )
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
            "a grid over exactly one primitive cell is periodic with it. (ASE writes other span "
            f"vectors by default; use a cube file{remedy(', or write_elf', '')}.)"
        )
