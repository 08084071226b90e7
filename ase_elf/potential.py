"""Potential: energy, forces and stress from a domain pack, as an ASE calculator.

What a simulation needs whose bonds are to be watched, where no other calculator is at hand:
``ELFCalculator(calculator=Potential())``. A front door like :mod:`ase_elf.calculator`; the
network is :class:`ase_elf.model.energy.EnergyNetwork`, the weights are the pack's.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.calculators.calculator import BaseCalculator, CalculationFailed, all_changes

from ase_elf.domains import describe, find_domain
from ase_elf.errors import ElfWarning, InputError
from ase_elf.geometry.lattice import upright

if TYPE_CHECKING:
    from pathlib import Path

    from ase import Atoms

    from ase_elf.domains import Domain

__all__ = ["Potential"]


class Potential(BaseCalculator):
    """Energy, forces and stress of a domain pack that brings a potential.

    Parameters
    ----------
    domain : str, Path or Domain, optional
        Domain pack, by name or folder. By default the smallest installed one that knows the elements.
    device : str, optional
        ``"cpu"``, ``"cuda"``, ``"cuda:1"``. By default CUDA where there is one, else CPU.
    dtype : {"float32", "float64"}
        Precision. Single conserves the energy of a long run; double is for minimisation
        beyond 1e-4 eV/Å and for second derivatives by differences.

    Raises
    ------
    DomainError
        At the first structure, when no pack fits or the pack has no potential.
    InputError
        For a structure without three-dimensional cell or with elements unknown to the pack.

    Warns
    -----
    ElfWarning
        Once, for a density outside the trained range.

    Notes
    -----
    ``energies`` are those of the atoms; how the sum is shared among them is not physics.
    The zero of energy is that of the reference (see ``potential.json`` of the pack).

    Examples
    --------
    >>> from ase_elf.potential import Potential
    >>> calculator = Potential(dtype="float64")  # for ELFCalculator(calculator=...), or alone
    >>> calculator.implemented_properties
    ['energy', 'free_energy', 'energies', 'forces', 'stress']
    """

    implemented_properties = ["energy", "free_energy", "energies", "forces", "stress"]

    def __init__(
        self,
        *,
        domain: str | Path | Domain | None = None,
        device: str | None = None,
        dtype: str = "float32",
    ) -> None:
        if dtype not in ("float32", "float64"):
            raise InputError(f"dtype {dtype!r}; accepted are 'float32' and 'float64'.")
        super().__init__()
        self.domain = None if domain is None else find_domain(domain)
        self.device, self.dtype = device, dtype
        self._network, self._warned = None, False
        self.parameters = self.todict()

    def calculate(
        self, atoms: Atoms, properties: Sequence[str], system_changes: Sequence[str] = all_changes
    ) -> None:
        """All properties at once: forces cost little more than the energy."""
        import torch
        from ase.stress import full_3x3_to_voigt_6_stress
        from ase.units import Bohr

        from ase_elf.model.energy import energies_and_slopes, forces, virial
        from ase_elf.model.neighbors import Surroundings

        self._check(atoms, system_changes)
        network = self._loaded()
        known = network.arch.elements
        positions = atoms.positions / Bohr
        around = Surroundings.of(upright(atoms.cell.array)[0] / Bohr, positions, network.arch.cutoff)
        index, vectors = around.around(positions, skip_self=True)
        where, precision = network.species.device, network.species.dtype
        index = torch.from_numpy(index).to(where)
        vectors = torch.from_numpy(vectors).to(where, precision)
        species = torch.tensor([known.index(number) for number in atoms.numbers], device=where)
        energies, slopes = energies_and_slopes(network, species, index, vectors)
        energies = energies.double().cpu().numpy()
        if not np.isfinite(energies).all():
            raise CalculationFailed(
                f"the energies of atoms {np.flatnonzero(~np.isfinite(energies))[:10].tolist()} "
                "are not finite; make the time step smaller, or start from a sounder structure."
            )
        strain = virial(vectors, slopes).double().cpu().numpy()
        self.results = {
            "energy": float(energies.sum()),
            "free_energy": float(energies.sum()),
            "energies": energies,
            "forces": forces(index, slopes).double().cpu().numpy(),
            "stress": full_3x3_to_voigt_6_stress(strain / atoms.get_volume()),
        }

    def todict(self) -> dict[str, Any]:
        """Settings as JSON-able values, which ASE stores beside the structures."""
        return {
            "domain": getattr(self.domain, "name", None),
            "device": self.device,
            "dtype": self.dtype,
        }

    def _get_name(self) -> str:
        return "elf-potential"

    def _loaded(self):
        if self._network is None:
            self._network = self.domain.load_potential(device=self.device, dtype=self.dtype)
        return self._network

    def _check(self, atoms: Atoms, changes: Sequence[str]) -> None:
        """In full for a new system, and of positions only whether they are numbers."""
        if self.domain is None:
            self.domain = find_domain(None, atoms.get_chemical_symbols())
        if self._network is None or {"numbers", "pbc"} & set(changes):
            self.domain.check(atoms)
        elif not np.isfinite(atoms.positions).all() or not np.isfinite(atoms.cell.array).all():
            raise InputError("positions or cell hold NaN or infinity; look at the last good step of the run.")
        if not self._warned and {"numbers", "cell"} & set(changes):
            low, high = self.domain.potential_card["trained_range"]["r_s_bohr"]
            density = describe(atoms)["r_s_bohr"]
            if not low <= density <= high:
                self._warned = True
                warnings.warn(
                    f"r_s = {density:.3f} bohr lies outside {low:.2f} to {high:.2f}, where the "
                    f"potential of {self.domain.name!r} was trained: its forces are a guess.",
                    ElfWarning,
                    stacklevel=2,
                )

    def __getstate__(self) -> dict[str, Any]:
        # Weights are loaded again where they are needed, on the device that is there.
        return {**self.__dict__, "_network": None}
