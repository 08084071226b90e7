"""What overlapping orbitals say of a place: the occupied space of one Gaussian per atom.

Extended Hückel theory (Hoffmann, doi 10.1063/1.1734456) with equal atoms and a Hamiltonian
proportional to the overlap: occupied are the combinations of Gaussians that overlap most, half as
many as there are electrons. Nothing is fitted, and nothing iterated. Their density ρ, kinetic energy
density τ and its part τ_W = |∇ρ|²/8ρ see what no sum over neighbours does: phases, and whether
electrons are shared. Bohr and hartree. Knows nothing of networks or files.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from ase import Atoms

from ase_elf.errors import InputError
from ase_elf.geometry.lattice import heights, primitive, shortest
from ase_elf.geometry.neighbors import neighbor_list
from ase_elf.model.fourier import Synthesis
from ase_elf.model.nonuniform import Frequencies, box, directions, structure_factors, values_at

N_FEATURES = 4
"""Numbers per place: z of the Becke-Edgecombe ELF of these orbitals, and ln ρ, ln τ, ln τ_W."""

EXPONENTS = (0.1, 10.0)
"""bohr⁻², that are accepted. A wider Gaussian would overlap with a thousand others."""

EXTENT = 21.1
"""bohr. Repetitions of the cell that wave functions are periodic in reach this far at least, as those
of the labels do: 2×2×2 for 128 atoms, 3×3×3 below r_s 1.3."""

FEW = 32
"""Atoms of a cell up to which they reach twice as far: crystals come within 1e-3 of still denser meshes, at little
cost. In larger cells it would take longer than all else, and fluids of 64 atoms were labelled on coarse meshes."""

SAME_PLACE = 1e-3
"""bohr. A structure that repeats to within this is taken by its primitive cell, so that a crystal and its
supercells have the same orbitals."""

SHARPNESS = 20
"""Occupation is 1 / (1 + (s_F / s)^SHARPNESS) of the eigenvalue s of the overlap: half way at s_F."""

HALVINGS, NEWTON_STEPS = 12, 5
"""To where s_F is: the former leave less than a tenth of the width of an occupation's fall, from where
the latter double the digits each time."""

SMALLEST = 1e-300
"""Slope of the number of orbitals that is divided by: between bands there is none."""

OVERLAP = 1e-6
"""Overlaps below it are none."""

SHORTEST = 1e-9
"""Waves of ρ that are less than this part of the one of no frequency are left out, and sums over pairs of
atoms are exact to it: there is vacuum to be described too, where τ is 1e-6 of what it is in a molecule."""

WEAKEST = 1e-9
"""Pairs of atoms that share fewer electrons are left out."""

MOST = 4096
"""Atoms of a cell. All orbitals are made at once, in a time that grows with the third power: some 0.5 s of
one core for 1024, 2 s for 2048, and 8 s here."""

MOST_WAVES = 2**15
"""Wave vectors, at most: reached by a single atom on 2.3 bohr³."""

FERMI = 0.3 * (3 * math.pi**2) ** (2 / 3)
"""τ of the uniform gas is this times ρ^(5/3) (Becke and Edgecombe, doi 10.1063/1.458517)."""

FLOORS = (1e-4, 1e-4, 3e-3)
"""Atomic units, added to ρ, τ and τ_W before the logarithm: there is no more to tell in vacuum. That of τ_W is
the largest, for τ_W is 0 wherever the gradient of ρ is, and its logarithm would be a needle there."""

LEAST = 3e-2
"""Smallest χ that is distinguished from 0, an ELF of 0.999."""


@dataclass(frozen=True)
class Orbitals:
    """Density and kinetic energy density of the occupied orbitals of a structure, by their plane waves.

    The product of two Gaussians is one at the middle between them, so both are sums over pairs of atoms of
    one Gaussian, which is simple in reciprocal space (docs/orbitals.md).

    Parameters
    ----------
    cell : ndarray, shape (3, 3), bohr
        What they are periodic in.
    reach : float, 1/bohr
        Length of the longest wave.
    frequencies : tuple of Tensor
        Of the plane waves (:func:`ase_elf.model.nonuniform.box`).
    spectra : Tensor, shape (5, 2, n_waves), float64
        ρ, τ and the three components of ∇ρ, real and imaginary parts. Atomic units.
    dtype : torch.dtype
        Of features.
    """

    cell: np.ndarray
    reach: float
    frequencies: Frequencies
    spectra: torch.Tensor
    dtype: torch.dtype

    @classmethod
    def of(
        cls,
        exponent: float,
        cell: np.ndarray,
        positions: np.ndarray,
        *,
        mesh: tuple[int, int, int] | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> Orbitals:
        """Of one electron per atom.

        Parameters
        ----------
        exponent : float, bohr⁻²
        cell : ndarray, shape (3, 3), bohr
        positions : ndarray, shape (n_atoms, 3), bohr
        mesh : tuple of int, optional
            Of wave vectors: cells along each lattice vector after which wave functions repeat, with the other
            sign. By default that of :func:`usual_mesh` in the primitive cell.

        Raises
        ------
        InputError
            For too many atoms or wave vectors (:func:`affordable`).
        """
        if mesh is None:
            cell, positions = primitive(cell, positions, SAME_PLACE)
            cell, mesh = usual_mesh(cell, len(positions))
        if not affordable(mesh, len(positions)):
            raise InputError(
                f"{len(positions)} atoms, {math.prod(mesh)} wave vectors: orbitals are made for at most {MOST} "
                "atoms, and cells of more than 3 bohr³; take another cell, or weights with orbital_exponent = 0."
            )
        pairs = Pairs.of(exponent, cell, positions, device)
        # Single precision is exact to 4e-6 of the largest element above r_s 1.18, in half the time.
        shared = pairs.shared(mesh, dtype)
        reach = math.sqrt(-8 * exponent * math.log(SHORTEST))
        frequencies = box(cell, reach, device)
        return cls(cell, reach, frequencies, pairs.spectra(shared, frequencies), dtype)

    def at(self, points: np.ndarray) -> torch.Tensor:
        """Features of places.

        Parameters
        ----------
        points : ndarray, shape (n, 3), bohr

        Returns
        -------
        Tensor, shape (N_FEATURES, n)
        """
        fractional = torch.from_numpy(points @ np.linalg.inv(self.cell)).to(self.spectra)
        fields = values_at(self.frequencies, self.spectra, fractional, exact=SHORTEST)
        return _features(fields, self.dtype)

    def on_grid(self, cell: np.ndarray, shape: tuple[int, int, int]) -> torch.Tensor:
        """Features of the points of a grid.

        Parameters
        ----------
        cell : ndarray, shape (3, 3), bohr
            Of the grid: of the same lattice, or of one that is part of it.
        shape : tuple of int

        Returns
        -------
        Tensor, shape (N_FEATURES, n_points)
        """
        frequencies, spectra = self._in_cell(cell)
        fields = Synthesis(shape, frequencies, len(spectra), spectra)(spectra)
        return _features(fields, self.dtype)

    def _in_cell(self, cell: np.ndarray) -> tuple[Frequencies, torch.Tensor]:
        """Frequencies in units of another cell, and the spectra there."""
        turn = np.rint(cell @ np.linalg.inv(self.cell))
        if (turn == np.eye(3)).all():
            return self.frequencies, self.spectra
        frequencies = box(cell, self.reach, self.spectra.device)
        here = directions(frequencies).double() @ torch.from_numpy(np.linalg.inv(turn).T).to(self.spectra)
        whole = here.round()
        # Those of a negative are the conjugate ones.
        sign = torch.where(whole[:, 2] < 0, -1, 1)
        x, y, z = (sign[:, None] * whole).long().T
        sizes = [len(axis) for axis in self.frequencies]
        there = (abs(here - whole) < 1e-6).all(1) & (abs(x) <= sizes[0] // 2) & (abs(y) <= sizes[1] // 2)
        there &= z < sizes[2]
        x, y = (torch.where(f < 0, size // 2 - f, f) for f, size in zip((x, y), sizes, strict=False))
        place = (x * sizes[1] + y) * sizes[2] + z
        spectra = self.spectra[..., torch.where(there, place, 0)] * there
        spectra[:, 1] *= sign
        return frequencies, spectra


@dataclass(frozen=True)
class Pairs:
    """Pairs of atoms that overlap, each once, and without the atoms themselves.

    Parameters
    ----------
    exponent : float, bohr⁻²
    cell : ndarray, shape (3, 3), bohr
    atoms : Tensor, shape (n_atoms, 3), float64
        Fractional coordinates.
    ends : Tensor, shape (2, n_pairs), int64
        Which two atoms.
    cells : Tensor, shape (n_pairs, 3), float64
        Lattice cell of the second, where the first has that of its position.
    lengths2 : Tensor, shape (n_pairs,), bohr², float64
    block : Tensor, shape (n_cells, 3), float64
        A block of lattice cells that holds all of ``cells``: far fewer than there are pairs.
    places : Tensor, shape (n_pairs,), int64
        Of ``cells`` in ``block``.
    """

    exponent: float
    cell: np.ndarray
    atoms: torch.Tensor
    ends: torch.Tensor
    cells: torch.Tensor
    lengths2: torch.Tensor
    block: torch.Tensor
    places: torch.Tensor

    @classmethod
    def of(
        cls, exponent: float, cell: np.ndarray, positions: np.ndarray, device: torch.device | str
    ) -> Pairs:
        """Of which the overlap is at least :data:`OVERLAP`."""
        atoms = Atoms(np.zeros(len(positions), int), positions, cell=cell, pbc=True)
        reach = math.sqrt(-2 * math.log(OVERLAP) / exponent)
        i, j, cells, lengths = neighbor_list("ijSd", atoms, reach, once=True)
        low, high = (cells.min(axis=0), cells.max(axis=0)) if len(cells) else (np.zeros(3, int),) * 2
        sizes = high - low + 1
        block = low + np.indices(sizes).reshape(3, -1).T
        places = np.ravel_multi_index(tuple((cells - low).T), tuple(sizes))
        parts = (
            positions @ np.linalg.inv(cell), np.stack([i, j]).astype(np.int64), cells.astype(float), lengths**2,
            block.astype(float), places.astype(np.int64),
        )  # fmt: skip
        return cls(exponent, cell, *(torch.from_numpy(part).to(device) for part in parts))

    @property
    def overlaps(self) -> torch.Tensor:
        """Of normalised Gaussians, shape (n_pairs,)."""
        return torch.exp(-self.exponent / 2 * self.lengths2)

    def shared(self, mesh: tuple[int, int, int], dtype: torch.dtype) -> torch.Tensor:
        """Density matrix of the occupied orbitals between the ends of each pair, then of each atom with itself,
        shape (n_pairs + n_atoms,), float64.

        Parameters
        ----------
        mesh : tuple of int
            Of wave vectors.
        dtype : torch.dtype
            Real one, of the precision in which matrices are diagonalised.
        """
        n, device = len(self.atoms), self.atoms.device
        waves, weights = (torch.from_numpy(part).to(device) for part in half_mesh(mesh))
        angles = 2 * math.pi * self.block @ waves.T
        # A single wave vector is half a reciprocal one: there are only signs.
        phases = torch.cos(angles) if len(waves) == 1 else torch.polar(torch.ones_like(angles), angles)
        # Waves last: what is gathered and added are rows.
        phases = phases[self.places]
        place = self.ends[0] * n + self.ends[1]
        overlaps = phases.new_zeros(n * n, len(waves)).index_add_(0, place, phases * self.overlaps[:, None])
        overlaps = overlaps.T.reshape(-1, n, n)
        overlaps = overlaps + overlaps.mH + torch.eye(n, device=device)
        overlaps = overlaps.to(dtype.to_complex() if overlaps.is_complex() else dtype)
        values, vectors = torch.linalg.eigh(overlaps)
        filled = 2 * weights[:, None] * occupations(values.double(), weights, n / 2) / values.clamp(min=1e-12)
        matrices = (vectors * filled[:, None].to(dtype)) @ vectors.mH
        own = matrices.diagonal(dim1=1, dim2=2).real.sum(0)
        matrices = matrices.flatten(1).T.contiguous()[place].to(phases.dtype)
        between = torch.linalg.vecdot(*(_real(rows) for rows in (matrices, phases)))
        return torch.cat([between, own.double()])

    def spectra(self, shared: torch.Tensor, frequencies: Frequencies) -> torch.Tensor:
        """ρ, τ and ∇ρ by their plane waves, shape (5, 2, n_waves), float64.

        Parameters
        ----------
        shared : Tensor, shape (n_pairs + n_atoms,)
            As of :meth:`shared`.
        frequencies : tuple of Tensor
        """
        first, second = self.ends
        middles = torch.cat([(self.atoms[first] + self.atoms[second] + self.cells) / 2, self.atoms])
        n_pairs, width = len(self.lengths2), 2 * self.exponent
        weights = torch.cat([2 * self.overlaps * shared[:n_pairs], shared[n_pairs:]])
        lengths2 = torch.cat([self.lengths2, shared.new_zeros(len(self.atoms))])
        if shared.device.type == "cpu":  # elsewhere a count would have to be waited for
            kept = weights.abs() > WEAKEST
            middles, weights, lengths2 = middles[kept], weights[kept], lengths2[kept]
        strengths = torch.stack([weights, weights * lengths2], dim=1)
        sums, apart = structure_factors(frequencies, middles, strengths, exact=SHORTEST)
        reciprocal = torch.from_numpy(2 * np.pi * np.linalg.inv(self.cell)).to(shared)
        g = reciprocal @ directions(frequencies).to(shared).T
        g2 = (g * g).sum(0)
        envelope = torch.exp(-g2 / (4 * width)) / abs(np.linalg.det(self.cell))
        rho, apart = sums * envelope, apart * envelope
        tau = 2 * self.exponent**2 * ((1.5 / width - g2 / (4 * width**2)) * rho - apart / 4)
        slopes = torch.stack([-g * rho[1], g * rho[0]], dim=1)
        return torch.cat([rho[None], tau[None], slopes])


def usual_mesh(cell: np.ndarray, n_atoms: int) -> tuple[np.ndarray, tuple[int, int, int]]:
    """A lattice by its shortest vectors, and how many of each are enough for :data:`EXTENT`.

    Parameters
    ----------
    cell : ndarray, shape (3, 3), bohr
        Any cell of the lattice: all give the same mesh.
    n_atoms : int
        In the cell; up to :data:`FEW` it is twice as far.
    """
    reduced, _ = shortest(cell)
    extent = EXTENT if n_atoms > FEW else 2 * EXTENT
    return reduced, tuple(np.ceil(extent / heights(reduced) - 1e-6).astype(int).tolist())


def affordable(mesh: tuple[int, int, int], n_atoms: int) -> bool:
    """Whether orbitals can be made for so many atoms on such a mesh."""
    return n_atoms <= MOST and math.prod(mesh) <= MOST_WAVES


def half_mesh(mesh: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Wave vectors in the middle of the pieces of a Monkhorst-Pack mesh (doi 10.1103/PhysRevB.13.5188),
    one of each pair ±k, and their weights.

    Returns
    -------
    waves : ndarray, shape (n, 3)
        In units of the reciprocal lattice vectors.
    weights : ndarray, shape (n,)
        Their sum is 1.
    """
    whole = np.indices(mesh).reshape(3, -1)
    own, other = (
        np.arange(whole.shape[1]),
        np.ravel_multi_index(tuple(np.array(mesh)[:, None] - 1 - whole), mesh),
    )
    weights = np.where(own == other, 1.0, 2.0) / len(own)
    first = own <= other
    return ((whole.T + 0.5) / mesh)[first], weights[first]


def occupations(values: torch.Tensor, weights: torch.Tensor, n_orbitals: float) -> torch.Tensor:
    """How full orbitals are, from 0 to 1, so that there are so many of them.

    Parameters
    ----------
    values : Tensor, shape (n_waves, n)
        Eigenvalues of the overlap.
    weights : Tensor, shape (n_waves,)
    """
    logs = values.clamp(min=1e-12).log()
    low, high = logs.min() - 1, logs.max() + 1

    def filled(level: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(SHARPNESS * (logs - level))

    # By halving, then by Newton's steps that stay within what is left, and never asking the device.
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        few = filled(middle).sum(1) @ weights < n_orbitals
        low, high = torch.where(few, low, middle), torch.where(few, middle, high)
    level = (low + high) / 2
    for _ in range(NEWTON_STEPS):
        full = filled(level)
        slope = SHARPNESS * ((full - full * full).sum(1) @ weights)
        level = level + (full.sum(1) @ weights - n_orbitals) / slope.clamp(min=SMALLEST)
        level = torch.minimum(torch.maximum(level, low), high)
    return filled(level)


def _real(rows: torch.Tensor) -> torch.Tensor:
    """Real and imaginary parts of the last axis side by side."""
    return torch.view_as_real(rows).flatten(-2) if rows.is_complex() else rows


def _features(fields: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """From ρ, τ and ∇ρ, shape (5, n), to features (N_FEATURES, n) of a type."""
    rho, tau = fields[:2].clamp(min=0)
    floored = rho + FLOORS[0]
    weizsaecker = torch.linalg.vecdot(fields[2:], fields[2:], dim=0).div_(8 * floored)
    # Where they are nearly equal, all digits are needed until here.
    parts = torch.stack([tau - weizsaecker, rho, tau, weizsaecker]).to(dtype)
    chi = parts[0] / (FERMI * floored.to(dtype) ** (5 / 3))
    parts[0] = (chi * chi + LEAST**2).reciprocal_()
    for part, floor in zip(parts[1:], FLOORS, strict=True):
        part += floor
    return parts.log_()
