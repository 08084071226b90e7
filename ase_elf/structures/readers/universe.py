"""Frames and elements by way of MDAnalysis, which reads trajectories without chemistry."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ase_elf.errors import ElfWarning, FormatError, InputError, remedy
from ase_elf.geometry.orientation import open_directions
from ase_elf.structures.readers import lammps
from ase_elf.structures.species import ISOTOPES, Species, element_of, remedy_elements

if TYPE_CHECKING:
    import MDAnalysis
    from ase import Atoms

SUFFIXES = frozenset((".dcd", ".xtc", ".trr", ".h5md", ".ncdf", ".nc", ".tng", ".coor", ".namdbin"))
"""Binary trajectories without chemistry."""


def open_universe(path: str | Path, topology: str | Path | None) -> MDAnalysis.Universe:
    """A Universe of a trajectory and its topology.

    Raises
    ------
    FormatError
        If MDAnalysis cannot read them.
    """
    try:
        import MDAnalysis
    except ImportError as error:
        raise InputError(
            f"{str(path)!r} is of a format that MDAnalysis reads, which is not installed: "
            "pip install MDAnalysis."
        ) from error

    files = [str(path)] if topology is None else [str(topology), str(path)]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # guesses about masses and the like
            return MDAnalysis.Universe(*files)
    except Exception as error:
        option = remedy("topology=", "--topology")
        hint = f"Give the atoms in a topology file ({option})."
        if topology:
            hint = f"Of {option} it needs a file with names and elements of all atoms, such as PDB."
        # Further lines advise those who call MDAnalysis themselves.
        said = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise FormatError(f"MDAnalysis cannot read {' with '.join(files)}: {said}. {hint}") from error


def read(
    universe: MDAnalysis.Universe, indices: slice, species: Species
) -> Iterator[tuple[int, Atoms, float, float]]:
    """Index, atoms, time in fs and step (NaN) of every frame of a slice."""
    from ase import Atoms

    check_directions(universe)
    symbols = symbols_of(universe, species)
    known = states_time(universe.trajectory)
    for step in universe.trajectory[indices]:
        box = step.dimensions
        cell = None if box is None else step.triclinic_dimensions.astype(float)
        atoms = Atoms(symbols, step.positions.astype(float), cell=cell, pbc=box is not None)
        yield step.frame, atoms, 1000.0 * step.time if known else math.nan, math.nan


def symbols_of(universe: MDAnalysis.Universe, species: Species | None = None) -> list[str]:
    """Chemical symbols from the topology, guessed from names and types where it has none.

    Parameters
    ----------
    universe : Universe
    species : Species, optional
        Elements of the types, given by the user of a file; without it the user has the
        universe itself, and messages speak of that.

    Raises
    ------
    InputError
        If the elements are neither stated nor to be guessed.
    """
    atoms = universe.atoms
    if species:
        return species.symbols(str(kind) for kind in _types(atoms))
    stated = hasattr(atoms, "elements")
    if not stated:
        _guess_elements(universe, species)
    names = [str(element) for element in atoms.elements]
    # MDAnalysis knows no symbols of isotopes, and leaves the element empty.
    types = [str(kind) for kind in _types(atoms)]
    names = [name or ISOTOPES.get(kind.upper(), "") for name, kind in zip(names, types, strict=True)]
    symbols = {name: element_of(name) for name in set(names)}
    unknown = sorted({kind for kind, name in zip(types, names, strict=True) if symbols[name] is None})
    if unknown:
        raise InputError(
            f"the topology names no elements for atom types {', '.join(unknown[:8])}; {_how_to_name(species)}."
        )
    if not stated:
        said = ", ".join(sorted({f"{k} is {symbols[n]}" for k, n in zip(types, names, strict=True)})[:8])
        warnings.warn(
            f"the topology names no elements; they were guessed from its names: {said}. Where that is wrong, "
            f"{_how_to_name(species)}.",
            ElfWarning,
            stacklevel=3,
        )
    return [str(symbols[name]) for name in names]


def _guess_elements(universe: MDAnalysis.Universe, species: Species | None) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what cannot be guessed is reported later
            universe.guess_TopologyAttrs(to_guess=["elements"])
    except ValueError as error:
        how = _how_to_name(None)
        if species is not None:
            how = f"give them in a topology file ({remedy('topology=', '--topology')})"
        raise InputError(f"the trajectory names no atoms; {how}.") from error


def _types(atoms: MDAnalysis.AtomGroup) -> np.ndarray:
    return atoms.types if hasattr(atoms, "types") else atoms.names


def _how_to_name(species: Species | None) -> str:
    if species is None:
        return "give them with universe.add_TopologyAttr('elements', [...])"
    return f"name them with {remedy_elements()}, types in order or as type=element"


def states_time(trajectory: MDAnalysis.coordinates.base.ReaderBase) -> bool:
    """Whether times come from the file; MDAnalysis invents 1 ps per frame where not.

    A ``dt`` that the universe was made with counts as stated. A DCD file that LAMMPS wrote
    states its times in units that depend on the run, which MDAnalysis takes for those of
    CHARMM: such times do not count.
    """
    if getattr(trajectory, "_kwargs", {}).get("dt") is not None:
        return True
    if _is_dcd_of_lammps(trajectory):
        return False
    if "time" in trajectory.ts.data:
        return True
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        _ = trajectory.ts.dt
    return not any("dt" in str(warning.message) for warning in caught)


def _is_dcd_of_lammps(trajectory: MDAnalysis.coordinates.base.ReaderBase) -> bool:
    name = getattr(trajectory, "filename", None)
    if getattr(trajectory, "format", None) != "DCD" or not isinstance(name, str | Path):
        return False
    with Path(name).open("rb") as stream:
        return b"LAMMPS" in stream.read(1000)


def check_directions(universe: MDAnalysis.Universe) -> None:
    """Raise :class:`InputError` where a dump says that a direction of its box is not periodic.

    MDAnalysis keeps lengths and angles of a box alone, and all of them periodic.
    """
    trajectory = universe.trajectory
    if getattr(trajectory, "format", None) != "LAMMPSDUMP" or not isinstance(trajectory.filename, str | Path):
        return
    flags = lammps.open_directions(str(trajectory.filename))
    if any(flags):
        raise InputError(open_directions(flags))
