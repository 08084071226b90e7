"""ASE structures as an MDAnalysis Universe, and the frame of a Universe as ASE Atoms.

MDAnalysis has ps, kJ/mol and one orientation per cell; ASE has its own time unit, eV and any
orientation. See :mod:`ase_elf.geometry.orientation`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import MDAnalysis as mda
import numpy as np
from ase import Atoms
from ase.cell import Cell
from MDAnalysis.coordinates.memory import MemoryReader
from MDAnalysis.core import topologyattrs as attrs
from MDAnalysis.core.topology import Topology

from ase_elf.errors import InputError
from ase_elf.geometry.orientation import VELOCITY, Arrays, arrays_of
from ase_elf.structures.readers.universe import check_directions, states_time, symbols_of
from ase_elf.structures.readers.xyz import stated_time
from ase_elf.structures.trajectory import Frame

if TYPE_CHECKING:
    from MDAnalysis.coordinates.timestep import Timestep
    from MDAnalysis.core.groups import AtomGroup

__all__ = ["cell_of", "described", "frame_of", "to_atoms", "to_universe", "topology_of"]


def to_universe(images: Atoms | Sequence[Atoms], *, dt: float | None = None) -> mda.Universe:
    """A Universe in memory that holds copies of ASE structures.

    Parameters
    ----------
    images : ase.Atoms or sequence of ase.Atoms
        The same atoms in every frame; the cell may change.
    dt : float, optional
        ps between frames. By default from ``info["time_fs"]`` (or ``info["time"]``, fs) of
        the frames; without those MDAnalysis says 1 ps.

    Returns
    -------
    MDAnalysis.Universe
        With elements, names, types and masses; velocities (Å/ps) where the first frame has
        momenta, forces (kJ/(mol Å)) where its calculator holds them. Coordinates are turned
        into MDAnalysis' orientation of the cell.

    Raises
    ------
    InputError
        If there is no frame, elements differ between frames, a box is not periodic in all of
        its directions, or the times are uneven, which MDAnalysis' memory reader cannot hold.

    Examples
    --------
    >>> from ase.build import bulk
    >>> from ase_elf.mda import to_atoms, to_universe
    >>> universe = to_universe([bulk("Al", a=a, cubic=True) for a in (4.0, 4.1)], dt=0.01)
    >>> [round(float(ts.dimensions[0]), 2) for ts in universe.trajectory]
    [4.0, 4.1]
    >>> to_atoms(universe.select_atoms("index 0:1")).get_chemical_formula()
    'Al2'
    """
    images = [images] if isinstance(images, Atoms) else list(images)
    if not images:
        raise InputError("there are no structures; give at least one ase.Atoms.")
    for k, atoms in enumerate(images):
        if not np.array_equal(atoms.numbers, images[0].numbers):
            raise InputError(
                f"frame {k} ({atoms.symbols}) holds other atoms than frame 0 "
                f"({images[0].symbols}); a Universe has one list of atoms."
            )
    frames = [_arrays(k, atoms) for k, atoms in enumerate(images)]
    dt = _spacing(images) if dt is None else dt
    universe = mda.Universe(topology_of(images[0]))
    universe.load_new(
        np.stack([f.positions for f in frames]),
        format=MemoryReader,
        order="fac",
        dimensions=_stack([f.dimensions for f in frames], np.zeros(6, np.float32)),
        velocities=_stack([f.velocities for f in frames], np.zeros_like(frames[0].positions)),
        forces=_stack([f.forces for f in frames], np.zeros_like(frames[0].positions)),
        **({} if dt is None else {"dt": dt, "time_offset": 1e-3 * np.nan_to_num(stated_time(images[0]))}),
    )
    return universe


def to_atoms(group: AtomGroup | mda.Universe) -> Atoms:
    """The current frame of a Universe, or of some of its atoms, as ASE Atoms.

    Parameters
    ----------
    group : AtomGroup or Universe

    Returns
    -------
    ase.Atoms
        Periodic where the frame has a cell; velocities where it has any;
        ``info["time_fs"]`` where the trajectory states times.

    Raises
    ------
    InputError
        If the elements are neither stated nor to be guessed.
    """
    universe = group.universe
    index = group.atoms.ix
    symbols, known = described(universe)
    frame = frame_of(universe.trajectory.ts, symbols, known_time=known)
    atoms = frame.atoms[index]
    if known:
        atoms.info["time_fs"] = frame.time_fs
    return atoms


def described(universe: mda.Universe) -> tuple[list[str], bool]:
    """Chemical symbols of all atoms, and whether the trajectory states times.

    Raises
    ------
    InputError
        If the elements are neither stated nor to be guessed, or a LAMMPS dump says that its
        box is not periodic in all directions.
    """
    check_directions(universe)
    return symbols_of(universe), states_time(universe.trajectory)


def frame_of(ts: Timestep, symbols: Sequence[str], *, known_time: bool) -> Frame:
    """A timestep as a :class:`~ase_elf.structures.trajectory.Frame`; arrays are copied.

    Parameters
    ----------
    ts : Timestep
    symbols : sequence of str
        Chemical symbols of all atoms.
    known_time : bool
        Whether ``ts.time`` is stated by the trajectory rather than invented.
    """
    cell = None if ts.dimensions is None else cell_of(ts.dimensions)
    atoms = Atoms(symbols, ts.positions.astype(float), cell=cell, pbc=cell is not None)
    if ts.has_velocities:
        atoms.set_velocities(ts.velocities.astype(float) / VELOCITY)
    return Frame(ts.frame, 1000.0 * ts.time if known_time else np.nan, atoms)


def cell_of(dimensions: np.ndarray) -> Cell:
    """Cell from lengths (Å) and angles (degrees) as MDAnalysis keeps them.

    They are single precision; the shortest decimal number that each stands for is taken, so
    that a cell of 3.1 Å is 3.1 Å and not 3.0999999: grids are sized by it.
    """
    return Cell.fromcellpar([float(str(x)) for x in np.asarray(dimensions, dtype=np.float32)])


def topology_of(atoms: Atoms) -> Topology:
    """Elements, names, types, masses and charges of ``atoms``, in one residue."""
    symbols = np.array(atoms.get_chemical_symbols(), dtype=object)
    stated = [
        attrs.Atomnames(symbols),
        attrs.Atomtypes(symbols.copy()),
        attrs.Elements(symbols.copy()),
        attrs.Masses(atoms.get_masses()),
        attrs.Atomids(np.arange(len(atoms)) + 1),
        attrs.Resids(np.array([1])),
        attrs.Resnums(np.array([1])),
        attrs.Segids(np.array(["SYSTEM"], dtype=object)),
    ]
    if atoms.has("initial_charges"):
        stated.append(attrs.Charges(atoms.get_initial_charges()))
    return Topology(len(atoms), 1, 1, attrs=stated)


def _arrays(k: int, atoms: Atoms) -> Arrays:
    try:
        return arrays_of(atoms)
    except InputError as error:
        raise InputError(f"frame {k}: {error}") from error


def _stack(parts: list[np.ndarray | None], missing: np.ndarray) -> np.ndarray | None:
    if parts[0] is None:
        return None
    return np.stack([missing if part is None else part for part in parts])


def _spacing(images: list[Atoms]) -> float | None:
    """ps between frames, None where they state no times."""
    times = [stated_time(atoms) for atoms in images]
    if len(times) < 2 or not np.isfinite(times).all():
        return None
    steps = np.diff(times)
    if steps.min() <= 0 or np.ptp(steps) > 1e-6 * steps.max():
        raise InputError(
            f"frames are {steps.min():g} to {steps.max():g} fs apart, which a Universe in "
            "memory cannot hold; write them to extended XYZ and read that, or give dt."
        )
    return float(1e-3 * steps.mean())
