"""LabelSource: which labels a configuration asks for, and where they are.

Either a label store, or a plain folder: a ``split.csv`` (columns file, kind, split) beside files with ``cell``
and ``pos`` in bohr and ``elf`` as uint16.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from ase.units import Bohr, Ry

from ase_elf.dataset.label import Label
from ase_elf.dataset.manifest import matching
from ase_elf.dataset.store import LabelStore, is_store
from ase_elf.errors import FormatError, InputError
from ase_elf.formats.structure import sound_atoms
from ase_elf.reference import Provenance
from ase_elf.ruler.bond_set import BondSet
from ase_elf.storage.configuration import checked
from ase_elf.storage.npz import read_arrays
from ase_elf.storage.quantization import restored

SPLITS = "split.csv"


@dataclass(frozen=True)
class LabelSource:
    """Labels in one folder.

    Parameters
    ----------
    store : Path
        A label store, or a folder with a ``split.csv``.
    where : dict of column to scalar or list
        Only labels whose columns in the manifest (or ``split.csv``) are equal to it, or to one of the list.
    geometries : tuple of Path
        Files with the geometries that are not stored (``info["id"]``).
    """

    store: Path
    where: dict = field(default_factory=dict)
    geometries: tuple[Path, ...] = ()

    @classmethod
    def parse(cls, item: object, folder: Path) -> LabelSource:
        """From YAML: a path, or a mapping with the fields above; relative paths start at ``folder``.

        Raises
        ------
        InputError
            A key is unknown, or a value has the wrong type.
        """
        if isinstance(item, str):
            return cls(folder / item)
        values = checked(cls, item, "labels.")
        files = values.get("geometries", ())
        if not isinstance(files, list | tuple):
            files = [files]
        return cls(
            folder / str(values["store"]), values.get("where", {}), tuple(folder / str(f) for f in files)
        )

    def read(self, *splits: str) -> list[Label]:
        """Labels of these splits, or of all if none is named.

        Raises
        ------
        InputError
            The folder holds no labels, there are none with a value that ``where`` asks for, or a geometry or
            file is missing.
        FormatError
            A table or label is damaged.
        """
        if is_store(self.store):
            store = LabelStore(self.store)
            return list(store.select(*splits, where=self.where, geometries=self.geometries))
        rows = matching(_table(self.store), self.where, str(self.store / SPLITS))
        rows = [row for row in rows if not splits or row["split"] in splits]
        missing = [row["file"] for row in rows if not (self.store / row["file"]).is_file()]
        if missing:
            raise InputError(f"{self.store / SPLITS} names {missing[0]}, which is not in the folder.")
        return [read_label(self.store / row["file"], row["kind"], row["split"]) for row in rows]

    def images(self) -> list[BondSet]:
        """Images of bonds, one set per structure; none in a plain folder."""
        return LabelStore(self.store).images(self.where) if is_store(self.store) else []


def read_labels(
    folder: str | Path,
    *splits: str,
    where: Mapping[str, object] | None = None,
    geometries: tuple[str | Path, ...] = (),
) -> list[Label]:
    """Labels of a folder, as :meth:`LabelSource.read` gives them."""
    return LabelSource(Path(folder), dict(where or {}), tuple(map(Path, geometries))).read(*splits)


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


def _table(folder: Path) -> list[dict[str, str]]:
    """Rows of the ``split.csv`` of a plain folder."""
    table = folder / SPLITS
    if not table.is_file():
        raise InputError(f"{folder} is no label store and has no {SPLITS}.")
    try:
        with table.open(newline="", encoding="utf-8") as handle:
            rows = [row | {"name": Path(row["file"]).stem} for row in csv.DictReader(handle)]
        strays = [row["file"] for row in rows if Path(row["file"]).name != row["file"]]
        if strays or any(None in row or None in row.values() for row in rows):
            raise ValueError(f"{strays[0]!r} is not the name of a file in it" if strays else
                             "a line has too few columns, or too many")  # fmt: skip
        if rows and not {"file", "kind", "split"} <= rows[0].keys():
            raise KeyError("kind, split")
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise FormatError(
            f"{table} is not a table with the columns file, kind and split ({error})."
        ) from error
    return rows
