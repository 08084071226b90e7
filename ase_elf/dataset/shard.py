"""The form that labels are stored in: shards, NumPy archives of a few labels each.

A label is a text (JSON: what it is) and arrays (values, geometry). Values are unpacked when they are asked
for; a geometry that belongs to somebody else, or to the label that is refined, comes in then. Images of the
bonds of a structure are stored in the same way; they need no geometry.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from ase import Atoms

from ase_elf.dataset.label import BATCH, INLINE, Critical, Label
from ase_elf.dataset.packing import (
    deflated,
    from_logarithmic,
    inflated,
    logarithmic,
    pack,
    pack_places,
    unpack,
    unpack_places,
)
from ase_elf.errors import FormatError, InputError
from ase_elf.formats.structure import sound_atoms
from ase_elf.reference import Provenance
from ase_elf.reference.engine import plain_charge
from ase_elf.ruler.bond_set import LEVELS, BondSet
from ase_elf.ruler.image import ImageSpec
from ase_elf.storage.npz import read_arrays
from ase_elf.storage.quantization import coarse, fine, restored

UPPER = np.triu_indices(3)
"""Where the six numbers of a Hessian stand in it."""

FARTHEST, FLATTEST = 1e6, 1e-3
"""Å and Å⁻². Positions and curvatures are no larger, and curvatures no smaller: 0.9 in dense hydrogen."""

NAMES = ("id", "name", "kind", "split", "batch", "refines")
"""Texts of a label that may be empty."""


@dataclass(frozen=True)
class StoredLabel:
    """A label as a shard holds it.

    Parameters
    ----------
    text : dict
        What it is, ready for JSON.
    arrays : dict of str to ndarray
        Packed.
    source : str
        The file, for messages.
    """

    text: dict
    arrays: dict[str, np.ndarray]
    source: str = "the label"

    @classmethod
    def of(cls, label: Label) -> StoredLabel:
        """A label, packed; :class:`InputError` where its points are not on its mesh."""
        text = {name: getattr(label, name) for name in NAMES} | {
            "geometry": "" if label.refines else label.geometry,
            "energy": label.energy,
            "provenance": label.provenance.as_dict(),
            "shape": list(label.values.shape),
        }
        arrays = {}
        if text["geometry"] == INLINE:
            text["charge"] = plain_charge(label.atoms)
            arrays |= {
                "numbers": label.atoms.numbers.astype(np.uint8),
                "positions": label.atoms.positions.astype("<f8"),
                "cell": label.atoms.cell.array.astype("<f8"),
                "pbc": label.atoms.pbc,
            }
        if label.mesh is not None:
            text["mesh"] = [int(n) for n in label.mesh]
            arrays["index"] = pack_places(_places(label))
        elif label.points is not None:
            arrays["points"] = label.points.astype("<f8")
        if label.density is not None:
            arrays["ln_density"] = pack(logarithmic(label.density))
        if label.forces is not None:
            arrays["forces"] = label.forces.astype("<f8")
        if label.critical is not None:
            arrays["critical"] = label.critical.positions.astype("<f4")
            arrays["hessians"] = label.critical.hessians[(..., *UPPER)].astype("<f4")
        return cls._with_values(text, arrays, label.values)

    @classmethod
    def of_bonds(cls, bonds: BondSet, *, batch: str = "") -> Iterator[StoredLabel]:
        """Images of bonds, one label per structure and kind."""
        for structure, kind in dict.fromkeys(zip(bonds.structure.tolist(), bonds.kind.tolist(), strict=True)):
            some = bonds[(bonds.structure == structure) & (bonds.kind == kind)]
            text = dict.fromkeys(NAMES, "") | {
                "id": f"{structure}/{kind}", "name": structure, "kind": kind, "batch": batch,
                "geometry": "", "energy": None, "shape": list(some.images.shape),
                "images": {"pair": list(bonds.pair), "image": bonds.spec.to_dict(), "types": some.type.tolist(),
                           "groups": some.group.tolist()},
            }  # fmt: skip
            arrays = {"lengths": some.length.astype("<f8")}
            yield cls._with_values(text, arrays, some.images / LEVELS)

    @classmethod
    def _with_values(cls, text: dict, arrays: dict, values: np.ndarray) -> StoredLabel:
        steps, parts = coarse(values), fine(values)
        # Values of fewer bits, such as those of images, are multiples of one number of steps.
        if (unit := int(np.gcd.reduce(steps, axis=None, initial=0)) or 1) > 1:
            text["unit"] = unit
        arrays["elf"] = pack(steps // np.uint16(unit))
        if parts.any():
            arrays["fine"] = deflated(parts)
        return cls(text, arrays)

    @property
    def id(self) -> str:
        """As in :class:`~ase_elf.dataset.label.Label`."""
        return self.text["id"]

    @property
    def geometry(self) -> str:
        """``"inline"``, ``"owner:id"``, or "" where none is needed."""
        return self.text["geometry"]

    @property
    def holds(self) -> str:
        """What is stored: "grid", "points" or "images", and what else there is, joined by plus signs."""
        kind = "images" if "images" in self.text else "points" if self._at_points else "grid"
        more = {"density": ("density", "ln_density"), "forces": ("forces",), "critical": ("critical",)}
        return "+".join([kind, *(k for k, names in more.items() if self.arrays.keys() & set(names))])

    @property
    def _at_points(self) -> bool:
        return "mesh" in self.text or "points" in self.arrays

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the values."""
        return tuple(self.text["shape"])

    @property
    def grid(self) -> tuple[int, ...] | None:
        """Grid that the values are on, all of it or points of it; None for images and free points."""
        if "images" in self.text or "points" in self.arrays:
            return None
        return tuple(self.text["mesh"]) if "mesh" in self.text else self.shape

    def values(self) -> np.ndarray:
        """ELF, float32, of :attr:`shape`; :class:`FormatError` where it is damaged."""
        with sound(self.source):
            parts, steps = None, unpack(self.arrays["elf"], self.shape)
            if "fine" in self.arrays:
                parts = inflated(self.arrays["fine"], "i1", math.prod(self.shape)).reshape(self.shape)
            unit = self.text.get("unit", 1)
            if not isinstance(unit, int) or not 1 <= unit * int(steps.max(initial=1)) <= 65535:
                raise FormatError(f"a unit of {unit!r:.100} steps is impossible")
            return restored(steps * np.uint16(unit), parts)

    def places(self) -> np.ndarray | None:
        """Flat indices in :attr:`grid`, ascending, int64; None for a whole grid or free points."""
        with sound(self.source):
            if "mesh" not in self.text:
                return None
            return unpack_places(self.arrays["index"], tuple(self.text["mesh"]), math.prod(self.shape))

    def critical(self) -> Critical | None:
        """Critical points; :class:`FormatError` for impossible ones."""
        with sound(self.source):
            return _critical(self.arrays) if "critical" in self.arrays else None

    def label(self, atoms: Atoms | None = None) -> Label:
        """The label, on its own geometry or on ``atoms``.

        Raises
        ------
        InputError
            It has no geometry and none is given, or holds images.
        FormatError
            It is damaged.
        """
        if "images" in self.text:
            raise InputError(f"label {self.id!r} holds images of bonds; read them with .bonds().")
        if atoms is None and "numbers" not in self.arrays:
            where = f"is {self.geometry!r}" if self.geometry else f"is that of {self.text['refines']!r}"
            raise InputError(f"label {self.id!r} has no geometry of its own: it {where}.")
        with sound(self.source):
            text, arrays, values, places = self.text, self.arrays, self.values(), self.places()
            atoms = self._atoms() if atoms is None else atoms.copy()
            if "numbers" not in arrays:
                atoms.info = {}
            points, density, forces = (arrays.get(key) for key in ("points", "density", "forces"))
            if places is not None:
                points = np.stack(np.unravel_index(places, self.grid), -1) / self.grid @ atoms.cell.array
            if "ln_density" in arrays:
                density = from_logarithmic(unpack(arrays["ln_density"], self.shape))
            for array, shape in (
                (points, (values.size, 3)),
                (density, values.shape),
                (forces, (len(atoms), 3)),
            ):
                if array is not None and (array.shape != shape or array.dtype.kind != "f"):
                    raise FormatError(f"numbers of shape {array.shape} where {shape} is needed")
            return Label(
                **{name: text.get(name, "") for name in NAMES},
                geometry=self.geometry,
                energy=None if text["energy"] is None else float(text["energy"]),
                provenance=Provenance.from_dict(text["provenance"]),
                atoms=atoms,
                values=values,
                points=points,
                mesh=None if places is None else self.grid,
                density=density,
                forces=forces,
                critical=self.critical(),
            )

    def _atoms(self) -> Atoms:
        arrays, charge = self.arrays, self.text.get("charge", 0)
        atoms = sound_atoms(arrays["numbers"], arrays["positions"], arrays["cell"], arrays["pbc"])
        if charge:
            atoms.info["charge"] = charge + 0  # adding refuses what is not a number
        return atoms

    def refine(self, label: Label) -> Label:
        """``label`` with these values wherever there are some.

        Raises
        ------
        FormatError
            It is damaged, or on another grid.
        """
        if self.grid != label.values.shape:
            raise FormatError(
                f"{self.id!r} in {self.source} is of a grid {self.grid}, {label.name!r} of {label.values.shape}."
            )
        values, places = label.values.astype(np.float32).ravel(), self.places()
        values[slice(None) if places is None else places] = self.values().ravel()
        return replace(label, values=values.reshape(label.values.shape))

    def bonds(self) -> BondSet:
        """Images of bonds; :class:`InputError` where it holds something else, :class:`FormatError` if damaged."""
        if "images" not in self.text:
            raise InputError(f"label {self.id!r} holds {self.holds}, not images of bonds.")
        with sound(self.source):
            images, lengths = self.text["images"], self.arrays["lengths"].astype(float)
            return BondSet(
                pair=tuple(images["pair"]),
                spec=ImageSpec.from_dict(images["image"]),
                images=np.round(self.values() * LEVELS).astype(np.uint8),
                length=lengths,
                type=np.array(images["types"], dtype=str),
                group=np.array(images["groups"], dtype=str),
                structure=np.full(len(lengths), self.text["name"]),
                kind=np.full(len(lengths), self.text["kind"]),
            )


def encode(labels: Iterable[Label | StoredLabel]) -> bytes:
    """Labels as the bytes of a NumPy ``.npz`` archive; equal labels give equal bytes."""
    buffer = io.BytesIO()
    arrays = {}
    for index, label in enumerate(labels):
        stored = StoredLabel.of(label) if isinstance(label, Label) else label
        text = json.dumps(stored.text, sort_keys=True).encode()
        for key, array in {**stored.arrays, "text": np.frombuffer(text, np.uint8)}.items():
            arrays[f"{index}.{key}"] = array
    # The ELF is deflated by `pack` already; the archive would only lose time on it.
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def decode(data: bytes, *, source: str) -> list[StoredLabel]:
    """The inverse of :func:`encode`; :class:`FormatError` names ``source`` if it is damaged."""
    with sound(source):
        parts: dict[str, dict[str, np.ndarray]] = {}
        for key, array in read_arrays(io.BytesIO(data), stored=True).items():
            number, _, name = key.partition(".")
            parts.setdefault(number, {})[name] = array
        return [_stored(parts[str(i)], source) for i in range(len(parts))]


def _stored(arrays: dict[str, np.ndarray], source: str) -> StoredLabel:
    # Labels that were stored before 0.2 had one batch, and all their geometries.
    text = {"batch": BATCH, "geometry": INLINE} | json.loads(arrays.pop("text").tobytes())
    names = {key: text.get(key, "") for key in (*NAMES, "geometry")}
    if not all(isinstance(name, str) for name in names.values()):
        raise FormatError(f"names that are not text: {names!r:.200}")
    for shape in (text["shape"], text.get("mesh", [1])):
        if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
            raise FormatError(f"a shape of {shape!r:.100} is impossible")
    return StoredLabel(text, arrays, source)


@contextmanager
def sound(source: str) -> Iterator[None]:
    """Turn what damaged data raises into a :class:`FormatError` that names ``source``."""
    prefix = f"{source} is no label shard, or is damaged: "
    try:
        yield
    except (ArithmeticError, AttributeError, IndexError, LookupError, RuntimeError, TypeError,
            ValueError) as error:  # fmt: skip
        if str(error).startswith(prefix):
            raise
        raise FormatError(f"{prefix}{str(error)[:500]}.") from error


def _places(label: Label) -> np.ndarray:
    """Flat indices of the points of ``label`` in its mesh, ascending."""
    steps = label.atoms.cell.scaled_positions(label.points) * label.mesh
    whole = np.round(steps)
    places = np.ravel_multi_index(tuple((whole.astype(int) % label.mesh).T), label.mesh)
    if np.abs(steps - whole).max(initial=0) > 1e-4 or (np.diff(places) <= 0).any():
        raise InputError(f"points of {label.name!r} are not on its mesh {label.mesh}, in order.")
    return places


def _critical(arrays: dict[str, np.ndarray]) -> Critical | None:
    positions, numbers = arrays["critical"].astype(float), arrays["hessians"].astype(float)
    if positions.shape != (len(numbers), 3) or numbers.shape != (len(positions), len(UPPER[0])):
        raise FormatError(f"critical points {positions.shape} have second derivatives {numbers.shape}")
    if not (np.abs(positions) < FARTHEST).all() or not (np.abs(numbers) < FARTHEST).all():
        raise FormatError("positions or second derivatives of critical points are not finite")
    hessians = np.empty((len(numbers), 3, 3))
    for number, (i, j) in zip(numbers.T, zip(*UPPER, strict=True), strict=True):
        hessians[:, i, j] = hessians[:, j, i] = number
    if (np.abs(np.linalg.eigvalsh(hessians)) < FLATTEST).any():
        raise FormatError("where a critical point is said to be, the field is flat")
    return Critical(positions, hessians) if len(positions) else None
