"""What a reference engine is, and which are installed."""

from __future__ import annotations

import operator
import os
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import ClassVar

import numpy as np
from ase import Atoms
from ase.units import Bohr
from scipy.spatial.distance import pdist

from ase_elf.domains import of_engine
from ase_elf.errors import EngineError, InputError
from ase_elf.geometry.checks import OVERLAP, check_structure
from ase_elf.grid import ELFGrid, cartesian
from ase_elf.plugins import discover
from ase_elf.reference.pack import EnginePack
from ase_elf.reference.result import Provenance, ReferenceResult
from ase_elf.storage.configuration import checked

__all__ = [
    "ReferenceEngine",
    "automatic_options",
    "bare",
    "check_atoms",
    "check_mesh",
    "check_points",
    "divisions",
    "finish",
    "get_engine",
    "grid_points",
    "installed",
    "locate_files",
    "pack_of",
    "plain_charge",
    "read_result",
]

ENTRY_POINTS = "ase_elf.references"
READERS = "ase_elf.reference_readers"


@dataclass(frozen=True)
class ReferenceEngine(ABC):
    """A DFT program behind one call. Subclasses are frozen dataclasses: fields are options.

    Two engines with equal fields make equal labels, so :meth:`options` identifies the
    recipe. Fields that only say how to run (command, time limit) are listed in
    ``running``, and are no part of the recipe; those that map elements to
    paths in ``files``, so that a configuration may give paths relative to itself.
    ``gives_grid`` says whether the engine has a grid of its own, or computes the ELF only
    where it is asked to. ``automatic`` are options for structures that nobody looked at
    before: the k-mesh by the cell, cutoffs by the elements.
    """

    name: ClassVar[str] = ""
    running: ClassVar[tuple[str, ...]] = ()
    files: ClassVar[tuple[str, ...]] = ()
    gives_grid: ClassVar[bool] = True
    automatic: ClassVar[dict[str, object]] = {}

    @abstractmethod
    def version(self) -> str:
        """Version of the installed program; :class:`EngineError` where it is missing."""

    @abstractmethod
    def compute(
        self,
        atoms: Atoms,
        *,
        points: np.ndarray | None = None,
        directory: Path | None = None,
        attempt: int = 0,
    ) -> ReferenceResult:
        """The ELF of ``atoms``.

        Parameters
        ----------
        atoms : ase.Atoms
            Periodic, with a cell; positions in Å.
        points : ndarray, shape (n, 3), Å, Cartesian, optional
            Where the ELF is wanted. Without points the result holds the engine's own grid.
        directory : Path, optional
            Where the program's files are kept. Without it they are deleted.
        attempt : int
            0 for the recipe as it is; 1 and above mix more carefully. The converged
            result is the same, it only takes longer.

        Raises
        ------
        InputError
            The structure or the points cannot be used.
        EngineError
            The program or a pseudopotential is missing, the program was killed or did
            not converge.
        """

    def check(self, symbols: set[str]) -> None:
        """Raise :class:`EngineError` or :class:`InputError` unless all is there to compute
        structures of these elements: the program, pseudopotentials, basis sets.
        """
        self.version()

    @classmethod
    def pack(cls) -> EnginePack:
        """A domain pack in whose place the engine stands, with the options that suit any structure."""
        return EnginePack(cls(**cls.automatic), of_engine(cls.name))

    def options(self) -> dict:
        """The recipe: every field that changes the numbers."""
        return {k: v for k, v in asdict(self).items() if k not in self.running}


def pack_of(engine: str | ReferenceEngine) -> str | EnginePack:
    """An engine as a domain pack: by its name with options that suit any structure, or with its own options."""
    if isinstance(engine, str):
        return of_engine(engine)
    if not isinstance(engine, ReferenceEngine):
        raise InputError(f"engine must be a name such as 'espresso', or a ReferenceEngine, not {engine!r}.")
    return EnginePack(engine)


def check_points(points: np.ndarray) -> np.ndarray:
    """``points`` as float64, shape (n, 3); :class:`InputError` for anything else."""
    points = np.asarray(points, dtype=float)
    if points.ndim != 2 or points.shape[1] != 3:
        raise InputError(f"points have shape {points.shape}; (n, 3) Cartesian coordinates in Å are needed.")
    if not np.isfinite(points).all():
        raise InputError("points hold NaN or infinity.")
    return points


def check_atoms(atoms: Atoms) -> None:
    """Raise :class:`InputError` for a structure no engine can compute.

    Periodic in all directions, with a cell, or in none (a molecule).
    """
    if atoms.pbc.any():
        check_structure(atoms)
        return
    if len(atoms) == 0 or not np.isfinite(atoms.positions).all():
        raise InputError("the structure holds no atoms, or positions that are NaN or infinite.")
    if len(atoms) > 1 and (shortest := pdist(atoms.positions).min()) < OVERLAP:
        raise InputError(f"two nuclei are {shortest:.3f} Å apart, less than {OVERLAP} Å.")


def grid_points(atoms: Atoms, spacing: float) -> tuple[np.ndarray, tuple[int, int, int]]:
    """Points of a grid over the cell, steps at most ``spacing``.

    Returns
    -------
    points : ndarray, shape (nx·ny·nz, 3), Å, Cartesian, z fastest
    shape : tuple of int
    """
    lengths = atoms.cell.lengths()
    if not (lengths > 0).all():
        raise InputError(
            f"a grid is wanted, but the structure has no cell ({lengths} Å); give `points`, or a "
            "cell with atoms.center(vacuum=3)."
        )
    shape = tuple(int(n) for n in np.ceil(lengths / spacing - 1e-6))
    return cartesian(atoms.cell.array, shape), shape


def finish(
    atoms: Atoms,
    provenance: Provenance,
    elf: np.ndarray,
    density: np.ndarray,
    *,
    points: np.ndarray | None,
    shape: tuple[int, int, int] | None,
    energy: float,
    forces: np.ndarray | None,
) -> ReferenceResult:
    """The result of an engine that evaluated the ELF at ``points``, or on a grid ``shape``."""
    common = {"provenance": provenance, "energy": energy, "forces": forces}
    if shape is None:
        values = elf.astype(np.float32)
        return ReferenceResult(points=points, values=values, density=density, **common)
    info = {"provenance": provenance.as_dict()}
    grid = ELFGrid(elf.reshape(shape), bare(atoms), info)
    return ReferenceResult(grid=grid, density=density.reshape(shape), **common)


def bare(atoms: Atoms) -> Atoms:
    """``atoms`` as a label keeps them: elements, positions, cell and charge, nothing else."""
    kept = Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    if charge := plain_charge(atoms):
        kept.info["charge"] = charge
    return kept


def plain_charge(atoms: Atoms) -> int | float:
    """``info["charge"]``, 0 without one, as a number of Python: files give one of NumPy, which JSON refuses."""
    charge = atoms.info.get("charge", 0)
    return charge.item() if isinstance(charge, np.generic) else charge


def installed() -> list[str]:
    """Names of the engines whose plugins are installed (the programs may still lack)."""
    return list(discover(ENTRY_POINTS))


def get_engine(name: str, **options: object) -> ReferenceEngine:
    """The engine called ``name``, set up with ``options``.

    Parameters
    ----------
    name : str
        Of an installed plugin; or "module:Class" for an engine that is not registered.
    **options
        Fields of the engine.

    Raises
    ------
    EngineError
        No such plugin or class.
    InputError
        An option the engine does not have, the message suggests the nearest one; or a value
        of the wrong type.

    Examples
    --------
    >>> get_engine("espresso", recipe="hydrogen-fluid").name
    'espresso'
    """
    engine = _engine_class(name)
    try:
        options = checked(engine, options, "")
    except InputError as error:
        raise InputError(f"options of engine {name!r}: {error}") from error
    return engine(**options)


def automatic_options(name: str) -> dict:
    """Options of the engine called ``name`` for structures that nobody looked at before."""
    return dict(_engine_class(name).automatic)


def locate_files(name: str, options: dict, folder: Path) -> dict:
    """``options`` of the engine called ``name``, paths in them taken from ``folder``.

    What is not a mapping of paths is left for the engine to refuse.
    """
    located = dict(options)
    for option in _engine_class(name).files:
        if isinstance(given := options.get(option), dict):
            located[option] = {key: str(folder / Path(str(path)).expanduser()) for key, path in given.items()}
    return located


def check_mesh(kpts: object) -> tuple[int, int, int]:
    """Divisions of a k-mesh as three integers; :class:`InputError` for anything else."""
    try:
        divisions = tuple(operator.index(n) for n in kpts)
    except TypeError:
        divisions = ()
    if len(divisions) != 3 or min(divisions) < 1:
        raise InputError(f"kpts = {kpts!r}; three positive whole numbers are needed, such as [2, 2, 2].")
    return divisions


def divisions(atoms: Atoms, spacing: float) -> tuple[int, int, int]:
    """Mesh divisions whose steps along each reciprocal vector are at most ``spacing``.

    Parameters
    ----------
    atoms : ase.Atoms
        Directions that are not periodic get one division: bands do not disperse across a vacuum.
    spacing : float
        bohr⁻¹, reciprocal vectors with their factor 2π.

    Raises
    ------
    InputError
        The spacing is no positive number.
    """
    if not 0 < spacing < np.inf:
        raise InputError(f"kspacing = {spacing!r}; a positive number of bohr⁻¹ is needed, such as 0.2.")
    lengths = 2 * np.pi * np.linalg.norm(atoms.cell.reciprocal(), axis=1) * Bohr
    # The small number keeps a length that is an exact multiple from rounding up.
    counts = np.maximum(1, np.ceil(lengths / spacing - 1e-6))
    return tuple(int(n) for n in np.where(atoms.pbc, counts, 1))


def _engine_class(name: str) -> type[ReferenceEngine]:
    if ":" in name:
        point = EntryPoint(name=name, value=name, group=ENTRY_POINTS)
    else:
        found = discover(ENTRY_POINTS)
        if name not in found:
            raise EngineError(
                f"no reference engine is called {name!r}; installed: {', '.join(found) or 'none'}."
            )
        point = found[name]
    try:
        engine = point.load()
    except (ImportError, AttributeError) as error:
        raise EngineError(f"the reference engine {name!r} cannot be loaded: {error}.") from error
    if not (isinstance(engine, type) and issubclass(engine, ReferenceEngine)):
        raise EngineError(f"{name!r} is no ReferenceEngine.")
    return engine


def read_result(path: str | os.PathLike, code: str) -> ReferenceResult:
    """What a finished run of an outside program left behind, as a reference result.

    Parameters
    ----------
    path : path-like
        The run's folder or result file; which one depends on the program.
    code : str
        Name of the reader, such as "vasp" or "gpaw".

    Raises
    ------
    EngineError
        There is no such reader.
    InputError, FormatError
        The file is missing, malformed or cut off, or the run did not converge.
    """
    found = discover(READERS)
    if code not in found:
        raise EngineError(f"no reader is called {code!r}; installed: {', '.join(found) or 'none'}.")
    return found[code].load()(path)
