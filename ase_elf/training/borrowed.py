"""Labels on geometries that belong to others: what we computed, without what we may not copy.

A folder holds ``<id>.npz`` per structure: the grid, the chosen points by their index in it,
and the ELF there. The geometry comes from its owner's file, found by ``info["id"]``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ase.io import iread

from ase_elf.dataset.label import Label, quantise, restore
from ase_elf.errors import FormatError, InputError
from ase_elf.formats.npz import read_arrays
from ase_elf.reference import Provenance


def write_values(folder: Path, label: Label, n_points: int, rng: np.random.Generator) -> Path:
    """Keep the ELF of ``label`` at random grid points, under the label's name.

    Parameters
    ----------
    folder : Path
    label : Label
        On a grid; its name is the id of the structure in the owner's file.
    n_points : int
    rng : numpy.random.Generator
    """
    values = label.grid.values
    index = np.sort(rng.choice(values.size, min(n_points, values.size), replace=False))
    path = folder / f"{label.name}.npz"
    np.savez_compressed(
        path,
        shape=np.array(values.shape),
        index=np.diff(index, prepend=0).astype(np.uint32),
        elf=quantise(values.ravel()[index]),
        kpts=np.array(label.provenance.kpts),
        kind=np.array(label.kind),
    )
    return path


def read_values(folder: Path, geometries: list[Path], *, split: str = "train") -> list[Label]:
    """Labels of a folder joined with their geometries.

    Parameters
    ----------
    folder : Path
    geometries : list of Path
        Files that ASE reads, frames with ``info["id"]``.
    split : str
        Given to every label.

    Returns
    -------
    list of Label
        At points (Å), sorted by name.

    Raises
    ------
    InputError
        A label's geometry is in none of the files.
    FormatError
        A label file is damaged.
    """
    paths = {path.stem: path for path in sorted(Path(folder).glob("*.npz"))}
    found = {}
    for source in geometries:
        for atoms in iread(source):
            if atoms.info.get("id") in paths:
                found[atoms.info["id"]] = atoms
    missing = sorted(set(paths) - set(found))
    if missing:
        raise InputError(
            f"no geometry called {missing[0]!r} in {', '.join(map(str, geometries))}; "
            f"{len(missing)} of {len(paths)} labels need theirs."
        )
    return [_joined(path, found[name], split) for name, path in paths.items()]


def _joined(path: Path, atoms, split: str) -> Label:
    try:
        with path.open("rb") as handle:
            data = read_arrays(handle)
        shape, kpts = tuple(data["shape"].tolist()), tuple(np.ravel(data["kpts"]).tolist())
        index = np.cumsum(data["index"].astype(np.int64))
        values = restore(data["elf"])
        # Files from before there were other kinds say nothing of it.
        kind = str(data.get("kind", "fluid"))
        fractional = np.stack(np.unravel_index(index, shape), -1) / shape
        if values.shape != index.shape or fractional.shape != (len(index), 3):
            raise FormatError(f"{len(index)} points of a grid {shape} have {values.size} values")
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise FormatError(f"{path} is not a file of ELF values ({error}).") from error
    atoms = atoms.copy()
    atoms.info = {}
    origin = Provenance(code="unknown", version="unknown", functional="unknown", kpts=kpts)
    return Label(
        id=path.stem, name=path.stem, atoms=atoms, provenance=origin, values=values,
        points=fractional @ atoms.cell.array, split=split, kind=kind,
    )  # fmt: skip
