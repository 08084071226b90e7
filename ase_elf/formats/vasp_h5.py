"""What VASP 6 writes into ``vaspout.h5`` and ``vaspwave.h5``.

Groups and axes are those that py4vasp and pymatgen read: structures below ``results/positions``,
``intermediate/ion_dynamics`` and ``structure/positions``, the density as ``charge/charge``, the
density of states below ``results/electron_dos``; grids are (component, nz, ny, nx). Neither reads an
ELF from there, and versions of VASP known to them write it to ELFCAR only, so it is looked for by name.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_elf.errors import FormatError, InputError, remedy
from ase_elf.formats.species import element_of

if TYPE_CHECKING:
    import h5py
    from ase import Atoms

_GROUPS = ("results", "intermediate", "structure", "charge", "locpot", "wave", "input", "original")
"""What stands at the top of VASP's files, beside ``version``."""

_STRUCTURES = ("results/positions", "structure/positions", "locpot/position", "input/poscar")
"""Where species and a structure are, the first there is."""

_STEPS = "intermediate/ion_dynamics"

_NAMES = ("elf", "elfcar", "electron_localization_function", "electron_localization")

_DEFLATE_LIMIT = 1100
"""Deflate shrinks by at most 1032."""


def is_of_vasp(path: Path) -> bool:
    """Whether an HDF5 file is one of VASP's."""
    import h5py

    from ase_elf.formats.store import check_head

    try:
        check_head(path)
        with h5py.File(path, "r") as file:
            return "layout" not in file.attrs and any(name in file for name in _GROUPS)
    except (FormatError, OSError, RuntimeError):
        return False


def has_elf(path: Path) -> bool:
    """Whether there is a grid called ELF in the file."""
    import h5py

    with h5py.File(path, "r") as file:
        return bool(_elf_names(file))


def has_dos(path: Path) -> bool:
    """Whether there is a density of states projected on atoms in the file."""
    import h5py

    if not is_of_vasp(path):
        return False
    with h5py.File(path, "r") as file:
        return "results/electron_dos/dospar" in file


def n_steps(path: Path) -> int:
    """Number of structures that a run went through."""
    import h5py

    with h5py.File(path, "r") as file:
        steps = file.get(f"{_STEPS}/position_ions")
        return len(steps) if steps is not None and steps.ndim == 3 else 1


def read_grid(
    path: Path, *, spin: str | None = None, grid: int | str | None = None
) -> tuple[Atoms, np.ndarray, dict[str, Any]]:
    """Atoms, the ELF (nx, ny, nz) float32 and notes for ``info``; see :func:`ase_elf.read_elf`."""
    import h5py

    from ase_elf.formats.elfcar import select_spin

    with h5py.File(path, "r") as file:
        names = _elf_names(file)
        if not names:
            raise FormatError(
                "holds no ELF. VASP writes it with LELF = .TRUE., into ELFCAR: read that file"
                f"{remedy('', '. `ase-elf analyze` predicts the ELF of the structure instead')}."
            )
        values = _components(file, _one_of(names, grid))
        if len(values) > 2:
            raise FormatError(
                f"holds an ELF of {len(values)} components; one is expected, or two for spin up and down."
            )
        return _last_structure(file), *select_spin(list(values), spin)


def read_density(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Cell (3, 3) in Å and electrons per Å³, (nx, ny, nz), of all spins together.

    Raises
    ------
    FormatError
        If the file holds no density.
    """
    import h5py

    with h5py.File(path, "r") as file:
        if "charge/charge" not in file:
            raise FormatError("holds no density; VASP writes it into vaspwave.h5 with LCHARGH5 = .TRUE.")
        cell = _last_structure(file).cell.array
        total = _components(file, "charge/charge")[0].astype(float)
    return cell, total / abs(np.linalg.det(cell))


def read_dos(path: Path) -> tuple[np.ndarray, np.ndarray, float]:
    """Energies (n,) in eV, density of states on each atom (n_atoms, n), and the Fermi level.

    Raises
    ------
    FormatError
        If there are no projections on atoms.
    """
    import h5py

    with h5py.File(path, "r") as file:
        group = "results/electron_dos"
        if f"{group}/dospar" not in file:
            raise FormatError("holds no projected density of states; run VASP with LORBIT = 10 or 11.")
        energies, fermi = _array(file, f"{group}/energies"), float(_array(file, f"{group}/efermi"))
        projected = _array(file, f"{group}/dospar")  # spin, atom, orbital, energy
    # Of four components the first is the density, the others are its magnetization.
    spins = projected[:1] if len(projected) == 4 else projected
    return energies, spins.sum(axis=(0, 2)), fermi


def _elf_names(file: h5py.File) -> list[str]:
    """Arrays of three or four dimensions below something called ELF."""
    import h5py

    found = []

    def look(name: str, item: object) -> None:
        parts = [part.lower() for part in name.split("/")]
        grid = isinstance(item, h5py.Dataset) and item.ndim in (3, 4) and item.dtype.kind == "f"
        if grid and any(part in _NAMES or part.startswith("elf_") for part in parts):
            found.append(name)

    file.visititems(look)
    return found


def _one_of(names: list[str], grid: int | str | None) -> str:
    if grid is None and len(names) == 1:
        return names[0]
    if str(grid) in names:
        return str(grid)
    if grid is not None and str(grid).isdigit() and 1 <= int(grid) <= len(names):
        return names[int(grid) - 1]
    raise InputError(
        f"grid = {grid!r}; the file holds {', '.join(names)}. Say which with "
        f"{remedy('grid=, a name or number', '--grid, a name or number')}."
    )


def _components(file: h5py.File, name: str) -> np.ndarray:
    """A grid as (component, nx, ny, nz), float32."""
    values = _array(file, name)
    if values.ndim == 3:
        values = values[None]
    if values.ndim != 4:
        raise FormatError(f"{name} has {values.ndim} dimensions; a grid has three, and one of spins.")
    values = values.transpose(0, 3, 2, 1)
    stated = file.get(name.rpartition("/")[0] + "/grid")
    if stated is not None and stated.size == 3 and tuple(stated[()].ravel()) != values.shape[1:]:
        raise FormatError(
            f"{name} is a grid of {values.shape[1:]} points, beside which {tuple(stated[()].ravel())} is stated."
        )
    return np.ascontiguousarray(values, np.float32)


def _last_structure(file: h5py.File) -> Atoms:
    """The structure whose electrons were computed last."""
    from ase import Atoms

    from ase_elf.formats.structure import sound_atoms

    group = next((g for g in _STRUCTURES if f"{g}/ion_types" in file), None)
    if group is None:
        raise FormatError("holds no structure.")
    labels = [str(label, "utf-8", "replace") if isinstance(label, bytes) else str(label)
              for label in file[f"{group}/ion_types"][()].tolist()]  # fmt: skip
    counts = [int(n) for n in _array(file, f"{group}/number_ion_types")]
    if len(labels) != len(counts):
        raise FormatError(f"names {len(labels)} species and {len(counts)} numbers of atoms.")
    symbols = [element_of(s) for s, n in zip(labels, counts, strict=True) for _ in range(n)]
    # After a step of dynamics results/positions are those of the next one.
    where = _STEPS if f"{_STEPS}/position_ions" in file else group
    cell, place = _array(file, f"{where}/lattice_vectors"), _array(file, f"{where}/position_ions")
    cell = cell[-1] if cell.ndim == 3 else cell
    place = place[-1] if place.ndim == 3 else place
    scale = _array(file, f"{where}/scale") if f"{where}/scale" in file else 1.0
    cell = cell * scale
    direct = f"{where}/direct_coordinates"
    cartesian = where != _STEPS and direct in file and not int(_array(file, direct))
    positions = place * scale if cartesian else place @ cell
    return sound_atoms(Atoms(symbols).numbers, positions, cell)


def _array(file: h5py.File, name: str) -> np.ndarray:
    """Numbers of this very file, refused where it does not hold as many as it declares."""
    import h5py

    data = file.get(name) if isinstance(file.get(name, getlink=True), h5py.HardLink) else None
    own = isinstance(data, h5py.Dataset) and not data.is_virtual and data.external is None
    if data is None or not own or data.dtype.kind not in "fiu":
        raise FormatError(f"{name} is no array of numbers in this file.")
    stored = min(data.id.get_storage_size(), file.id.get_filesize())
    if data.size * data.dtype.itemsize > (_DEFLATE_LIMIT if data.chunks else 1) * stored + 64:
        raise FormatError(f"{name} declares shape {data.shape} but stores {stored} bytes.")
    return np.asarray(data[()], float)
