"""Text of trajectories split into frames, one at a time, before anything is parsed.

Each splitter takes the lines of a file and yields the text of its frames, complete for itself:
what a file states once for all frames is repeated in each.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice

from ase_elf.structures.endings import is_cut_short


class Damage(ValueError):
    """Where text cannot be split into frames."""


def count_of(line: str | bytes) -> int:
    """The number of atoms that a frame of an XYZ file begins with; ValueError for none."""
    n_atoms = int(line[:100])
    if not 0 <= n_atoms < 2**40:
        raise ValueError(n_atoms)
    return n_atoms


def ends_within(index: int, n_atoms: int | None = None) -> Damage:
    """The error for a file that stops in a frame."""
    complete = {0: "no frame is complete", 1: "frame 0 is complete"}.get(
        index, f"frames 0 to {index - 1} are complete"
    )
    atoms = "" if n_atoms is None else f" (of {n_atoms} atoms)"
    return Damage(f"the file ends within frame {index}{atoms}; {complete}.")


def split_xyz(stream: Iterator[str]) -> Iterator[str]:
    """Frames of an (extended) XYZ file: a number of atoms, a comment, and the atoms."""
    index = 0
    for first in stream:
        if not first.strip():
            continue
        try:
            n_atoms = count_of(first)
        except ValueError as error:
            raise Damage(
                f"frame {index} begins with {first.strip()[:40]!r} instead of the number of "
                "atoms; the file is damaged there."
            ) from error
        lines = list(islice(stream, n_atoms + 1))
        if len(lines) < n_atoms + 1 or is_cut_short(lines[1:]):
            raise ends_within(index, n_atoms)
        if any("=" in row or row.strip().isdigit() for row in lines[1:]):
            raise Damage(
                f"frame {index} holds fewer than its {n_atoms} atoms: another frame begins within it, as where "
                "a run was killed and continued."
            )
        yield first + "".join(lines)
        index += 1


def split_lammps(stream: Iterator[str]) -> Iterator[str]:
    """Frames of a LAMMPS text dump; the section UNITS, which stands once, is in each."""
    text: list[str] = []
    units: list[str] = []
    atoms = False
    for line in stream:
        if line.startswith("ITEM: UNITS"):
            if atoms:
                yield "".join(units + text)
                text, atoms = [], False
            units = [line, next(stream, "")]
            continue
        begins = line.startswith("ITEM:") and atoms
        # A frame that was cut before its atoms is followed by the step of the next run.
        begins = begins or (line.startswith("ITEM: TIMESTEP") and "ITEM: TIMESTEP" in _heads(text))
        if begins:
            yield "".join(units + text)
            text, atoms = [], False
        atoms = atoms or line.startswith("ITEM: ATOMS")
        text.append(line)
    if any(line.strip() for line in text):
        yield "".join(units + text)


def _heads(text: list[str]) -> set[str]:
    # The sections before the atoms take a dozen lines.
    return {line.strip() for line in text[:20] if line.startswith("ITEM:")}


_CONFIGURATION = ("direct configuration", "cartesian configuration")


def is_configuration(line: str) -> bool:
    """Whether a line begins a configuration of an XDATCAR."""
    return line.strip().lower().startswith(_CONFIGURATION)


def split_xdatcar(stream: Iterator[str]) -> Iterator[str]:
    """Frames of an XDATCAR, each with the header that holds for it."""
    header: list[str] = []
    index = 0
    for line in stream:
        if not line.strip() and header:
            rest = next((other for other in stream if other.strip()), None)
            if rest is None:
                return
            line = rest
        if not is_configuration(line):
            header, line = _xdatcar_header(chain([line], stream), index)
        n_atoms = _xdatcar_atoms(header, index)
        body = list(islice(stream, n_atoms))
        if len(body) < n_atoms or not body[-1].strip() or is_cut_short(body):
            raise ends_within(index, n_atoms)
        yield "".join([*header, line, *body])
        index += 1  # noqa: SIM113 - counts what was yielded


def _xdatcar_header(stream: Iterator[str], index: int) -> tuple[list[str], str]:
    """Title, scale, cell, names and counts, and the line that begins the configuration."""
    header: list[str] = []
    for line in stream:
        if is_configuration(line):
            return header, line
        if len(header) > 5 and not line.strip():
            continue
        header.append(line)
        if len(header) > 7:
            break
    else:
        raise ends_within(index)
    raise Damage(
        f"frame {index}: {header[-1].strip()[:40]!r} stands where 'Direct configuration=' should; "
        "an XDATCAR of VASP 5 or 6 is read."
    )


def _xdatcar_atoms(header: list[str], index: int) -> int:
    try:
        n_atoms = sum(int(word) for word in header[-1].split("!")[0].split())
        if n_atoms < 1:
            raise ValueError(n_atoms)
    except (ValueError, IndexError) as error:
        raise Damage(
            f"frame {index}: {''.join(header[-1:]).strip()[:40]!r} stands where the numbers of atoms should."
        ) from error
    return n_atoms


def split_pdb(stream: Iterator[str]) -> Iterator[str]:
    """Models of a PDB file, each with the cell that holds for it."""
    cell, text = "", []
    models, index = False, 0
    for line in stream:
        record = line[:6].strip()
        if record == "CRYST1":
            cell = line
        elif record in ("ATOM", "HETATM", "CONECT"):
            text.append(line)
        elif record == "MODEL":
            models = True
        if record in ("ENDMDL", "END") and any(row.startswith(("ATOM", "HETATM")) for row in text):
            yield "".join([cell, *text])
            text, index = [], index + 1
    if any(row.startswith(("ATOM", "HETATM")) for row in text):
        if models or _is_cut_row(text):
            raise ends_within(index)
        yield "".join([cell, *text])


def _is_cut_row(text: list[str]) -> bool:
    return len(text) > 1 and not text[-1].endswith("\n") and len(text[-1]) < len(text[-2].rstrip())


SPLITTERS = {
    "extxyz": split_xyz,
    "xyz": split_xyz,
    "lammps-dump-text": split_lammps,
    "vasp-xdatcar": split_xdatcar,
    "proteindatabank": split_pdb,
}
"""ASE's name of a text format to the function that splits it into frames."""
