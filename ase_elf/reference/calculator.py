"""EngineCalculator: a reference engine as an ASE calculator, for sampling with real DFT."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, ClassVar

from ase.calculators.calculator import Calculator, PropertyNotImplementedError, all_changes

if TYPE_CHECKING:
    from ase import Atoms

    from ase_elf.grid import ELFGrid
    from ase_elf.reference.engine import ReferenceEngine

__all__ = ["EngineCalculator"]


class EngineCalculator(Calculator):
    """Energy, forces and ELF of an engine, through ASE's calculator interface.

    Drives molecular dynamics and relaxations, or lends its energy and forces to
    ``ELFCalculator(calculator=...)``. The ELF comes with every step at hardly any cost, so
    a sampling run labels its own frames.

    Parameters
    ----------
    engine : ReferenceEngine

    Examples
    --------
    >>> from ase_elf.reference import get_engine
    >>> calculator = EngineCalculator(get_engine("pyscf"))
    >>> calculator.engine.name
    'pyscf'
    """

    implemented_properties: ClassVar[list[str]] = ["energy", "free_energy", "forces", "elf"]

    def __init__(self, engine: ReferenceEngine) -> None:
        super().__init__()
        self.engine = engine
        self._lock = threading.RLock()

    def get_property(self, name: str, atoms: Atoms | None = None, allow_calculation: bool = True) -> Any:
        """As ASE has it, threads one after the other: results are of one structure."""
        with self._lock:
            return super().get_property(name, atoms, allow_calculation)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.RLock())

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: tuple[str, ...] = ("energy",),
        system_changes: list[str] = all_changes,
    ) -> None:
        """Run the engine once; everything it gave is kept until the atoms move."""
        super().calculate(atoms, properties, system_changes)
        result = self.engine.compute(self.atoms)
        found = {
            "energy": result.energy,
            "free_energy": result.energy,
            "forces": result.forces,
            "elf": result.grid,
        }
        self.results = {name: value for name, value in found.items() if value is not None}
        missing = [name for name in properties if name not in self.results]
        if missing:
            raise PropertyNotImplementedError(
                f"engine {self.engine.name!r} gave no {', '.join(missing)}; some engines compute "
                "forces only with the option forces=True."
            )

    def get_elf(self, atoms: Atoms) -> ELFGrid:
        """The ELF of ``atoms`` on the engine's grid."""
        return self.get_property("elf", atoms)
