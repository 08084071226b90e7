"""PredictsELF: what measures of bonds need of a calculator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from ase import Atoms

    from ase_elf.domains import Domain
    from ase_elf.grid import ELFGrid
    from ase_elf.model.points import AtPoints


class PredictsELF(Protocol):
    """Predicts the ELF of structures, as :class:`ase_elf.ELFCalculator` does."""

    def get_elf(self, atoms: Atoms, *, points: np.ndarray | None = None) -> ELFGrid | np.ndarray:
        """ELF of ``atoms`` on a grid, or at ``points``, shape (n, 3), Å, as an array of shape (n,)."""

    def at_points(self, structures: Sequence[Atoms], points: Sequence[np.ndarray]) -> list[AtPoints]:
        """ELF of many structures at points of each, in one pass."""

    def domain_of(self, atoms: Atoms) -> Domain:
        """The domain pack that is used for ``atoms``."""
