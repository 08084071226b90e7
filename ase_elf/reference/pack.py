"""A reference engine where a domain pack is expected: the ELF of DFT, by the same ways as a prediction."""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from itertools import combinations_with_replacement
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from ase.data import chemical_symbols, covalent_radii

from ase_elf.domains import Domain
from ase_elf.errors import EngineError
from ase_elf.grid import cartesian
from ase_elf.model import Prediction
from ase_elf.reference.engine import ReferenceEngine, automatic_engine

if TYPE_CHECKING:
    from ase import Atoms

STRETCH = 1.25
"""Times the sum of covalent radii (Cordero et al., doi 10.1039/b801115j, as in ASE): the longest bond."""

SPACING = 0.1
"""Å, of grids where none is asked for."""

ATTEMPTS = 3
"""Each mixes more carefully than the one before."""


class EngineModel:
    """Computes what a field model predicts, one structure after the other, without an error bar."""

    def __init__(self, engine: ReferenceEngine) -> None:
        self.engine = engine

    def predict(
        self, structures: list[Atoms], shapes: list[tuple[int, int, int]], *, sigma: bool = True
    ) -> list[Prediction]:
        """See :meth:`ase_elf.model.FieldModel.predict`; there is no ``sigma``."""
        found = []
        for atoms, shape in zip(structures, shapes, strict=True):
            values = self._values(atoms, cartesian(atoms.cell.array, shape))
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


class EnginePack(Domain):
    """What an engine can compute, as a domain pack without files.

    Every grid costs a DFT run. Structures are those the engine takes; bonds are pairs up to
    :data:`STRETCH` times the sum of their covalent radii.

    Parameters
    ----------
    engine : str or ReferenceEngine
        By name: with the options that suit any structure
        (:attr:`~ase_elf.reference.ReferenceEngine.automatic`), k-mesh by the cell.

    Raises
    ------
    EngineError
        If no engine has that name.

    Examples
    --------
    >>> pack = EnginePack("espresso")
    >>> pack.engine.recipe, round(pack.bonds["H", "S"], 2)
    ('many-elements', 1.7)
    """

    def __init__(self, engine: str | ReferenceEngine) -> None:
        engine = automatic_engine(engine) if isinstance(engine, str) else engine
        super().__init__(Path(engine.name))
        object.__setattr__(self, "engine", engine)  # the base is frozen

    @cached_property
    def card(self) -> dict:
        """What a card would say, for every element that has a covalent radius."""
        known = {s: r for s, r in zip(chemical_symbols, covalent_radii, strict=True) if s != "X"}
        pairs = combinations_with_replacement(known, 2)
        recipe = json.dumps(self.engine.options(), sort_keys=True, default=str)
        return {
            "name": self.engine.name,
            "elements": list(known),
            "bonds": {f"{a}-{b}": round(float(STRETCH * (known[a] + known[b])), 3) for a, b in pairs},
            "spacing": SPACING,
            "trained_range": {},
            "isolated": True,
            "weights": {"file": "none", "sha256": hashlib.sha256(recipe.encode()).hexdigest()},
        }

    def load(self, device: str | None = None, dtype: str = "float32") -> EngineModel:
        """The engine, where other packs have a model; ``device`` and ``dtype`` do not matter."""
        return EngineModel(self.engine)

    def distance(self, atoms: Atoms) -> None:
        """A calculation is not far from anything."""
