"""vaspout.h5: what VASP 6 writes where it was built with HDF5.

The names of groups follow py4vasp: ``intermediate/ion_dynamics`` holds cell and positions of
every ionic step, ``results/positions`` the elements and the last structure.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ase_elf.errors import FormatError
from ase_elf.structures.species import Species

if TYPE_CHECKING:
    import h5py
    from ase import Atoms

STEPS, LAST, INPUT = "intermediate/ion_dynamics", "results/positions", "input/poscar"


def is_vaspout(path: Path) -> bool:
    """Whether a file is HDF5 with structures of VASP."""
    import h5py

    if not path.is_file() or not h5py.is_hdf5(path):
        return False
    try:
        with h5py.File(path) as file:
            return any(group in file for group in (STEPS, LAST, INPUT))
    except OSError:  # truncated; said when it is read
        return path.name.lower().startswith("vaspout")


def count(path: Path) -> int:
    """Number of ionic steps, or 1 for the single structure of a file without any."""
    import h5py

    with h5py.File(path) as file:
        return len(file[f"{STEPS}/position_ions"]) if f"{STEPS}/position_ions" in file else 1


def read(path: Path, indices: slice, species: Species) -> Iterator[tuple[int, Atoms, float, float]]:
    """Index, atoms, time and step (both NaN: VASP states none here) of every frame of a slice.

    Raises
    ------
    FormatError
        If the file is damaged, or holds no structure.
    """
    import h5py

    with h5py.File(path) as file:
        symbols = species.symbols(_labels(file))
        if f"{STEPS}/position_ions" in file:
            group = file[STEPS]
            for index in range(*indices.indices(len(group["position_ions"]))):
                yield index, _frame(group, symbols, index), math.nan, math.nan
            return
        group = next((file[name] for name in (LAST, INPUT) if f"{name}/position_ions" in file), None)
        if group is None:
            raise FormatError("holds no positions; VASP was stopped before it wrote any.")
        if range(1)[indices]:
            yield 0, _frame(group, symbols, None), math.nan, math.nan


def _labels(file: h5py.File) -> list[str]:
    """The name of every atom, as of its potential."""
    group = next((file[name] for name in (LAST, INPUT) if f"{name}/ion_types" in file), None)
    if group is None:
        raise FormatError(
            "names no elements (results/positions/ion_types is missing); VASP was stopped too early."
        )
    names = [name.decode() if isinstance(name, bytes) else str(name) for name in group["ion_types"][()]]
    return np.repeat(names, group["number_ion_types"][()]).tolist()


def _frame(group: h5py.Group, symbols: list[str], index: int | None) -> Atoms:
    from ase import Atoms

    which = () if index is None else index
    try:
        vectors, positions = group["lattice_vectors"], group["position_ions"][which]
        # A cell that does not change may be stored once.
        cell = np.asarray(
            vectors[which] if vectors.ndim > 2 and index is not None else vectors[()], dtype=float
        )
        scale = float(np.ravel(group["scale"][()])[0]) if "scale" in group else 1.0
    except (KeyError, OSError, ValueError, IndexError) as error:
        raise FormatError(f"cell or positions are missing or damaged ({error}).") from error
    if cell.shape != (3, 3) or positions.shape != (len(symbols), 3):
        raise FormatError(
            f"cell {cell.shape} and positions {positions.shape} are not those of {len(symbols)} atoms."
        )
    cell = cell * (scale if scale > 0 else np.cbrt(-scale / abs(np.linalg.det(cell))))
    if "direct_coordinates" in group and not int(np.ravel(group["direct_coordinates"][()])[0]):
        return Atoms(symbols, positions=positions * abs(scale), cell=cell, pbc=True)
    return Atoms(symbols, scaled_positions=positions, cell=cell, pbc=True)
