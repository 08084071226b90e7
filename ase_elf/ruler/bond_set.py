"""BondSet: images of bonds with what is known of each.

:meth:`ase_elf.dataset.LabelStore.images` reads them from a store of labels.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from ase_elf.errors import InputError
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
        return replace(first, **{n: np.concatenate([getattr(one, n) for one in sets]) for n in names})


COLUMNS = tuple(f.name for f in fields(BondSet))[3:]
"""Names of the columns beside the images."""


def quantised(images: np.ndarray) -> np.ndarray:
    """ELF in [0, 1] as a set keeps it, uint8."""
    return np.round(np.clip(images, 0, 1) * LEVELS).astype(np.uint8)
