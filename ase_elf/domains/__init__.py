"""What a domain pack is (one chemistry: weights, card, limits) and which are installed.

Owns the check that a structure may be given to a pack. Knows no element by name: packs
bring theirs through the entry-point group ``ase_elf.domains``.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from ase_elf.errors import DomainError, FormatError, InputError, remedy
from ase_elf.geometry.lattice import heights, upright
from ase_elf.geometry.neighbors import neighbor_list
from ase_elf.plugins import discover

if TYPE_CHECKING:
    from ase import Atoms

    from ase_elf.model import EnergyNetwork, FieldModel
    from ase_elf.ruler import Ruler
    from ase_elf.ruler.surroundings import Surroundings

ENTRY_POINTS = "ase_elf.domains"

VACUUM = 3.5
"""Å around an isolated structure on a grid: twice that is farther than any model looks."""

CONTACT = 1.3
"""Times the sum of covalent radii: atoms that are closer touch."""

FINEST = 0.01
"""Å or bohr. A card that asks for a finer grid is damaged."""

OVERLAP = 0.3
"""Å. Two nuclei closer than this are a broken structure, not a strained one."""

LONGEST = 150
"""Times the thickness of a cell that it may measure in another direction: from 200 on, vesin divides
by zero, which ends the process."""


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
    """

    folder: Path
    bond_types: Callable[[Atoms, np.ndarray, np.ndarray, np.ndarray], np.ndarray] | None = None

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

    @property
    def bonds(self) -> dict[tuple[str, str], float]:
        """Longest length (Å) at which a pair of elements is listed as a bond."""
        return {tuple(pair.split("-")): cut for pair, cut in self.card["bonds"].items()}

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
        """Weights, and what training structures read, unless it was read with other weights."""
        weights, known = card["weights"], card.get("familiarity")
        found = {"path": self.folder / weights["file"], "digest": weights["sha256"]}
        if known and known["weights"] == weights["sha256"]:
            found["familiarity"] = self.folder / known["file"]
            found["familiarity_digest"] = known["sha256"]
        return found

    @cached_property
    def ruler_cards(self) -> dict[tuple[str, str], dict]:
        """Cards of the rulers of this pack, by the elements of first and second atom."""
        paths = sorted(self.folder.glob("ruler-*.json"))
        cards = [_read_card(path, _check_ruler_card) for path in paths]
        return {tuple(card["pair"].split("-")): card for card in cards}

    def load_ruler(self, pair: tuple[str, str]) -> Ruler:
        """The ruler for a pair of elements (digest checked, cached per process)."""
        from ase_elf.ruler.ruler import load_ruler

        card = self.ruler_cards[pair]
        return load_ruler(self.folder / card["file"], card["sha256"])

    def load_surroundings(self, pair: tuple[str, str]) -> Surroundings | None:
        """Surroundings of the bonds that a ruler was fitted to; None where the pack has none.

        None also where they were read with other weights than those the pack has now.
        """
        known = self.ruler_cards[pair].get("surroundings")
        if known is None or known["weights"] != self.card["weights"]["sha256"]:
            return None
        return _surroundings(self.folder / known["file"], known["sha256"])

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
        elements = ", ".join(self.elements)
        return f"{elements} (needs {' and '.join(self.must_hold)})" if self.must_hold else elements

    @property
    def isolated(self) -> bool:
        """Whether the pack describes molecules and clusters, which need no cell."""
        return bool(self.card.get("isolated", False))

    def periodic(self, atoms: Atoms) -> Atoms:
        """Atoms on which a grid can lie: of an isolated structure, a copy in a box of its own."""
        if not self.isolated or atoms.pbc.any() or not len(atoms):
            return atoms
        boxed = atoms.copy()
        boxed.center(vacuum=VACUUM)
        boxed.pbc = True
        return boxed

    def check(self, atoms: Atoms) -> None:
        """Raise :class:`InputError` unless ``atoms`` can be given to the model at all."""
        check_structure(atoms, isolated=self.isolated)
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

        In units of :class:`ase_elf.model.novelty.Familiarity`; on a CPU, milliseconds.
        """
        model = self.load(device="cpu")
        known = getattr(model, "familiarity", None)
        return None if known is None else known.distance(model.readings(atoms))

    def pair_distances(self, atoms: Atoms) -> dict[str, float]:
        """The same for every pair of elements in contact: which of them are unlike anything trained on.

        Returns
        -------
        dict of str to float
            By "A-B" in alphabetical order, the farthest first: the largest mean distance of two atoms closer than
            :data:`CONTACT` times the sum of their covalent radii. Empty where no distance is known.
        """
        from ase.data import covalent_radii

        model = self.load(device="cpu")
        if model.familiarity is None:
            return {}
        far = model.familiarity.of_atoms(model.readings(atoms)).tolist()
        radii = covalent_radii[atoms.numbers]
        found: dict[str, float] = {}
        for i, j, length in zip(*neighbor_list("ijd", atoms, 2 * CONTACT * radii.max()), strict=True):
            if length < CONTACT * (radii[i] + radii[j]):
                pair = "-".join(sorted((atoms.symbols[i], atoms.symbols[j])))
                found[pair] = max(found.get(pair, 0.0), (far[i] + far[j]) / 2)
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    def outside(self, atoms: Atoms, distance: float | None = None) -> list[str]:
        """Reasons why ``atoms`` lies outside what was trained on; empty when it is inside.

        Parameters
        ----------
        atoms : ase.Atoms
        distance : float, optional
            :attr:`ase_elf.model.Prediction.distance` of its prediction.
        """
        reasons = []
        for quantity, value in describe(atoms).items():
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
        return reasons


@lru_cache(maxsize=8)
def _surroundings(path: Path, expected: str) -> Surroundings:
    from ase_elf.model.weights import check_digest
    from ase_elf.ruler.surroundings import Surroundings

    try:
        check_digest(path, expected)
    except OSError as error:
        raise FormatError(f"cannot read {path}: {error.strerror or error}.") from error
    return Surroundings.load(path)


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
    """Raise for a card that would fail later, somewhere else, with a worse message."""
    from ase.data import atomic_numbers

    if not isinstance(card["name"], str) or not card["elements"]:
        raise ValueError("name or elements are missing")
    for symbol in (*card["elements"], *card.get("must_hold", ())):
        if symbol not in atomic_numbers:
            raise ValueError(f"element {symbol!r:.20} is unknown")
    for pair, length in card["bonds"].items():
        if len(pair.split("-")) != 2 or not 0 < length < math.inf:
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
        if "familiarity" in part:
            _check_file(part["familiarity"])
            part["familiarity"]["weights"]


def _check_ruler_card(card: dict) -> None:
    if len(card["pair"].split("-")) != 2:
        raise ValueError(f"pair {card['pair']!r:.20}")
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


def describe(atoms: Atoms) -> dict[str, float]:
    """What the trained range is stated in.

    Returns
    -------
    dict
        ``shortest_distance``: closest pair in Å, periodic images included; and of what is
        periodic ``r_s_bohr``: Wigner-Seitz radius per atom, (3V/4πN)^(1/3), in bohr.
    """
    from ase.units import Bohr

    if not atoms.pbc.all():
        return {"shortest_distance": shortest_distance(atoms)}
    volume_per_atom = atoms.get_volume() / len(atoms)
    return {
        "r_s_bohr": (3 * volume_per_atom / (4 * np.pi)) ** (1 / 3) / Bohr,
        "shortest_distance": shortest_distance(atoms),
    }


def shortest_distance(atoms: Atoms) -> float:
    """Closest pair of nuclei in Å, images of one atom included."""
    if not atoms.pbc.any():
        return float(cKDTree(atoms.positions).query(atoms.positions, k=2)[0][:, 1].min())
    # A sphere of twice the Wigner-Seitz radius always holds a second atom somewhere.
    cutoff = (atoms.get_volume() / len(atoms)) ** (1 / 3)
    while True:
        _, lengths = neighbor_list("id", atoms, cutoff)
        if len(lengths):
            return float(lengths.min())
        cutoff *= 1.5


def _check_proportions(across: np.ndarray) -> None:
    if across.min() < OVERLAP:
        raise InputError(
            f"the reduced cell is {across.min():.3g} Å thick, less than {OVERLAP} Å: images of an atom overlap."
        )
    if across.max() > LONGEST * across.min():
        raise InputError(
            f"the cell is {across.min():.3g} Å thick in one direction and {across.max():.3g} Å in "
            f"another; at most {LONGEST} times as much is taken. Repeat it (atoms.repeat) where it is thin."
        )


def check_structure(atoms: Atoms, *, isolated: bool = False) -> None:
    """Raise :class:`InputError` for what no domain can use: no cell, NaN, overlap.

    An ``isolated`` structure, periodic in no direction, needs no cell.
    """
    if len(atoms) == 0:
        raise InputError("the structure holds no atoms; give at least one.")
    if not np.isfinite(atoms.positions).all() or not np.isfinite(atoms.cell[:]).all():
        bad = np.flatnonzero(~np.isfinite(atoms.positions).all(axis=1))
        raise InputError(
            f"positions or cell hold NaN or infinity (atoms {bad[:10].tolist()}); "
            "look at the last good frame of the run that made them."
        )
    isolated = isolated and not atoms.pbc.any()
    if not isolated and abs(np.linalg.det(atoms.cell[:])) < 1e-6:
        raise InputError(
            f"the structure has no three-dimensional cell (cell = {atoms.cell[:].tolist()} Å); "
            + remedy(
                "set atoms.cell, for a molecule a box with vacuum, and atoms.pbc = True.",
                "give one with --cell, for a molecule a box with vacuum, or write it into the file.",
            )
        )
    if not isolated and not atoms.pbc.all():
        raise InputError(
            f"the cell is not periodic in all directions (pbc = {atoms.pbc.tolist()}); "
            + remedy(
                "set atoms.pbc = True, with vacuum in the cell where there is none.",
                "give a cell with vacuum along the open ones with --cell, or write it into the file.",
            )
        )
    if not isolated:
        _check_proportions(heights(upright(atoms.cell.array)[0]))
    shortest = shortest_distance(atoms)
    if shortest < OVERLAP:
        raise InputError(
            f"two nuclei are {shortest:.3f} Å apart, less than {OVERLAP} Å: "
            "atoms overlap, or the units of the file are not Å."
        )


def installed() -> dict[str, Domain]:
    """All domain packs found, by name."""
    return {name: point.load() for name, point in discover(ENTRY_POINTS).items()}


def get_domain(name: str) -> Domain:
    """The domain pack called ``name``; :class:`DomainError` names the installed ones."""
    found = discover(ENTRY_POINTS)
    if name not in found:
        raise DomainError(f"no domain pack is called {name!r}; installed: {', '.join(found) or 'none'}.")
    return found[name].load()


def domain_for(symbols: Iterable[str]) -> Domain:
    """The pack that knows every element in ``symbols``, the smallest one if several do."""
    wanted = set(symbols)
    packs = installed()
    fitting = [pack for pack in packs.values() if set(pack.must_hold) <= wanted <= set(pack.elements)]
    if not fitting:
        known = "; ".join(f"{n}: {p.coverage}" for n, p in packs.items())
        raise DomainError(
            f"no installed domain pack covers {', '.join(sorted(wanted))} "
            f"({known or 'none installed'}). Compute the ELF with a reference engine, "
            "or train a pack for this chemistry."
        )
    return min(fitting, key=lambda pack: len(pack.elements))
