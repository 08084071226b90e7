"""Attractors and bond critical points of labels, and how far a network would put them from there.

Where the ELF is flat, an error that R² does not notice moves a saddle by half a bond, and a maximum
to the other end of a molecule. Near a critical point the gradient is the Hessian times the way from it:
what gradient a network has where there should be none, over the Hessian of the label, is how far away
its own critical point is (a step of Newton's method), if its Hessian is that of the label, too. All of it
in z = logit(ELF), which has the same critical points, and at 1 and 0 is not flat. Lengths in Å,
but for the vectors to neighbours, in bohr as those of a pool.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from ase.units import Bohr

from ase_elf.dataset.label import Critical, Label
from ase_elf.grid import ELFGrid
from ase_elf.model.network import Architecture
from ase_elf.storage.quantization import resolution
from ase_elf.topology.critical import critical_points_of
from ase_elf.topology.field import SplineField
from ase_elf.training.kept_features import MADE_ANEW, KeptFeatures
from ase_elf.training.matching import PERSISTENCE, REACH
from ase_elf.training.places import Places, looked_up, surroundings_of

KINDS = ("attractor", "bond")
"""Of critical points: those that the network of bonds is made of."""

STEP = 0.05
"""Å. To either side of a critical point along the axes of its Hessian, for central differences."""

CURVATURE = 0.5
"""Error of a curvature, in units of that of the label, that counts as much as a distance of REACH. With half
the curvature a point is twice as far away, and with none it is another kind of point."""

COARSEST = 0.17
"""Å between grid points. A spline through every second point of a grid of molecular hydrogen, 0.18 Å
apart, has less than half of its bonds within REACH (benchmarks/label_ceiling.py)."""

SURE = 0.01
"""Å. Critical points that the last digit of a label may move by more are left out: attractors on the
plateaus of molecules, where 16 bits are all there is."""

AROUND = 7
"""Places of a critical point: itself, and the ends of three axes."""


def critical_of(label: Label) -> Critical | None:
    """Critical points that a change of the ELF by :data:`~ase_elf.training.matching.PERSISTENCE` does not remove.

    Those that came with the label, or of its grid. None for a label that has none, is no periodic
    grid, or too coarse a one.
    """
    if label.critical is not None or label.points is not None or not label.atoms.pbc.all():
        return label.critical
    spacing = label.atoms.cell.lengths() / label.values.shape
    if (spacing > COARSEST).any():
        return None
    field = SplineField.of(ELFGrid(label.values, label.atoms))
    points = critical_points_of(field, persistence=PERSISTENCE)
    points = points.select(np.isin(points.kind, KINDS))
    turn = field.to_cartesian
    hessians = turn @ field.hessian(field.voxel_of(points.positions))[2] @ turn.T
    step, slope = resolution(label.values), points.values * (1 - points.values)
    sure = 0.5 * step / spacing.min() < SURE * np.abs(points.eigenvalues).min(axis=1)
    sure &= slope > 10 * step  # What is 1 to the last digit has any z.
    # Of z: the gradient is 0, so nothing else comes in.
    hessians = hessians[sure] / slope[sure, None, None]
    return Critical(points.positions[sure], hessians) if sure.any() else None


def places_of(critical: Critical) -> tuple[np.ndarray, np.ndarray]:
    """Where a network is asked.

    Returns
    -------
    places : ndarray, shape (n, AROUND, 3), Å
        Each point, and the ends of its axes: those in whose direction they point, then the others.
    curvatures : ndarray, shape (n, 3), Å⁻²
        Along these axes, ascending.
    """
    curvatures, axes = np.linalg.eigh(critical.hessians)
    ends = STEP * axes.transpose(0, 2, 1)
    around = np.concatenate([np.zeros_like(ends[:, :1]), ends, -ends], axis=1)
    return critical.positions[:, None] + around, curvatures


@dataclass(frozen=True)
class CriticalPlaces(Places):
    """:data:`AROUND` places at each critical point of a label, one after the other.

    Parameters
    ----------
    curvatures : Tensor, shape (n, 3), Å⁻²
        Eigenvalues of the Hessian of the label's z, ascending.
    """

    curvatures: torch.Tensor

    @classmethod
    def of(
        cls, label: Label, arch: Architecture, features: KeptFeatures = MADE_ANEW
    ) -> CriticalPlaces | None:
        """Around what :func:`critical_of` finds."""
        found = critical_of(label)
        if found is None:
            return None
        places, curvatures = places_of(found)
        places = places.reshape(-1, 3) / Bohr
        return cls(
            **looked_up(label, arch, surroundings_of(label, arch, places), places, features),
            curvatures=torch.from_numpy(curvatures.astype(np.float32)),
        )

    def some(self, n: int, rng: np.random.Generator) -> torch.Tensor:
        """Numbers of at most ``n`` critical points, shape (m,) int64."""
        chosen = rng.choice(len(self.curvatures), min(n, len(self.curvatures)), replace=False)
        return torch.from_numpy(chosen)

    def of_some(self, chosen: torch.Tensor, device: torch.device | str) -> tuple[torch.Tensor, ...]:
        """Index, vectors and orbitals of the places of some critical points, and ``curvatures`` of these."""
        places = (AROUND * chosen[:, None] + torch.arange(AROUND)).ravel()
        return *self.rows(places, device), self.curvatures[chosen].to(device)


def critical_point_loss(z: torch.Tensor, curvatures: torch.Tensor) -> torch.Tensor:
    """How far critical points are from where they should be, and from what they should be like.

    Parameters
    ----------
    z : Tensor, shape (AROUND n,)
        Of a network at the places of n critical points of a label.
    curvatures : Tensor, shape (n, 3), Å⁻²

    Returns
    -------
    Tensor, shape (n,)
        The square root of 1 + d², minus 1, which grows only linearly where a point is lost anyway. In d² a
        distance counts in units of :data:`~ase_elf.training.matching.REACH`, a curvature's error in those of CURVATURE.
    """
    middle, plus, minus = z.view(-1, AROUND).split([1, 3, 3], dim=1)
    away = (plus - minus) / (2 * STEP) / curvatures
    curved = (plus + minus - 2 * middle) / STEP**2 / curvatures - 1
    return torch.sqrt(1 + (away * away).sum(1) / REACH**2 + (curved * curved).sum(1) / CURVATURE**2) - 1
