"""Elements from the labels that programs give to species: ``H``, ``H_pv``, ``Ga_d/a60ddf36e``, ``D``."""

from __future__ import annotations

import re

from ase_elf.errors import FormatError

ISOTOPES = {"D": "H", "T": "H"}
"""Labels of isotopes, whose electrons are those of the element."""

_LABEL = re.compile(r"(?:\d{1,3}-?)?([A-Za-z]{1,2})(?:-?\d{1,4})?(?:_\w+)?")


def element_of(label: str) -> str:
    """The chemical symbol in a label.

    Beside it may stand a mass number (``2H``, ``H-2``), the number of a site (``H1``), the name
    of a POTCAR and its hash (``H_pv/0fc7481fb069``). A pseudo-hydrogen of fractional charge
    (``H.75``) is no hydrogen.

    Raises
    ------
    FormatError
        If the label names no element.
    """
    from ase.data import atomic_numbers

    match = _LABEL.fullmatch(label.strip().split("/")[0])
    symbol = match[1].capitalize() if match else ""
    symbol = ISOTOPES.get(symbol, symbol)
    if atomic_numbers.get(symbol, 0) < 1:
        raise FormatError(f"{label[:40]!r} is no element.")
    return symbol


def atomic_number(label: str) -> int:
    """The number of the element in a label, or the number that it is."""
    from ase.data import atomic_numbers

    return int(label) if label.lstrip("-").isdigit() else atomic_numbers[element_of(label)]
