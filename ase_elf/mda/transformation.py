"""ELFTransformation: the ELF of every frame, beside its coordinates, while one iterates."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from MDAnalysis.coordinates.memory import MemoryReader
from MDAnalysis.transformations.base import TransformationBase

from ase_elf.analysis.recorder import pack_for
from ase_elf.analysis.scalars import SCALARS, accepted_names, structure_scalars
from ase_elf.analysis.settings import positive
from ase_elf.calculator import ELFCalculator
from ase_elf.errors import InputError
from ase_elf.mda.bridge import described, frame_of

if TYPE_CHECKING:
    import MDAnalysis as mda
    from MDAnalysis.coordinates.timestep import Timestep

    from ase_elf.domains import Domain
    from ase_elf.grid import ELFGrid

__all__ = ["ELFTransformation"]


class ELFTransformation(TransformationBase):
    """Puts the ELF of each frame into ``ts.data``.

    ``ts.data["elf"]`` is the :class:`~ase_elf.ELFGrid`, and ``ts.data["elf_phi"]`` and the
    others are the scalars asked for.

    Parameters
    ----------
    universe : Universe
    domain : str or Domain, optional
        Domain pack; by default the smallest installed one that knows the elements.
    scalars : iterable of str
        Of ``ase_elf.analysis.scalars.SCALARS``.
    shape, spacing : optional
        The grid, as in :meth:`ELFCalculator.get_elf`.
    device : str, optional
        Where the model runs.
    keep : int
        Frames whose ELF is kept: MDAnalysis transforms a frame anew whenever it is visited,
        the first one three times in a loop. A 128-atom frame takes some 4 MB.
    max_threads : int, optional
        Limit of threads while the model runs.

    Raises
    ------
    InputError
        For a universe in memory: there transformations run over all frames at once, and all
        frames share one ``ts.data``, so each would show the ELF of the last. Also for an
        element that the domain pack does not know, and later for a frame with other atoms.

    Notes
    -----
    The ELF is that of the coordinates as transformed so far; one that was computed for the
    same coordinates and cell before is reused. Models are not pickled, each process loads
    its own. Frames come one at a time: :class:`~ase_elf.mda.NetworkAnalysis` batches them.

    Examples
    --------
    >>> import MDAnalysis
    >>> from ase.io import write
    >>> from ase_elf.mda import ELFTransformation
    >>> from ase_elf.testing import GaussianDomain, molecular_fluid  # for real: no domain=
    >>> path = getfixture("tmp_path") / "run.extxyz"
    >>> write(path, molecular_fluid(8, 2, length=3.5))
    >>> universe = MDAnalysis.Universe(path)
    >>> elf = ELFTransformation(universe, domain=GaussianDomain(), scalars=["elf_mean"])
    >>> universe.trajectory.add_transformations(elf)
    >>> [round(ts.data["elf_mean"], 3) for ts in universe.trajectory]
    [0.282, 0.282]
    """

    def __init__(
        self,
        universe: mda.Universe,
        *,
        domain: str | Path | Domain | None = None,
        scalars: Iterable[str] = SCALARS,
        shape: tuple[int, int, int] | None = None,
        spacing: float | None = None,
        device: str | None = None,
        keep: int = 4,
        max_threads: int | None = None,
    ) -> None:
        super().__init__(max_threads=max_threads, parallelizable=True)
        if isinstance(universe.trajectory, MemoryReader):
            raise InputError(
                "transformations of a universe in memory leave every frame with the values of "
                "the last; write it to a file, or use ase_elf.mda.NetworkAnalysis."
            )
        self.scalars = accepted_names(scalars, SCALARS, "scalar")
        self.shape, self.spacing = shape, spacing
        self.device = device
        self.keep = positive(keep, "keep")
        self._symbols, _ = described(universe)
        ts = universe.trajectory.ts
        self._pack = pack_for(frame_of(ts, self._symbols, known_time=False).atoms, domain)
        self._calculator: ELFCalculator | None = None
        self._known: OrderedDict[tuple[bytes, bytes], tuple[ELFGrid, dict]] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_calculator": None, "_known": OrderedDict()}

    def _transform(self, ts: Timestep) -> Timestep:
        if ts.n_atoms != len(self._symbols):
            raise InputError(
                f"frame {ts.frame} has {ts.n_atoms} atoms, the universe for which the "
                f"transformation was made has {len(self._symbols)}; make one for each."
            )
        key = (ts.positions.tobytes(), b"" if ts.dimensions is None else ts.dimensions.tobytes())
        if key not in self._known:
            self._known[key] = self._evaluate(ts)
        self._known.move_to_end(key)
        while len(self._known) > self.keep:
            self._known.popitem(last=False)
        grid, scalars = self._known[key]
        ts.data["elf"] = grid
        ts.data.update(scalars)
        return ts

    def _evaluate(self, ts: Timestep) -> tuple[ELFGrid, dict]:
        if self._calculator is None:
            self._calculator = ELFCalculator(domain=self._pack, device=self.device)
        atoms = frame_of(ts, self._symbols, known_time=False).atoms
        try:
            grid = self._calculator.get_elf(atoms, shape=self.shape, spacing=self.spacing)
        except InputError as error:
            raise InputError(f"frame {ts.frame}: {error}") from error
        return grid, structure_scalars(grid, self.scalars)
