"""Elements from the labels that programs give to species: ``H``, ``H_pv``, ``Ga_d/a60ddf36e``, ``D``."""

from __future__ import annotations

from ase_elf.errors import FormatError
from ase_elf.structures import species


def element_of(label: str) -> str:
    """The chemical symbol in a label, as :func:`ase_elf.structures.species.element_of` reads it.

    Raises
    ------
    FormatError
        If the label names no element.
    """
    symbol = species.element_of(label)
    if symbol is None:
        raise FormatError(f"{label[:40]!r} is no element.")
    return symbol


def atomic_number(label: str) -> int:
    """The number of the element in a label, or the number that it is."""
    from ase.data import atomic_numbers

    return int(label) if label.lstrip("-").isdigit() else atomic_numbers[element_of(label)]
