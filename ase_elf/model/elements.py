"""Numbers that describe an element to a network: an element never trained on is an interpolation."""

from __future__ import annotations

import functools
import math

import torch
from ase.data import covalent_radii

from ase_elf.model.minimal_basis.atoms import Atom, atom, elements

NUMBERS = (
    "ln Z", "covalent radius", "valence electrons", "semicore electrons",
    *(f"{what} of outermost {l}" for l in "spd" for what in ("level", "radius", "occupation")),
)  # fmt: skip

N_NUMBERS = len(NUMBERS)


def numbers_of(chosen: tuple[int, ...]) -> torch.Tensor:
    """Numbers of elements, shape (n, N_NUMBERS), float32.

    Each has mean 0 and standard deviation 1 over the elements that are tabulated.

    Parameters
    ----------
    chosen : tuple of int
        Atomic numbers.

    Raises
    ------
    InputError
        For an element that is not tabulated.
    """
    mean, spread = _standard()
    rows = torch.tensor([_numbers(atom(number)) for number in chosen])
    return ((rows - mean) / spread).float()


@functools.cache
def _standard() -> tuple[torch.Tensor, torch.Tensor]:
    rows = torch.tensor([_numbers(atom(number)) for number in elements()])
    return rows.mean(0), rows.std(0) + 1e-6


def _numbers(one: Atom) -> list[float]:
    highest = [max((s.level for s in one.shells if s.l == l), default=0.0) for l in range(4)]
    semicore = sum(s.occupation for s in one.shells if s.level < highest[s.l])
    rows = [math.log(one.number), float(covalent_radii[one.number]), one.valence - semicore, semicore]
    for l in range(3):
        shells = [shell for shell in one.shells if shell.l == l]
        if not shells:
            rows += [0.2, 0.0, 0.0]
            continue
        outer = max(shells, key=lambda shell: shell.level)
        rows += [outer.level, _radius(outer), outer.occupation]
    return rows


def _radius(shell) -> float:
    """Mean distance of an orbital's electron from the nucleus, bohr."""
    r = torch.linspace(0, shell.radial.end, 400, dtype=torch.float64)
    density = (shell.radial(r) * r ** (shell.l + 1)) ** 2
    return float((density * r).sum() / density.sum())
