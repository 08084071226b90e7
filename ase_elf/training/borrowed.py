"""Labels on geometries that belong to others: what we computed, without what we may not copy.

A folder holds ``<id>.npz`` per structure: the grid, and the ELF on all of it or at chosen points,
by their index in it; and where critical points of it are, if that was asked for. The geometry comes
from its owner's file, found by ``info["id"]``.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from ase import Atoms

from ase_elf.dataset.label import UPPER, Critical, Label, pack, read_critical, unpack
from ase_elf.errors import FormatError, InputError
from ase_elf.formats.npz import DEFLATE_LIMIT, read_arrays
from ase_elf.formats.rounding import coarse, fine, restored
from ase_elf.reference import Provenance
from ase_elf.trajectory import Trajectory


def write_values(folder: Path, label: Label, index: np.ndarray | None = None) -> Path:
    """Keep the ELF of ``label``, and its critical points if it has some, under the label's name.

    Parameters
    ----------
    folder : Path
    label : Label
        On a grid; its name is the id of the structure in the owner's file.
    index : ndarray, int64, optional
        Of the grid points to keep, in the flattened grid; all of them, which takes half as much per
        point, by default.
    """
    values = label.grid.values
    if index is None:
        chosen = {"elf": pack(coarse(values))}
    else:
        index = np.sort(index)
        values = values.ravel()[index]
        chosen = {"index": np.diff(index, prepend=0).astype(np.uint32), "elf": coarse(values)}
    if (parts := fine(values)).any():
        chosen["fine"] = parts
    if label.critical is not None:
        chosen["critical"] = label.critical.positions.astype(np.float32)
        chosen["hessians"] = label.critical.hessians[(..., *UPPER)].astype(np.float32)
    path = folder / f"{label.name}.npz"
    np.savez_compressed(
        path,
        shape=np.array(label.values.shape),
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
    kept = _read(path)
    atoms, points = atoms.copy(), None
    atoms.info = {}
    if kept.index is not None:
        points = np.stack(np.unravel_index(kept.index, kept.shape), -1) / kept.shape @ atoms.cell.array
    origin = Provenance(code="unknown", version="unknown", functional="unknown", kpts=kept.kpts)
    return Label(
        id=path.stem, name=path.stem, atoms=atoms, provenance=origin, values=kept.values,
        points=points, split=split, kind=kept.kind, critical=kept.critical,
    )  # fmt: skip


def refined(label: Label, path: Path) -> Label:
    """``label``, with the ELF of a file of values wherever that has it.

    Parameters
    ----------
    label : Label
        On the grid that the values are of.

    Raises
    ------
    FormatError
        The file is damaged, or of another grid.
    """
    kept = _read(path)
    if kept.shape != label.values.shape:
        raise FormatError(f"{path} is of a grid {kept.shape}, {label.name!r} of {label.values.shape}.")
    values = label.values.astype(np.float32).ravel()
    values[slice(None) if kept.index is None else kept.index] = kept.values.ravel()
    return replace(label, values=values.reshape(kept.shape))


class _Kept(NamedTuple):
    """What a file holds; ``index`` is None where it is the whole grid."""

    shape: tuple[int, int, int]
    index: np.ndarray | None
    values: np.ndarray
    critical: Critical | None
    kpts: tuple[int, ...]
    kind: str


def _read(path: Path) -> _Kept:
    try:
        with path.open("rb") as handle:
            data = read_arrays(handle)
        shape = tuple(data["shape"].tolist())
        whole = data["shape"].dtype.kind in "iu"
        if not whole or len(shape) != 3 or min(shape) < 1 or math.prod(shape) > np.iinfo(np.intp).max:
            raise FormatError(f"a grid of {shape} points is none")
        read = _at_points if "index" in data else _on_grid
        index, values = read(data, shape, path.stat().st_size)
        kpts = tuple(np.ravel(data["kpts"]).tolist())
        # Files from before there were other kinds say nothing of it.
        kind = str(data.get("kind", "fluid"))
        return _Kept(shape, index, values, read_critical(data), kpts, kind)
    except (ArithmeticError, KeyError, TypeError, ValueError, OSError, zlib.error) as error:
        raise FormatError(f"{path} is not a file of ELF values ({error}).") from error


def _on_grid(data: dict[str, np.ndarray], shape: tuple, size: int) -> tuple[None, np.ndarray]:
    # The archive may be deflated as well, and what is deflated twice may unfold without bound.
    if math.prod(shape) > DEFLATE_LIMIT * size:
        raise FormatError(f"{size} bytes cannot hold a grid of {shape}")
    return None, restored(unpack(data["elf"], shape), data.get("fine"))


def _at_points(data: dict[str, np.ndarray], shape: tuple, size: int) -> tuple[np.ndarray, np.ndarray]:
    index = np.cumsum(data["index"].astype(np.int64))
    values = restored(data["elf"], data.get("fine"))
    if values.shape != index.shape or (index < 0).any() or (index >= math.prod(shape)).any():
        raise FormatError(f"{len(index)} points of a grid {shape} have {values.size} values")
    return index, values
