"""Labels on geometries that belong to others: what we computed, without what we may not copy.

A folder holds ``<id>.npz`` per structure: the grid, and the ELF on all of it or at chosen points,
by their index in it. The geometry comes from its owner's file, found by ``info["id"]``.
"""

from __future__ import annotations

import math
import zlib
from pathlib import Path

import numpy as np
from ase import Atoms

from ase_elf.dataset.label import Label, pack, unpack
from ase_elf.errors import FormatError, InputError
from ase_elf.formats.npz import DEFLATE_LIMIT, read_arrays
from ase_elf.formats.rounding import coarse, restored
from ase_elf.reference import Provenance
from ase_elf.trajectory import Trajectory


def write_values(
    folder: Path, label: Label, n_points: int | None, rng: np.random.Generator
) -> Path:
    """Keep the ELF of ``label``, under the label's name.

    Parameters
    ----------
    folder : Path
    label : Label
        On a grid; its name is the id of the structure in the owner's file.
    n_points : int or None
        Random grid points to keep; None for all of them, which takes half as much per point.
    rng : numpy.random.Generator
        Chooses them.
    """
    values = label.grid.values
    if n_points is None:
        chosen = {"elf": pack(coarse(values))}
    else:
        index = np.sort(rng.choice(values.size, min(n_points, values.size), replace=False))
        chosen = {
            "index": np.diff(index, prepend=0).astype(np.uint32),
            "elf": coarse(values.ravel()[index]),
        }
    path = folder / f"{label.name}.npz"
    np.savez_compressed(
        path,
        shape=np.array(values.shape),
        kpts=np.array(label.provenance.kpts),
        kind=np.array(label.kind),
        **chosen,
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
        On a grid or at points (Å), as they were kept; sorted by name.

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
        for frame in Trajectory(source):
            if (name := frame.atoms.info.get("id")) in paths:
                found[name] = frame.atoms
    missing = sorted(set(paths) - set(found))
    if missing:
        raise InputError(
            f"no geometry called {missing[0]!r} in {', '.join(map(str, geometries))}; "
            f"{len(missing)} of {len(paths)} labels need theirs."
        )
    return [join_values(path, found[name], split) for name, path in paths.items()]


def join_values(path: Path, atoms: Atoms, split: str = "") -> Label:
    """The label in one file of values, on its geometry.

    Raises
    ------
    FormatError
        The file is damaged.
    """
    try:
        with path.open("rb") as handle:
            data = read_arrays(handle)
        shape, kpts = tuple(data["shape"].tolist()), tuple(np.ravel(data["kpts"]).tolist())
        # Files from before there were other kinds say nothing of it.
        kind = str(data.get("kind", "fluid"))
        if "index" in data:
            values, points = _at_points(data, shape, atoms)
        else:
            values, points = _on_grid(data, shape, path.stat().st_size), None
    except (KeyError, TypeError, ValueError, OSError, zlib.error) as error:
        raise FormatError(f"{path} is not a file of ELF values ({error}).") from error
    atoms = atoms.copy()
    atoms.info = {}
    origin = Provenance(code="unknown", version="unknown", functional="unknown", kpts=kpts)
    return Label(
        id=path.stem, name=path.stem, atoms=atoms, provenance=origin, values=values,
        points=points, split=split, kind=kind,
    )  # fmt: skip


def _on_grid(data: dict[str, np.ndarray], shape: tuple, size: int) -> np.ndarray:
    if len(shape) != 3 or min(shape) < 1:
        raise FormatError(f"a grid of {shape} points is none")
    # The archive may be deflated as well, and what is deflated twice may unfold without bound.
    if math.prod(shape) > DEFLATE_LIMIT * size:
        raise FormatError(f"{size} bytes cannot hold a grid of {shape}")
    return restored(unpack(data["elf"], shape))


def _at_points(data: dict[str, np.ndarray], shape: tuple, atoms: Atoms) -> tuple:
    index = np.cumsum(data["index"].astype(np.int64))
    values = restored(data["elf"])
    fractional = np.stack(np.unravel_index(index, shape), -1) / shape
    if values.shape != index.shape or fractional.shape != (len(index), 3):
        raise FormatError(f"{len(index)} points of a grid {shape} have {values.size} values")
    return values, fractional @ atoms.cell.array
