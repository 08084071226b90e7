"""Predictor: from structures to ELF grids with the domain packs that know them.

The only way from a model to a grid: calculator, analysis, screening and command line use it, so
that every predicted grid says the same of where it is from (``ELFGrid.info``).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_elf import domains
from ase_elf.errors import ElfWarning, InputError
from ase_elf.geometry.neighbors import Neighbors
from ase_elf.grid import ELFGrid, fast_shape, grid_shape
from ase_elf.model.batching import predict_in_memory
from ase_elf.model.neighbors import nearest_core
from ase_elf.model.points import at_points

if TYPE_CHECKING:
    from pathlib import Path

    from ase import Atoms

    from ase_elf.domains import Domain
    from ase_elf.model import Prediction
    from ase_elf.model.points import AtPoints

__all__ = ["Predictor", "Shape", "expected_r2"]

Shape = tuple[int, int, int]

SAMPLE = 4001
"""Points of a grid that its expected R² is taken from; a prime number, so that they do not lie on planes."""


class Predictor:
    """Models of domain packs, loaded when they are first needed. Keeps no grid.

    Parameters
    ----------
    domain : str, Path or Domain, optional
        Domain pack for all structures, by name or folder. By default each gets the smallest
        installed one that knows its elements.
    device : str, optional
        ``"cpu"``, ``"cuda"``, ``"cuda:1"``. By default CUDA where there is one, else CPU.
    dtype : {"float32", "float64"}
        Precision of the model.
    """

    def __init__(
        self,
        domain: str | Path | Domain | None = None,
        device: str | None = None,
        dtype: str = "float32",
    ) -> None:
        self.domain = None if domain is None else domains.find_domain(domain)
        self.device, self.dtype = device, dtype
        self.forget()

    def forget(self) -> None:
        """Let go of models, choices of packs, and who was warned of what."""
        self._models: dict[Domain, Any] = {}
        self._domains: dict[tuple[frozenset[str], tuple[bool, ...]], Domain] = {}
        self._warned: set[tuple[str, str]] = set()

    def domain_of(self, atoms: Atoms) -> Domain:
        """The pack that is used for ``atoms``."""
        if self.domain is not None:
            return self.domain
        symbols, pbc = frozenset(atoms.get_chemical_symbols()), tuple(map(bool, atoms.pbc))
        if (symbols, pbc) not in self._domains:
            self._domains[symbols, pbc] = domains.domain_for(symbols, pbc)
        return self._domains[symbols, pbc]

    def boxed(self, atoms: Atoms) -> Atoms:
        """Atoms on which a grid can lie, in a box of vacuum where ``atoms`` are open."""
        return self.domain_of(atoms).boxed(atoms)

    def shapes(
        self,
        structures: Sequence[Atoms],
        shape: Shape | Sequence[Shape] | None = None,
        spacing: float | None = None,
    ) -> list[Shape]:
        """A grid per structure: ``shape``, or points at most ``spacing`` (Å) apart, by default the pack's."""
        if shape is not None and spacing is not None:
            raise InputError("give shape= or spacing=, not both.")
        if shape is None:
            return [
                fast_shape(
                    self.boxed(atoms).cell.array,
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
        """ELF of each structure on its grid; all are checked before the first is computed.

        Warns once per formula of a structure that lies outside of training.
        """
        nearby = [Neighbors(atoms) for atoms in structures]
        for number, near in enumerate(nearby):
            try:
                self.domain_of(near.atoms).check(near.atoms, near)
            except InputError as error:
                raise InputError(f"structure {number}: {error}") from error
        grids = self.grids(structures, shapes, nearby)
        for grid in grids:
            self._warn(grid.atoms, grid.info["out_of_domain"], grid.info["domain"])
        for near in nearby:
            self.say_open(near.atoms)
        return grids

    def grids(
        self,
        structures: Sequence[Atoms],
        shapes: Sequence[Shape],
        nearby: Sequence[Neighbors] | None = None,
        *,
        keep_errors: bool = False,
    ) -> list[Any]:
        """ELF of structures that have been checked, those of one pack together.

        Parameters
        ----------
        structures : sequence of ase.Atoms
        shapes : sequence of tuple of int
        nearby : sequence of Neighbors, optional
            Of each, where they have been searched for.
        keep_errors : bool
            Return the ``MemoryError`` of a structure that does not fit in its place.

        Returns
        -------
        list of ELFGrid
            In the order of ``structures``. ``info`` holds ``domain``, ``weights`` (their SHA-256, of
            those for large cells where they predicted), ``out_of_domain`` and ``domain_distance``;
            ``pack``, the folder of a pack that is not installed; and ``boxed``, directions along which
            the structure was open and got a box with vacuum, in which the grid lies.
        """
        packs = [self.domain_of(atoms) for atoms in structures]
        found: list[Any] = [None] * len(structures)
        for pack in dict.fromkeys(packs):
            chosen = [n for n, other in enumerate(packs) if other == pack]
            predictions = predict_in_memory(
                self._model(pack),
                [pack.boxed(structures[n]) for n in chosen],
                [shapes[n] for n in chosen],
                keep_errors=keep_errors,
            )
            for n, prediction in zip(chosen, predictions, strict=True):
                near = None if nearby is None else nearby[n]
                found[n] = _grid(structures[n], pack, prediction, near)
        return found

    def at_points(self, atoms: Atoms, points: np.ndarray) -> np.ndarray:
        """ELF at Cartesian points (Å), shape (n, 3), with no grid in between; (n,) float32."""
        xyz = np.asarray(points, dtype=float)
        if xyz.ndim != 2 or xyz.shape[1] != 3 or not np.isfinite(xyz).all():
            raise InputError(f"points must be finite and of shape (n, 3), not {xyz.shape}.")
        pack, near = self.domain_of(atoms), Neighbors(atoms)
        pack.check(atoms, near)
        prediction = self._model(pack).predict_points(atoms, xyz)
        self._warn(atoms, pack.outside(atoms, prediction.distance, near), pack.name)
        self.say_open(atoms)
        return np.asarray(prediction.values)

    def at_points_of(self, structures: Sequence[Atoms], points: Sequence[np.ndarray]) -> list[AtPoints]:
        """ELF of each structure at Cartesian points (Å), shape (n, 3), those of one pack in one pass.

        All are checked first. Warns once per formula of a structure that lies outside of training.
        """
        packs = [self.domain_of(atoms) for atoms in structures]
        nearby = [Neighbors(atoms) for atoms in structures]
        for pack, near in zip(packs, nearby, strict=True):
            pack.check(near.atoms, near)
        found: list[Any] = [None] * len(structures)
        for pack in dict.fromkeys(packs):
            chosen = [n for n, other in enumerate(packs) if other == pack]
            mine = at_points(self._model(pack), [structures[n] for n in chosen], [points[n] for n in chosen])
            for n, one in zip(chosen, mine, strict=True):
                found[n] = one
                self._warn(structures[n], pack.outside(structures[n], one.distance, nearby[n]), pack.name)
                self.say_open(structures[n])
        return found

    def _model(self, pack: Domain) -> Any:
        if pack not in self._models:
            self._models[pack] = pack.load(device=self.device, dtype=self.dtype)
        return self._models[pack]

    def say_open(self, atoms: Atoms) -> None:
        """Warn, once per formula, that a structure is taken as isolated along its open directions."""
        note = self.domain_of(atoms).open_note(atoms)
        if note is not None:
            self._once("open", atoms, note)

    def _warn(self, atoms: Atoms, reasons: Sequence[str], name: str) -> None:
        """Say that a prediction cannot be relied on, once per formula."""
        if reasons:
            self._once(
                "outside",
                atoms,
                f"{atoms.get_chemical_formula()} lies outside what the domain pack {name!r} describes well: "
                f"{'; '.join(reasons)}. Do not rely on its ELF (info['out_of_domain']).",
            )

    def _once(self, about: str, atoms: Atoms, text: str) -> None:
        """Warn of one matter once per formula."""
        known = about, atoms.get_chemical_formula()
        if known not in self._warned:
            self._warned.add(known)
            warnings.warn(text, ElfWarning, stacklevel=5)

    def __getstate__(self) -> dict[str, Any]:
        # Models are loaded again where they are needed, on the device that is there.
        return {"domain": self.domain, "device": self.device, "dtype": self.dtype}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.forget()


def _grid(atoms: Atoms, pack: Domain, prediction: Any, near: Neighbors | None) -> ELFGrid | MemoryError:
    """A prediction with its atoms, and where it is from."""
    if isinstance(prediction, MemoryError):
        return prediction
    found, box = domains.address(pack), pack.boxed(atoms)
    r2 = expected_r2(box, prediction, pack.card.get("scored", {}).get("core", 0.0)) if box is atoms else None
    info = {
        "domain": pack.name,
        **({} if found == pack.name else {"pack": found}),
        "weights": pack.digest(large=prediction.large),
        "out_of_domain": pack.outside(atoms, prediction.distance, near, r2),
        "domain_distance": prediction.distance,
    }
    if box is not atoms:
        info["boxed"] = [bool(direction) for direction in ~atoms.pbc]
        box.pbc = True  # as the grid is
    return ELFGrid(prediction.values, box, info, prediction.sigma)


def expected_r2(atoms: Atoms, prediction: Prediction, core: float = 0.0) -> float | None:
    """R² that the error bars of a prediction lead to expect: 1 - mean σ² / variance of the ELF (own definition).

    Parameters
    ----------
    atoms : ase.Atoms
        Periodic, in the cell of the grid.
    prediction : Prediction
        On a grid, of which :data:`SAMPLE` points are looked at.
    core : float, Å
        Points closer to a nucleus other than hydrogen do not count.

    Returns
    -------
    float or None
        None without error bars, or for an ELF without any variation.
    """
    if prediction.sigma is None:
        return None
    values, sigma = prediction.values, prediction.sigma
    index = np.unique(np.linspace(0, values.size - 1, SAMPLE).astype(int))
    if core:
        points = np.stack(np.unravel_index(index, values.shape), -1) / values.shape @ atoms.cell.array
        index = index[nearest_core(atoms, points, core) >= core]
    elf, errors = values.ravel()[index].astype(float), sigma.ravel()[index].astype(float)
    spread = elf.var() if len(elf) else 0.0
    return float(1 - np.mean(errors**2) / spread) if spread else None
