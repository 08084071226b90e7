"""Names of pairs of elements: ``"Au-S"`` as people and files write it, ``("Au", "S")`` as code does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations_with_replacement

from ase_elf.errors import InputError

__all__ = ["STRETCH", "Pair", "by_name", "by_pair", "covalent_lengths", "name_of", "pair_of", "pairs_among"]

Pair = tuple[str, str]
"""Chemical symbols of the first and the second atom."""


def pair_of(name: str) -> Pair:
    """``"Au-S"`` as ``("Au", "S")``; :class:`InputError` for anything else."""
    first, dash, second = str(name).partition("-")
    if not (first and dash and second) or "-" in second:
        raise InputError(f"{str(name)[:40]!r} is not a pair of elements such as 'Au-S'.")
    return first, second


def name_of(pair: Iterable[str]) -> str:
    """``("Au", "S")`` as ``"Au-S"``, in the order given."""
    return "-".join(pair)


def by_pair(lengths: Mapping[str, float]) -> dict[Pair, float]:
    """A mapping with pairs for the names in it."""
    return {pair_of(name): length for name, length in lengths.items()}


def by_name(lengths: Mapping[Pair, float]) -> dict[str, float]:
    """A mapping with names for the pairs in it."""
    return {name_of(pair): length for pair, length in lengths.items()}


STRETCH = 1.25
"""Times the sum of covalent radii is the longest bond of a pair that nobody gave a length for."""


def covalent_lengths(elements: Iterable[str]) -> dict[Pair, float]:
    """Longest bonds (Å) of all pairs of elements, by covalent radii (Cordero et al., doi 10.1039/b801115j)."""
    from ase.data import atomic_numbers, covalent_radii

    radii = {symbol: float(covalent_radii[atomic_numbers[symbol]]) for symbol in elements}
    return {(a, b): round(STRETCH * (radii[a] + radii[b]), 3) for a, b in pairs_among(radii)}


def pairs_among(elements: Iterable[str]) -> tuple[Pair, ...]:
    """Every pair of ``elements``, each with itself too, in their order."""
    return tuple(combinations_with_replacement(elements, 2))
