"""ELFObserver: what the ELF says about a run, written into its frames as it goes.

ASE calls observers in the order of ``dyn.observers``, and ``trajectory=`` puts its writer
there first. An observer that is merely attached would therefore leave its values to the
next frame; this one is meant for ``dyn.insert_observer`` and does not rely on it.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ase_elf.analysis import bond_labels, frame_values
from ase_elf.analysis.scalars import ARRAYS, SCALARS, WITHOUT_GRID, accepted_names, is_outside
from ase_elf.calculator import ELFCalculator
from ase_elf.errors import ElfWarning, InputError, named
from ase_elf.geometry.checks import changes

if TYPE_CHECKING:
    from ase import Atoms

    from ase_elf.formats.store import ELFStore

__all__ = ["ELFObserver"]


class ELFObserver:
    """Writes ELF values of the current structure into ``atoms`` whenever it is called.

    Insert it before the writers: ``dyn.insert_observer(observer)``. With ``dyn.attach`` it
    serves the writers attached after it; a trajectory writer that comes before it is served
    all the same, because it asks the calculator, through which this observer notices. No
    writer ever finds the values of an earlier structure: they are removed as soon as forces
    of another are computed, and where a structure is not due there are none.

    Parameters
    ----------
    atoms : ase.Atoms
        The atoms that move, with an :class:`~ase_elf.ELFCalculator` around the calculator
        that moves them.
    interval : int
        Every how many calls the ELF is evaluated, starting with the first. Evaluating it
        costs far more than a step with a classical potential, far less than one with DFT.
    scalars : iterable of str, optional
        Of ``ase_elf.analysis.scalars.SCALARS``, into ``atoms.info``: ``elf_phi``, ``elf_phi1``,
        ``elf_phi2``, ``elf_phi_star``, ``elf_mean``, ``elf_outside``. By default all; of a structure
        that is periodic nowhere those that need no grid.
    arrays : iterable of str, optional
        Of ``ase_elf.analysis.scalars.ARRAYS``, into ``atoms.arrays``: ``elf_nearest``, the ELF half
        way to the nearest neighbour. By default all; without a grid none.
    bonds : bool
        Also what rulers say of every bond (:mod:`ase_elf.analysis.bond_labels`).
    store : path-like, optional
        Directory of a binary store (``run.elfstore``) for the grids. ``atoms.info`` then
        holds ``elf_store``, its path relative to the trajectory, and ``elf_frame``, the number
        there; numbering goes on where an existing store ends.
    trajectory : path-like, optional
        The file that the frames are written to, so that ``elf_store`` leads from there to the
        store also when both are moved; by default a file beside the store.
    shape, spacing : optional
        The grid, as in :meth:`ELFCalculator.get_elf`.

    Attributes
    ----------
    failures : int
        Structures due whose ELF could not be evaluated or stored: NaN in the positions, a
        full disk, no memory, a GPU that is gone, a bug. Each gives an
        :class:`~ase_elf.errors.ElfWarning` that names what is missing and leaves no values of it;
        an observer never stops the run it observes.

    Raises
    ------
    InputError
        If ``atoms.calc`` is not an ELFCalculator, or a name or ``interval`` is unknown.
    OutputError
        If ``store`` is something else already.

    Notes
    -----
    ``.traj`` keeps ``info``; extended XYZ keeps ``info`` and ``arrays``; for ase.db there are
    :func:`ase_elf.analysis.frame_values.key_value_pairs` and
    :func:`ase_elf.analysis.bond_labels.database_entry`. Bonds are read back by
    :func:`ase_elf.analysis.bond_labels.bonds_in`. Several observers of the same atoms, and
    ``ELFCalculator(every=n)``, may write the same names, each where it is due. An observer that
    was made for a later run takes over from one that served an earlier run.

    Examples
    --------
    >>> from ase import units
    >>> from ase.calculators.emt import EMT
    >>> from ase.build import bulk
    >>> from ase.md.verlet import VelocityVerlet
    >>> from ase_elf import ELFCalculator
    >>> from ase_elf.observers import ELFObserver
    >>> from ase_elf.testing import GaussianDomain  # for real: leave domain= away
    >>> atoms = bulk("Al", cubic=True)
    >>> atoms.calc = ELFCalculator(domain=GaussianDomain(("Al",)), calculator=EMT())
    >>> dyn = VelocityVerlet(atoms, 2 * units.fs)
    >>> dyn.insert_observer(ELFObserver(atoms, interval=5, scalars=["elf_mean"]))
    >>> import warnings
    >>> with warnings.catch_warnings(action="ignore"):  # Al is no dense hydrogen
    ...     dyn.run(5)
    True
    >>> print(f"{atoms.info['elf_mean']:.2f}")
    0.14
    """

    def __init__(
        self,
        atoms: Atoms,
        *,
        interval: int = 1,
        scalars: Iterable[str] | None = None,
        arrays: Iterable[str] | None = None,
        bonds: bool = True,
        store: str | os.PathLike | None = None,
        trajectory: str | os.PathLike | None = None,
        shape: tuple[int, int, int] | None = None,
        spacing: float | None = None,
    ) -> None:
        if isinstance(interval, bool) or int(interval) != interval or interval < 1:
            raise InputError(f"interval = {interval!r} must be a positive integer.")
        self.atoms = atoms
        self.interval = int(interval)
        # Of a structure that is periodic nowhere only what was asked for by name is worth a grid.
        bare = not atoms.pbc.any() and store is None
        self.scalars = accepted_names(_chosen(scalars, WITHOUT_GRID if bare else SCALARS), SCALARS, "scalar")
        self.arrays = accepted_names(_chosen(arrays, () if bare else ARRAYS), ARRAYS, "array")
        self.bonds = bonds
        self.store, self._pointer = _open(store, trajectory)
        self.shape, self.spacing = shape, spacing
        self._calls = 0
        self.failures = 0
        self._settled: Atoms | None = None
        self._take_over()

    @property
    def names(self) -> frozenset[str]:
        """What this observer writes into ``atoms.info`` and ``atoms.arrays``."""
        pointers = () if self.store is None else frame_values.POINTERS
        return frozenset(
            (*self.scalars, *self.arrays, *pointers, *([bond_labels.BONDS] if self.bonds else ()))
        )

    def __call__(self) -> None:
        """Bring ``atoms`` up to date if this call is due, else add no ELF values."""
        try:
            watchers = self._calculator().watchers
        except InputError as error:
            frame_values.clear(self.atoms)
            self._failed(error)
        else:
            # A new calculator, or one that a newer observer has taken over: this one runs still.
            if self._watch not in watchers:
                watchers.append(self._watch)
            self._settle()
        self._calls += 1

    def _take_over(self) -> None:
        """Watch for writers, in place of observers of an earlier run that write the same."""
        watchers = self._calculator().watchers
        for watch in list(watchers):
            older = getattr(watch, "__self__", None)
            if (
                isinstance(older, ELFObserver)
                and older.atoms is self.atoms
                and older._calls
                and older.names & self.names
            ):
                watchers.remove(watch)
        watchers.append(self._watch)

    def _settle(self) -> None:
        """Write the values of the current structure, once."""
        self._calculator().frame_values.renew(self.atoms)
        if self._settled is not None and not changes(self._settled, self.atoms):
            return
        if self._calls % self.interval == 0:
            self._evaluate()
        self._settled = self.atoms.copy()

    def _failed(self, error: Exception, what: str = "ELF") -> None:
        self.failures += 1
        warnings.warn(
            f"no {what} of this step ({named(error)}) The simulation goes on without it.",
            ElfWarning,
            stacklevel=4,
        )

    def _evaluate(self) -> None:
        """Write what can be had; of what cannot, nothing."""
        failed: dict[str, Exception] = {}
        for what, write in (("labels of bonds", self._write_bonds), ("ELF", self._write_values)):
            try:
                write()
            except Exception as error:  # a lost GPU or a bug is no reason to lose the run
                failed[what] = error
        if "ELF" in failed:
            frame_values.clear(self.atoms, (*self.scalars, *frame_values.POINTERS), self.arrays)
        if "labels of bonds" in failed:
            bond_labels.clear_bonds(self.atoms)
        if failed:
            what = "labels of bonds" if list(failed) == ["labels of bonds"] else "ELF"
            self._failed(failed[what], what)

    def _write_bonds(self) -> None:
        if self.bonds:
            bond_labels.put_bonds(self.atoms, self._calculator().survey_bonds(self.atoms))

    def _write_values(self) -> None:
        atoms = self.atoms
        if not self.arrays and self.store is None and set(self.scalars) <= set(WITHOUT_GRID):
            pack = self._calculator().domain_of(atoms)
            frame_values.put(atoms, {name: is_outside(atoms, pack) for name in self.scalars})
            return
        grid = self._calculator().get_elf(atoms, shape=self.shape, spacing=self.spacing)
        frame_values.write(atoms, grid, self.scalars, self.arrays)
        if self.store is not None:
            atoms.info["elf_frame"] = self.store.append(grid)
            atoms.info["elf_store"] = self._pointer

    def _watch(self, atoms: Atoms, calculating: bool) -> None:
        """Called by the calculator before it answers.

        A request that may not calculate comes from a writer, which is about to read
        ``atoms``; one that may comes from the dynamics, which has just moved them.
        """
        if atoms is not self.atoms:
            return
        if calculating:
            self._calculator().frame_values.renew(atoms)
        else:
            self._settle()

    def _calculator(self) -> ELFCalculator:
        if not isinstance(self.atoms.calc, ELFCalculator):
            raise InputError(
                "an ELFObserver needs an ELFCalculator on the atoms it observes: "
                f"atoms.calc = ELFCalculator(calculator=...), not {self.atoms.calc!r}."
            )
        return self.atoms.calc


def _chosen(names: Iterable[str] | None, usual: tuple[str, ...]) -> Iterable[str]:
    return usual if names is None else names


def _open(
    store: str | os.PathLike | None, trajectory: str | os.PathLike | None
) -> tuple[ELFStore | None, str]:
    """The store, and its path as frames hold it: relative to the folder of the trajectory."""
    from ase_elf.formats.store import ELFStore

    if store is None:
        return None, ""
    path = Path(store).absolute()
    folder = path.parent if trajectory is None else Path(trajectory).absolute().parent
    return ELFStore(path), Path(os.path.relpath(path, folder)).as_posix()
