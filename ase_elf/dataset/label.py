"""A label: one structure with its reference ELF, and the form it is stored in."""

from __future__ import annotations

import io
import json
import math
import zlib
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from ase_elf.errors import FormatError, InputError
from ase_elf.formats.npz import inflate, read_arrays
from ase_elf.formats.rounding import coarse, fine, restored
from ase_elf.formats.structure import sound_atoms
from ase_elf.grid import ELFGrid
from ase_elf.reference import Provenance


@dataclass(frozen=True)
class Critical:
    """Where attractors and bond critical points of a label are, and how sharp they are.

    Parameters
    ----------
    positions : ndarray, shape (n, 3), float64, Å
    hessians : ndarray, shape (n, 3, 3), float64, Å⁻²
        Of z = logit(ELF).
    """

    positions: np.ndarray
    hessians: np.ndarray


@dataclass(frozen=True)
class Label:
    """The reference ELF of one structure.

    Parameters
    ----------
    id : str
        Digest of structure, recipe and choice of points: equal ids are equal labels.
    name : str
        Where the structure came from, for people.
    atoms : ase.Atoms
    provenance : Provenance
    values : ndarray, float32, dimensionless in [0, 1]
        Shape (nx, ny, nz) in the grid convention of :class:`~ase_elf.grid.ELFGrid`, or
        (n,) at ``points``.
    points : ndarray, shape (n, 3), Å, Cartesian, or None for a grid
    density : ndarray or None
        Electron density (e/Å³), same shape as ``values``; float32.
    energy : float or None
        eV.
    forces : ndarray, shape (n_atoms, 3), eV/Å, or None
    split : str
        "train", "validation", "test", or "" where it is not decided.
    kind : str
        What sort of structure it is, such as "fluid"; free to choose.
    critical : Critical or None
        Where the grid was looked at before points of it were chosen. Not part of what :func:`encode` keeps,
        which has the grid; :mod:`ase_elf.training.borrowed` keeps it.
    """

    id: str
    name: str
    atoms: Atoms
    provenance: Provenance
    values: np.ndarray
    points: np.ndarray | None = None
    density: np.ndarray | None = None
    energy: float | None = None
    forces: np.ndarray | None = None
    split: str = ""
    kind: str = ""
    critical: Critical | None = None

    @property
    def grid(self) -> ELFGrid:
        """The label as a grid; :class:`InputError` where only points were kept."""
        if self.points is not None:
            raise InputError(
                f"label {self.name!r} holds {len(self.points)} points, not a grid; "
                "use .points and .values."
            )
        return ELFGrid(self.values, self.atoms, {"provenance": self.provenance.as_dict()})


def encode(labels: list[Label]) -> bytes:
    """Labels, but for ``critical``, as the bytes of a NumPy ``.npz`` archive; equal labels give equal bytes."""
    buffer = io.BytesIO()
    arrays = {}
    for index, label in enumerate(labels):
        for key, array in _arrays(label).items():
            arrays[f"{index}.{key}"] = array
    # The ELF is deflated by `pack` already; the archive would only lose time on it.
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def decode(data: bytes, *, source: str) -> list[Label]:
    """The inverse of :func:`encode`; :class:`FormatError` names ``source`` if it is damaged."""
    try:
        parts: dict[str, dict[str, np.ndarray]] = {}
        for key, array in read_arrays(io.BytesIO(data), stored=True).items():
            number, _, name = key.partition(".")
            parts.setdefault(number, {})[name] = array
        return [_label(parts[str(i)]) for i in range(len(parts))]
    except (ArithmeticError, AttributeError, IndexError, LookupError, RuntimeError, TypeError,
            ValueError) as error:  # fmt: skip
        raise FormatError(
            f"{source} is no label shard, or is damaged: {str(error)[:500]}."
        ) from error


def pack(stored: np.ndarray) -> np.ndarray:
    """Compress a uint16 grid without loss; about two thirds of its size for a fluid.

    Each value is replaced by its difference from what its seven lower neighbours predict
    (Ibarria, Lindstrom, Rossignac, Szymczak, Comput. Graph. Forum 22, 343 (2003)), modulo
    2^16; signs are folded so that small differences have a zero high byte, and the two
    bytes are deflated apart.
    """
    difference = stored.astype(np.int64)
    for axis in range(stored.ndim):
        difference = np.diff(difference, axis=axis, prepend=0)
    signed = difference.astype(np.uint16).view(np.int16).astype(np.int32)
    folded = ((signed << 1) ^ (signed >> 15)).astype("<u2")
    planes = folded.reshape(-1).view(np.uint8).reshape(-1, 2).T
    return np.frombuffer(zlib.compress(np.ascontiguousarray(planes).tobytes(), 6), np.uint8)


def unpack(packed: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The inverse of :func:`pack`."""
    data = inflate(packed.tobytes(), 2 * math.prod(shape))
    planes = np.frombuffer(data, np.uint8).reshape(2, -1)
    folded = np.ascontiguousarray(planes.T).reshape(-1).view("<u2").astype(np.int32)
    difference = ((folded >> 1) ^ -(folded & 1)).reshape(shape)
    for axis in range(len(shape)):
        difference = np.cumsum(difference, axis=axis) & 0xFFFF
    return difference.astype(np.uint16)


def _arrays(label: Label) -> dict[str, np.ndarray]:
    text = {
        "id": label.id,
        "name": label.name,
        "split": label.split,
        "kind": label.kind,
        "energy": label.energy,
        "charge": label.atoms.info.get("charge", 0),
        "provenance": label.provenance.as_dict(),
        "shape": list(label.values.shape),
    }
    arrays = {
        "text": np.frombuffer(json.dumps(text, sort_keys=True).encode(), np.uint8),
        "numbers": label.atoms.numbers.astype(np.uint8),
        "positions": label.atoms.positions.astype("<f8"),
        "cell": label.atoms.cell.array.astype("<f8"),
        "pbc": label.atoms.pbc,
        "elf": pack(coarse(label.values)),
    }
    if (parts := fine(label.values)).any():
        arrays["fine"] = np.frombuffer(zlib.compress(parts.tobytes(), 6), np.uint8)
    for key in ("points", "density", "forces"):
        if (array := getattr(label, key)) is not None:
            arrays[key] = array.astype("<f4" if key == "density" else "<f8")
    return arrays


def _label(arrays: dict[str, np.ndarray]) -> Label:
    text = json.loads(arrays["text"].tobytes())
    names = {key: text.get(key, "") for key in ("id", "name", "split", "kind")}
    if not all(isinstance(name, str) for name in names.values()):
        raise FormatError(f"names that are no text: {names!r:.200}")
    atoms = sound_atoms(arrays["numbers"], arrays["positions"], arrays["cell"], arrays["pbc"])
    if text["charge"]:
        atoms.info["charge"] = text["charge"] + 0  # adding refuses what is no number
    grid, parts = tuple(text["shape"]), None
    if "fine" in arrays:
        parts = np.frombuffer(inflate(arrays["fine"].tobytes(), math.prod(grid)), np.int8).reshape(grid)
    values = restored(unpack(arrays["elf"], grid), parts)
    points, density, forces = (arrays.get(key) for key in ("points", "density", "forces"))
    for array, shape in (
        (points, (values.size, 3)),
        (density, values.shape),
        (forces, (len(atoms), 3)),
    ):
        if array is not None and (array.shape != shape or array.dtype.kind != "f"):
            raise FormatError(f"numbers of shape {array.shape} where {shape} is needed")
    return Label(
        **names,
        energy=None if text["energy"] is None else float(text["energy"]),
        provenance=Provenance.from_dict(text["provenance"]),
        atoms=atoms,
        values=values,
        points=points,
        density=density,
        forces=forces,
    )
