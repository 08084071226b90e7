"""One frame of a LAMMPS text dump."""

from __future__ import annotations

import math
from io import StringIO
from typing import TYPE_CHECKING, Any

from ase_elf.errors import FormatError, InputError
from ase_elf.structures.endings import is_cut_short
from ase_elf.structures.species import Species, remedy_elements

if TYPE_CHECKING:
    from ase import Atoms

POSITIONS = (("x", "y", "z"), ("xs", "ys", "zs"), ("xu", "yu", "zu"), ("xsu", "ysu", "zsu"))
"""Columns of coordinates: wrapped or not, in units of length or of the cell."""

_MORE = ("vx", "vy", "vz", "fx", "fy", "fz", "q")
"""Other columns that ASE understands."""

_FS = {
    "metal": 1e3, "real": 1.0, "electron": 1.0, "si": 1e15, "cgs": 1e15, "micro": 1e9, "nano": 1e6
}  # fmt: skip
"""Femtoseconds in the unit of time of LAMMPS' unit styles."""


def parse(text: str, species: Species) -> tuple[Atoms, float, float]:
    """Atoms, time in fs and step of one frame; NaN for a time that is not stated.

    Parameters
    ----------
    text : str
        Sections of the frame, with UNITS where the file has it.
    species : Species

    Raises
    ------
    FormatError
        If sections, columns or atoms are missing.
    InputError
        If only types are known, and nobody said which elements they are.
    """
    from ase.io import read

    sections = _sections(text)
    step, n_atoms = _integer(sections, "TIMESTEP"), _integer(sections, "NUMBER OF ATOMS")
    box = _only(sections, "BOX BOUNDS")
    head = _only(sections, "ATOMS")
    columns, rows = head.split()[1:], sections[head]
    _check(columns, rows, n_atoms, ended=text.endswith(("\n", "\r")))
    units = (sections.get("UNITS") or ["metal"])[0].strip()
    if units == "lj":
        raise InputError("the dump is in lj units, which have no length; convert it to metal units first.")
    words = [row.split() for row in rows]
    symbols = _symbols(columns, words, species)
    kept = [k for k, name in enumerate(columns) if name in ("id", *_MORE, *sum(POSITIONS, ()))]
    table = [
        f"{symbol} {' '.join(row[k] for k in kept)}\n" for symbol, row in zip(symbols, words, strict=True)
    ]
    frame = "".join(
        [
            f"ITEM: TIMESTEP\n{step}\nITEM: NUMBER OF ATOMS\n{n_atoms}\n",
            f"ITEM: {box}\n", *(f"{line}\n" for line in sections[box]),
            f"ITEM: ATOMS element {' '.join(columns[k] for k in kept)}\n", *table,
        ]
    )  # fmt: skip
    atoms: Any = read(StringIO(frame), format="lammps-dump-text", index=0, units=units)
    return atoms, _time(sections), float(step)


def _sections(text: str) -> dict[str, list[str]]:
    """Lines of every section, by its head without "ITEM: "."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in text.splitlines():
        if "ITEM:" in line:
            if not line.startswith("ITEM:") or "ITEM:" in line[5:] or line[5:].strip() in found:
                raise FormatError(
                    f"{line.strip()!r:.60} stands in a frame that is not complete: a run was killed there, and "
                    "the dump was continued."
                )
            found[line[5:].strip()] = lines = []
        elif line.strip() and not line.lstrip().startswith("#"):
            lines.append(line)
    return found


def _only(sections: dict[str, list[str]], name: str) -> str:
    heads = [head for head in sections if head.startswith(name)]
    if not heads:
        raise FormatError(f"the section 'ITEM: {name}' is missing: the frame was cut, or it is no dump.")
    return heads[0]


def _integer(sections: dict[str, list[str]], name: str) -> int:
    lines = sections[_only(sections, name)]
    try:
        return int(lines[0])
    except (IndexError, ValueError) as error:
        raise FormatError(f"'ITEM: {name}' is followed by {lines[:1]}, not by a whole number.") from error


def _check(columns: list[str], rows: list[str], n_atoms: int, *, ended: bool) -> None:
    if len(rows) != n_atoms:
        raise FormatError(
            f"holds {len(rows)} of {n_atoms} declared atoms: the file was cut, or the dump was restarted in it."
        )
    if not any(set(names) <= set(columns) for names in POSITIONS):
        accepted = "; ".join(" ".join(names) for names in POSITIONS)
        raise FormatError(f"the columns {' '.join(columns)} hold no positions; accepted are {accepted}.")
    if not ended and is_cut_short([f"{row}\n" for row in rows[:-1]] + rows[-1:]):
        raise FormatError(f"the file ends within the last number of {rows[-1]!r:.80}.")
    for number, row in enumerate(rows, 1):
        if len(row.split()) < len(columns):
            raise FormatError(
                f"row {number} of the atoms has {len(row.split())} of {len(columns)} columns: {row!r:.80}."
            )


def _symbols(columns: list[str], rows: list[list[str]], species: Species) -> list[str]:
    """Elements: those that were given for types come first, then those the dump names."""
    names: list[str] = [name for name in ("element", "typelabel") if name in columns]
    if species and "type" in columns:
        names = ["type"]
    if names:
        k = columns.index(names[0])
        return species.symbols(row[k] for row in rows)
    if "mass" in columns:
        k = columns.index("mass")
        return by_mass([row[k] for row in rows], species)
    if "type" in columns:
        k = columns.index("type")
        types = sorted({row[k] for row in rows})
        raise InputError(
            f"the dump knows its atoms by type ({', '.join(types[:8])}) and names no elements; name "
            f"those of the types 1, 2, ... with {remedy_elements()}."
        )
    raise InputError(
        f"the columns {' '.join(columns)} name neither elements nor types; write the dump with the "
        "column element (dump_modify ... element) or type."
    )


def by_mass(masses: list[str], species: Species) -> list[str]:
    """Elements from masses that are theirs to 0.02, or those of deuterium; said in a warning."""
    from ase.data import atomic_masses, chemical_symbols

    table = {
        2.014: "H",
        **{float(m): s for m, s in zip(atomic_masses[1:], chemical_symbols[1:], strict=True)},
    }
    found: dict[str, str] = {}
    for mass in set(masses):
        near = {symbol for value, symbol in table.items() if abs(value - float(mass)) <= 0.02}
        if len(near) != 1:
            raise InputError(
                f"the dump names no elements, and a mass of {mass} is not that of one element; write it "
                f"with the column element, or with type and {remedy_elements()}."
            )
        found[mass] = near.pop()
    said = ", ".join(f"{mass} is {symbol}" for mass, symbol in sorted(found.items()))
    species.say(f"the dump names no elements; they follow from masses: {said}.")
    return [found[mass] for mass in masses]


def _time(sections: dict[str, list[str]]) -> float:
    """fs, where the dump states time and its unit."""
    unit = _FS.get((sections.get("UNITS") or [""])[0].strip(), math.nan)
    try:
        return unit * float(sections["TIME"][0])
    except (KeyError, IndexError, ValueError):
        return math.nan


def open_directions(path: str) -> list[bool]:
    """Which directions of the first box of a dump are not periodic; none where it does not say."""
    from ase.io.formats import open_with_compression

    with open_with_compression(path, "r") as stream:
        for line in stream:
            if line.startswith("ITEM: BOX BOUNDS"):
                flags = [word for word in line.split()[3:] if set(word) <= set("pfsm")][-3:]
                return ["p" not in flag for flag in flags]
    return []
