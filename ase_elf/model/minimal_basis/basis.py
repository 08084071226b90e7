"""Which orbitals a structure has, and in which order."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from ase_elf.model.minimal_basis.atoms import Atom, Shell, atom


@dataclass(frozen=True)
class Group:
    """One shell of all atoms of an element: orbitals ``first + width * k + m`` of the k-th of ``atoms``."""

    atom: Atom
    shell: Shell
    index: int
    atoms: np.ndarray
    first: int

    @property
    def size(self) -> int:
        return len(self.atoms) * self.shell.width


@dataclass(frozen=True)
class Basis:
    """Orbitals of a structure, those that atoms have electrons in first. Bohr.

    Parameters
    ----------
    cell : ndarray, shape (3, 3)
    positions : ndarray, shape (n_atoms, 3)
    numbers : ndarray, shape (n_atoms,)
    """

    cell: np.ndarray
    positions: np.ndarray
    numbers: np.ndarray

    @cached_property
    def elements(self) -> list[tuple[Atom, np.ndarray]]:
        """Elements present, and which atoms are of each."""
        return [(atom(int(z)), np.flatnonzero(self.numbers == z)) for z in np.unique(self.numbers)]

    @cached_property
    def groups(self) -> list[Group]:
        return self._groups("shells")

    @cached_property
    def projectors(self) -> list[Group]:
        return self._groups("projectors")

    def _groups(self, kind: str) -> list[Group]:
        groups, first = [], 0
        for own in (True, False):
            for element, atoms in self.elements:
                for index, shell in enumerate(getattr(element, kind)):
                    if shell.own is own:
                        groups.append(Group(element, shell, index, atoms, first))
                        first += groups[-1].size
        return groups

    @cached_property
    def size(self) -> int:
        """Number of orbitals."""
        return self.groups[-1].first + self.groups[-1].size

    @cached_property
    def n_own(self) -> int:
        """Number of orbitals of shells that atoms have electrons in."""
        return sum(group.size for group in self.groups if group.shell.own)

    @cached_property
    def n_electrons(self) -> float:
        return sum(element.valence * len(atoms) for element, atoms in self.elements)

    @cached_property
    def volume(self) -> float:
        return float(abs(np.linalg.det(self.cell)))

    @cached_property
    def reciprocal(self) -> np.ndarray:
        """Rows are reciprocal lattice vectors, bohr⁻¹, 2π included."""
        return 2 * np.pi * np.linalg.inv(self.cell).T

    def levels(self) -> torch.Tensor:
        """Of each orbital in its atom, hartree."""
        return self.per_orbital([group.shell.level for group in self.groups])

    def per_orbital(self, values: list[float]) -> torch.Tensor:
        """A number per group as one per orbital."""
        sizes = torch.tensor([group.size for group in self.groups])
        return torch.tensor(values, dtype=torch.float64).repeat_interleave(sizes)
