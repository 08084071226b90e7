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
from functools import wraps
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from ase.calculators.calculator import (
    BaseCalculator,
    PropertyNotImplementedError,
    all_changes,
)
from ase.outputs import all_outputs

from ase_elf.analysis import bond_labels, frame_values
from ase_elf.analysis.scalars import SCALARS, WITHOUT_GRID, accepted_names, is_outside, structure_scalars
from ase_elf.domains import address
from ase_elf.errors import ElfWarning, InputError, named
from ase_elf.geometry.checks import changes

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

NO_GRID = (
    "not evaluated of a structure that is periodic nowhere, where it says how the box around it was chosen; "
    "name it in properties= to have it all the same"
)
"""Why ``every=`` leaves some of its properties out."""

_KEPT = 4
"""Grids kept of one structure: the default shape and a few asked for."""


def _in_turn(method: Callable) -> Callable:
    """Let threads that share a calculator into ``method`` one after the other.

    The cache is of one structure: a thread that comes between choosing it and reading it would
    hand out the grid of another.
    """

    @wraps(method)
    def locked(self, *args, **kwargs):
        with self._lock:
            return method(self, *args, **kwargs)

    return locked


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
        self._predictor = Predictor(domain if engine is None else _in_place_of(domain, engine), device, dtype)
        self.elf_results: dict[str, Any] = {}
        self.elf_missing: dict[str, str] = {}
        self._n_structures = 0
        self.watchers: list[Callable[[Atoms, bool], None]] = []
        self.frame_values = frame_values.FrameValues()
        self._reset_caches()
        # A list of this object's own: the class's would be shared by all calculators.
        self.implemented_properties = [*getattr(calculator, "implemented_properties", []), *EXTRAS]
        self.parameters = self.todict()

    # -- ASE's protocol ----------------------------------------------------------------

    @_in_turn
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

    @_in_turn
    def get_potential_energy(self, atoms: Atoms | None = None, force_consistent: bool = False):
        """As the wrapped calculator has it, which may treat ``force_consistent`` its own way."""
        if self.calculator is None:
            return self.get_property("energy", atoms)
        return self._ask_calculator(
            lambda: self.calculator.get_potential_energy(atoms, force_consistent=force_consistent),
            atoms,
            True,
        )

    @_in_turn
    def calculate(
        self, atoms: Atoms, properties: Sequence[str], system_changes: Sequence[str] = all_changes
    ) -> None:
        """Calculate ``properties``, ASE's own into :attr:`results`."""
        for name in properties:
            self.get_property(name, atoms)

    @_in_turn
    def check_state(self, atoms: Atoms, tol: float = 1e-15) -> list[str]:
        """What changed since the last calculation, as the wrapped calculator sees it."""
        if self.calculator is not None and hasattr(self.calculator, "check_state"):
            return self.calculator.check_state(atoms, tol)
        return changes(self.atoms, atoms)

    @_in_turn
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

    @_in_turn
    def reset(self) -> None:
        """Forget everything calculated, here and in the wrapped calculator."""
        self.atoms, self.results, self.elf_results, self.elf_missing = None, {}, {}, {}
        self._reset_caches()
        if hasattr(self.calculator, "reset"):
            self.calculator.reset()

    def _get_name(self) -> str:
        return "elf"

    # -- The ELF -----------------------------------------------------------------------

    @overload
    def get_elf(
        self, atoms: Atoms | None = None, *, shape: Shape | None = None, spacing: float | None = None
    ) -> ELFGrid: ...

    @overload
    def get_elf(self, atoms: Atoms | None = None, *, points: ArrayLike) -> np.ndarray: ...

    @_in_turn
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
            Å. Largest distance of grid points along the cell vectors; the number of points
            is rounded up to one that Fourier transforms quickly. Without ``shape`` or
            ``spacing``, that of the domain pack.
        points : array_like, shape (n, 3), optional
            Cartesian points in Å; the model is evaluated there, without a grid.

        Returns
        -------
        ELFGrid
            ``info`` holds ``domain``, ``weights`` (their digest), ``out_of_domain``, the
            reasons why the structure lies outside what was trained on (empty inside), and
            ``domain_distance``, how far what its atoms see is from what was seen in training
            (1 is as far as 99 % of the training structures; None where the pack cannot tell), and
            ``pack``, the folder of a pack that is not installed.
            ``sigma`` where the model knows its error.
        ndarray, shape (n,), float32
            Where ``points`` are given.

        Raises
        ------
        InputError
            For a structure the pack cannot take (no cell, unknown element, overlapping
            atoms), or contradictory options.
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

    @_in_turn
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
            ``values``, shape (n,), float32, ``distance`` of the structure from training, and
            ``invariants``, what every atom sees.

        Raises
        ------
        InputError, DomainError
            As :meth:`get_elf`.
        """
        return self._predictor.at_points_of(structures, points)

    @_in_turn
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

    # -- Inner workings ----------------------------------------------------------------

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
            return self._bonds if name == "bond_rulers" else self._default_grid()
        value = self._grid(atoms) if name == "elf" else self._measure_bonds(atoms)
        self._see(atoms)
        return value

    def _see(self, atoms: Atoms) -> None:
        """Count ``atoms`` if they are new, and fill ``elf_results`` if they are due."""
        if not changes(self.atoms, atoms):
            return
        self.atoms = atoms.copy()
        number = self._n_structures
        self._n_structures += 1
        if self.every is None or number % self.every:
            return
        results, failed, left_out = self._unasked(atoms)
        self.elf_results, self.elf_missing = {"structure": number, **results}, failed | left_out
        self.frame_values.renew(atoms)
        frame_values.put(atoms, results)
        if "bond_rulers" in results:
            bond_labels.put_bonds(atoms, self._survey(atoms))
        for reason in dict.fromkeys(failed.values()):
            # The forces are there, and whoever asked for them asked for nothing else.
            names = "ELF" if not results else ", ".join(name for name in failed if failed[name] == reason)
            warnings.warn(
                f"no {names} of structure {number} ({reason}) Energy and forces are not concerned.",
                ElfWarning,
                stacklevel=5,
            )

    def _unasked(self, atoms: Atoms) -> tuple[dict[str, Any], dict[str, str], dict[str, str]]:
        """What ``properties`` names, of ``atoms``; why some could not be had, and why some were not tried."""
        from ase_elf.ruler import BondTable

        wanted, left_out = self.properties, {}
        if self._all and not atoms.pbc.any():
            wanted = [name for name in wanted if name in ("bond_rulers", *WITHOUT_GRID)]
            left_out = {n: NO_GRID for n in self.properties if n not in wanted}
        scalars = [name for name in wanted if name in SCALARS]
        bare = scalars if set(scalars) <= set(WITHOUT_GRID) and "elf" not in wanted else []
        on_grid = [name for name in scalars if name not in bare]
        results, failed = {}, {}
        for names, make in (
            (["elf"] if "elf" in wanted else [], lambda: {"elf": self._grid(atoms)}),
            (["bond_rulers"] if "bond_rulers" in wanted else [],
             lambda: {"bond_rulers": BondTable.of_survey(self._survey(atoms))}),
            (on_grid, lambda: structure_scalars(self._grid(atoms), on_grid)),
            (bare, lambda: {name: is_outside(atoms, self.domain_of(atoms)) for name in bare}),
        ):  # fmt: skip
            try:
                results.update(make() if names else {})
            except Exception as error:
                failed.update(dict.fromkeys(names, named(error)))
        return results, failed, left_out

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

    def _default_grid(self) -> ELFGrid | None:
        (wanted,) = self._predictor.shapes([self._elf_atoms], None, None)
        return self._grids.get(wanted)

    def _measure_bonds(self, atoms: Atoms) -> BondTable:
        from ase_elf.ruler import measure_bonds

        self._keep_only(atoms)
        if self._bonds is None:
            self._bonds = measure_bonds(atoms, self)
        return self._bonds

    @_in_turn
    def survey_bonds(self, atoms: Atoms | None = None) -> np.ndarray:
        """Bonds as ``get_property("bond_rulers")`` has them, with their reading modes.

        Returns
        -------
        ndarray, shape (n_bonds,), dtype ``ase_elf.ruler.table.SURVEY_COLUMNS``
            Modes are "" without the package captum; types are from the structure alone.
        """
        return self._survey(self._structure(atoms))

    def _survey(self, atoms: Atoms) -> np.ndarray:
        from ase_elf.ruler.bonds import warn_of_strange
        from ase_elf.ruler.survey import BondSurvey, has_modes
        from ase_elf.ruler.table import BondTable

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


def _in_place_of(domain: object, engine: str | ReferenceEngine) -> str | Domain:
    """A DFT engine as a domain pack."""
    from ase_elf.domains import of_engine
    from ase_elf.reference import EnginePack, ReferenceEngine

    if domain is not None:
        raise InputError("give domain= or engine=, not both.")
    if isinstance(engine, str):
        return of_engine(engine)
    if not isinstance(engine, ReferenceEngine):
        raise InputError(f"engine must be a name such as 'espresso', or a ReferenceEngine, not {engine!r}.")
    return EnginePack(engine)
