"""VASP's text: one configuration of an XDATCAR, a POSCAR, and the ionic steps of vasprun.xml."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any
from xml.etree.ElementTree import Element, ParseError, XMLPullParser

import numpy as np

from ase_elf.errors import FormatError, InputError
from ase_elf.structures.endings import is_cut_short
from ase_elf.structures.species import Species, remedy_elements

if TYPE_CHECKING:
    from ase import Atoms

_NUMBER = re.compile(r"[-+]?\d+\.\d*(?:[eEdD][-+]?\d+)?")
"""A number with a point: what is glued to the next one by its sign."""


def parse_xdatcar(text: str, species: Species) -> tuple[Atoms, float, float]:
    """Atoms of one configuration with its header; XDATCAR states no times.

    Coordinates may be glued by their signs and followed by labels.

    Raises
    ------
    FormatError
        If the header or a row cannot be read.
    InputError
        If the header names no elements, and nobody said which they are.
    """
    lines = text.splitlines()
    start = next(k for k, line in enumerate(lines) if "configuration" in line.lower())
    header, rows = lines[:start], lines[start + 1 :]
    if len(header) not in (6, 7):
        raise FormatError(
            f"the header has {len(header)} lines; title, scale, cell, elements and counts are 7."
        )
    cell, scale = _cell(header[1:5])
    symbols = _symbols(header[5:], species)
    positions = np.array([_coordinates(row) for row in rows])
    return _atoms(symbols, positions, cell, scale, lines[start]), math.nan, math.nan


def parse_poscar(text: str, species: Species) -> tuple[Atoms, float, float]:
    """Atoms of a POSCAR or CONTCAR: the element line is needed, or ``species`` stands for it.

    The title names no elements, whatever it holds; nor are neighbouring files searched.

    Raises
    ------
    FormatError
        If the file is cut or no POSCAR.
    InputError
        If it names no elements, and nobody said which they are.
    """
    lines = text.splitlines()
    if len(lines) < 8:
        raise FormatError(f"has {len(lines)} lines; a POSCAR has at least 8.")
    cell, scale = _cell(lines[1:5])
    names = 5 if _is_counts(lines[5]) else 6
    symbols = _symbols(lines[5 : names + 1], species)
    selective = lines[names + 1].strip()[:1].lower() == "s"
    first = names + 2 + selective
    rows = [line for line in lines[first : first + len(symbols)] if line.strip()]
    if len(rows) < len(symbols):
        raise FormatError(f"has {len(rows)} of {len(symbols)} declared atoms: the file was cut.")
    at_end = first + len(symbols) >= len(lines) and not text.endswith(("\n", "\r"))
    if at_end and is_cut_short([f"{row}\n" for row in rows[:-1]] + rows[-1:]):
        raise FormatError(f"the file ends within the last number of {rows[-1].strip()!r:.80}.")
    positions = np.array([_coordinates(row) for row in rows])
    return _atoms(symbols, positions, cell, scale, lines[first - 1]), math.nan, math.nan


def _cell(lines: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Cell (Å) and scale; a negative scale is the volume, three are those of x, y and z."""
    try:
        cell = np.array([line.split()[:3] for line in lines[1:4]], dtype=float)
        words = lines[0].split()
        scale = np.array(words[:3] if len(words) >= 3 else words[:1], dtype=float)
        if cell.shape != (3, 3) or not len(scale):
            raise ValueError(cell.shape)
    except ValueError as error:
        raise FormatError(
            f"scale and cell cannot be read from {[line.strip() for line in lines]!r:.200}."
        ) from error
    if scale[0] < 0:
        scale = np.cbrt(-scale[:1] / abs(np.linalg.det(cell)))
    return cell * scale, scale


def _is_counts(line: str) -> bool:
    words = line.split("!", maxsplit=1)[0].split()
    return bool(words) and all(word.isdigit() for word in words)


def _symbols(lines: list[str], species: Species) -> list[str]:
    """Elements of all atoms from the lines of names and counts; names may be missing (VASP 4)."""
    counts = [int(word) for word in lines[-1].split("!")[0].split()] if _is_counts(lines[-1]) else []
    names = lines[0].split() if len(lines) == 2 else [str(k + 1) for k in range(len(counts))]
    if not counts or len(names) != len(counts):
        raise FormatError(
            f"names {lines[0].strip()!r:.80} and numbers {lines[-1].strip()!r:.80} of atoms do not fit."
        )
    if len(lines) == 1 and not species:
        raise InputError(
            f"no line of element names stands above the numbers of atoms ({' '.join(lines[-1].split())}), "
            "as in files of VASP 4, and a title names none. Write the names into a line above the numbers, "
            f"or give them with {remedy_elements()}."
        )
    return np.repeat(species.symbols(names), counts).tolist()


def _coordinates(row: str) -> list[float]:
    words = row.split()[:3]
    try:
        if len(words) == 3:
            return [float(word) for word in words]
    except ValueError:
        pass
    glued = _NUMBER.findall(row.replace("D", "E"))
    if len(glued) < 3:
        raise FormatError(f"{row.strip()!r:.80} holds no three coordinates.")
    return [float(word) for word in glued[:3]]


def _atoms(
    symbols: list[str], positions: np.ndarray, cell: np.ndarray, scale: np.ndarray, mode: str
) -> Atoms:
    from ase import Atoms

    if mode.strip()[:1].lower() in ("c", "k"):
        return Atoms(symbols, positions=positions * scale, cell=cell, pbc=True)
    return Atoms(symbols, scaled_positions=positions, cell=cell, pbc=True)


def read_vasprun(stream: IO[str], species: Species) -> Iterator[tuple[Atoms, float, float]]:
    """Atoms of every ionic step of vasprun.xml whose structure and energy are complete.

    Read piece by piece: what a killed run left is yielded before the error, and memory does
    not grow with the number of steps.

    Raises
    ------
    FormatError
        Where the XML ends or breaks.
    """
    from ase import Atoms

    parser: XMLPullParser[Any] = XMLPullParser(["start", "end"])
    path: list[Element] = []
    symbols: list[str] = []
    index = 0
    for piece in iter(lambda: stream.read(2**16), None):
        try:
            parser.feed(piece) if piece else parser.close()
            events: list[Any] = list(parser.read_events())
        except ParseError as error:
            # What stands before the damage was parsed, and is in the queue.
            events = _events_before(parser)
            failure: ParseError | None = error
        else:
            failure = None
        for event, node in events:
            if event == "start":
                path.append(node)
                continue
            path.pop()
            if node.tag == "atominfo":
                symbols = _atominfo(node, species)
            elif node.tag == "calculation":
                if (structure := node.find("structure")) is not None:
                    cell, positions = _varray(structure, "basis"), _varray(structure, "positions")
                    yield Atoms(symbols, scaled_positions=positions, cell=cell, pbc=True), math.nan, math.nan
                    index += 1
                if path:
                    path[-1].clear()
        if failure is not None:
            complete = f"frames 0 to {index - 1} are complete" if index else "no frame is complete"
            raise FormatError(
                f"the file ends or breaks within frame {index} ({failure}); {complete}."
            ) from failure
        if not piece:
            return


def _events_before(parser: XMLPullParser[Any]) -> list[Any]:
    found: list[Any] = []
    with suppress(ParseError):  # the damage itself comes last
        found.extend(parser.read_events())
    return found


def _atominfo(node: Element, species: Species) -> list[str]:
    rows = node.findall("array[@name='atoms']/set/rc")
    return species.symbols((row.findtext("c") or "").strip() for row in rows)


def _varray(structure: Element, name: str) -> np.ndarray:
    node = next((found for found in structure.iter("varray") if found.get("name") == name), None)
    if node is None:
        raise FormatError(f"a structure without {name}.")
    return np.array([_coordinates(row.text or "") for row in node.findall("v")])
