"""Predictor: from structures to ELF grids with the domain packs that know them.

Chooses pack and grid, checks what goes in, batches, and says what lies outside of training.
Owns loaded models; knows nothing of ASE's calculators, and keeps no result.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_elf.domains import Domain, domain_for, get_domain
from ase_elf.errors import ElfWarning, InputError
from ase_elf.grid import ELFGrid, fast_shape, grid_shape
from ase_elf.model.batching import predict_in_memory

if TYPE_CHECKING:
    from ase import Atoms

Shape = tuple[int, int, int]


class Predictor:
    """Models of domain packs, loaded when they are first needed.

    Parameters
    ----------
    domain : str or Domain, optional
        Domain pack for all structures. By default each gets the smallest installed one that
        knows its elements.
    device, dtype : str
        As in :class:`~ase_elf.calculator.ELFCalculator`.
    """

    def __init__(self, domain: str | Domain | None, device: str | None, dtype: str) -> None:
        self.domain = get_domain(domain) if isinstance(domain, str) else domain
        self.device, self.dtype = device, dtype
        self.forget()

    def forget(self) -> None:
        """Let go of models, choices of packs, and who was warned of what."""
        self._models: dict[str, Any] = {}
        self._domains: dict[frozenset[str], Domain] = {}
        self._warned: set[str] = set()

    def domain_of(self, atoms: Atoms) -> Domain:
        """The pack that is used for ``atoms``."""
        if self.domain is not None:
            return self.domain
        symbols = frozenset(atoms.get_chemical_symbols())
        if symbols not in self._domains:
            self._domains[symbols] = domain_for(symbols)
        return self._domains[symbols]

    def shapes(
        self,
        structures: Sequence[Atoms],
        shape: Shape | Sequence[Shape] | None,
        spacing: float | None,
    ) -> list[Shape]:
        """A grid per structure, from what the caller of :meth:`on_grids` gave."""
        if shape is not None and spacing is not None:
            raise InputError("give shape= or spacing=, not both.")
        if shape is None:
            return [
                fast_shape(
                    atoms.cell.array,
                    self.domain_of(atoms).spacing if spacing is None else spacing,
                )
                for atoms in structures
            ]
        if len(shape) and np.ndim(shape[0]):
            if len(shape) != len(structures):
                raise InputError(f"{len(shape)} shapes for {len(structures)} structures.")
            return [grid_shape(one) for one in shape]
        return [grid_shape(shape)] * len(structures)

    def on_grids(self, structures: Sequence[Atoms], shapes: Sequence[Shape]) -> list[ELFGrid]:
        """ELF of each structure on its grid; all are checked before the first is computed."""
        domains = []
        for number, atoms in enumerate(structures):
            domain = self.domain_of(atoms)
            try:
                domain.check(atoms)
            except InputError as error:
                raise InputError(f"structure {number}: {error}") from error
            domains.append(domain)
        grids: list[ELFGrid | None] = [None] * len(structures)
        for name in dict.fromkeys(domain.name for domain in domains):
            chosen = [n for n, domain in enumerate(domains) if domain.name == name]
            predictions = predict_in_memory(
                self._model(domains[chosen[0]]),
                [structures[n] for n in chosen],
                [shapes[n] for n in chosen],
            )
            for n, prediction in zip(chosen, predictions, strict=True):
                grids[n] = self._grid(structures[n], domains[n], prediction)
        return grids

    def at_points(self, atoms: Atoms, points: np.ndarray) -> np.ndarray:
        """ELF at Cartesian points (Å), shape (n, 3), with no grid in between; (n,) float32."""
        xyz = np.asarray(points, dtype=float)
        if xyz.ndim != 2 or xyz.shape[1] != 3 or not np.isfinite(xyz).all():
            raise InputError(f"points must be finite and of shape (n, 3), not {xyz.shape}.")
        domain = self.domain_of(atoms)
        domain.check(atoms)
        prediction = self._model(domain).predict_points(atoms, xyz)
        self._reasons_outside(atoms, domain, prediction.distance)
        return np.asarray(prediction.values)

    def _model(self, domain: Domain):
        if domain.name not in self._models:
            self._models[domain.name] = domain.load(device=self.device, dtype=self.dtype)
        return self._models[domain.name]

    def _grid(self, atoms: Atoms, domain: Domain, prediction: Any) -> ELFGrid:
        info = {
            "domain": domain.name,
            "weights": domain.digest(large=prediction.large),
            "out_of_domain": self._reasons_outside(atoms, domain, prediction.distance),
            "domain_distance": prediction.distance,
        }
        return ELFGrid(prediction.values, atoms, info, prediction.sigma)

    def _reasons_outside(self, atoms: Atoms, domain: Domain, distance: float | None) -> list[str]:
        """Why a prediction is an extrapolation, with a warning once per formula."""
        reasons = domain.outside(atoms, distance)
        formula = atoms.get_chemical_formula()
        if reasons and formula not in self._warned:
            self._warned.add(formula)
            warnings.warn(
                f"{formula} lies outside what the domain pack {domain.name!r} was trained on: "
                f"{'; '.join(reasons)}. Its ELF is an extrapolation (info['out_of_domain']).",
                ElfWarning,
                stacklevel=5,
            )
        return reasons

    def __getstate__(self) -> dict[str, Any]:
        # Models are loaded again where they are needed, on the device that is there.
        return {"domain": self.domain, "device": self.device, "dtype": self.dtype}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.forget()
