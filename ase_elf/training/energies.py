"""Fitting an energy network to energies and forces: a resumable loop like :mod:`.fit`.

Same frames and recipe give the same weights on the same machine, also after an interruption.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from ase.units import Bohr
from torch import nn

from ase_elf.model.energy import EnergyNetwork, energies_and_slopes, forces
from ase_elf.model.neighbors import Surroundings
from ase_elf.model.network import Architecture
from ase_elf.training.loop import FittingRun, Schedule


@dataclass(frozen=True, eq=False)
class EnergyFrame:
    """A structure with its energy and forces, and the neighbours of its atoms.

    Parameters
    ----------
    name, group : str
        Errors are reported per group.
    species, index, vectors : Tensor
        As in :meth:`ase_elf.model.energy.EnergyNetwork.forward`.
    energy : float, eV
    forces : Tensor, shape (n_atoms, 3), eV/Å
    """

    name: str
    group: str
    species: torch.Tensor
    index: torch.Tensor
    vectors: torch.Tensor
    energy: float
    forces: torch.Tensor

    @classmethod
    def of(
        cls,
        atoms: Atoms,
        energy: float,
        forces: np.ndarray,
        arch: Architecture,
        *,
        name: str = "",
        group: str = "",
    ) -> EnergyFrame:
        positions = atoms.positions / Bohr
        around = Surroundings.of(atoms.cell.array / Bohr, positions, arch.cutoff)
        index, vectors = around.around(positions, skip_self=True)
        species = [arch.elements.index(number) for number in atoms.numbers]
        return cls(
            name,
            group,
            torch.tensor(species),
            torch.from_numpy(index.astype(np.int32)),
            torch.from_numpy(vectors.astype(np.float32)),
            float(energy),
            torch.from_numpy(np.asarray(forces, dtype=np.float32)),
        )

    def __len__(self) -> int:
        return len(self.species)


@dataclass(frozen=True, eq=False)
class Batch:
    """Several frames as one list of atoms; ``frame`` says which one an atom belongs to."""

    species: torch.Tensor
    index: torch.Tensor
    vectors: torch.Tensor
    frame: torch.Tensor
    sizes: torch.Tensor
    energies: torch.Tensor
    forces: torch.Tensor

    @classmethod
    def of(cls, frames: Sequence[EnergyFrame], arch: Architecture) -> Batch:
        sizes = torch.tensor([len(frame) for frame in frames])
        width = max(frame.index.shape[1] for frame in frames)
        index = torch.zeros(int(sizes.sum()), width, dtype=torch.int64)
        # Padding lies beyond the cutoff, where every basis function is exactly zero.
        vectors = torch.full((3, len(index), width), 2 * arch.cutoff)
        start = 0
        for frame in frames:
            rows, columns = slice(start, start + len(frame)), frame.index.shape[1]
            index[rows, :columns] = frame.index.long() + start
            vectors[:, rows, :columns] = frame.vectors
            start += len(frame)
        return cls(
            torch.cat([frame.species for frame in frames]),
            index,
            vectors,
            torch.repeat_interleave(torch.arange(len(frames)), sizes),
            sizes,
            torch.tensor([frame.energy for frame in frames]),
            torch.cat([frame.forces for frame in frames]),
        )

    def predict(self, network: EnergyNetwork, *, training: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
        """Energies of the frames (eV) and forces on the atoms (eV/Å)."""
        energies, slopes = energies_and_slopes(
            network, self.species, self.index, self.vectors, training=training
        )
        totals = torch.zeros(len(self.sizes), dtype=energies.dtype)
        return totals.index_add(0, self.frame, energies), forces(self.index, slopes)


@dataclass(frozen=True)
class EnergyRecipe(Schedule):
    """How to fit; everything here ends up on the model card.

    Parameters
    ----------
    atoms : int
        Frames are added to a step until they hold so many atoms. They are drawn with
        probability in proportion to their atoms, so that every force counts the same.
    energy_weight : float
        Weight of squared errors of energies per atom (eV²) where those of force
        components, (eV/Å)², have weight 1.
    """

    steps: int = 12_000
    decay_steps: int = 9_000
    warmup_steps: int = 100
    rate: float = 2e-3
    weight_decay: float = 1e-4
    seed: int = 0
    checkpoint_every: int = 250
    average_over: int = 1
    atoms: int = 128
    energy_weight: float = 200.0


class EnergyFit(FittingRun):
    """A training run in a folder.

    Parameters
    ----------
    folder : Path
        Holds checkpoint and log; a run found there is continued.
    recipe : EnergyRecipe
    architecture : Architecture
    train, validation : list of EnergyFrame
    """

    memory = 0.99

    def __init__(
        self,
        folder: Path,
        recipe: EnergyRecipe,
        architecture: Architecture,
        train: list[EnergyFrame],
        validation: list[EnergyFrame],
    ) -> None:
        self.train, self.validation = train, validation
        sizes = np.array([len(frame) for frame in train])
        self._chances = sizes / sizes.sum()
        super().__init__(folder, recipe, lambda: EnergyNetwork(architecture))

    def standardise(self) -> None:
        """Field invariants, energies of atoms, repulsive cores."""
        standardise(self.network, self.train)

    def batch(self, step: int) -> Batch:
        """Frames of a step; depends on seed and step alone."""
        rng = np.random.default_rng([self.recipe.seed, step])
        chosen, atoms = [], 0
        while atoms < self.recipe.atoms:
            chosen.append(self.train[rng.choice(len(self.train), p=self._chances)])
            atoms += len(chosen[-1])
        return Batch.of(chosen, self.network.arch)

    def advance(self) -> dict[str, float]:
        """One optimiser step; returns its mean squared errors."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.rate_at(self.step)
        batch = self.batch(self.step)
        self.optimiser.zero_grad()
        energies, forces = batch.predict(self.network, training=True)
        energy = (((energies - batch.energies) / batch.sizes) ** 2).mean()
        force = ((forces - batch.forces) ** 2).mean()
        (self.recipe.energy_weight * energy + force).backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimiser.step()
        self.stepped()
        return {"energy": energy.item(), "force": force.item()}

    def measure(self, mean: dict[str, float]) -> dict:
        """Root mean square errors in training, and scores on the validation frames."""
        return {
            "train": {k: v**0.5 for k, v in mean.items()},
            "validation": score(self.result, self.validation),
        }


@torch.no_grad()
def standardise(network: EnergyNetwork, frames: list[EnergyFrame]) -> None:
    """Set what is fixed by data before training.

    Shift and scale of field invariants, the energy of an atom of each element (least squares),
    and the distance below which nuclei repel each other whatever the network says.
    """
    arch = network.arch
    counts = np.array([np.bincount(frame.species, minlength=len(arch.elements)) for frame in frames])
    energies = np.array([frame.energy for frame in frames])
    network.offset.copy_(torch.from_numpy(np.linalg.lstsq(counts, energies, rcond=None)[0]))
    network.core.copy_(min((frame.vectors**2).sum(0).min() for frame in frames).sqrt())
    some = Batch.of(frames[:: max(1, len(frames) // 48)], arch)
    for depth, fields in enumerate([*network.update_invariants, network.output_invariants]):
        c = network.coefficients(some.species, some.index, some.vectors, n_updates=depth)
        raw = fields.raw_invariants(fields.mixed(fields.gather(some.index, some.vectors, c)))
        fields.shift.copy_(raw.mean(0))
        fields.scale.copy_(1 / (raw.std(0) + 1e-6))


def score(network: EnergyNetwork, frames: Sequence[EnergyFrame]) -> dict[str, dict]:
    """Errors per group of frames.

    Returns
    -------
    dict of str to dict
        ``frames``; ``energy_rmse`` and ``energy_bias`` in meV per atom; ``force_rmse`` and,
        to compare it with, ``force_rms`` in eV/Å per component.
    """
    groups: dict[str, list[EnergyFrame]] = {}
    for frame in frames:
        groups.setdefault(frame.group, []).append(frame)
    result = {}
    for group, members in sorted(groups.items()):
        errors, force_errors, size = [], [], []
        for frame in members:
            batch = Batch.of([frame], network.arch)
            energy, force = batch.predict(network)
            errors.append(1e3 * float(energy[0] - frame.energy) / len(frame))
            force_errors.append((force - frame.forces).numpy().ravel())
            size.append(frame.forces.numpy().ravel())
        result[group] = {
            "frames": len(members),
            "energy_rmse": _rms(errors),
            "energy_bias": float(np.mean(errors)),
            "force_rmse": _rms(np.concatenate(force_errors)),
            "force_rms": _rms(np.concatenate(size)),
        }
    return result


def _rms(values) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
