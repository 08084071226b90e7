"""Bond critical points of labels, and how far a network would put them from where they are.

Where the ELF is flat, an error that R² does not notice moves a saddle by half a bond. Near a
saddle the gradient is the Hessian times the way from it: what gradient a network has where there
should be none, over the Hessian of the label, is how far away its own saddle is (a step of Newton's
method). Lengths in Å, but for the vectors to neighbours, in bohr as those of a pool.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from ase.units import Bohr

from ase_elf.dataset.label import Label
from ase_elf.grid import ELFGrid
from ase_elf.model.network import Architecture
from ase_elf.topology.critical import critical_points_of
from ase_elf.topology.field import SplineField
from ase_elf.training.agreement import PERSISTENCE, REACH
from ase_elf.training.samples import Places, Rows, looked_up, surroundings_of

STEP = 0.05
"""Å. To either side of a saddle along x, y and z, for central differences."""

COARSEST = 0.17
"""Å between grid points. A spline through every second point of a grid of molecular hydrogen, 0.18 Å
apart, has less than half of its bonds within REACH (benchmarks/label_ceiling.py)."""

AROUND = 6
"""Places of a saddle."""


@dataclass(frozen=True)
class Saddles(Places):
    """Bond critical points of a label; :data:`AROUND` places of each, one saddle after the other.

    Parameters
    ----------
    inverse : Tensor, shape (n, 3, 3), Å²
        Inverse of the Hessian of the label's ELF.
    """

    inverse: torch.Tensor

    @classmethod
    def of(cls, label: Label, arch: Architecture) -> Saddles | None:
        """Those that a change of the ELF by :data:`~ase_elf.training.agreement.PERSISTENCE` does not remove.

        None for a label that has none, is no periodic grid, or too coarse a one.
        """
        if label.points is not None or not label.atoms.pbc.all():
            return None
        if (label.atoms.cell.lengths() / label.values.shape > COARSEST).any():
            return None
        field = SplineField.of(ELFGrid(label.values, label.atoms))
        found = critical_points_of(field, persistence=PERSISTENCE).of_kind("bond").positions
        if not len(found):
            return None
        _, _, hessian = field.hessian(field.voxel_of(found))
        turn = field.to_cartesian
        around = np.concatenate([np.eye(3), -np.eye(3)]) * STEP
        places = (found[:, None] + around).reshape(-1, 3)
        surroundings = surroundings_of(label, arch, places / Bohr)
        target = field.value(field.voxel_of(places))
        return cls(
            **looked_up(label, arch, surroundings, places / Bohr, target),
            inverse=torch.from_numpy(np.linalg.inv(turn @ hessian @ turn.T).astype(np.float32)),
        )

    def some(self, n: int, rng: np.random.Generator) -> torch.Tensor:
        """Numbers of at most ``n`` of them, shape (m,) int64."""
        chosen = rng.choice(len(self.inverse), min(n, len(self.inverse)), replace=False)
        return torch.from_numpy(chosen)

    def of_some(self, chosen: torch.Tensor, device: torch.device | str) -> tuple[Rows, torch.Tensor]:
        """Rows of the places around some saddles, and ``inverse`` of these."""
        places = (AROUND * chosen[:, None] + torch.arange(AROUND)).ravel()
        return self.rows(places, device), self.inverse[chosen].to(device)


def displacement(error: torch.Tensor, inverse: torch.Tensor) -> torch.Tensor:
    """How far saddles move, d in units of :data:`~ase_elf.training.agreement.REACH`: d²/2 for small d, d - 1 for large.

    Parameters
    ----------
    error : Tensor, shape (AROUND n,)
        Of the ELF at the places around n saddles.
    inverse : Tensor, shape (n, 3, 3), Å²

    Returns
    -------
    Tensor, shape (n,)
        The square root of 1 + d², minus 1, which grows only linearly where a saddle is lost anyway.
    """
    plus, minus = error.view(-1, 2, 3).unbind(1)
    away = torch.einsum("nij,nj->ni", inverse, (plus - minus) / (2 * STEP))
    return torch.sqrt(1 + (away * away).sum(1) / REACH**2) - 1

