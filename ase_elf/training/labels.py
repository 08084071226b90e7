"""Labels for fitting and evaluating: label stores, and plain folders of ``*.npz``.

A plain folder has a ``split.csv`` (columns file, kind, split) beside files with ``cell``
and ``pos`` in bohr and ``elf`` as uint16. Owns no policy: which folder and which split to
use is the caller's.
"""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from ase import Atoms
from ase.units import Bohr, Ry

from ase_elf.dataset.label import Label, quantise, restore
from ase_elf.dataset.store import MANIFEST, LabelStore
from ase_elf.errors import FormatError, InputError
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
        A label is damaged.
    """
    folder = Path(folder)
    if (folder / MANIFEST).is_file():
        return list(LabelStore(folder).select(*splits))
    table = folder / SPLITS
    if not table.is_file():
        raise InputError(f"{folder} is no label store and has no {SPLITS}.")
    with table.open(newline="") as handle:
        rows = [row for row in csv.DictReader(handle) if not splits or row["split"] in splits]
    missing = [row["file"] for row in rows if not (folder / row["file"]).is_file()]
    if missing:
        raise InputError(f"{table} names {missing[0]}, which is not in the folder.")
    return [read_label(folder / row["file"], row["kind"], row["split"]) for row in rows]


def read_label(path: Path, kind: str = "", split: str = "") -> Label:
    """One file of a plain folder; :class:`FormatError` where it is not one."""
    try:
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as data:
            positions = data["pos"].astype(float)
            numbers = data["numbers"] if "numbers" in data.files else np.ones(len(positions), int)
            atoms = Atoms(numbers, positions * Bohr, cell=data["cell"] * Bohr, pbc=True)
            energy = float(data["energy_ry"]) * Ry if "energy_ry" in data.files else None
            kpts = tuple(data["kpts"].tolist()) if "kpts" in data.files else (1, 1, 1)
            values = restore(data["elf"])
    except (KeyError, ValueError, OSError, EOFError, BadZipFile) as error:
        raise FormatError(f"{path} is not an ELF label file ({error}).") from error
    origin = Provenance(code="unknown", version="unknown", functional="unknown", kpts=kpts)
    return Label(
        id=path.stem, name=path.stem, atoms=atoms, provenance=origin, values=values,
        energy=energy, split=split, kind=kind,
    )  # fmt: skip


def digest(labels: list[Label]) -> str:
    """SHA-256 over names, geometries and ELF values, in order."""
    sha = hashlib.sha256()
    for label in labels:
        sha.update(label.name.encode())
        arrays = (label.atoms.cell.array, label.atoms.positions, label.atoms.numbers)
        for array in (*arrays, quantise(label.values)):
            sha.update(np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()
