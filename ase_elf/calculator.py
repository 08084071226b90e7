"""ELFCalculator: the ELF as an ASE calculator, alone or around one that gives forces.

The ELF is no energy and no force, so nothing of it enters ``results``, which ASE's writers,
single-point calculators and mixers understand only with their own property names. It has
methods of its own, a cache of its own, and ``get_property("elf")``.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from ase.calculators.calculator import (
    BaseCalculator,
    PropertyNotImplementedError,
    all_changes,
)
from ase.outputs import all_outputs

from ase_elf.analysis import frame_values
from ase_elf.analysis.scalars import SCALARS, accepted_names
from ase_elf.domains import address
from ase_elf.errors import ElfWarning, InputError
from ase_elf.geometry.checks import changes
from ase_elf.parallel.threads import in_turn

if TYPE_CHECKING:
    from pathlib import Path

    from ase import Atoms
    from numpy.typing import ArrayLike

    from ase_elf.domains import Domain
    from ase_elf.grid import ELFGrid
    from ase_elf.model.points import AtPoints
    from ase_elf.prediction import Shape
    from ase_elf.reference import ReferenceEngine
    from ase_elf.ruler import BondTable

__all__ = ["EXTRAS", "ELFCalculator"]

EXTRAS = ("elf", "bond_rulers")
"""Properties beyond ASE's own."""

_KEPT = 4
"""Grids kept of one structure: the default shape and a few asked for."""


class ELFCalculator(BaseCalculator):
    """ELF and bonds of a structure, and energy and forces where a calculator gives them.

    Parameters
    ----------
    domain : str, Path or Domain, optional
        Domain pack, by name or folder. By default the most specific installed one that describes
        the structure.
    engine : str or ReferenceEngine, optional
        Compute the ELF by DFT instead of predicting it: "espresso", "pyscf", "cp2k" with options
        that suit any structure, or an engine with options of its own.
    calculator : ase calculator, optional
        Supplies energy, forces and everything else ASE knows. Without it asking for them
        raises ``PropertyNotImplementedError``.
    device : str, optional
        ``"cpu"``, ``"cuda"``, ``"cuda:1"``. By default CUDA where there is one, else CPU.
    dtype : {"float32", "float64"}
        Precision of the model. Single is enough for ELF values (1e-6).
    every : int, optional
        Evaluate the ELF at every n-th new structure, starting with the first, without being
        asked: scalars and labels of bonds (:mod:`ase_elf.analysis.bond_labels`) go into
        ``atoms.info`` and ``atoms.arrays``, where writers of trajectories find them, and
        everything into :attr:`elf_results`. A structure is new when a property of it is
        calculated and it differs from the one before; where none is due ``atoms.info`` holds
        no ELF values.
    properties : iterable of str, optional
        What is evaluated: ``"elf"``, ``"bond_rulers"`` and names of
        ``ase_elf.analysis.scalars.SCALARS``; by default all, of a structure that is periodic nowhere
        those that need no grid: bonds and ``elf_outside``. Given alone it means ``every=1``.

    Attributes
    ----------
    results : dict
        ASE's standard results of ``calculator``, all of them, and nothing else.
    elf_results : dict
        The chosen ``properties`` of the last structure that was due, and ``"structure"``,
        its number counted from 0.
    elf_missing : dict of str to str
        Why some of ``properties`` are not there, by name; the others are there all the same.
    watchers : list of callable
        Called as ``watch(atoms, calculating)`` before a property of ``calculator`` is
        returned; how :class:`~ase_elf.observers.ELFObserver` keeps up with writers.

    Notes
    -----
    Threads may share a calculator; they are served one after the other. For threads that
    compute side by side give each its own, the model in memory is the same.

    Examples
    --------
    >>> from ase import Atoms
    >>> from ase.calculators.lj import LennardJones
    >>> from ase_elf import ELFCalculator
    >>> from ase_elf.testing import GaussianDomain  # for real: leave domain= away
    >>> atoms = Atoms("H2", [(0, 0, 0), (0, 0, 0.74)], cell=[1.8] * 3, pbc=True)
    >>> atoms.calc = ELFCalculator(domain=GaussianDomain(), calculator=LennardJones(sigma=0.6))
    >>> atoms.get_forces().shape
    (2, 3)
    >>> atoms.calc.get_elf(atoms, shape=(8, 8, 8)).shape
    (8, 8, 8)
    >>> atoms.calc.get_elf(atoms, points=[[0, 0, 0.37], [0.9, 0.9, 1.27]]).round(1)
    array([1. , 0.1], dtype=float32)
    """

    implemented_properties = list(EXTRAS)

    def __init__(
        self,
        *,
        domain: str | Path | Domain | None = None,
        engine: str | ReferenceEngine | None = None,
        calculator: BaseCalculator | None = None,
        device: str | None = None,
        dtype: str = "float32",
        every: int | None = None,
        properties: Iterable[str] | None = None,
    ) -> None:
        from ase_elf.prediction import Predictor  # ase.io imports this module
        from ase_elf.reference import pack_of

        if calculator is not None and not hasattr(calculator, "get_property"):
            raise InputError(f"calculator must be an ASE calculator such as EMT(), not {calculator!r}.")
        if dtype not in ("float32", "float64"):
            raise InputError(f"dtype {dtype!r}; accepted are 'float32' and 'float64'.")
        if every is not None and (isinstance(every, bool) or int(every) != every or every < 1):
            raise InputError(f"every = {every!r} must be a positive integer.")
        super().__init__()
        self._lock = threading.RLock()
        self.calculator = calculator
        self.device = device
        self.dtype = dtype
        self.every = 1 if every is None and properties is not None else every
        accepted = (*EXTRAS, *SCALARS)
        self._all = properties is None
        self.properties = accepted_names(properties or accepted, accepted, "property")
        if domain is not None and engine is not None:
            raise InputError("give domain= or engine=, not both.")
        self._predictor = Predictor(domain if engine is None else pack_of(engine), device, dtype)
        self.elf_results: dict[str, Any] = {}
        self.elf_missing: dict[str, str] = {}
        self._n_structures = 0
        self.watchers: list[Callable[[Atoms, bool], None]] = []
        self.frame_values = frame_values.FrameValues()
        self._reset_caches()
        # A list of this object's own: the class's would be shared by all calculators.
        self.implemented_properties = [*getattr(calculator, "implemented_properties", []), *EXTRAS]
        self.parameters = self.todict()

    @in_turn
    def get_property(self, name: str, atoms: Atoms | None = None, allow_calculation: bool = True):
        """A property by name: ``"elf"``, ``"bond_rulers"``, or one of ``calculator``'s.

        Parameters
        ----------
        name : str
        atoms : ase.Atoms, optional
            By default those of the last calculation.
        allow_calculation : bool
            When false, only what is known already is returned, else None.

        Returns
        -------
        ELFGrid, BondTable, float or ndarray

        Raises
        ------
        PropertyNotImplementedError
            For anything but ELF and bonds without ``calculator``.
        """
        if name in EXTRAS:
            return self._get_extra(name, self._structure(atoms), allow_calculation)
        if self.calculator is None:
            raise PropertyNotImplementedError(
                f"{name} is not something the ELF gives. Pass calculator=, an ASE calculator "
                "that does: ELFCalculator(calculator=EMT())."
            )
        return self._ask_calculator(
            lambda: self.calculator.get_property(name, atoms, allow_calculation),
            atoms,
            allow_calculation,
        )

    @in_turn
    def get_potential_energy(self, atoms: Atoms | None = None, force_consistent: bool = False):
        """As the wrapped calculator has it, which may treat ``force_consistent`` its own way."""
        if self.calculator is None:
            return self.get_property("energy", atoms)
        return self._ask_calculator(
            lambda: self.calculator.get_potential_energy(atoms, force_consistent=force_consistent),
            atoms,
            True,
        )

    @in_turn
    def calculate(
        self, atoms: Atoms, properties: Sequence[str], system_changes: Sequence[str] = all_changes
    ) -> None:
        """Calculate ``properties``, ASE's own into :attr:`results`."""
        for name in properties:
            self.get_property(name, atoms)

    @in_turn
    def check_state(self, atoms: Atoms, tol: float = 1e-15) -> list[str]:
        """What changed since the last calculation, as the wrapped calculator sees it."""
        if self.calculator is not None and hasattr(self.calculator, "check_state"):
            return self.calculator.check_state(atoms, tol)
        return changes(self.atoms, atoms)

    @in_turn
    def calculation_required(self, atoms: Atoms, properties: Sequence[str]) -> bool:
        """Whether any of ``properties`` would have to be calculated."""
        standard = [name for name in properties if name not in EXTRAS]
        known = all(self._get_extra(name, atoms, False) is not None for name in properties if name in EXTRAS)
        if not standard or self.calculator is None:
            return bool(standard) or not known
        return not known or self.calculator.calculation_required(atoms, standard)

    def todict(self) -> dict[str, Any]:
        """Settings as JSON-able values, which ASE stores beside the structures."""
        return {
            "domain": None if self._predictor.domain is None else address(self._predictor.domain),
            "calculator": getattr(self.calculator, "name", None),
            "device": self.device,
            "dtype": self.dtype,
            "every": self.every,
            "properties": list(self.properties),
        }

    @in_turn
    def reset(self) -> None:
        """Forget everything calculated, here and in the wrapped calculator."""
        self.atoms, self.results, self.elf_results, self.elf_missing = None, {}, {}, {}
        self._reset_caches()
        if hasattr(self.calculator, "reset"):
            self.calculator.reset()

    def _get_name(self) -> str:
        return "elf"

    @overload
    def get_elf(
        self, atoms: Atoms | None = None, *, shape: Shape | None = None, spacing: float | None = None
    ) -> ELFGrid: ...

    @overload
    def get_elf(self, atoms: Atoms | None = None, *, points: ArrayLike) -> np.ndarray: ...

    @in_turn
    def get_elf(
        self,
        atoms: Atoms | None = None,
        *,
        shape: Shape | None = None,
        spacing: float | None = None,
        points: ArrayLike | None = None,
    ) -> ELFGrid | np.ndarray:
        """ELF of a structure, on a grid or at points.

        Parameters
        ----------
        atoms : ase.Atoms, optional
            By default those of the last calculation.
        shape : tuple of int, optional
            (nx, ny, nz).
        spacing : float, optional
            Å. Largest distance of grid points along the cell vectors; the number of points is rounded up
            to one that Fourier transforms quickly. Without ``shape`` or ``spacing``, that of the domain pack.
        points : array_like, shape (n, 3), optional
            Cartesian points in Å; the model is evaluated there, without a grid.

        Returns
        -------
        ELFGrid
            ``info`` holds ``domain``, ``weights`` (their digest), ``out_of_domain`` (why the structure lies
            outside what was trained on; empty inside), ``domain_distance`` (from the training structures, of
            which 99 % are within 1; None where the pack cannot tell) and ``pack``, the folder of a pack that
            is not installed. ``sigma`` where the model knows its error.
        ndarray, shape (n,), float32
            Where ``points`` are given.

        Raises
        ------
        InputError
            For a structure the pack cannot take (no cell, unknown element, overlapping atoms), or
            contradictory options.
        DomainError
            If no installed pack knows the elements.

        Warns
        -----
        ElfWarning
            Once per chemical formula, for a structure outside the trained range.
        """
        if sum(option is not None for option in (shape, spacing, points)) > 1:
            raise InputError("give one of shape=, spacing= and points=, not several.")
        atoms = self._structure(atoms)
        if points is None:
            return self._grid(atoms, shape, spacing)
        return self._predictor.at_points(atoms, points)

    @in_turn
    def at_points(self, structures: Sequence[Atoms], points: Sequence[ArrayLike]) -> list[AtPoints]:
        """ELF of many structures at points of each, in one pass; what :meth:`get_elf` gives for one.

        Parameters
        ----------
        structures : sequence of ase.Atoms
        points : sequence of array_like, shape (n, 3)
            Cartesian points in Å, for each structure.

        Returns
        -------
        list of AtPoints
            ``values``, shape (n,), float32, ``distance`` from training, and ``invariants`` of every atom.

        Raises
        ------
        InputError, DomainError
            As :meth:`get_elf`.
        """
        return self._predictor.at_points_of(structures, points)

    @in_turn
    def predict(
        self,
        structures: Sequence[Atoms],
        shape: Shape | Sequence[Shape] | None = None,
        *,
        spacing: float | None = None,
    ) -> list[ELFGrid]:
        """ELF of many structures, batched; halves the batch when memory runs out.

        Parameters
        ----------
        structures : sequence of ase.Atoms
            Of any size, composition and cell; all are checked before the first is computed.
        shape : tuple of int, or one tuple per structure, optional
            (nx, ny, nz), by default from ``spacing``.
        spacing : float, optional
            As in :meth:`get_elf`.

        Returns
        -------
        list of ELFGrid
            In the order of ``structures``. Nothing of it is cached.

        Raises
        ------
        InputError
            Naming the structure that cannot be used.
        MemoryError
            If not even a single structure fits.
        """
        structures = list(structures)
        shapes = self._predictor.shapes(structures, shape, spacing)
        return self._predictor.on_grids(structures, shapes)

    def domain_of(self, atoms: Atoms) -> Domain:
        """The domain pack that is used for ``atoms``."""
        return self._predictor.domain_of(atoms)

    def _ask_calculator(self, ask: Callable[[], Any], atoms: Atoms | None, allow_calculation: bool) -> Any:
        """Ask the wrapped calculator, mirror its results, and tell those who watch."""
        if atoms is not None:
            if self.every is not None:
                self.frame_values.renew(atoms)
            for watch in list(self.watchers):
                watch(atoms, allow_calculation)
        try:
            value = ask()
        finally:
            known = getattr(self.calculator, "results", {})
            # All of them, or a trajectory writer would store only what was asked for; only
            # standard names, or ASE's own consumers would refuse the rest.
            self.results = {name: known[name] for name in known if name in all_outputs}
        if allow_calculation and atoms is not None:
            self._see(atoms)
        return value

    def _get_extra(self, name: str, atoms: Atoms, allow_calculation: bool) -> ELFGrid | BondTable | None:
        if not allow_calculation:
            if changes(self._elf_atoms, atoms):
                return None
            (default,) = self._predictor.shapes([atoms], None, None)
            return self._bonds if name == "bond_rulers" else self._grids.get(default)
        value = self._grid(atoms) if name == "elf" else self._measure_bonds(atoms)
        self._see(atoms)
        return value

    def _see(self, atoms: Atoms) -> None:
        """Count ``atoms`` if they are new, and fill ``elf_results`` if they are due."""
        if not changes(self.atoms, atoms):
            # Perhaps another object than the one that was evaluated: it has the same values.
            if self.elf_results.get("structure") == self._n_structures - 1:
                self._write_into(atoms)
            return
        self.atoms = atoms.copy()
        number = self._n_structures
        self._n_structures += 1
        if self.every is None or number % self.every:
            return
        wanted, left_out = self.properties, {}
        if self._all:
            wanted, left_out = frame_values.without_needless_grid(wanted, atoms)
        results, failed = frame_values.evaluated(atoms, wanted, self)
        self.elf_results, self.elf_missing = {"structure": number, **results}, failed | left_out
        self._write_into(atoms)
        for reason in dict.fromkeys(failed.values()):
            # The forces are there, and whoever asked for them asked for nothing else.
            names = "ELF" if not results else ", ".join(name for name in failed if failed[name] == reason)
            warnings.warn(
                f"no {names} of structure {number} ({reason}) Energy and forces are not concerned.",
                ElfWarning,
                stacklevel=5,
            )

    def _write_into(self, atoms: Atoms) -> None:
        bonds = partial(self.survey_bonds, atoms) if "bond_rulers" in self.elf_results else None
        self.frame_values.give(atoms, self.elf_results, bonds)

    def _grid(self, atoms: Atoms, shape: Shape | None = None, spacing: float | None = None) -> ELFGrid:
        """The grid of ``atoms``, from the cache where it is known."""
        (wanted,) = self._predictor.shapes([atoms], shape, spacing)
        self._keep_only(atoms)
        if wanted not in self._grids:
            (grid,) = self._predictor.on_grids([atoms], [wanted])
            while len(self._grids) >= _KEPT:
                self._grids.pop(next(iter(self._grids)))
            self._grids[wanted] = grid
        return self._grids[wanted]

    def _measure_bonds(self, atoms: Atoms) -> BondTable:
        from ase_elf.ruler import measure_bonds

        self._keep_only(atoms)
        if self._bonds is None:
            self._bonds = measure_bonds(atoms, self)
        return self._bonds

    @in_turn
    def survey_bonds(self, atoms: Atoms | None = None) -> np.ndarray:
        """Bonds as ``get_property("bond_rulers")`` has them, with their reading modes.

        Returns
        -------
        ndarray, shape (n_bonds,), dtype ``ase_elf.ruler.table.SURVEY_COLUMNS``
            Modes are "" without the package captum; types are from the structure alone.
        """
        from ase_elf.ruler.bonds import warn_of_strange
        from ase_elf.ruler.survey import BondSurvey, has_modes
        from ase_elf.ruler.table import BondTable

        atoms = self._structure(atoms)
        self._keep_only(atoms)
        if self._surveyed is None:
            self._surveyed = BondSurvey(modes=has_modes(), types=False).add(atoms, self)
            warn_of_strange(self._surveyed, atoms)
            self._bonds = BondTable.of_survey(self._surveyed)
        return self._surveyed

    def _keep_only(self, atoms: Atoms) -> None:
        """Drop what is cached unless it is of ``atoms``."""
        if changes(self._elf_atoms, atoms):
            self._elf_atoms = atoms.copy()
            self._grids, self._bonds, self._surveyed = {}, None, None

    def _structure(self, atoms: Atoms | None) -> Atoms:
        atoms = self.atoms if atoms is None else atoms
        if atoms is None:
            raise InputError("no structure: pass atoms, nothing was calculated before.")
        return atoms

    def _reset_caches(self) -> None:
        self._predictor.forget()
        self._elf_atoms: Atoms | None = None
        self._grids: dict[Shape, ELFGrid] = {}
        self._bonds: BondTable | None = None
        self._surveyed: np.ndarray | None = None

    def __getstate__(self) -> dict[str, Any]:
        fresh = ("_lock", "watchers", "frame_values", "_elf_atoms", "_grids", "_bonds", "_surveyed")
        return {name: value for name, value in self.__dict__.items() if name not in fresh}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._predictor = copy(self._predictor)  # or a copy would take the models away here
        self._lock = threading.RLock()
        self.watchers = []
        self.frame_values = frame_values.FrameValues()
        self._reset_caches()
