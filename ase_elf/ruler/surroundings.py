"""How far the surroundings of a bond are from those of the bonds a ruler was fitted to.

An image may look like a bond that is known and be one of a ligand that never was: a network
reads it all the same. What the atoms around the bond read of their own surroundings
(:meth:`ase_elf.model.FieldModel.invariants`) tells them apart, in the metric of the covariance of
each element (as :mod:`ase_elf.model.novelty` has it for whole structures).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from ase_elf.errors import FormatError, InputError
from ase_elf.geometry.neighbors import neighbor_list
from ase_elf.storage.atomic import replacing

if TYPE_CHECKING:
    from ase_elf.domains import Domain

BONDED = 1.3
"""Times the sum of covalent radii: atoms nearer than that to an end of a bond are looked at too."""

ATOMS = 0.99
"""Part of the atoms of training that are within a distance of 1, for each element."""

BONDS = 0.98
"""Part of the bonds of training, each compound left out in turn, that are within the limit."""

RIDGE = 1e-4
"""Added to variances of invariants, in units of the largest."""


@dataclass(frozen=True)
class Element:
    """What atoms of one element read in training: mean (n,), whitening (n, n), unit of distance."""

    mean: np.ndarray
    whiten: np.ndarray
    unit: float

    @classmethod
    def of(cls, readings: np.ndarray) -> Element:
        """From the readings of all its atoms, shape (n_atoms, n_invariants)."""
        variances, axes = np.linalg.eigh(np.atleast_2d(np.cov(readings.T)))
        whiten = axes / np.sqrt(np.maximum(variances, 0) + RIDGE)
        bare = cls(readings.mean(0), whiten, 1.0)
        return cls(bare.mean, whiten, max(float(np.quantile(bare.distance(readings), ATOMS)), 1e-6))

    def distance(self, readings: np.ndarray) -> np.ndarray:
        """Of each row of ``readings``, in units of those of training."""
        return np.sqrt((((readings - self.mean) @ self.whiten) ** 2).mean(1)) / self.unit


@dataclass(frozen=True)
class Surroundings:
    """Surroundings of the bonds that a ruler was fitted to.

    Parameters
    ----------
    elements : dict of int to Element
        By atomic number.
    limit : float
        Distance of a bond beyond which its surroundings are strange.
    """

    elements: dict[int, Element]
    limit: float

    @classmethod
    def of(cls, training: list[tuple[Atoms, np.ndarray, np.ndarray, np.ndarray]], groups: list[str]):
        """From structures (atoms, what each atom reads, ends i and j of its bonds).

        ``groups`` says which compound each is. The limit is that within which bonds of a
        compound lie that was left out, for one compound after the other.

        Raises
        ------
        InputError
            There are not two compounds.
        """
        if len(set(groups)) < 2:
            raise InputError(f"structures of {len(set(groups))} compounds; two at least are needed.")
        far = []
        for group in sorted(set(groups)):
            others = [one for one, name in zip(training, groups, strict=True) if name != group]
            known = cls(_elements(others), 1.0)
            left_out = (one for one, name in zip(training, groups, strict=True) if name == group)
            far += [known.distances(*one) for one in left_out]
        return cls(_elements(training), float(np.quantile(np.concatenate(far), BONDS)))

    def distances(self, atoms: Atoms, readings: np.ndarray, i: np.ndarray, j: np.ndarray) -> np.ndarray:
        """Of each bond: the largest of its two atoms and those bonded to them; 1 is the limit.

        Infinite where one is of an element that was not there.
        """
        own = np.full(len(atoms), np.inf)
        for number, element in self.elements.items():
            mine = atoms.numbers == number
            if mine.any():
                own[mine] = element.distance(readings[mine])
        around = own.copy()
        first, second = bonded(atoms)
        np.maximum.at(around, first, own[second])
        return np.maximum(around[i], around[j]) / self.limit

    def save(self, path: Path) -> None:
        """Write as safetensors."""
        tensors = {"limit": np.array([self.limit])}
        for number, element in self.elements.items():
            tensors[f"{number}.mean"] = element.mean.astype(np.float32)
            tensors[f"{number}.whiten"] = np.ascontiguousarray(element.whiten, np.float32)
            tensors[f"{number}.unit"] = np.array([element.unit])
        with replacing(Path(path)) as part:
            save_file(tensors, part)

    @classmethod
    def load(cls, path: Path) -> Surroundings:
        """Read what :meth:`save` wrote; :class:`FormatError` if it is anything else."""
        try:
            tensors = load_file(path)
            numbers = sorted({int(name.split(".")[0]) for name in tensors if name != "limit"})
            elements = {
                n: Element(
                    tensors[f"{n}.mean"].astype(float), tensors[f"{n}.whiten"].astype(float),
                    float(tensors[f"{n}.unit"][0]),
                )
                for n in numbers
            }  # fmt: skip
            found = cls(elements, float(tensors["limit"][0]))
            for element in elements.values():
                n = len(element.mean)
                if element.mean.shape != (n,) or element.whiten.shape != (n, n):
                    raise ValueError(f"shapes {element.mean.shape}, {element.whiten.shape}")
                if not np.isfinite(element.whiten).all() or not np.isfinite(element.mean).all():
                    raise ValueError("numbers that are not finite")
            if not all(0 < x < np.inf for x in (found.limit, *(e.unit for e in elements.values()))):
                raise ValueError("distances in units that are not positive")
        except (OSError, LookupError, TypeError, ValueError, SafetensorError) as error:
            raise FormatError(f"{path} does not hold surroundings of bonds ({str(error)[:300]}).") from error
        return found


def load_surroundings(pack: Domain, pair: tuple[str, str]) -> Surroundings | None:
    """Surroundings of the bonds that a ruler of a pack was fitted to (cached per process).

    None where the pack has none, or where they were computed with other weights than it has now.
    """
    known = pack.ruler_cards[pair].get("surroundings")
    if known is None or known["weights"] != pack.card["weights"]["sha256"]:
        return None
    return _load(pack.folder / known["file"], known["sha256"])


@lru_cache(maxsize=8)
def _load(path: Path, expected: str) -> Surroundings:
    from ase_elf.model.weights import check_digest

    try:
        check_digest(path, expected)
    except OSError as error:
        raise FormatError(f"cannot read {path}: {error.strerror or error}.") from error
    return Surroundings.load(path)


def are_strange(
    pack: Domain,
    pair: tuple[str, str],
    atoms: Atoms,
    i: np.ndarray,
    j: np.ndarray,
    invariants: np.ndarray | None = None,
) -> np.ndarray:
    """Which bonds between ``i`` and ``j`` the ruler for ``pair`` was not fitted to; (n,) bool.

    An element that the pack does not know makes strange what its model would see it from. A
    pack that does not hold surroundings cannot tell: False. ``invariants`` are those of the pack's
    model at all atoms, (n_atoms, n_invariants), where they are known.
    """
    known = load_surroundings(pack, pair) if len(i) else None
    if known is None:
        return np.zeros(len(i), bool)
    if invariants is not None:
        return known.distances(atoms, invariants.astype(float), i, j) > 1
    model = pack.load(device="cpu")
    covered = np.isin(atoms.get_chemical_symbols(), pack.elements)
    number = np.cumsum(covered) - 1  # of each atom among those that are covered
    kept = atoms[covered]
    readings = model.invariants(kept).numpy().astype(float)
    strange = known.distances(kept, readings, number[i], number[j]) > 1
    if covered.all():
        return strange
    first, second = neighbor_list("ij", atoms, model.reach)
    near = np.zeros(len(atoms), bool)
    near[first[~covered[second]]] = True
    return strange | near[i] | near[j]


def bonded(atoms: Atoms) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of atoms nearer than :data:`BONDED` times the sum of their covalent radii."""
    radii = covalent_radii[atoms.numbers]
    i, j, lengths = neighbor_list("ijd", atoms, 2 * BONDED * radii.max())
    near = lengths < BONDED * (radii[i] + radii[j])
    return i[near], j[near]


def _elements(training: list[tuple]) -> dict[int, Element]:
    """Of every element the atoms around bonds, all structures together."""
    rows: dict[int, list[np.ndarray]] = {}
    for atoms, readings, _, _ in training:
        for number in np.unique(atoms.numbers):
            rows.setdefault(int(number), []).append(readings[atoms.numbers == number])
    return {number: Element.of(np.concatenate(parts).astype(float)) for number, parts in rows.items()}
