"""FieldModel: a trained network applied to structures, on grids or at any points.

Å outside, bohr inside. A grid is predicted in two steps: the network runs on the coarse
grid that resolves z = logit(ELF) in the cell, and z is carried to the requested grid by
Fourier interpolation, which for z is accurate where for ELF itself it is not. On a requested
grid of fewer points that still resolves the inputs of the network it runs directly. In an oblique
cell the coarse grid is that of the reduced cell, so that any cell of a lattice gives the same field.
"""

from __future__ import annotations

import math
import warnings
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from ase.units import Bohr

from ase_elf.errors import InputError
from ase_elf.geometry.boxes import boxed
from ase_elf.geometry.lattice import heights, lengths, upright
from ase_elf.grid import cartesian
from ase_elf.model import orbitals, spectral
from ase_elf.model.fourier import carry, upsample
from ase_elf.model.minimal_basis.features import chosen_features
from ase_elf.model.neighbors import Surroundings, joined
from ase_elf.model.network import ROWS, FieldNetwork

if TYPE_CHECKING:
    from ase import Atoms

    from ase_elf.model.novelty import Novelty

__all__ = [
    "BOUNDS",
    "CHUNK",
    "CHUNK_ON_DEVICE",
    "KEPT",
    "NATIVE_SPACING",
    "REACH",
    "READ_SPACING",
    "TOGETHER",
    "FieldModel",
    "Prediction",
    "native_shape",
    "network_shape",
]

NATIVE_SPACING = 0.30
"""bohr. Grid on which the network itself runs; see ``docs/field-model.md`` for the error."""

REACH = 0.8
"""Length of the longest plane wave of fields, in units of π over the native spacing. What the network
makes of fields has shorter waves than they have: the ELF is as far from direct evaluation as
with all waves of the grid, to 1e-5 (docs/field-model.md)."""

READ_SPACING = 1.5
"""Times the native spacing. Planes of a grid that resolves the fields of the network, which are
smoother than z: an error of 4e-4 rms in dense hydrogen, less than carrying z makes."""

BOUNDS = (-10.0, 16.0)
"""Of z on a grid. Below 5e-5 from an ELF of 0, as in the core of a pseudopotential, z falls without limit,
and would ring between the points. Above, single precision ends; with 10 the plateaus of molecules far apart were
cut off, and the ringing of the cut said where attractors were."""

CHUNK = 2048
"""Points that go through the network together: enough to be fast, few enough for cache."""

CHUNK_ON_DEVICE = 2**18
"""The same where there is no cache to stay in, but many cores to fill: four frames of 128 atoms of
dense hydrogen; activations take 0.3 GiB."""

KEPT = 2**24
"""Numbers of memory that are kept for the next prediction: what the system clears anew each time
costs a tenth of a prediction of 128 atoms. Twice what those need; larger cells gain little."""

TOGETHER = 2**21
"""Native grid points of the structures that are predicted together, some 35 of 128 atoms of dense
hydrogen. What is held of all of them is 8 bytes per point, and the neighbours of the atoms."""


@dataclass(frozen=True)
class Prediction:
    """ELF and its expected error.

    Parameters
    ----------
    values : ndarray, float32, dimensionless in [0, 1]
        On a grid (nx, ny, nz) or at points (n,).
    sigma : ndarray or None
        One standard deviation of the ELF, same shape.
    distance : float or None
        Of the structure from those trained on; above 1 it lies farther out than 99 % of them
        (:class:`ase_elf.model.novelty.Novelty`). None where the model does not know.
    large : bool
        Whether the model for large cells made it.
    """

    values: np.ndarray
    sigma: np.ndarray | None = None
    distance: float | None = None
    large: bool = False


@dataclass(frozen=True)
class _Job:
    """A grid to be made.

    Parameters
    ----------
    atoms : ase.Atoms
        In an upright cell of their lattice.
    native : tuple of int
        Grid of that cell the network runs on.
    shape : tuple of int
        Grid that is wanted, of the cell the structure came with.
    turn : ndarray or None
        Times that cell it is the upright one; None where they are the same.
    """

    atoms: Atoms
    native: tuple[int, int, int]
    shape: tuple[int, int, int]
    turn: np.ndarray | None

    @classmethod
    def of(cls, atoms: Atoms, shape: tuple[int, int, int], spacing: float) -> _Job:
        cell, turn = upright(atoms.cell.array)
        if turn is None:
            return cls(atoms, network_shape(cell / Bohr, spacing, shape), shape, None)
        atoms = atoms.copy()
        atoms.set_cell(cell)
        return cls(atoms, native_shape(cell / Bohr, spacing), shape, turn)

    def carried(self, fields: torch.Tensor) -> torch.Tensor:
        """Fields (n, nx, ny, nz) on the native grid, on the grid that is wanted."""
        if self.turn is None:
            return torch.stack([upsample(field, self.shape) for field in fields])
        return carry(fields, self.turn, self.shape)


class FieldModel:
    """Geometry to ELF.

    Parameters
    ----------
    network : FieldNetwork
    device : torch.device
    dtype : torch.dtype
    native_spacing : float, bohr
        Spacing of the grid the network runs on.
    novelty : Novelty, optional
        Field invariants of training, for the distance that comes with a prediction.
    large : FieldModel, optional
        Without orbitals, for structures they are not made for
        (:func:`ase_elf.model.orbitals.affordable`).
    """

    def __init__(
        self,
        network: FieldNetwork,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        native_spacing: float = NATIVE_SPACING,
        novelty: Novelty | None = None,
        large: FieldModel | None = None,
    ) -> None:
        self.network = network.to(device=device, dtype=dtype)
        self.device, self.dtype = torch.device(device), dtype
        self.native_spacing, self.novelty, self.large = native_spacing, novelty, large
        self._waves: OrderedDict = OrderedDict()
        self._spare: list[torch.Tensor] = []

    @property
    def arch(self):
        return self.network.arch

    def predict(
        self, structures: list[Atoms], shapes: list[tuple[int, int, int]], *, sigma: bool = True
    ) -> list[Prediction]:
        """ELF of each structure on its grid.

        Structures of any sizes share the passes through the networks: their atoms go through
        together, and so do their grid points. Fields are made for one after the other.

        Parameters
        ----------
        structures : list of ase.Atoms
            Periodic in three dimensions; elements among those of the weights.
        shapes : list of tuple of int
            (nx, ny, nz) per structure, in the grid convention of :class:`ase_elf.ELFGrid`.
        sigma : bool
            Also the expected error.
        """
        jobs = list(zip(structures, shapes, strict=True))
        found: dict[int, Prediction] = {}
        own = [k for k, atoms in enumerate(structures) if not self._is_large(atoms)]
        found.update(zip(own, self._predict([jobs[k] for k in own], sigma), strict=True))
        others = [k for k in range(len(jobs)) if k not in found]
        if others:
            made = self.large._predict([jobs[k] for k in others], sigma)
            found.update(zip(others, (replace(one, large=True) for one in made), strict=True))
        return [found[k] for k in range(len(jobs))]

    def _is_large(self, atoms: Atoms) -> bool:
        """Whether the other model is for it."""
        if self.large is None or not atoms.pbc.any():
            return self.large is not None and len(atoms) > orbitals.MOST
        _, mesh = orbitals.usual_mesh(atoms.cell.array / Bohr, len(atoms))
        return not orbitals.affordable(mesh, len(atoms))

    def _predict(self, jobs: list[tuple[Atoms, tuple]], sigma: bool) -> list[Prediction]:
        sized = []
        for atoms, shape in jobs:
            _check_vacuum(atoms, self.arch.cutoff * Bohr)
            sized.append(_Job.of(atoms, tuple(shape), self.native_spacing))
        found: list[Prediction] = []
        for group in _groups([math.prod(job.native) for job in sized], TOGETHER):
            found += self._on_grids(sized[group], sigma)
        return found

    @torch.no_grad()
    def predict_points(self, atoms: Atoms, xyz: np.ndarray, *, sigma: bool = True) -> Prediction:
        """ELF at points, evaluated directly with no grid in between.

        Parameters
        ----------
        atoms : ase.Atoms
        xyz : ndarray, shape (n, 3), Å
            Cartesian; anywhere, wrapped into the cell along directions that are periodic.
        sigma : bool
            Also the expected error.
        """
        if self._is_large(atoms):
            return replace(self.large.predict_points(atoms, xyz, sigma=sigma), large=True)
        xyz = np.atleast_2d(np.asarray(xyz, dtype=float))
        if atoms.pbc.any() or self.arch.n_orbital_features:
            atoms = boxed(atoms, around=xyz)
        points = xyz / Bohr
        surroundings = self._surroundings(atoms, points)
        (coefficients,), (distance,) = self._coefficients([atoms], [surroundings])
        orbital = self._orbital_features(atoms, surroundings.cell, points).T
        z, log_error = [], []
        for rows in np.array_split(np.arange(len(points)), max(1, -(-len(points) // (CHUNK // 4)))):
            if len(rows):
                near = self._put(surroundings.around(points[rows]))
                invariants = self.network.output_invariants(*near, coefficients)
                inputs = self.network.inputs(invariants, orbital[rows])
                z.append(self.network.value(inputs)[:, 0])
                log_error.append(self.network.log_error(inputs)[:, 0] if sigma else None)
        if not z:
            nothing = np.empty(0, np.float32)
            return Prediction(
                nothing, nothing if sigma else None, None if distance is None else float(distance)
            )
        return _prediction(torch.cat(z), torch.cat(log_error) if sigma else None, distance)

    @property
    def reach(self) -> float:
        """Å. Distance within which atoms affect the field invariants at a nucleus."""
        return (1 + self.arch.n_updates) * self.arch.cutoff * Bohr

    @torch.no_grad()
    def invariants(self, atoms: Atoms) -> torch.Tensor:
        """Field invariants at the nuclei of a structure, shape (n_atoms, n_invariants).

        The distance of a structure from training is computed from them
        (:class:`~ase_elf.model.novelty.Novelty`).
        """
        surroundings = self._surroundings(atoms, atoms.get_positions() / Bohr)
        neighbours, species = self._neighbours([atoms], [surroundings])
        return self._at_nuclei(neighbours, self.network.coefficients(species, *neighbours))

    def readings(self, atoms: Atoms) -> torch.Tensor:
        """The name of :meth:`invariants` before 0.2; it goes with 0.3."""
        warnings.warn("FieldModel.readings is invariants since 0.2.", DeprecationWarning, stacklevel=2)
        return self.invariants(atoms)

    @torch.no_grad()
    def _on_grids(self, jobs: list[_Job], sigma: bool) -> list[Prediction]:
        sizes = [math.prod(job.native) for job in jobs]
        outputs = torch.empty(1 + sigma, sum(sizes), device=self.device, dtype=self.dtype)
        chunk = CHUNK if self.device.type == "cpu" else CHUNK_ON_DEVICE
        structures = [job.atoms for job in jobs]
        coefficients, distances = self._coefficients(
            structures, [self._surroundings(atoms) for atoms in structures]
        )
        column = 0
        for raw in _together(self._invariants(jobs, coefficients), chunk):
            outputs[:, column : column + raw.shape[1]] = self.network.on_grid(raw, chunk, sigma=sigma)
            column += raw.shape[1]
            del raw  # the largest there is, which finer grids need not lie beside
        outputs[0].clamp_(*BOUNDS)
        found = []
        for job, own, distance in zip(jobs, outputs.split(sizes, dim=1), distances, strict=True):
            fine = job.carried(own.view(-1, *job.native))
            found.append(_prediction(fine[0], fine[1] if sigma else None, distance))
        return found

    def _invariants(
        self, jobs: list[_Job], all_coefficients: tuple[torch.Tensor, ...]
    ) -> Iterator[torch.Tensor]:
        """Raw invariants of each native grid, with the orbital features below them; the next overwrite them."""
        invariants, n_orbital = self.network.output_invariants, self.arch.n_orbital_features
        for job, coefficients in zip(jobs, all_coefficients, strict=True):
            cell = job.atoms.cell.array / Bohr
            fractional = torch.from_numpy(job.atoms.get_scaled_positions()).to(self.device)
            # First, while there is memory for matrices.
            orbital = self._orbital_features(job.atoms, cell, shape=job.native)
            waves = self._waves_of(cell, job.native)
            size = spectral.numbers_held(invariants, waves, n_orbital)
            memory = self._memory(size)
            raw = spectral.raw_invariants(
                invariants, waves, fractional, coefficients, memory=memory[:size], more=n_orbital
            )
            raw[invariants.n_invariants :] = orbital
            yield raw
            if len(memory) <= KEPT:
                self._spare = [memory]
            del raw, memory  # or they would be held while the next ones are made

    def _orbital_features(
        self,
        atoms: Atoms,
        cell: np.ndarray,
        points: np.ndarray | None = None,
        *,
        shape: tuple[int, int, int] | None = None,
    ) -> torch.Tensor:
        """Of points (bohr) or of the points of a grid, shape (n_orbital_features, n)."""
        if not self.arch.n_orbital_features:
            n = len(points) if shape is None else math.prod(shape)
            return torch.empty(0, n, device=self.device, dtype=self.dtype)
        if self.arch.minimal_basis:
            points = points if shape is None else cartesian(cell, shape)
            groups = self.arch.minimal_basis
            return chosen_features(atoms, points * Bohr, groups, dtype=self.dtype, device=self.device).T
        occupied = orbitals.Orbitals.of(
            self.arch.orbital_exponent, cell, atoms.get_positions() / Bohr,
            device=self.device, dtype=self.dtype,
        )  # fmt: skip
        return occupied.at(points) if shape is None else occupied.on_grid(cell, shape)

    def _memory(self, size: int) -> torch.Tensor:
        """At least so many numbers: those that were kept, which no other thread uses then, or new ones."""
        try:  # Threads share a model: pop is one step, a look before it would be another.
            spare = self._spare.pop()
        except IndexError:
            spare = None
        if spare is not None and len(spare) >= size:
            return spare
        del spare
        return torch.empty(size, device=self.device, dtype=self.dtype)

    def _surroundings(self, atoms: Atoms, points: np.ndarray | None = None) -> Surroundings:
        """Of the cell; where points are given, of atoms that repeat nowhere if nothing is periodic."""
        positions = atoms.get_positions() / Bohr
        if points is not None and not atoms.pbc.any():
            return Surroundings.isolated(positions, points, self.arch.cutoff)
        return Surroundings.of(upright(atoms.cell.array)[0] / Bohr, positions, self.arch.cutoff)

    def _coefficients(
        self, structures: list[Atoms], surroundings: list[Surroundings]
    ) -> tuple[tuple[torch.Tensor, ...], list[torch.Tensor | None]]:
        """What the atoms of each structure put into the fields, from one pass for all of them,
        and how far each structure is from those trained on.
        """
        neighbours, species = self._neighbours(structures, surroundings)
        coefficients = self.network.coefficients(species, *neighbours)
        sizes = [len(atoms) for atoms in structures]
        distances: list[torch.Tensor | None] = [None] * len(sizes)
        if self.novelty is not None:
            invariants = self._at_nuclei(neighbours, coefficients).split(sizes)
            distances = [self.novelty.on_device(each) for each in invariants]
        return coefficients.split(sizes), distances

    def _at_nuclei(self, neighbours: tuple, coefficients: torch.Tensor) -> torch.Tensor:
        """Field invariants at the nuclei: of the fields of their neighbours, and their own."""
        index, vectors = neighbours
        itself = torch.arange(len(index), device=index.device)[:, None]
        index = torch.cat([index, itself], dim=1)
        vectors = torch.cat([vectors, vectors.new_zeros(3, len(index), 1)], dim=2)
        parts = zip(index.split(ROWS), vectors.split(ROWS, dim=1), strict=True)
        return torch.cat([self.network.output_invariants(i, v, coefficients) for i, v in parts])

    def _neighbours(
        self, structures: list[Atoms], surroundings: list[Surroundings]
    ) -> tuple[tuple[torch.Tensor, torch.Tensor], torch.Tensor]:
        """Neighbours of the atoms of all structures, and what element each atom is."""
        numbers = np.concatenate([atoms.numbers for atoms in structures])
        known = {number: i for i, number in enumerate(self.arch.elements)}
        unknown = sorted(set(numbers.tolist()) - set(known))
        if unknown:
            raise InputError(
                f"atomic numbers {unknown} are not known to these weights, "
                f"which cover {list(self.arch.elements)}."
            )
        species = torch.from_numpy(np.array([known[number] for number in numbers.tolist()])).to(self.device)
        tables = [
            near.around(atoms.get_positions() / Bohr, skip_self=True)
            for near, atoms in zip(surroundings, structures, strict=True)
        ]
        return self._put(joined(tables, self.arch.cutoff)), species

    def _put(self, neighbours: tuple[np.ndarray, np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
        index, vectors = neighbours
        return (
            torch.from_numpy(index).to(self.device),
            torch.from_numpy(vectors).to(device=self.device, dtype=self.dtype),
        )

    def _waves_of(self, cell: np.ndarray, shape: tuple[int, int, int]) -> spectral.Waves:
        """Kept for the last few cells: in a run at constant volume the cell never changes."""
        key = (cell.tobytes(), shape)
        waves = self._waves.get(key)  # held here, where another thread may drop it from there
        if waves is None:
            reach = REACH * math.pi / self.native_spacing
            waves = self._waves[key] = spectral.Waves.of(
                cell, shape, reach, self.network.output_invariants, self.device, self.dtype
            )
            while len(self._waves) > 2:
                self._waves.popitem(last=False)
        return waves


def _groups(sizes: list[int], most: int) -> Iterator[slice]:
    """Neighbours in a list that are no larger than ``most`` together, or one that is alone."""
    start, total = 0, 0
    for k, size in enumerate(sizes):
        if k > start and total + size > most:
            yield slice(start, k)
            start, total = k, 0
        total += size
    if sizes:
        yield slice(start, len(sizes))


def _together(parts: Iterator[torch.Tensor], most: int) -> Iterator[torch.Tensor]:
    """Parts of few columns joined until no more fit into ``most``."""
    waiting: list[torch.Tensor] = []
    for part in parts:
        if waiting and sum(one.shape[1] for one in waiting) + part.shape[1] > most:
            yield torch.cat(waiting, dim=1)
            waiting = []
        if part.shape[1] >= most:
            yield part
        else:  # The next structure's will be where this one is.
            waiting.append(part.clone())
    if waiting:
        yield torch.cat(waiting, dim=1)


def _check_vacuum(atoms: Atoms, cutoff: float) -> None:
    """A molecule on a grid must have a cell, and not see its image across the boundary."""
    if atoms.pbc.any():
        return
    advice = f"atoms.center(vacuum={cutoff / 2:.1f}) makes a cell that is large enough."
    if abs(np.linalg.det(atoms.cell.array)) < 1e-6:
        raise InputError(f"a grid needs a cell, and the structure has none; {advice}")
    cell, _ = upright(atoms.cell.array)
    gap = float(((1 - np.ptp(atoms.positions @ np.linalg.inv(cell), axis=0)) * heights(cell)).min())
    if gap < cutoff:
        raise InputError(
            f"the cell leaves {gap:.2f} Å between the structure and its image, less than the "
            f"{cutoff:.2f} Å the model sees; {advice}"
        )


def _prediction(z: torch.Tensor, log_error: torch.Tensor | None, distance: torch.Tensor | None) -> Prediction:
    """The only place where numbers leave the device."""

    def array(tensor):
        return tensor.to(torch.float32).cpu().numpy()

    distance = None if distance is None else float(distance)
    if log_error is None:
        return Prediction(array(torch.sigmoid(z)), None, distance)
    # Nothing in [0, 1] can deviate by more than 1/2; far from what it knows, the head says so.
    sigma = array(torch.exp(log_error).clamp(max=0.5))
    return Prediction(array(torch.sigmoid(z)), sigma, distance)


def native_shape(cell: np.ndarray, spacing: float) -> tuple[int, int, int]:
    """Smallest grid with points at most ``spacing`` apart along the edges of the cell: it holds all
    waves up to a length of G of π over it.
    """
    return tuple(max(3, int(np.ceil(edge / spacing))) for edge in lengths(cell))


def network_shape(cell: np.ndarray, spacing: float, shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """The grid the network runs on for a prediction on ``shape``: the native one or that itself."""
    native = native_shape(cell, spacing)
    resolves = (lengths(cell) <= READ_SPACING * spacing * np.array(shape)).all()
    return shape if resolves and math.prod(shape) < math.prod(native) else native
