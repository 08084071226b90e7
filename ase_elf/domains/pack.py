"""Domain: one chemistry the package can predict, as weights, a card and limits in a folder.

Checks that a structure may be given to a pack. Knows no element by name: packs bring theirs.
"""

from __future__ import annotations

import json
import math
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ase_elf.errors import DomainError, FormatError, InputError, remedy
from ase_elf.geometry.boxes import boxed
from ase_elf.geometry.checks import check_structure, describe
from ase_elf.geometry.neighbors import neighbor_list
from ase_elf.geometry.pairs import by_pair, covalent_lengths, name_of, pair_of

if TYPE_CHECKING:
    import numpy as np
    from ase import Atoms

    from ase_elf.geometry.neighbors import Neighbors
    from ase_elf.model import EnergyNetwork, FieldModel

__all__ = ["FINEST", "Domain"]

COVALENT = "covalent"
"""In place of the lengths of bonds on a card."""

CONTACT = 1.3
"""Times the sum of covalent radii: atoms that are closer touch."""

MANY = 12
"""Elements; more are counted in messages and not named."""

LEAST_R2 = 0.9
"""Below it a prediction says little of where the ELF is larger or smaller."""

OLD_NOVELTY = "familiarity"
"""Key of a card before 0.3."""

FINEST = 0.01
"""Å or bohr. A card that asks for a finer grid is damaged."""


@dataclass(frozen=True)
class Domain:
    """A chemistry the package can predict: a folder with ``card.json`` and weights.

    Parameters
    ----------
    folder : Path
        Holds ``card.json`` and the weights file the card names (safetensors), and a card
        ``ruler-*.json`` for every ruler.
    bond_types : callable, optional
        ``bond_types(atoms, i, j, length)`` gives the type of every bond as text, "" where
        this chemistry has no name for it.
    motifs : callable, optional
        ``motifs(atoms)`` counts what a structure is made of in this chemistry, by name.
    """

    folder: Path
    bond_types: Callable[[Atoms, np.ndarray, np.ndarray, np.ndarray], np.ndarray] | None = None
    motifs: Callable[[Atoms], dict[str, int]] | None = None

    @cached_property
    def card(self) -> dict:
        """The model card, as parsed from ``card.json``.

        Raises
        ------
        FormatError
            If it is missing, or lacks what a pack needs.
        """
        return _read_card(self.folder / "card.json", _check_card)

    @property
    def name(self) -> str:
        return self.card["name"]

    @property
    def elements(self) -> tuple[str, ...]:
        """Chemical symbols the weights know."""
        return tuple(self.card["elements"])

    @cached_property
    def bonds(self) -> dict[tuple[str, str], float]:
        """Longest length (Å) at which a pair of elements is listed as a bond.

        The card gives them, or says ``"covalent"``: :func:`ase_elf.geometry.pairs.covalent_lengths`.
        """
        given = self.card["bonds"]
        return covalent_lengths(self.elements) if given == COVALENT else by_pair(given)

    @property
    def spacing(self) -> float:
        """Default grid spacing in Å where the caller asks for none."""
        return float(self.card["spacing"])

    def digest(self, *, large: bool = False) -> str:
        """SHA-256 of the weights, of those for large cells where ``large`` is true."""
        return (self.card["large_cells"] if large else self.card)["weights"]["sha256"]

    def load(self, device: str | None = None, dtype: str = "float32") -> FieldModel:
        """The field model with this pack's weights (digest checked, cached per process)."""
        from ase_elf.model import load_model
        from ase_elf.model.field_model import NATIVE_SPACING

        options = {
            "device": device, "dtype": dtype,
            "native_spacing": self.card.get("native_spacing", NATIVE_SPACING),
        }  # fmt: skip
        large = self.card.get("large_cells")
        if large:
            options["large"] = load_model(**self._files(large), **options)
        return load_model(**self._files(self.card), **options)

    def _files(self, card: dict) -> dict[str, object]:
        """Weights, and the novelty measure, unless it was made with other weights."""
        weights, known = card["weights"], card.get("novelty")
        found = {"path": self.folder / weights["file"], "digest": weights["sha256"]}
        if known and known["weights"] == weights["sha256"]:
            found["novelty"] = self.folder / known["file"]
            found["novelty_digest"] = known["sha256"]
        return found

    @cached_property
    def ruler_cards(self) -> dict[tuple[str, str], dict]:
        """Cards of the rulers of this pack, by the elements of first and second atom."""
        paths = sorted(self.folder.glob("ruler-*.json"))
        cards = [_read_card(path, _check_ruler_card) for path in paths]
        return {pair_of(card["pair"]): card for card in cards}

    @cached_property
    def potential_card(self) -> dict:
        """The card of the potential, as parsed from ``potential.json``."""
        path = self.folder / "potential.json"
        if not path.is_file():
            raise DomainError(
                f"the domain pack {self.name!r} brings no potential; give energy and forces "
                "by another ASE calculator."
            )
        return _read_card(path, _check_file)

    def load_potential(self, device: str | None = None, dtype: str = "float32") -> EnergyNetwork:
        """The energy network of this pack (digest checked, cached per process).

        Raises
        ------
        DomainError
            If the pack has none.
        """
        from ase_elf.model import load_potential

        card = self.potential_card
        return load_potential(self.folder / card["file"], digest=card["sha256"], device=device, dtype=dtype)

    @property
    def must_hold(self) -> tuple[str, ...]:
        """Elements without which a structure is of another chemistry, whatever else it holds."""
        return tuple(self.card.get("must_hold", ()))

    @property
    def coverage(self) -> str:
        """The elements as text, with those that have to be there: "Au, S, C, H (needs Au and S)"."""
        many = len(self.elements) > MANY
        elements = f"{len(self.elements)} elements" if many else ", ".join(self.elements)
        return f"{elements} (needs {' and '.join(self.must_hold)})" if self.must_hold else elements

    @property
    def isolated(self) -> bool:
        """Whether the pack describes molecules and clusters, which need no cell."""
        return bool(self.card.get("isolated", False))

    @property
    def slabs(self) -> bool:
        """Whether the pack describes slabs and wires, periodic in some directions only."""
        return bool(self.card.get("slabs", False))

    def takes(self, pbc: Sequence[bool]) -> bool:
        """Whether structures periodic in these directions are of the kind the pack describes."""
        return all(pbc) or (self.slabs if any(pbc) else self.isolated)

    def boxed(self, atoms: Atoms, *, centre: bool = False) -> Atoms:
        """Atoms on which a grid can lie: a copy in a box with vacuum where directions are open.

        Positions stay unless they are to be centred; see :func:`ase_elf.geometry.boxes.boxed`. What
        the pack does not take (:meth:`takes`) comes back as it is.
        """
        return boxed(atoms, centre=centre) if self.takes(atoms.pbc) else atoms

    def open_note(self, atoms: Atoms) -> str | None:
        """What is to be said of a structure that is not periodic; None where nothing is.

        A pack for all kinds of structures cannot know whether a cell was forgotten; one for molecules and
        clusters alone expects none.
        """
        if not self.slabs or all(atoms.pbc):
            return None
        along = ", ".join(name for name, periodic in zip("abc", atoms.pbc, strict=True) if not periodic)
        advice = remedy("set atoms.cell and atoms.pbc", "give its cell with --cell")
        return (
            f"{atoms.get_chemical_formula()} is not periodic along {along}, and is taken as isolated there, "
            f"with vacuum around it. If it repeats, {advice}."
        )

    def check(self, atoms: Atoms, near: Neighbors | None = None) -> None:
        """Raise :class:`InputError` unless ``atoms`` can be given to the model at all.

        ``near`` are the neighbors of ``atoms``, where whoever asks needs them too.
        """
        isolated = not atoms.pbc.any() and self.takes(atoms.pbc) and len(atoms) > 1
        box = boxed(atoms) if self.takes(atoms.pbc) and not isolated else atoms
        check_structure(box, near=near, isolated=isolated)
        unknown = sorted(set(atoms.get_chemical_symbols()) - set(self.elements))
        if unknown:
            raise InputError(
                f"element {', '.join(unknown)} is not known to the domain pack "
                f"{self.name!r}, which covers {self.coverage}. "
                "Choose another pack (see `ase-elf info`) or train one."
            )
        lacking = sorted(set(self.must_hold) - set(atoms.get_chemical_symbols()))
        if lacking:
            raise InputError(
                f"the structure holds no {', '.join(lacking)}, without which it is not what the "
                f"domain pack {self.name!r} describes. Choose another pack (see `ase-elf info`) "
                "or train one."
            )

    def distance(self, atoms: Atoms) -> float | None:
        """How far ``atoms`` are from what was trained on, without predicting; None if it is not known.

        In units of :class:`ase_elf.model.novelty.Novelty`; on a CPU, milliseconds.
        """
        model = self.load(device="cpu")
        known = getattr(model, "novelty", None)
        return None if known is None else known.distance(model.invariants(atoms))

    def pair_distances(self, atoms: Atoms) -> dict[str, float]:
        """The same for every pair of elements in contact: which of them are unlike anything trained on.

        Returns
        -------
        dict of str to float
            By "A-B" in alphabetical order, the farthest first: the largest mean distance of two atoms
            closer than :data:`CONTACT` times the sum of their covalent radii. Empty where no distance
            is known.
        """
        from ase.data import covalent_radii

        model = self.load(device="cpu")
        if model.novelty is None:
            return {}
        far = model.novelty.of_atoms(model.invariants(atoms)).tolist()
        radii = covalent_radii[atoms.numbers]
        found: dict[str, float] = {}
        for i, j, length in zip(*neighbor_list("ijd", atoms, 2 * CONTACT * radii.max()), strict=True):
            if length < CONTACT * (radii[i] + radii[j]):
                pair = name_of(sorted((atoms.symbols[i], atoms.symbols[j])))
                found[pair] = max(found.get(pair, 0.0), (far[i] + far[j]) / 2)
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    def outside(
        self,
        atoms: Atoms,
        distance: float | None = None,
        near: Neighbors | None = None,
        expected_r2: float | None = None,
    ) -> list[str]:
        """Reasons why ``atoms`` lies outside what was trained on; empty when it is inside.

        Parameters
        ----------
        atoms : ase.Atoms
        distance : float, optional
            :attr:`ase_elf.model.Prediction.distance` of its prediction.
        near : Neighbors, optional
            Of ``atoms``, where they have been searched for.
        expected_r2 : float, optional
            What the error bars of its prediction lead to expect; below :data:`LEAST_R2` is a reason.
        """
        reasons = []
        for quantity, value in describe(atoms, near).items():
            limits = self.card["trained_range"].get(quantity)
            if limits and not limits[0] <= value <= limits[1]:
                reasons.append(
                    f"{quantity} = {value:.3f} is outside the trained range "
                    f"{limits[0]:.3f} to {limits[1]:.3f}"
                )
        if distance is not None and distance > 1:
            reasons.append(
                f"what its atoms see is {distance:.2f} times as far from what was trained on as "
                "99 % of the training structures"
            )
        if expected_r2 is not None and expected_r2 < LEAST_R2:
            reasons.append(
                "its error bars are large beside the little that the ELF varies: R² = "
                f"{max(expected_r2, 0.0):.2f} is expected"
            )
        return reasons


def _read_card(path: Path, check: Callable[[dict], None]) -> dict:
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        check(card)
    except (OSError, AttributeError, LookupError, RuntimeError, TypeError,
            ValueError) as error:  # fmt: skip
        raise FormatError(
            f"{path} is not a card of a domain pack ({error}); install the pack again."
        ) from error
    return card


def _check_card(card: dict) -> None:
    """Raise for a card that would fail later, somewhere else, with a worse message; rename old keys."""
    from ase.data import atomic_numbers

    if not isinstance(card["name"], str) or not card["elements"]:
        raise ValueError("name or elements are missing")
    for symbol in (*card["elements"], *card.get("must_hold", ())):
        if symbol not in atomic_numbers:
            raise ValueError(f"element {symbol!r:.20} is unknown")
    for pair, length in () if card["bonds"] == COVALENT else card["bonds"].items():
        pair_of(pair)
        if not 0 < length < math.inf:
            raise ValueError(f"bond {pair!r:.20}: {length!r:.20}")
    spacings = card["spacing"], card.get("native_spacing", FINEST)
    if not all(FINEST <= spacing < math.inf for spacing in spacings):
        raise ValueError(f"spacing and native_spacing {spacings!r:.60}")
    for quantity, limits in card["trained_range"].items():
        low, high = limits
        if not low <= high:
            raise ValueError(f"trained range of {quantity!r:.20}: {low!r:.20} to {high!r:.20}")
    for part in (card, *([card["large_cells"]] if "large_cells" in card else [])):
        _check_file(part["weights"])
        if OLD_NOVELTY in part:
            part["novelty"] = part.pop(OLD_NOVELTY)
            warnings.warn(
                f"the card of the domain pack {card['name']!r} has the key {OLD_NOVELTY!r}, "
                "which is 'novelty' since 0.3 and not read by 0.4; rename it in card.json.",
                DeprecationWarning,
                stacklevel=2,
            )
        if "novelty" in part:
            _check_file(part["novelty"])
            part["novelty"]["weights"]


def _check_ruler_card(card: dict) -> None:
    pair_of(card["pair"])
    _check_file(card)
    if "surroundings" in card:
        _check_file(card["surroundings"])
        card["surroundings"]["weights"]


def _check_file(card: dict) -> None:
    """Raise where a card names no file beside it, or not by its digest."""
    file, digest = card["file"], card["sha256"]
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise ValueError("weights have no SHA-256")
    if not isinstance(file, str) or not _FILE.fullmatch(file):
        raise ValueError(f"weights {file!r:.40} are no file beside the card")


_DIGEST = re.compile(r"[0-9a-f]{64}")
_FILE = re.compile(r"\w[\w.-]*")
