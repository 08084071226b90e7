"""Formats that ASE reads, with what it would leave out or guess: types, labels, occupancies."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_elf.errors import InputError
from ase_elf.structures.readers.lammps import by_mass
from ase_elf.structures.species import Species, remedy_elements

if TYPE_CHECKING:
    from ase import Atoms

_RES_ATOM = re.compile(r"\w+\s+\d+(?:\s+-?\d*\.\d+){3}\s+(-?\d*\.?\d+)")


def read(path: Path, form: str, indices: slice, species: Species) -> Iterator[Atoms]:
    """Structures of a file of ASE's format ``form``, as ASE reads them.

    Raises
    ------
    InputError
        For types or labels that name no elements, for partly occupied sites, and for symmetry
        that ASE does not apply.
    """
    from ase.io import iread

    options: dict[str, Any] = {}
    if form == "lammps-data":
        options["Z_of_type"] = _types_of_data(path, species)
    elif form == "res":
        check_res(path.read_text(errors="replace"))
    begin = partial(iread, str(path), indices, format=form, do_not_split_by_at_sign=True, **options)
    for atoms in species.iterate(begin):
        check_occupancy(atoms)
        if form == "lammps-dump-binary":
            types = atoms.arrays.get("type", atoms.numbers).tolist()
            _check_given(types, species)
            atoms.symbols = species.symbols(types)
        yield atoms


def parse_pdb(text: str, species: Species) -> Atoms:
    """Atoms of one model of a PDB file.

    The element stands in columns 77 and 78. Where they are empty, the name of the atom counts
    only if its letters are those of one element alone: ``CA`` may be calcium or a carbon.
    """
    from ase.io import read

    lines = text.splitlines()
    for k, line in enumerate(lines):
        if line.startswith(("ATOM", "HETATM")):
            label = line[76:78].strip() or _pdb_name(line[12:16].strip(), species)
            lines[k] = f"{line[:76]:76s}{species.symbol(label):>2s}"
    atoms: Any = read(StringIO("\n".join(lines) + "\n"), format="proteindatabank", index=0)
    check_occupancy(atoms)
    return atoms


def _pdb_name(name: str, species: Species) -> str:
    letters = re.sub(r"[^A-Za-z]", "", name)
    if name.lower() in species:
        return name
    return letters if len(letters) == 1 else f"{name}?"


def check_occupancy(atoms: Atoms) -> None:
    """Raise :class:`InputError` for sites that are only partly occupied, or by several elements."""
    stated = atoms.info.get("occupancy")
    sites = stated.values() if isinstance(stated, dict) else []
    found = [
        f"{symbol} by {share}"
        for site in sites
        for symbol, share in (site.items() if isinstance(site, dict) else ())
        if len(site) > 1 or (isinstance(share, int | float) and share < 0.999)
    ]
    column = np.asarray(atoms.arrays.get("occupancy", []))
    if column.dtype.kind == "f":  # programs without occupancies write 0 into all
        found += [
            f"{atoms.symbols[k]} by {column[k]:g}" for k in np.flatnonzero((column > 0) & (column < 0.999))
        ]
    if found:
        raise InputError(
            f"{len(found)} sites are occupied in part ({', '.join(found[:4])}{', ...' if len(found) > 4 else ''}). "
            "The ELF is that of one arrangement of atoms: choose one in which every site is full or "
            "empty, for instance in a supercell."
        )


def check_res(text: str) -> None:
    """Raise :class:`InputError` for a SHELX file that holds less than all atoms, or parts of them."""
    for line in text.splitlines():
        words = line.split()
        key = words[0].upper() if words else ""
        if key == "SYMM" or (key == "LATT" and words[1:] != ["-1"]):
            raise InputError(
                f"the line {line.strip()!r:.60} asks for symmetry, which is not applied; write all atoms of the "
                "cell, with LATT -1 and no SYMM."
            )
        found = _RES_ATOM.match(line.strip())
        # SHELX adds 10 to what is not refined.
        if found and abs(float(found[1]) % 10 - 1) > 1e-3:
            raise InputError(
                f"the site {line.strip()!r:.60} is occupied by {float(found[1]) % 10:g}. The ELF is that of one "
                "arrangement of atoms: choose one in which every site is full or empty."
            )


def _types_of_data(path: Path, species: Species) -> dict[int, int]:
    """Atomic numbers of the types of a LAMMPS data file: given, or from its masses."""
    from ase.data import atomic_numbers
    from ase.io.formats import open_with_compression

    with open_with_compression(str(path), "r") as stream:
        text = stream.read()
    found = re.search(r"^\s*(\d+)\s+atom\s+types", text, re.MULTILINE)
    types = range(1, int(found[1]) + 1 if found else 1)
    masses = re.search(r"^\s*Masses[^\n]*\n\s*\n((?:\s*\d+\s+[\d.eE+-]+[^\n]*\n)+)", text, re.MULTILINE)
    if species or not masses:
        _check_given(list(types), species)
        symbols = species.symbols(types)
    else:
        rows = dict(line.split()[:2] for line in masses[1].splitlines() if line.strip())
        symbols = by_mass([rows.get(str(k), "none") for k in types], species)
    return {k: atomic_numbers[symbol] for k, symbol in zip(types, symbols, strict=True)}


def _check_given(types: list[int], species: Species) -> None:
    if not species:
        raise InputError(
            f"the file knows its atoms by type ({', '.join(map(str, sorted(set(types))[:8]))}) and names no "
            f"elements; name those of the types 1, 2, ... with {remedy_elements()}."
        )
