"""PredictsELF: what measures of bonds need of a calculator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from ase import Atoms

    from ase_elf.domains import Domain
    from ase_elf.grid import ELFGrid


class PredictsELF(Protocol):
    """Predicts the ELF of structures, as :class:`ase_elf.ELFCalculator` does."""

    def get_elf(self, atoms: Atoms, *, points: np.ndarray | None = None) -> ELFGrid | np.ndarray:
        """ELF of ``atoms`` on a grid, or at ``points``, shape (n, 3), Å, as an array of shape (n,)."""

    def domain_of(self, atoms: Atoms) -> Domain:
        """The domain pack that is used for ``atoms``."""
