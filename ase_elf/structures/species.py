"""Species: what element an atom is, from the names and type numbers that files use.

Isotopes are their element: the electrons of deuterium are those of hydrogen. A number of an
atom type says nothing about the element and is never taken for an atomic number.
"""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

from ase_elf.errors import ElfWarning, InputError, remedy

T = TypeVar("T")

ISOTOPES = {"D": "H", "T": "H"}
"""Isotopes with a symbol of their own."""

_LABEL = re.compile(
    r"""(?:\d{1,3}-?)?        # mass number before the symbol: 2H
        ([A-Z][a-z]?)
        (?:-?\d{1,4})?        # mass number, or number of the site: H-2, H1
        (?:\d*[+-])?          # charge: O2-
        (?:_\w+)?             # kind of potential, kind of atom: Na_pv, H_1
    """,
    re.VERBOSE,
)

_ASE = threading.RLock()
"""Held while names are added to the table of ASE."""


def element_of(label: str) -> str | None:
    """Chemical symbol that a label names beyond doubt, None for any other label.

    Accepted are symbols in any case, isotopes (``D``, ``T``, ``2H``, ``H-2``), numbered sites
    (``H1``), ions (``O2-``) and names of VASP's potentials (``H_h``, ``H/3f1c9a2b``). Names of
    fractional pseudo-hydrogens (``H1.25``) and of atom types of force fields (``HW``) are not.

    Examples
    --------
    >>> [element_of(label) for label in ("H", "D", "2H", "Na_pv/6a2f", "H1.25", "1")]
    ['H', 'H', 'H', 'Na', None, None]
    """
    from ase.data import atomic_numbers

    name = label.strip().split("/")[0]
    # Some readers of ASE change the case of labels: 2H comes as 2h.
    found = _LABEL.fullmatch(re.sub(r"^(\d*-?)([a-z])(?![A-Za-z])", lambda m: m[1] + m[2].upper(), name))
    for symbol in (name, name.capitalize(), found[1] if found else ""):
        symbol = ISOTOPES.get(symbol, symbol)
        if symbol and symbol != "X" and symbol in atomic_numbers:
            return symbol
    return None


class Species:
    """Elements of the labels and type numbers of one file.

    Parameters
    ----------
    given : iterable of str, optional
        What the user says: symbols of the atom types 1, 2, ..., or ``label=symbol`` for
        single labels or types, such as ``Hw=H`` or ``3=Au``.

    Attributes
    ----------
    used : bool
        Whether anything given was asked for.

    Raises
    ------
    InputError
        If ``given`` names something that is no element, or one label twice.
    """

    def __init__(self, given: Iterable[str] | None = None) -> None:
        self._given: dict[str, str] = {}
        self.used = False
        self._said: set[str] = set()
        self._learned: dict[str, int] = {}
        ordered = 0
        for entry in given or ():
            label, equals, name = str(entry).rpartition("=")
            if not equals:
                ordered += 1
                label = str(ordered)
            symbol = element_of(name)
            if symbol is None or not label.strip():
                raise InputError(
                    f"elements: {entry!r} names no element; give chemical symbols of the atom types 1, 2, "
                    "... such as H,Au, or label=symbol such as Hw=H."
                )
            if self._given.setdefault(label.strip().lower(), symbol) != symbol:
                raise InputError(f"elements: {label.strip()!r} is given two elements.")

    def __bool__(self) -> bool:
        return bool(self._given)

    def __contains__(self, label: str) -> bool:
        return label.strip().lower() in self._given

    def symbol(self, label: object) -> str:
        """Chemical symbol of a label or type number; :class:`InputError` where there is none."""
        name = str(label).strip()
        symbol = self._given.get(name.lower())
        if symbol is not None:
            self.used = True
            return symbol
        symbol = element_of(name)
        if symbol is None:
            raise InputError(self._unknown(name))
        return symbol

    def symbols(self, labels: Iterable[object]) -> list[str]:
        """Chemical symbols of many labels."""
        known: dict[object, str] = {}
        return [known.get(label) or known.setdefault(label, self.symbol(label)) for label in labels]

    def say(self, text: str) -> None:
        """Warn of how elements were found, once for all frames."""
        if text not in self._said:
            self._said.add(text)
            warnings.warn(text, ElfWarning, stacklevel=3)

    def _unknown(self, name: str) -> str:
        if name.isdigit():
            what = f"atoms are of type {name}, and no element is named for it"
        else:
            what = f"the name {name!r:.40} is no chemical symbol"
        given = ", ".join(f"{label}={symbol}" for label, symbol in self._given.items())
        return (
            f"{what}{f' (given are {given})' if given else ''}; name the elements of the types 1, 2, ... "
            f"in order, or of single labels as label=symbol, with {remedy_elements()}."
        )

    def reading(self, read: Callable[[], T]) -> T:
        """What a reader of ASE returns, with labels that ASE does not know looked up here."""
        return next(self.iterate(lambda: iter([read()])))

    def iterate(self, begin: Callable[[], Iterator[T]]) -> Iterator[T]:
        """What a reader of ASE yields, with labels that ASE does not know looked up here.

        Parameters
        ----------
        begin : callable
            Begins to read. Called anew for every label that is found, since a reader which
            met an unknown one is spent; what it yielded before is skipped then.
        """
        images, done = None, 0
        while True:
            with self._known_to_ase():
                try:
                    if images is None:
                        images = islice(begin(), done, None)
                    found = next(images)
                except StopIteration:
                    return
                except KeyError as error:
                    self._learn(error)
                    images = None
                    continue
            done += 1
            yield found

    def _learn(self, error: KeyError) -> None:
        """Look up the label that was missing in the table of ASE, or raise the error."""
        from ase.data import atomic_numbers

        label = error.args[0] if error.args else None
        if not isinstance(label, str) or label in atomic_numbers or label in self._learned:
            raise error
        # Other keys that a reader may miss in a damaged file are words in small letters.
        if not re.fullmatch(r"[A-Z0-9][\w.+/-]{0,19}", label) and label.lower() not in self._given:
            raise error
        self._learned[label] = atomic_numbers[self.symbol(label)]

    @contextmanager
    def _known_to_ase(self) -> Iterator[None]:
        """Labels looked up so far are in the table of ASE, for this time only."""
        from ase.data import atomic_numbers

        with _ASE:
            added = {label: z for label, z in self._learned.items() if label not in atomic_numbers}
            atomic_numbers.update(added)
            try:
                yield
            finally:
                for label in added:
                    del atomic_numbers[label]

    def check_used(self, symbols: Iterable[str]) -> None:
        """Raise :class:`InputError` where elements were given for a file that names others itself."""
        if self and not self.used and not set(symbols) <= set(self._given.values()):
            raise InputError(
                f"elements are given, but the file names its own ({', '.join(sorted(set(symbols)))}) and "
                f"no atom types; leave out {remedy('elements=', '--elements')}."
            )


def remedy_elements() -> str:
    """How elements are named where the reader of a message is."""
    return remedy('elements=("H", "Au")', "--elements H,Au")
