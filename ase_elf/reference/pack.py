"""A reference engine where a domain pack is expected: the ELF of DFT, by the same ways as a prediction."""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from ase.data import chemical_symbols

from ase_elf.domains import Domain
from ase_elf.errors import EngineError
from ase_elf.geometry.boxes import boxed
from ase_elf.grid import cartesian
from ase_elf.model import Prediction

if TYPE_CHECKING:
    from ase import Atoms

    from ase_elf.reference.result import ReferenceResult

__all__ = ["EnginePack"]

SPACING = 0.1
"""Å, of grids where none is asked for."""

ATTEMPTS = 3
"""Each mixes more carefully than the one before."""


class Engine(Protocol):
    """What is needed of a :class:`~ase_elf.reference.ReferenceEngine`."""

    name: str

    def options(self) -> dict: ...

    def compute(self, atoms: Atoms, *, points: np.ndarray | None, attempt: int) -> ReferenceResult: ...


class EngineModel:
    """Computes what a field model predicts, one structure after the other, without an error bar."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def predict(
        self, structures: list[Atoms], shapes: list[tuple[int, int, int]], *, sigma: bool = True
    ) -> list[Prediction]:
        """See :meth:`ase_elf.model.FieldModel.predict`; there is no ``sigma``."""
        found = []
        for atoms, shape in zip(structures, shapes, strict=True):
            values = self._values(atoms, _around(atoms, cartesian(atoms.cell.array, shape)))
            found.append(Prediction(values.reshape(shape)))
        return found

    def predict_points(self, atoms: Atoms, xyz: np.ndarray, *, sigma: bool = True) -> Prediction:
        """See :meth:`ase_elf.model.FieldModel.predict_points`; there is no ``sigma``."""
        return Prediction(self._values(atoms, np.atleast_2d(xyz)))

    def _values(self, atoms: Atoms, points: np.ndarray) -> np.ndarray:
        for attempt in range(ATTEMPTS - 1):
            try:
                return self._computed(atoms, points, attempt)
            except EngineError:
                continue
        return self._computed(atoms, points, ATTEMPTS - 1)

    def _computed(self, atoms: Atoms, points: np.ndarray, attempt: int) -> np.ndarray:
        values = self.engine.compute(atoms, points=points, attempt=attempt).values
        return np.clip(values, 0, 1).astype(np.float32)


def _around(atoms: Atoms, points: np.ndarray) -> np.ndarray:
    """Points of a box moved by its vectors to lie around the atoms, along directions that are open."""
    inside = atoms.cell.scaled_positions(points)
    ends = atoms.cell.scaled_positions(atoms.positions)
    middle = (ends.max(axis=0) + ends.min(axis=0)) / 2
    return points - (np.round(inside - middle) * ~atoms.pbc) @ atoms.cell.array


class EnginePack(Domain):
    """What an engine can compute, as a domain pack without files.

    Every grid costs a DFT run. Structures are those the engine takes; bonds are pairs as
    near as their covalent radii say.

    Parameters
    ----------
    engine : ReferenceEngine
    address : str, optional
        What :func:`~ase_elf.domains.get_domain` takes for this very pack, in another process say.

    Examples
    --------
    >>> from ase_elf.domains import get_domain
    >>> pack = get_domain("engine:espresso")
    >>> pack.engine.recipe, round(pack.bonds["H", "S"], 2)
    ('many-elements', 1.7)
    """

    def __init__(self, engine: Engine, address: str | None = None) -> None:
        super().__init__(Path(address or engine.name))
        object.__setattr__(self, "engine", engine)  # the base is frozen

    @cached_property
    def card(self) -> dict:
        """What a card would say."""
        recipe = json.dumps(self.engine.options(), sort_keys=True, default=str)
        return {
            "name": self.engine.name,
            "elements": chemical_symbols[1:],
            "bonds": "covalent",
            "spacing": SPACING,
            "trained_range": {},
            "isolated": True,
            "slabs": True,
            "weights": {"file": "none", "sha256": hashlib.sha256(recipe.encode()).hexdigest()},
        }

    def boxed(self, atoms: Atoms, *, centre: bool = False) -> Atoms:
        """As of any pack, but open directions stay open: engines treat them their own way."""
        box = boxed(atoms, centre=centre)
        if box is not atoms:
            box.pbc = atoms.pbc
        return box

    def load(self, device: str | None = None, dtype: str = "float32") -> EngineModel:
        """The engine, where other packs have a model; ``device`` and ``dtype`` do not matter."""
        return EngineModel(self.engine)

    def distance(self, atoms: Atoms) -> None:
        """A calculation is not far from anything."""
