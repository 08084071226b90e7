"""Novelty: the distance of a structure from those of training, in field invariants at the nuclei.

A network can be wrong where density and shortest distance are ordinary but surroundings are not. The
measure is the distance of the field invariants (:class:`ase_elf.model.network.FieldInvariants`) at the
nuclei from those of the training structures, in the metric of their covariance
(Mahalanobis, Proc. Natl. Inst. Sci. India 2, 49 (1936)).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ase_elf.errors import FormatError, InputError
from ase_elf.storage.atomic import replacing

__all__ = ["Novelty"]

ATOMS = 0.95
"""Quantile over atoms that stands for a structure: a few strange ones count, a single one of
hundreds does not."""

STRUCTURES = 0.99
"""Part of the training structures within a distance of 1."""

RIDGE = 1e-4
"""Added to variances of standardised invariants, so that one that hardly varied in training
does not decide alone."""


@dataclass(frozen=True)
class Novelty:
    """Distribution of the field invariants at the nuclei of training structures.

    Parameters
    ----------
    mean : Tensor, shape (n_invariants,), float32
    whiten : Tensor, shape (n_invariants, n_invariants), float32
        ``(invariants - mean) @ whiten`` is uncorrelated and of unit variance in training.
    unit : Tensor, shape (), float32
        Within it are the distances of ``STRUCTURES`` of the training structures.
    """

    mean: torch.Tensor
    whiten: torch.Tensor
    unit: torch.Tensor

    @classmethod
    def of(cls, invariants: list[torch.Tensor]) -> Novelty:
        """From those of each training structure, (n_atoms, n_invariants) each.

        Every atom counts once, whatever structure it belongs to.

        Raises
        ------
        InputError
            There are not two atoms in all.
        """
        everything = torch.cat([r.double() for r in invariants]) if invariants else torch.empty(0, 0)
        if len(everything) < 2:
            raise InputError(f"{len(everything)} atoms of training structures; at least two are needed.")
        variances, axes = torch.linalg.eigh(torch.cov(everything.T).reshape((everything.shape[1],) * 2))
        whiten = axes / torch.sqrt(variances.clamp(min=0) + RIDGE)
        bare = cls(everything.mean(0), whiten, torch.ones(()))
        far = torch.tensor([bare.distance(r) for r in invariants])
        unit = far.quantile(STRUCTURES).clamp(min=1e-6)
        return cls(*(t.float() for t in (bare.mean, whiten, unit)))

    def distance(self, invariants: torch.Tensor) -> float:
        """Of one structure: above 1 it lies farther out than nearly all that was trained on.

        Parameters
        ----------
        invariants : Tensor, shape (n_atoms, n_invariants)
        """
        return float(self.on_device(invariants))

    def on_device(self, invariants: torch.Tensor) -> torch.Tensor:
        """The :meth:`distance` as a tensor of no dimension, which no one has waited for."""
        lengths = self.of_atoms(invariants)
        # torch.quantile takes 16 million values at most; sorting has no limit.
        place = ATOMS * (len(lengths) - 1)
        ordered, low = lengths.sort().values, int(place)
        high = min(low + 1, len(lengths) - 1)
        return ordered[low] + (place - low) * (ordered[high] - ordered[low])

    def of_atoms(self, invariants: torch.Tensor) -> torch.Tensor:
        """Distance of each atom, shape (n_atoms,), in the same units."""
        mean, whiten, unit = (t.to(invariants) for t in (self.mean, self.whiten, self.unit))
        return ((invariants - mean) @ whiten).square().mean(1).sqrt() / unit

    def save(self, path: Path) -> None:
        """Write as safetensors."""
        with replacing(Path(path)) as part:
            save_file({k: getattr(self, k).contiguous() for k in self.__dataclass_fields__}, part)

    @classmethod
    def load(cls, path: Path) -> Novelty:
        """Read what :meth:`save` wrote; :class:`FormatError` if it is anything else."""
        try:
            # Copies lie in memory as fresh tensors do; sums then round alike.
            found = cls(**{name: tensor.clone() for name, tensor in load_file(path).items()})
            n = len(found.mean)
            if found.mean.shape != (n,) or found.whiten.shape != (n, n) or found.unit.shape:
                raise ValueError(f"shapes {tuple(found.mean.shape)}, {tuple(found.whiten.shape)}")
            if not all(torch.isfinite(t).all() for t in (found.mean, found.whiten, found.unit)):
                raise ValueError("numbers that are not finite")
            if not found.unit > 0:
                raise ValueError(f"distances in units of {float(found.unit)}")
        except (OSError, RuntimeError, TypeError, ValueError, SafetensorError) as error:
            raise FormatError(
                f"{path} does not hold the field invariants of training structures ({str(error)[:300]})."
            ) from error
        return found


def __getattr__(name: str) -> type[Novelty]:
    """``Familiarity``, the name before 0.3; it goes with 0.4."""
    if name != "Familiarity":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.warn("Familiarity is Novelty since 0.3.", DeprecationWarning, stacklevel=2)
    return Novelty
