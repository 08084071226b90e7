"""Arrays of labels in few bytes: differences and logarithms as whole numbers, low bytes first, deflated."""

from __future__ import annotations

import math
import zlib

import numpy as np

from ase_elf.errors import FormatError
from ase_elf.storage.npz import inflate

LEAST_DENSITY, DENSITY_STEP = 1e-8, 28.0 / 65535
"""e/Å³ and step of ln ρ: a density from 1e-8 to 1e4 e/Å³ in 16 bits, to 2e-4 of itself."""


def pack(stored: np.ndarray) -> np.ndarray:
    """Compress a uint16 array without loss; a grid to about two thirds of its size for a fluid.

    Each value is replaced by its difference from what its seven lower neighbours predict
    (Ibarria, Lindstrom, Rossignac, Szymczak, Comput. Graph. Forum 22, 343 (2003)), modulo
    2^16; signs are folded so that small differences have a zero high byte, and the two
    bytes are deflated apart. An array of four dimensions is a stack of images: only the last
    two count.
    """
    difference = stored.astype(np.int64)
    for axis in _axes(stored.shape):
        difference = np.diff(difference, axis=axis, prepend=0)
    signed = difference.astype(np.uint16).view(np.int16).astype(np.int32)
    return deflated(((signed << 1) ^ (signed >> 15)).astype("<u2"))


def unpack(packed: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The inverse of :func:`pack`; :class:`FormatError` for bytes that are not such an array."""
    folded = inflated(packed, "<u2", math.prod(shape)).astype(np.int32)
    difference = ((folded >> 1) ^ -(folded & 1)).reshape(shape)
    for axis in _axes(shape):
        difference = np.cumsum(difference, axis=axis) & 0xFFFF
    return difference.astype(np.uint16)


def pack_places(places: np.ndarray) -> np.ndarray:
    """Compress ascending indices of grid points, int64."""
    return deflated(np.diff(places, prepend=0).astype("<u4"))


def unpack_places(packed: np.ndarray, mesh: tuple[int, ...], count: int) -> np.ndarray:
    """The inverse of :func:`pack_places`; :class:`FormatError` for indices beyond the grid ``mesh``."""
    if len(mesh) != 3 or min(mesh) < 1 or math.prod(mesh) > 2**31:
        raise FormatError(f"a grid of {mesh} points is impossible")
    places = np.cumsum(inflated(packed, "<u4", count).astype(np.int64))
    if (places >= math.prod(mesh)).any():
        raise FormatError(f"points beyond a grid of {mesh}")
    return places


def logarithmic(density: np.ndarray) -> np.ndarray:
    """A density (e/Å³) as uint16, steps of its logarithm; what is below 1e-8 becomes that."""
    steps = np.log(np.maximum(density.astype(float), LEAST_DENSITY) / LEAST_DENSITY) / DENSITY_STEP
    return np.round(np.minimum(steps, 65535)).astype(np.uint16)


def from_logarithmic(steps: np.ndarray) -> np.ndarray:
    """The inverse of :func:`logarithmic`, float32."""
    return (LEAST_DENSITY * np.exp(DENSITY_STEP * steps.astype(float))).astype(np.float32)


def deflated(array: np.ndarray) -> np.ndarray:
    """Bytes of ``array``, all first ones first, deflated: most high bytes of differences are zero."""
    planes = array.reshape(-1).view(np.uint8).reshape(-1, array.itemsize).T
    return np.frombuffer(zlib.compress(np.ascontiguousarray(planes).tobytes(), 9), np.uint8)


def inflated(packed: np.ndarray, dtype: str, count: int) -> np.ndarray:
    """The inverse of :func:`deflated`, flat; :class:`FormatError` before more than ``count`` are made."""
    size = np.dtype(dtype).itemsize
    planes = np.frombuffer(inflate(packed.tobytes(), size * count), np.uint8).reshape(size, -1)
    return np.ascontiguousarray(planes.T).reshape(-1).view(dtype)


def _axes(shape: tuple[int, ...]) -> range:
    return range(2, 4) if len(shape) == 4 else range(len(shape))
