"""A message-passing network with the points of space as extra nodes of the graph.

After DeepDFT (Jørgensen, Bhowmik, npj Comput. Mater. 8, 183 (2022), arXiv:2011.03346), in its
invariant, SchNet-like form: atoms pass messages to each other, and in every layer to the
points, which pass none back. Written from the paper, and smaller than its networks; not
their code or weights. Lengths in bohr.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from ase_elf.model.neighbors import Surroundings

CHUNK = 1024
"""Points predicted together; every one of them holds its own messages."""


class ProbeNetwork(nn.Module):
    """Atoms and points to z = logit(ELF).

    Parameters
    ----------
    elements : tuple of int
        Atomic numbers.
    cutoff : float, bohr
        Of messages; DeepDFT's 4 Å by default.
    layers, width, n_radial : int
    """

    def __init__(
        self,
        elements: tuple[int, ...],
        *,
        cutoff: float = 7.56,
        layers: int = 3,
        width: int = 64,
        n_radial: int = 32,
    ) -> None:
        super().__init__()
        self.cutoff, self.width = cutoff, width
        self.embedding = nn.Embedding(len(elements), width)
        self.register_buffer("centres", torch.linspace(0, cutoff, n_radial))
        self.among_atoms = nn.ModuleList(Message(width, n_radial) for _ in range(layers))
        self.to_points = nn.ModuleList(Message(width, n_radial) for _ in range(layers))
        self.atom_updates = nn.ModuleList(_dense(width, width) for _ in range(layers))
        self.point_updates = nn.ModuleList(_dense(width, width) for _ in range(layers))
        self.gates = nn.ModuleList(_dense(width, width) for _ in range(layers))
        self.readout = _dense(width, 1)

    def atoms(self, species, index, vectors) -> list[torch.Tensor]:
        """States of the atoms that each layer sends to the points, each (n_atoms, width)."""
        radial = self.radial(vectors)
        state, states = self.embedding(species), []
        for message, update in zip(self.among_atoms, self.atom_updates, strict=True):
            state = state + update(message(state, index, *radial))
            states.append(state)
        return states

    def points(self, states: list[torch.Tensor], index, vectors) -> torch.Tensor:
        """z at points, shape (n,), from the states of atoms."""
        radial = self.radial(vectors)
        state = vectors.new_zeros(len(index), self.width)
        layers = zip(states, self.to_points, self.point_updates, self.gates, strict=True)
        for atoms, message, update, gate in layers:
            share = torch.sigmoid(gate(state))
            state = share * state + (1 - share) * update(message(atoms, index, *radial))
        return self.readout(state)[:, 0]

    def radial(self, vectors: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Gaussians of the distance, (n, neighbours, n_radial), and a cosine cutoff."""
        length = vectors.norm(dim=0)
        spacing = self.centres[1]
        basis = torch.exp(-0.5 * ((length[..., None] - self.centres) / spacing) ** 2)
        inside = 0.5 * (1 + torch.cos(math.pi * length / self.cutoff)) * (length < self.cutoff)
        return basis, inside

    @torch.no_grad()
    def at(self, species, cell, positions, points) -> torch.Tensor:
        """z at any number of points, shape (n,); neighbours are looked for in pieces."""
        around = Surroundings.of(cell, positions, self.cutoff)
        states = self.atoms(species, *_tensors(around.around(positions, skip_self=True)))
        parts = [points[start : start + CHUNK] for start in range(0, len(points), CHUNK)]
        return torch.cat([self.points(states, *_tensors(around.around(part))) for part in parts])


class Message(nn.Module):
    """Sum over neighbours of their states, weighted by a function of distance.

    Continuous-filter convolution of SchNet (Schütt et al., J. Chem. Phys. 148, 241722 (2018)).
    """

    def __init__(self, width: int, n_radial: int) -> None:
        super().__init__()
        self.filter = nn.Sequential(nn.Linear(n_radial, width), nn.SiLU(), nn.Linear(width, width))
        self.sender = nn.Linear(width, width, bias=False)

    def forward(self, state, index, basis, inside) -> torch.Tensor:
        sent = self.sender(state)[index]
        return (self.filter(basis) * inside[..., None] * sent).sum(1)


def _dense(width: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, out))


def _tensors(neighbours) -> tuple[torch.Tensor, torch.Tensor]:
    index, vectors = neighbours
    return torch.from_numpy(index), torch.from_numpy(vectors.astype("float32"))
