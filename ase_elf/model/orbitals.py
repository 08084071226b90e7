"""What overlapping orbitals say of a place: the occupied space of one Gaussian per atom.

Extended Hückel theory (Hoffmann, doi 10.1063/1.1734456) with equal atoms and a Hamiltonian
proportional to the overlap: occupied are the combinations of Gaussians that overlap most, half as
many as there are electrons. Nothing is fitted, and nothing iterated. Their density ρ, kinetic energy
density τ and its part τ_W = |∇ρ|²/8ρ see what no sum over neighbours does: phases, and whether
electrons are shared. Bohr and hartree. Knows nothing of networks or files.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from ase.geometry import minkowski_reduce
from scipy.sparse import coo_array

from ase_elf.errors import InputError
from ase_elf.geometry.lattice import heights, primitive
from ase_elf.model.neighbors import Surroundings

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

OVERLAP = 1e-6
"""Overlaps below it are none."""

TAIL = 3e-4
"""Part of its height that is taken off a Gaussian, so that it ends at a sphere without a step and it
does not matter what else is near: 1e-5 of the ELF after a fit, beyond 5.5 bohr."""

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

TILE = 2.1
"""bohr. Edge of the boxes whose points share a list of atoms."""

NUMBERS = 2**18
"""Numbers of the density matrices of boxes that are worked at together."""


@dataclass(frozen=True)
class Orbitals:
    """Occupied orbitals of a structure.

    Parameters
    ----------
    exponent : float, bohr⁻²
        Of every Gaussian.
    surroundings : Surroundings
        The atoms and their images.
    mesh : tuple of int
        Cells along each lattice vector after which wave functions repeat, with the other sign.
    density : Tensor, shape (n_differences, n_atoms, n_atoms)
        Density matrix between the atoms of a cell and those of another one of these cells, by the
        difference of the two: (2 mesh - 1) along each lattice vector, from the most negative.
    """

    exponent: float
    surroundings: Surroundings
    mesh: tuple[int, int, int]
    density: torch.Tensor

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
            Of wave vectors; by default that of :func:`usual_mesh` in the primitive cell.

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
        _, weights = half_mesh(mesh)
        overlaps = torch.from_numpy(_overlaps(exponent, cell, positions, mesh))
        # Single precision is exact to 4e-6 of the largest element above r_s 1.18, in half the time.
        wanted = dtype.to_complex() if overlaps.is_complex() else dtype
        values, vectors = torch.linalg.eigh(overlaps.to(device=device, dtype=wanted))
        values, weights = values.double(), torch.from_numpy(weights).to(device)
        level = fermi_level(values, weights, len(positions) / 2)
        logs = values.clamp(min=1e-12).log()
        filled = 2 * weights[:, None] * torch.sigmoid(SHARPNESS * (logs - level)) * torch.exp(-logs)
        density = _between_cells((vectors * filled[:, None].to(dtype)) @ vectors.mH, mesh).contiguous()
        reach = math.sqrt(-math.log(TAIL) / exponent) + TILE * math.sqrt(3) / 2
        return cls(exponent, Surroundings.of(cell, positions, reach), mesh, density)

    def at(self, points: np.ndarray) -> torch.Tensor:
        """Features of places.

        Parameters
        ----------
        points : ndarray, shape (n, 3), bohr

        Returns
        -------
        Tensor, shape (N_FEATURES, n)
        """
        out = self.density.new_empty(N_FEATURES, len(points))
        cell = self.surroundings.cell
        inside = ((points @ np.linalg.inv(cell)) % 1.0) @ cell
        for rows, there, centres in self._boxes(inside):
            places, images, signs = self._near(centres)
            row, column = (torch.from_numpy(place).to(self.density.device) for place in places)
            density = self.density.take(row[:, :, None] + column[:, None, :])
            # Seen from the middle of the box numbers are small, and stay exact.
            features = _features(
                self.exponent,
                self._put(inside[rows] - centres[:, None]),
                self._put(images - centres[:, None]),
                self._put(signs),
                density,
            )
            out[:, rows[there]] = features[:, torch.from_numpy(there)]
        return out

    def _put(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array).to(self.density)

    def _boxes(self, points: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Points by box, some boxes at a time: rows of points (boxes, most), which of them are there,
        and the middle of each box.
        """
        if not len(points):
            return
        low = points.min(0)
        places = np.floor((points - low) / TILE).astype(np.int64)
        box = np.ravel_multi_index(tuple(places.T), places.max(0) + 1)
        _, box, count = np.unique(box, return_inverse=True, return_counts=True)
        order = np.argsort(box, kind="stable")
        first = np.cumsum(count) - count
        centres = low + (places[order[first]] + 0.5) * TILE
        # Boxes with about as many points go together: most are padded least.
        by_count = np.argsort(count, kind="stable")
        width = self._width()
        parts = -(-len(count) * width * width // NUMBERS)
        for some in np.array_split(by_count, min(parts, len(count))):
            there = np.arange(count[some].max()) < count[some][:, None]
            steps = np.where(there, np.arange(there.shape[1]), 0)
            yield order[first[some][:, None] + steps], there, centres[some]

    def _width(self) -> int:
        """About how many atoms a box sees."""
        near = self.surroundings
        sphere = 4 / 3 * math.pi * near.cutoff**3
        return 1 + int(sphere * len(near.home) / abs(np.linalg.det(near.cell)))

    def _near(self, centres: np.ndarray) -> tuple[tuple, np.ndarray, np.ndarray]:
        """Where images around each point stand in the density matrix (:meth:`_places`), where in
        space (bohr), and their signs; a sign of 0 is no image.
        """
        near = self.surroundings
        found = near.tree.query_ball_point(centres, near.cutoff)
        count = np.array([len(one) for one in found])
        steps = np.arange(max(1, count.max()))
        there = steps < count[:, None]
        flat = np.concatenate([np.array(one, dtype=np.int64) for one in found])
        images = np.zeros(there.shape, np.int64)
        images[there] = flat
        places, signs = self._places(near.images[images], near.origin[images])
        return places, near.images[images], np.where(there, signs, 0.0)

    def _places(self, images: np.ndarray, atoms: np.ndarray) -> tuple[tuple, np.ndarray]:
        """Two numbers per image: the first of one and the second of another add up to their place in
        the density matrix; and the sign of wave functions at it.
        """
        near, mesh = self.surroundings, np.array(self.mesh)
        cells = np.rint((images - near.home[atoms]) @ np.linalg.inv(near.cell)).astype(np.int64)
        turns, cells = np.divmod(cells, mesh)
        sizes = 2 * mesh - 1
        number = cells @ np.array([sizes[1] * sizes[2], sizes[2], 1])
        n_atoms = len(near.home)
        middle = math.prod(sizes) // 2
        row = ((number + middle) * n_atoms + atoms) * n_atoms
        column = atoms - number * n_atoms**2
        return (row, column), 1.0 - 2.0 * (turns.sum(-1) % 2)


def usual_mesh(cell: np.ndarray, n_atoms: int) -> tuple[np.ndarray, tuple[int, int, int]]:
    """A lattice by its shortest vectors, and how many of each are enough for :data:`EXTENT`.

    Parameters
    ----------
    cell : ndarray, shape (3, 3), bohr
        Any cell of the lattice: all give the same mesh.
    n_atoms : int
        In the cell; up to :data:`FEW` it is twice as far.
    """
    shortest, _ = minkowski_reduce(cell)
    extent = EXTENT if n_atoms > FEW else 2 * EXTENT
    return shortest, tuple(np.ceil(extent / heights(shortest) - 1e-6).astype(int).tolist())


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
    first, weights = _half(mesh)
    return ((np.indices(mesh).reshape(3, -1).T + 0.5) / mesh)[first], weights[first]


def _half(mesh: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Of all vectors of a mesh, the last component running fastest: which stand for themselves and
    their negatives, and their weights.
    """
    whole = np.indices(mesh).reshape(3, -1)
    own, other = (
        np.arange(whole.shape[1]),
        np.ravel_multi_index(tuple(np.array(mesh)[:, None] - 1 - whole), mesh),
    )
    return own <= other, np.where(own == other, 1.0, 2.0) / len(own)


def _turns(mesh: tuple[int, int, int]) -> np.ndarray:
    """exp(2πi k r) of the first wave vector for the cells r of a mesh, shape ``mesh``: what is left of a
    Fourier sum over wave vectors in the middle of the pieces besides a fast one.
    """
    return np.exp(1j * np.pi * (np.indices(mesh) / np.array(mesh)[:, None, None, None]).sum(0))


def _overlaps(
    exponent: float, cell: np.ndarray, positions: np.ndarray, mesh: tuple[int, int, int]
) -> np.ndarray:
    """Overlap of normalised Gaussians for each wave vector of :func:`half_mesh`, (n_waves, n_atoms, n_atoms)."""
    near = Surroundings.of(cell, positions, math.sqrt(-2 * math.log(OVERLAP) / exponent))
    index, vectors = near.around(positions)
    lengths2 = (vectors**2).sum(0)
    start, place = np.nonzero(lengths2 < near.cutoff**2)  # the rest only pads the table
    end = index[start, place]
    ends = near.home[start] + vectors[:, start, place].T
    cells = np.rint((ends - near.home[end]) @ np.linalg.inv(cell)).astype(np.int64)
    turns, cells = np.divmod(cells, mesh)
    overlap = np.exp(-exponent / 2 * lengths2[start, place]) * (1.0 - 2.0 * (turns.sum(1) % 2))
    n = len(positions)
    row = np.ravel_multi_index(tuple(cells.T), mesh) * n + start
    sums = coo_array((overlap, (row, end)), shape=(math.prod(mesh) * n, n)).toarray().reshape(*mesh, n, n)
    if math.prod(mesh) == 1:
        return sums[0, 0]
    first, _ = _half(mesh)
    waves = np.fft.ifftn(sums * _turns(mesh)[..., None, None], axes=(0, 1, 2), norm="forward")
    return waves.reshape(-1, n, n)[first]


def _between_cells(matrices: torch.Tensor, mesh: tuple[int, int, int]) -> torch.Tensor:
    """Sums over the waves of :func:`half_mesh` for all differences of two cells of a mesh: (2 mesh - 1) along
    each lattice vector from the most negative, (n_differences, n, n).
    """
    n = matrices.shape[-1]
    if math.prod(mesh) == 1:
        return matrices
    waves = matrices.new_zeros(math.prod(mesh), n, n)
    waves[torch.from_numpy(_half(mesh)[0]).to(waves.device)] = matrices
    sums = torch.fft.ifftn(waves.reshape(*mesh, n, n), dim=(0, 1, 2), norm="forward")
    sums = (sums * torch.from_numpy(_turns(mesh)[..., None, None]).to(sums)).real
    for axis, cells in enumerate(mesh):
        # A whole mesh away everything is the same, with the other sign.
        sums = torch.cat([-sums.narrow(axis, 1, cells - 1), sums], dim=axis)
    return sums.reshape(-1, n, n)


def fermi_level(values: torch.Tensor, weights: torch.Tensor, n_orbitals: float) -> float:
    """ln s_F at which so many orbitals are occupied, by halving.

    Parameters
    ----------
    values : Tensor, shape (n_waves, n)
        Eigenvalues of the overlap.
    weights : Tensor, shape (n_waves,)
    """
    logs = values.clamp(min=1e-12).log()
    low, high = float(logs.min()) - 1, float(logs.max()) + 1
    for _ in range(60):
        middle = (low + high) / 2
        filled = torch.sigmoid(SHARPNESS * (logs - middle)).sum(1) @ weights
        low, high = (low, middle) if float(filled) < n_orbitals else (middle, high)
    return (low + high) / 2


def _features(
    exponent: float,
    points: torch.Tensor,
    atoms: torch.Tensor,
    signs: torch.Tensor,
    density: torch.Tensor,
) -> torch.Tensor:
    """Features of the points of some boxes, (N_FEATURES, boxes, points).

    A Gaussian's gradient is itself times a length, and the product of two such lengths follows
    from three distances: sums over pairs of ρ and of ρ times a squared distance are enough.

    Parameters
    ----------
    points : Tensor, shape (boxes, points, 3), bohr
    atoms : Tensor, shape (boxes, atoms, 3), bohr
    signs : Tensor, shape (boxes, atoms)
    density : Tensor, shape (boxes, atoms, atoms)
    """
    squares, lengths2 = (atoms * atoms).sum(-1), (points * points).sum(-1)
    between = squares[:, :, None] + squares[:, None] - 2 * atoms @ atoms.mT
    away = torch.baddbmm(squares[:, None] + lengths2[..., None], points, atoms.mT, alpha=-2)
    height = (2 * exponent / math.pi) ** 0.75
    values = away.mul_(-exponent).exp_().sub_(TAIL).clamp_(min=0).mul_((height * signs)[:, None])
    pairs = torch.bmm(values, torch.cat([density, density * between], dim=2))
    own, apart = pairs.split(density.shape[1], dim=2)
    apart = torch.linalg.vecdot(apart, values)
    shares = own.mul_(values)
    # Moments of the shares that atoms have of ρ: of order 0, 1 and 2.
    moments = shares @ torch.cat([torch.ones_like(signs)[..., None], atoms, squares[..., None]], -1)
    rho = moments[..., 0]
    slope = points * rho[..., None] - moments[..., 1:4]
    spread = lengths2 * rho - 2 * (points * moments[..., 1:4]).sum(-1) + moments[..., 4]
    tau = (2 * exponent**2) * (spread - apart / 2)
    rho, tau = rho.clamp(min=0), tau.clamp(min=0)
    weizsaecker = 2 * exponent**2 * (slope * slope).sum(-1) / (rho + FLOORS[0])
    chi = (tau - weizsaecker) / (FERMI * (rho + FLOORS[0]) ** (5 / 3))
    z = -torch.log(chi * chi + LEAST**2)
    logs = [torch.log(part + floor) for part, floor in zip((rho, tau, weizsaecker), FLOORS, strict=True)]
    return torch.stack([z, *logs])
