"""The ELF at points of many isolated structures in one pass, with what their atoms see.

What :meth:`ase_elf.model.FieldModel.predict_points` gives for one structure, made for the tens of thousands
of points that images of bonds take: fields are summed by compiled code (:mod:`ase_elf.model.raw_invariants`), and
atoms of all structures go through together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from ase.units import Bohr

if TYPE_CHECKING:
    from ase import Atoms

    from ase_elf.model.field_model import FieldModel

__all__ = ["AtPoints", "at_points"]

TOGETHER = 1024
"""Points that go through the network together."""


@dataclass(frozen=True)
class AtPoints:
    """The ELF at points of a structure.

    Parameters
    ----------
    values : ndarray, shape (n_points,), float32
    distance : float or None
        Of the structure from those trained on (:class:`~ase_elf.model.field_model.Prediction`).
    invariants : ndarray, shape (n_atoms, n_invariants), or None
        What every atom sees (:meth:`~ase_elf.model.FieldModel.invariants`); None where structures
        went one by one.
    """

    values: np.ndarray
    distance: float | None
    invariants: np.ndarray | None


@torch.no_grad()
def at_points(model: FieldModel, structures: Sequence[Atoms], points: Sequence[np.ndarray]) -> list[AtPoints]:
    """The ELF at Cartesian points (Å), shape (n, 3) per structure.

    Structures that are periodic go one by one, and so they do with models of double precision, of vectors or of
    orbital features.
    """
    if any(atoms.pbc.any() for atoms in structures) or not _is_plain(model, structures):
        return [_alone(model, atoms, xyz) for atoms, xyz in zip(structures, points, strict=True)]
    from ase_elf.model.raw_invariants import RawInvariants  # loads Numba

    homes = [atoms.positions / Bohr for atoms in structures]
    near = [model._surroundings(atoms, home) for atoms, home in zip(structures, homes, strict=True)]
    neighbours, species = model._neighbours(list(structures), near)
    coefficients = model.network.coefficients(species, *neighbours).split([len(home) for home in homes])
    output, known = model.network.output_invariants, model.novelty
    made, found = RawInvariants.of(output), []
    for home, own, xyz in zip(homes, coefficients, points, strict=True):
        # What the atoms see of their fields and their own is what a point at their place sees.
        places = np.concatenate([np.asarray(xyz, float) / Bohr, home])
        raw = torch.from_numpy(made(places, home, own.cpu().numpy())).to(model.device)
        z = _logits(model, raw[: len(xyz)])
        invariants = output.standardised(raw[len(xyz) :])
        distance = None if known is None else known.distance(invariants)
        found.append(AtPoints(torch.sigmoid(z).cpu().numpy(), distance, invariants.cpu().numpy()))
    return found


def _logits(model: FieldModel, raw: torch.Tensor) -> torch.Tensor:
    """z at points from raw invariants, (n, n_invariants), points first as the compiled code gives them.

    On a processor products are left to the BLAS of NumPy, which with points first takes four fifths of the time.
    """
    network = model.network
    if raw.device.type != "cpu":
        return network.on_grid(raw.T, TOGETHER, sigma=False)[0]
    first, middle, last = (network.value[k] for k in (0, 2, 4))
    # Standardising is linear, and part of the first layer.
    weight = first.weight * network.output_invariants.scale
    layers = [
        (weight, first.bias - weight @ network.output_invariants.shift),
        (middle.weight, middle.bias),
        (last.weight, last.bias),
    ]
    products = [(np.ascontiguousarray(weight.numpy().T), bias) for weight, bias in layers]
    out = raw.new_empty(len(raw), 1)
    for x, into in zip(raw.split(TOGETHER), out.split(TOGETHER), strict=True):
        for weight, bias in products[:-1]:
            x = torch.from_numpy(np.matmul(x.numpy(), weight)).add_(bias)
            x = torch.nn.functional.silu(x, inplace=True)
        into.numpy()[:] = np.matmul(x.numpy(), products[-1][0])
    return out[:, 0].add_(last.bias)


def _is_plain(model: FieldModel, structures: Sequence[Atoms]) -> bool:
    """Whether it is a field model that compiled code can follow, and the one for structures of this size."""
    from ase_elf.model.field_model import FieldModel

    return (
        isinstance(model, FieldModel)
        and model.dtype == torch.float32
        and not model.arch.n_orbital_features
        and not model.arch.n_vectors
        and not any(model._is_large(atoms) for atoms in structures)
    )


def _alone(model: FieldModel, atoms: Atoms, xyz: np.ndarray) -> AtPoints:
    found = model.predict_points(atoms, xyz)
    return AtPoints(found.values, found.distance, None)
