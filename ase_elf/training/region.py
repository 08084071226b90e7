"""Which points of a label are scored: cores of pseudopotentials and vacuum hold no chemistry."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase.units import Bohr

from ase_elf.dataset.label import Label
from ase_elf.errors import InputError
from ase_elf.grid import cartesian
from ase_elf.model.neighbors import nearest_core


@dataclass(frozen=True)
class Region:
    """Points far enough from nuclei, with enough electrons.

    Parameters
    ----------
    core : float, Å
        Points closer to a nucleus that is not hydrogen are left out; 0 leaves out none.
    density : float, bohr⁻³
        Points with less are left out, of labels that hold a density.

    Raises
    ------
    InputError
        For a negative number.
    """

    core: float = 0.0
    density: float = 0.0

    def __post_init__(self) -> None:
        if not (self.core >= 0 and self.density >= 0):
            raise InputError(
                f"scored: core = {self.core} Å, density = {self.density} bohr⁻³; numbers from 0 are needed."
            )

    def of(self, label: Label) -> np.ndarray:
        """Whether each point of a label is in it: bool, shape of its values."""
        inside = np.ones(label.values.shape, bool)
        if self.core:
            inside &= (nearest_core(label.atoms, points_of(label), self.core) >= self.core).reshape(
                inside.shape
            )
        if self.density and label.density is not None:
            inside &= label.density >= self.density / Bohr**3
        return inside


EVERYWHERE = Region()


def points_of(label: Label) -> np.ndarray:
    """Where the values of a label are: shape (n, 3), Å, Cartesian; of a grid with the last index fastest."""
    return cartesian(label.atoms.cell.array, label.values.shape) if label.points is None else label.points
