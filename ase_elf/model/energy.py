"""Energies of atoms from field invariants, as the ELF, with forces by autograd.

Coefficients of atoms are updated as for the ELF; a small network turns the field invariants at each
nucleus after the updates into the energy of the atom. Everything is smooth to the third derivative at the
cutoff, so that molecular dynamics conserves energy.

Lengths in bohr, energies in eV. Contains the parameters; independent of files and ASE.
"""

from __future__ import annotations

import torch
from ase.units import Bohr, Hartree

from ase_elf.errors import InputError
from ase_elf.model.network import Architecture, AtomNetwork, head


class EnergyNetwork(AtomNetwork):
    """Surroundings of atoms to their energies.

    Parameters
    ----------
    arch : Architecture
        ``point_channels`` are those after the last update.

    Notes
    -----
    Pairs closer than ``core`` (bohr), which no training structure had, also feel the
    Coulomb repulsion of their nuclei, times (1 - (r/core)²)³: the output of a network is
    meaningless there, and atoms must not collapse onto each other.
    """

    def __init__(self, arch: Architecture) -> None:
        if arch.orbital_exponent:
            raise InputError(
                f"orbital_exponent = {arch.orbital_exponent}: energies are made without orbitals; "
                "leave it at 0."
            )
        if arch.minimal_basis:
            raise InputError("minimal_basis: energies are made without orbitals; leave it empty.")
        super().__init__(arch)
        self.energy = head(self.output_invariants.n_invariants, arch.hidden, 1)
        self.register_buffer("offset", torch.zeros(len(arch.elements)))
        self.register_buffer("core", torch.zeros(()))
        charges = torch.tensor(arch.elements, dtype=torch.float32)
        self.register_buffer("charges", charges, persistent=False)

    def forward(self, species: torch.Tensor, index: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
        """Energy of each atom in eV, shape (n_atoms,).

        Parameters
        ----------
        species : Tensor, shape (n_atoms,), int64
            Positions in ``arch.elements``.
        index : Tensor, shape (n_atoms, width), int64
        vectors : Tensor, shape (3, n_atoms, width), bohr
            From each atom to its neighbours (:class:`ase_elf.model.neighbors.Surroundings`).
        """
        coefficients = self.coefficients(species, index, vectors)
        learned = self.energy(self.output_invariants(index, vectors, coefficients))[:, 0]
        return learned + self.offset[species] + self._repulsion(species, index, vectors)

    def _repulsion(self, species, index, vectors) -> torch.Tensor:
        r2 = (vectors * vectors).sum(0)
        inside = (1 - r2 / self.core.clamp(min=1e-3) ** 2).clamp(min=0) ** 3
        product = self.charges[species][:, None] * self.charges[species[index]]
        # Half of each pair belongs to either atom.
        pairs = 0.5 * Hartree * product * torch.rsqrt(r2 + 1e-12) * inside
        return pairs.sum(1)


def energies_and_slopes(
    network: EnergyNetwork,
    species: torch.Tensor,
    index: torch.Tensor,
    vectors: torch.Tensor,
    *,
    training: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Energies of atoms, and the slope of their sum along each vector between neighbours.

    Parameters
    ----------
    network, species, index, vectors
        As in :meth:`EnergyNetwork.forward`.
    training : bool
        Keep the graph, so that a loss of the slopes can be differentiated.

    Returns
    -------
    energies : Tensor, shape (n_atoms,), eV
    slopes : Tensor, shape (3, n_atoms, width), eV/bohr
    """
    with torch.enable_grad():
        vectors = vectors.detach().requires_grad_()
        energies = network(species, index, vectors)
        slopes = torch.autograd.grad(energies.sum(), vectors, create_graph=training)[0]
    return (energies if training else energies.detach()), slopes


def forces(index: torch.Tensor, slopes: torch.Tensor) -> torch.Tensor:
    """Forces on atoms in eV/Å, shape (n_atoms, 3), from :func:`energies_and_slopes`."""
    on_neighbours = torch.zeros_like(slopes[:, :, 0]).index_add(1, index.reshape(-1), slopes.reshape(3, -1))
    return (slopes.sum(2) - on_neighbours).T / Bohr


def virial(vectors: torch.Tensor, slopes: torch.Tensor) -> torch.Tensor:
    """Derivative of the energy with strain, in eV, shape (3, 3), symmetric."""
    tensor = torch.einsum("anw,bnw->ab", vectors, slopes)
    return 0.5 * (tensor + tensor.T)
