"""Labels for fitting and evaluating: label stores, and plain folders of ``*.npz``.

A plain folder has a ``split.csv`` (columns file, kind, split) beside files with ``cell``
and ``pos`` in bohr and ``elf`` as uint16. Owns no policy: which folder and which split to
use is the caller's.
"""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import numpy as np
from ase.units import Bohr, Ry

from ase_elf.dataset.label import Label
from ase_elf.dataset.store import MANIFEST, LabelStore
from ase_elf.errors import FormatError, InputError
from ase_elf.formats.npz import read_arrays
from ase_elf.formats.rounding import coarse, restored
from ase_elf.formats.structure import sound_atoms
from ase_elf.reference import Provenance

SPLITS = "split.csv"


def read_labels(folder: Path, *splits: str) -> list[Label]:
    """All labels of a folder that belong to ``splits`` (all of them if none is named).

    Raises
    ------
    InputError
        The folder is neither a label store nor has a ``split.csv``, or that table names a
        file that is not there.
    FormatError
        The table or a label is damaged.
    """
    folder = Path(folder)
    if (folder / MANIFEST).is_file():
        return list(LabelStore(folder).select(*splits))
    table = folder / SPLITS
    if not table.is_file():
        raise InputError(f"{folder} is no label store and has no {SPLITS}.")
    try:
        with table.open(newline="", encoding="utf-8") as handle:
            rows = [row for row in csv.DictReader(handle) if not splits or row["split"] in splits]
        strays = [row["file"] for row in rows if Path(row["file"]).name != row["file"]]
        if strays or any(None in row.values() for row in rows):
            raise ValueError(f"{strays[0]!r} is not the name of a file in it" if strays else
                             "a line has too few columns")  # fmt: skip
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise FormatError(
            f"{table} is not a table with the columns file, kind and split ({error})."
        ) from error
    missing = [row["file"] for row in rows if not (folder / row["file"]).is_file()]
    if missing:
        raise InputError(f"{table} names {missing[0]}, which is not in the folder.")
    return [read_label(folder / row["file"], row["kind"], row["split"]) for row in rows]


def read_label(path: Path, kind: str = "", split: str = "") -> Label:
    """One file of a plain folder; :class:`FormatError` where it is not one."""
    try:
        with path.open("rb") as handle:
            data = read_arrays(handle)
        positions = data["pos"].astype(float)
        numbers = data.get("numbers", np.ones(len(positions)))
        atoms = sound_atoms(numbers, positions * Bohr, data["cell"].astype(float) * Bohr)
        energy = float(data["energy_ry"]) * Ry if "energy_ry" in data else None
        kpts = tuple(np.ravel(data.get("kpts", [1, 1, 1])).tolist())
        values = restored(data["elf"])
        if values.ndim != 3:
            raise FormatError(f"the ELF has {values.ndim} dimensions, three are needed")
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise FormatError(f"{path} is not an ELF label file ({error}).") from error
    origin = Provenance(code="unknown", version="unknown", functional="unknown", kpts=kpts)
    return Label(
        id=path.stem, name=path.stem, atoms=atoms, provenance=origin, values=values,
        energy=energy, split=split, kind=kind,
    )  # fmt: skip


def digest(labels: list[Label]) -> str:
    """SHA-256 over names, geometries and ELF values to 16 bits, in order."""
    sha = hashlib.sha256()
    for label in labels:
        sha.update(label.name.encode())
        arrays = (label.atoms.cell.array, label.atoms.positions, label.atoms.numbers)
        for array in (*arrays, coarse(label.values)):
            sha.update(np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()
