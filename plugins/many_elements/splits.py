"""Which compounds are never trained on: those tried from outside, and a draw of our own."""

from __future__ import annotations

import hashlib
from functools import reduce
from math import gcd

from ase import Atoms
from ase.formula import Formula

HEADLINE = frozenset({"Y", "Se", "Ga", "Nb", "Ba"})
"""Elements left out of the fit whose accuracy on unseen elements is reported."""

HELD_OUT = frozenset(
    Formula(name).reduce()[0].format("hill")
    for name in (
        "LaH10 YH10 CaH6 YH6 MgH6 ScH6 SH3 SeH3 NbH4 SnH4 GaH3 BaH2 "
        "Si NaCl MgO Al TiO2 GaAs BN LiF SiC ZnS CsCl Cu Mg C Au CH4 NH3 C2H4 H2O"
    ).split()
)
"""Reduced formulas that no fit may see, in any structure and at any pressure."""

VALIDATION, TEST = 0.06, 0.06
"""Shares of the other compounds drawn for choosing a model, and for judging it."""


def reduced_formula(atoms: Atoms) -> str:
    """Composition in Hill order, divided by the greatest common divisor of its counts."""
    counts = Formula(str(atoms.symbols)).count()
    divisor = reduce(gcd, counts.values())
    return Formula.from_dict({k: n // divisor for k, n in counts.items()}).format("hill")


def split_of(atoms: Atoms) -> str:
    """Split ("train", "validation" or "test"): the same for every structure of a compound.

    CH4 and C2H4, say, are told apart by their reduced formulas (CH4, CH2), so every molecule
    of the composition CH2 counts as C2H4 does.
    """
    formula = reduced_formula(atoms)
    if formula in HELD_OUT:
        return "test"
    digest = hashlib.sha256(formula.encode()).digest()
    drawn = int.from_bytes(digest[:8], "big") / 2**64
    if drawn < TEST:
        return "test"
    return "validation" if drawn < TEST + VALIDATION else "train"
