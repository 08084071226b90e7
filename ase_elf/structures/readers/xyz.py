"""One frame of an XYZ or extended XYZ file, and what CP2K and i-PI write into its comment."""

from __future__ import annotations

import math
import re
from io import StringIO
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_elf.errors import FormatError
from ase_elf.structures.species import Species
from ase_elf.structures.splitting import count_of

if TYPE_CHECKING:
    from ase import Atoms

_COLUMNS = 100
"""Columns that a frame without atoms may declare."""

_LABELS = ("species", "element", "elements", "symbol", "symbols", "type", "types")
"""Names of the column of elements or types in extended XYZ; ASE knows the first alone."""

_CP2K = re.compile(r"^\s*i\s*=\s*(\d+).*?\btime\s*=\s*([-+.\deE]+)")
_IPI = re.compile(r"#\s*CELL[(\[{](abcABC|H|GENH)[)\]}]:\s*((?:[-+.\deE]+\s+)+)(.*)")
_UNIT = re.compile(r"([\w.]+)\{(\w+)\}")
_LENGTHS = {"angstrom": 1.0, "nanometer": 10.0}


def parse(text: str, species: Species) -> tuple[Atoms, float, float]:
    """Atoms, time in fs and step of one frame; NaN for what its comment does not state.

    Raises
    ------
    FormatError
        If the comment is damaged, or states units that are not known.
    InputError
        If an atom is named by something that is no element.
    """
    from ase.io import read

    _, comment, *_ = text.split("\n", 2)
    comment = comment.rstrip("\r")
    check_columns(text.split("\n", 3)[1:])
    renamed = _with_species(comment)
    foreign = _IPI.match(comment) or _CP2K.match(comment)
    if foreign:  # ASE would make keys of its words
        renamed = ""
    if renamed != comment:
        text = text.replace(comment, renamed, 1) if comment else text
    atoms: Any = species.reading(lambda: read(StringIO(text), format="extxyz", index=0))
    check_count(text, atoms)
    if foreign and foreign.re is _IPI:
        return _ipi(atoms, foreign)
    if foreign:
        return atoms, float(foreign[2]), float(foreign[1])
    return atoms, stated_time(atoms), math.nan


def stated_time(atoms: Atoms) -> float:
    """``info["time_fs"]`` or ``info["time"]`` in fs, NaN where there is neither."""
    for name in ("time_fs", "time"):
        value = atoms.info.get(name)
        if isinstance(value, int | float | np.number) and math.isfinite(value):
            return float(value)
    return math.nan


def _with_species(comment: str) -> str:
    """The comment with the column of elements under the name that ASE knows."""
    found = re.search(r'Properties="?([^\s"]+)', comment)
    if not found:
        return comment
    fields = found[1].split(":")
    names = fields[::3]
    label = next((name for name in _LABELS if name in names), None)
    if label is None or ("Z" in names and label != "species"):
        return comment
    k = 3 * names.index(label)
    fields[k : k + 2] = ["species", "S"]
    return comment.replace(found[1], ":".join(fields), 1)


def _ipi(atoms: Atoms, found: re.Match[str]) -> tuple[Atoms, float, float]:
    """Positions and cell in the units of i-PI's comment, and the step."""
    kind, numbers, rest = found.groups()
    words = numbers.split()
    size = 6 if kind == "abcABC" else 9
    units = dict(_UNIT.findall(rest))
    quantity = next((name for name in units if name != "cell"), "positions")
    if quantity not in ("positions", "x_centroid"):
        raise FormatError(f"the comment of i-PI says {quantity}, not positions; give the file of positions.")
    if len(words) < size:
        raise FormatError(f"the comment of i-PI has {len(words)} of {size} numbers of the cell.")
    values = np.array(words[:size], dtype=float)
    if kind == "abcABC":
        values[:3] *= _length(units.get("cell"), "cell")
        cell = values
    else:  # the matrix of i-PI has the cell vectors as columns
        cell = values.reshape(3, 3).T * _length(units.get("cell"), "cell")
    atoms.positions *= _length(units.get(quantity), quantity)
    atoms.set_cell(cell)
    atoms.pbc = True
    step = re.search(r"Step:\s*(\d+)", rest)
    return atoms, math.nan, float(step[1]) if step else math.nan


def _length(unit: str | None, of: str) -> float:
    """Å in a unit of length of i-PI."""
    from ase.units import Bohr

    lengths = {**_LENGTHS, "atomic_unit": Bohr, "bohr": Bohr}
    if unit not in lengths:
        raise FormatError(
            f"the comment of i-PI states {'no unit' if unit is None else f'the unit {unit!r:.40}'} of {of}; "
            f"known are {', '.join(f'{of}{{{name}}}' for name in lengths)}."
        )
    return lengths[unit]


def check_count(text: str, atoms: Atoms) -> None:
    """Raise :class:`FormatError` where ASE made of an XYZ frame fewer atoms than it has.

    It does so for comments in which it finds no positions among the columns.
    """
    n_atoms = count_of(text[: text.index("\n")])
    if len(atoms) != n_atoms:
        raise FormatError(
            f"{len(atoms)} of {n_atoms} atoms can be read; the comment of the frame is damaged."
        )


def check_columns(lines: list[str]) -> None:
    """Raise :class:`FormatError` for a frame whose comment declares more columns than it has.

    ASE makes a list of the declared columns before it looks at the atoms. Which of several
    declarations holds, however they are quoted, its own parser of comments knows.
    """
    from ase.io.extxyz import key_val_str_to_dict

    declared = key_val_str_to_dict(lines[0]).get("Properties")
    if not isinstance(declared, str):
        return
    counts = declared.split(":")[2::3]
    there = len("".join(lines[1:2]).split()) or _COLUMNS
    if not all(len(n) <= 6 and n.isdecimal() for n in counts) or sum(map(int, counts)) > there:
        raise FormatError(
            f"the comment declares the columns {declared!r:.200}, where there are {there} at most."
        )
