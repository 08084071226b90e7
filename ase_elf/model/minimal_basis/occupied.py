"""Occupied orbitals of a structure by two Hamiltonians, from positions alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from ase import Atoms
from ase.geometry import minkowski_reduce
from ase.units import Bohr, Hartree

from ase_elf.errors import InputError
from ase_elf.grid import cartesian
from ase_elf.model.minimal_basis.basis import Basis
from ase_elf.model.minimal_basis.fields import Evaluator, Fields
from ase_elf.model.minimal_basis.hamiltonian import huckel, matrices
from ase_elf.model.minimal_basis.states import States
from ase_elf.model.minimal_basis.superposed import Superposed, superposed
from ase_elf.model.minimal_basis.wave_vectors import SPACING, Mesh

HAMILTONIANS = ("huckel", "one-shot")

BEFORE_D = (19, 20, 37, 38, 55, 56)
"""Metals whose empty d shell takes part in bonds."""

DENSE, FEW = 0.22, 150
"""bohr⁻¹ between wave vectors for the Fermi level, and the most orbitals that it is done for."""

GAP = 0.3
"""eV. A structure with a larger one is an insulator: it has no states at the Fermi level."""


@dataclass(frozen=True)
class FermiLevel:
    """What one-shot bands say of the Fermi level.

    Parameters
    ----------
    level : float, eV
        From the vacuum level of superposed neutral atoms.
    dos : float, states/eV
        Of the cell, both spins, at the level.
    hydrogen_share : float
        Part of it that is on hydrogen: of projections (Löwdin) on all shells that atoms have electrons in, and
        the d shell of K, Ca, Rb, Sr, Cs and Ba. NaN where the gap is above :data:`GAP`.
    hydrogen_share_without_d : float
        The same without those d shells, as projections on the orbitals of PseudoDojo files are.
    gap : float, eV
        On the mesh of wave vectors; 0 for a metal. Few wave vectors of a large cell may miss the crossing of
        bands in a metal, which then shows a small gap.
    """

    level: float
    dos: float
    hydrogen_share: float
    hydrogen_share_without_d: float
    gap: float


class OccupiedOrbitals:
    """Of a structure: orbitals of caged pseudo-atoms, filled by extended Hückel theory and by a one-shot Hamiltonian.

    Parameters
    ----------
    atoms : ase.Atoms
        With a cell of three vectors (a box of vacuum around what is open), of elements that are tabulated.
    hamiltonians : tuple of str
        Of :data:`HAMILTONIANS`.
    spacing : float, bohr⁻¹
        Between wave vectors, at most. One is enough along directions in which ``atoms.pbc`` is false.
    dtype : torch.dtype
        Real type of large sums.
    device : torch.device or str

    Raises
    ------
    InputError
        For a cell without volume, and an element that is not tabulated.
    """

    def __init__(
        self,
        atoms: Atoms,
        *,
        hamiltonians: tuple[str, ...] = HAMILTONIANS,
        spacing: float = SPACING,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        if unknown := set(hamiltonians) - set(HAMILTONIANS):
            raise InputError(f"no Hamiltonian {sorted(unknown)}: there are {', '.join(HAMILTONIANS)}.")
        if not len(atoms):
            raise InputError("a structure without atoms has no orbitals.")
        cell = atoms.cell.array / Bohr
        if abs(np.linalg.det(cell)) < 1e-3:
            raise InputError(f"a cell without volume ({atoms.cell}): orbitals need three lattice vectors; "
                             "give open directions a box, atoms.center(vacuum=4).")  # fmt: skip
        self._cell, self._pbc = cell, atoms.pbc
        # The shortest vectors of the lattice: every cell of it gives the same, with the smallest grid.
        reduced = minkowski_reduce(cell)[0] if atoms.pbc.all() else cell
        self.basis = Basis(reduced, atoms.positions / Bohr, atoms.numbers)
        self.mesh = Mesh.usual(self.basis.reciprocal, atoms.pbc, spacing)
        self.hamiltonians, self.dtype, self.device = tuple(hamiltonians), dtype, torch.device(device)

    @cached_property
    def states(self) -> dict[str, States]:
        """Bands by Hamiltonian."""
        waves, _ = self.mesh.half()
        overlap, one_shot = matrices(self.basis, waves, dtype=self.dtype, device=self.device)
        found = {}
        for name in self.hamiltonians:
            if name == "huckel":
                n = self.basis.n_own
                own = overlap[:, :n, :n]
                found[name] = States.of(self.basis, self.mesh, own, huckel(own, self.basis.levels()[:n]))
            else:
                found[name] = States.of(self.basis, self.mesh, overlap, one_shot)
        return found

    @cached_property
    def evaluator(self) -> Evaluator:
        densities = [self.states[name].density_matrix() for name in self.hamiltonians]
        return Evaluator(self.basis, self.mesh, densities, self.dtype)

    def at(self, points: np.ndarray) -> dict[str, Fields]:
        """Density and kinetic energy densities by Hamiltonian, atomic units, at points (Å, Cartesian, (n, 3))."""
        return dict(zip(self.hamiltonians, self.evaluator.at(_bohr(points)), strict=True))

    def on_grid(self, shape: tuple[int, int, int]) -> dict[str, Fields]:
        """As :meth:`at`, on a grid of the cell: n = nx ny nz, the last index running fastest."""
        return self.at(cartesian(self._cell * Bohr, shape))

    def superposed(self, points: np.ndarray) -> tuple[Superposed, Superposed]:
        """Densities of atoms put where they are, of hydrogen and of all others, at points (Å, shape (n, 3))."""
        return superposed(self.basis, _bohr(points), dtype=self.dtype, device=self.device)

    @cached_property
    def fermi_level(self) -> FermiLevel:
        """By the one-shot Hamiltonian, of up to :data:`FEW` orbitals on a denser mesh than fields need."""
        if "one-shot" not in self.hamiltonians:
            raise InputError("the Fermi level is that of the Hamiltonian one-shot, which was left out.")
        if self.basis.size > FEW:
            return fermi_level(self.states["one-shot"])
        mesh = Mesh.usual(self.basis.reciprocal, self._pbc, DENSE)
        overlap, one_shot = matrices(self.basis, mesh.half()[0], dtype=self.dtype, device=self.device)
        return fermi_level(States.of(self.basis, mesh, overlap, one_shot))


def _bohr(points: np.ndarray) -> np.ndarray:
    points = np.asarray(points, float)
    if points.ndim != 2 or points.shape[1] != 3:
        raise InputError(f"points of shape {points.shape}: (n, 3) is needed, Cartesian, Å.")
    return points / Bohr


def fermi_level(states: States) -> FermiLevel:
    """Of bands; see :class:`FermiLevel`."""
    gap = states.gap() * Hartree
    dos = states.density_of_states()[0] / Hartree
    shares = [hydrogen_share(states, with_d) if gap <= GAP else float("nan") for with_d in (True, False)]
    return FermiLevel(states.fermi * Hartree, dos, *shares, gap)


def hydrogen_share(states: States, with_d: bool) -> float:
    """Part of the projections at the Fermi level that are on hydrogen."""
    groups = states.basis.groups
    kept = [g for g in groups if g.shell.own or (with_d and g.shell.l == 2 and g.atom.number in BEFORE_D)]
    orbitals = np.concatenate([g.first + np.arange(g.size) for g in kept])
    hydrogen = np.concatenate([np.full(g.size, g.atom.number == 1) for g in kept])
    parts = states.density_of_states(orbitals)[1]
    return float(parts[hydrogen].sum() / parts.sum())
