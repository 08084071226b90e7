"""BondSet: images of bonds with what is known of each, kept in files that are never rewritten.

A folder holds ``*.npz`` shards; reading it joins them in the order of their names.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from ase_elf.dataset.store import write_atomically
from ase_elf.errors import FormatError, InputError
from ase_elf.formats.npz import read_arrays
from ase_elf.ruler.image import ImageSpec, resample

LEVELS = 255
"""Stored integer that means ELF = 1: half a step is 0.002, the noise of a good label."""


@dataclass(frozen=True)
class BondSet:
    """Images of bonds of one pair of elements.

    Parameters
    ----------
    pair : tuple of str
        Elements of first and second atom, left and right in the images.
    spec : ImageSpec
        What the images show; cores are not blanked in a set.
    images : ndarray, shape (n, planes, size, size), uint8
        ELF in units of 1/255.
    length : ndarray, shape (n,), float64, Å
    type : ndarray, shape (n,), str
        Bond type from the structure, "" where there is none.
    group : ndarray, shape (n,), str
        What a split must not divide: the composition of a cluster, a structure type.
    structure : ndarray, shape (n,), str
    kind : ndarray, shape (n,), str
        Where the geometry comes from, such as "relaxed" or "dynamics".

    Raises
    ------
    InputError
        The columns differ in length.
    """

    pair: tuple[str, str]
    spec: ImageSpec
    images: np.ndarray
    length: np.ndarray
    type: np.ndarray
    group: np.ndarray
    structure: np.ndarray
    kind: np.ndarray

    def __post_init__(self) -> None:
        expected = (len(self.length), len(self.spec.planes), self.spec.size, self.spec.size)
        if self.images.shape != expected:
            raise InputError(f"images have shape {self.images.shape}, expected {expected}.")
        for name in COLUMNS:
            if getattr(self, name).shape != (len(self),):
                raise InputError(f"column {name!r} has not one entry per image ({len(self)}).")

    def __len__(self) -> int:
        return len(self.length)

    def __getitem__(self, chosen: np.ndarray) -> BondSet:
        """The bonds that a mask or an index array chooses."""
        parts = {name: getattr(self, name)[chosen] for name in ("images", *COLUMNS)}
        return replace(self, **parts)

    def shown(self, spec: ImageSpec) -> np.ndarray:
        """The images as ``spec`` wants them, float32 (n, planes, size, size)."""
        return resample(self.images / np.float32(LEVELS), self.spec, spec, self.length)

    def write(self, path: Path) -> None:
        """Write one shard.

        Raises
        ------
        OutputError
            The disk is full or not writable; nothing is left behind.
        """
        import io

        header = json.dumps({"pair": self.pair, "image": self.spec.to_dict()})
        columns = {name: getattr(self, name) for name in COLUMNS}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, header=np.array(header), images=self.images, **columns)
        write_atomically(Path(path), buffer.getvalue())

    @classmethod
    def read(cls, folder: Path) -> BondSet:
        """All shards of a folder, or a single file.

        Raises
        ------
        InputError
            There is none, or they are of different bonds or images.
        FormatError
            A shard is damaged.
        """
        folder = Path(folder)
        paths = [folder] if folder.is_file() else sorted(folder.glob("*.npz"))
        if not paths:
            raise InputError(f"{folder} holds no images of bonds (*.npz).")
        return cls.joined([_read(path) for path in paths])

    @classmethod
    def joined(cls, sets: list[BondSet]) -> BondSet:
        """Several sets as one; :class:`InputError` if they do not show the same."""
        first = sets[0]
        for other in sets[1:]:
            if (other.pair, other.spec) != (first.pair, first.spec):
                raise InputError(
                    f"images of {'-'.join(other.pair)} as {other.spec} cannot join those of "
                    f"{'-'.join(first.pair)} as {first.spec}."
                )
        names = ("images", *COLUMNS)
        return replace(
            first, **{n: np.concatenate([getattr(one, n) for one in sets]) for n in names}
        )


COLUMNS = tuple(f.name for f in fields(BondSet))[3:]
"""Names of the columns beside the images."""


def quantised(images: np.ndarray) -> np.ndarray:
    """ELF in [0, 1] as a set keeps it, uint8."""
    return np.round(np.clip(images, 0, 1) * LEVELS).astype(np.uint8)


def _read(path: Path) -> BondSet:
    try:
        with path.open("rb") as stream:
            arrays = read_arrays(stream)
        header = json.loads(str(arrays.pop("header")))
        if arrays["images"].dtype != np.uint8:
            raise TypeError(f"images are {arrays['images'].dtype}, not uint8")
        for name in COLUMNS:
            if arrays[name].dtype.kind != ("f" if name == "length" else "U"):
                raise TypeError(f"column {name!r} is of type {arrays[name].dtype}")
        return BondSet(tuple(header["pair"]), ImageSpec.from_dict(header["image"]), **arrays)
    except (OSError, AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise FormatError(
            f"{path} holds no images of bonds, or is damaged: {str(error)[:500]}"
        ) from error
