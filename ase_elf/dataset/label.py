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
    mesh : tuple of int, optional
        Grid that all ``points`` are on, in the order of its flattened index: they are then
        stored as their places in it.
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
        Where the grid was looked at before points of it were chosen.
    """

    id: str
    name: str
    atoms: Atoms
    provenance: Provenance
    values: np.ndarray
    points: np.ndarray | None = None
    mesh: tuple[int, int, int] | None = None
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
    """Labels as the bytes of a NumPy ``.npz`` archive; equal labels give equal bytes."""
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


LEAST_DENSITY, DENSITY_STEP = 1e-8, 28.0 / 65535
"""e/Å³ and step of ln ρ: a density from 1e-8 to 1e4 e/Å³ in 16 bits, to 2e-4 of itself."""

UPPER = np.triu_indices(3)
"""Where the six numbers of a Hessian stand in it."""

FARTHEST, FLATTEST = 1e6, 1e-3
"""Å and Å⁻². Positions and curvatures are no larger, and curvatures no smaller: 0.9 in dense hydrogen."""


def logarithmic(density: np.ndarray) -> np.ndarray:
    """A density (e/Å³) as uint16, steps of its logarithm; what is below 1e-8 becomes that."""
    steps = np.log(np.maximum(density.astype(float), LEAST_DENSITY) / LEAST_DENSITY) / DENSITY_STEP
    return np.round(np.minimum(steps, 65535)).astype(np.uint16)


def from_logarithmic(steps: np.ndarray) -> np.ndarray:
    """The inverse of :func:`logarithmic`, float32."""
    return (LEAST_DENSITY * np.exp(DENSITY_STEP * steps.astype(float))).astype(np.float32)


def read_critical(arrays: dict[str, np.ndarray]) -> Critical | None:
    """Critical points as :func:`encode` keeps them; :class:`FormatError` for impossible ones."""
    if "critical" not in arrays:
        return None
    positions, numbers = arrays["critical"].astype(float), arrays["hessians"].astype(float)
    if positions.shape != (len(numbers), 3) or numbers.shape != (len(positions), len(UPPER[0])):
        raise FormatError(
            f"critical points {positions.shape} have second derivatives {numbers.shape}"
        )
    if not (np.abs(positions) < FARTHEST).all() or not (np.abs(numbers) < FARTHEST).all():
        raise FormatError("critical points are not all somewhere")
    hessians = np.empty((len(numbers), 3, 3))
    for number, (i, j) in zip(numbers.T, zip(*UPPER, strict=True), strict=True):
        hessians[:, i, j] = hessians[:, j, i] = number
    if (np.abs(np.linalg.eigvalsh(hessians)) < FLATTEST).any():
        raise FormatError("where a critical point is said to be, the field is flat")
    return Critical(positions, hessians) if len(positions) else None


def _places(label: Label) -> np.ndarray:
    """Flat indices of the points of ``label`` in its mesh, ascending."""
    steps = label.atoms.cell.scaled_positions(label.points) * label.mesh
    whole = np.round(steps)
    places = np.ravel_multi_index(tuple((whole.astype(int) % label.mesh).T), label.mesh)
    if np.abs(steps - whole).max(initial=0) > 1e-4 or (np.diff(places) <= 0).any():
        raise InputError(f"points of {label.name!r} are not on its mesh {label.mesh}, in order.")
    return places


def _points_of(deflated: bytes, mesh: tuple[int, ...], count: int) -> np.ndarray:
    """Fractional coordinates of stored places."""
    if len(mesh) != 3 or min(mesh) < 1 or math.prod(mesh) > 2**31:
        raise FormatError(f"a mesh of {mesh} points is impossible")
    planes = np.frombuffer(inflate(deflated, 4 * count), np.uint8).reshape(4, -1)
    places = np.cumsum(np.ascontiguousarray(planes.T).reshape(-1).view("<u4").astype(np.int64))
    if (places >= math.prod(mesh)).any():
        raise FormatError(f"places beyond a mesh of {mesh}")
    return np.stack(np.unravel_index(places, mesh), -1) / mesh


def _deflated(array: np.ndarray) -> np.ndarray:
    """Bytes of ``array``, low bytes first, deflated: most high bytes of differences are zero."""
    planes = array.reshape(-1).view(np.uint8).reshape(-1, array.itemsize).T
    return np.frombuffer(zlib.compress(np.ascontiguousarray(planes).tobytes(), 9), np.uint8)


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
        "numbers": label.atoms.numbers.astype(np.uint8),
        "positions": label.atoms.positions.astype("<f8"),
        "cell": label.atoms.cell.array.astype("<f8"),
        "pbc": label.atoms.pbc,
        "elf": pack(coarse(label.values)),
    }
    if (parts := fine(label.values)).any():
        arrays["fine"] = np.frombuffer(zlib.compress(parts.tobytes(), 6), np.uint8)
    if label.mesh is not None:
        text["mesh"] = [int(n) for n in label.mesh]
        arrays["index"] = _deflated(np.diff(_places(label), prepend=0).astype("<u4"))
    elif label.points is not None:
        arrays["points"] = label.points.astype("<f8")
    if label.density is not None:
        arrays["ln_density"] = pack(logarithmic(label.density))
    if label.forces is not None:
        arrays["forces"] = label.forces.astype("<f8")
    if label.critical is not None:
        arrays["critical"] = label.critical.positions.astype("<f4")
        arrays["hessians"] = label.critical.hessians[(..., *UPPER)].astype("<f4")
    arrays["text"] = np.frombuffer(json.dumps(text, sort_keys=True).encode(), np.uint8)
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
    mesh = tuple(text["mesh"]) if "mesh" in text else None
    if mesh is not None:
        points = _points_of(arrays["index"].tobytes(), mesh, values.size) @ atoms.cell.array
    if "ln_density" in arrays:
        density = from_logarithmic(unpack(arrays["ln_density"], grid))
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
        mesh=mesh,
        density=density,
        forces=forces,
        critical=read_critical(arrays),
    )
