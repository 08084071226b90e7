"""Labelled structures as the training sees them: geometry, ELF grid, split.

Reads label stores, and folders of ``*.npz`` with a ``split.csv`` (``cell`` and ``pos`` in bohr, ``elf`` as
uint16 with 65535 = 1). Owns no policy: which folder and split to use is the caller's.
"""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from ase.units import Bohr

from ase_elf.dataset.label import FULL_SCALE, quantise
from ase_elf.dataset.label import Label as StoredLabel
from ase_elf.dataset.store import MANIFEST, LabelStore
from ase_elf.errors import FormatError, InputError


@dataclass(frozen=True)
class Label:
    """One structure with its reference ELF.

    Parameters
    ----------
    name, kind, split : str
        File stem, what sort of structure it is, and ``train``, ``validation`` or ``test``.
    cell : ndarray, shape (3, 3), bohr
    positions : ndarray, shape (n_atoms, 3), bohr
    numbers : ndarray, shape (n_atoms,)
        Atomic numbers.
    elf : ndarray, shape (nx, ny, nz), uint16
        ``elf / FULL_SCALE`` is the ELF at fractional (ix/nx, iy/ny, iz/nz).
    """

    name: str
    kind: str
    split: str
    cell: np.ndarray
    positions: np.ndarray
    numbers: np.ndarray
    elf: np.ndarray

    @property
    def values(self) -> np.ndarray:
        """ELF as float32, shape (nx, ny, nz)."""
        return self.elf.astype(np.float32) / FULL_SCALE

    @property
    def r_s(self) -> float:
        """Wigner-Seitz radius per atom in bohr."""
        volume = abs(np.linalg.det(self.cell))
        return float((3 * volume / (4 * np.pi * len(self.positions))) ** (1 / 3))

    @property
    def atoms(self):
        """The structure as :class:`ase.Atoms` (Å)."""
        from ase import Atoms

        return Atoms(
            numbers=self.numbers, positions=self.positions * Bohr, cell=self.cell * Bohr, pbc=True
        )


def read_label(path: Path, kind: str = "", split: str = "") -> Label:
    """One label file; :class:`FormatError` where it is not one."""
    try:
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as data:
            positions = data["pos"].astype(float)
            numbers = data["numbers"] if "numbers" in data.files else np.ones(len(positions), int)
            return Label(
                path.stem, kind, split, data["cell"].astype(float), positions, numbers, data["elf"]
            )
    except (KeyError, ValueError, OSError, EOFError, BadZipFile) as error:
        raise FormatError(f"{path} is not an ELF label file ({error}).") from error


def read_labels(folder: Path, *splits: str) -> list[Label]:
    """All labels of a folder that belong to ``splits`` (all of them if none is named).

    The folder is a label store made by ``ase-elf dataset build``, or holds a ``split.csv``.

    Raises
    ------
    InputError
        If the folder has no ``split.csv`` or it names a file that is not there.
    """
    if (folder / MANIFEST).is_file():
        return [_from_store(found) for found in LabelStore(folder).select(*splits)]
    table = folder / "split.csv"
    if not table.is_file():
        raise InputError(f"{folder} has no split.csv that says which label is for what.")
    labels = []
    with table.open(newline="") as handle:
        for row in csv.DictReader(handle):
            if splits and row["split"] not in splits:
                continue
            path = folder / row["file"]
            if not path.is_file():
                raise InputError(f"{table} names {row['file']}, which is not in the folder.")
            labels.append(read_label(path, row["kind"], row["split"]))
    return labels


def _from_store(label: StoredLabel) -> Label:
    return Label(
        label.name,
        label.kind,
        label.split,
        label.atoms.cell.array / Bohr,
        label.atoms.positions / Bohr,
        label.atoms.numbers,
        quantise(label.grid.values),
    )


def digest(labels: list[Label]) -> str:
    """SHA-256 over names, geometries and ELF values, in order."""
    sha = hashlib.sha256()
    for label in labels:
        sha.update(label.name.encode())
        for array in (label.cell, label.positions, label.numbers, label.elf):
            sha.update(np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()
