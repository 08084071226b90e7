"""Images of bonds from labels: the ELF a reference engine gave, seen along every bond."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ase_elf.dataset.images import ImageChoice
from ase_elf.dataset.label import Label
from ase_elf.errors import InputError
from ase_elf.geometry.pairs import pair_of
from ase_elf.ruler.bond_set import BondSet, quantised
from ase_elf.ruler.frame import BondFrames
from ase_elf.ruler.image import ImageSpec


def bond_set(labels: Iterable[Label], choice: ImageChoice) -> BondSet:
    """Images of the bonds of labels.

    Parameters
    ----------
    labels : iterable of Label
        On grids, or at the points that ``choice`` names.
    choice : ImageChoice

    Returns
    -------
    BondSet
        Its groups are the splits of the labels (their names, where the split is open).

    Raises
    ------
    InputError
        A label holds other points, or no label has such a bond.
    """
    sets = []
    for label in labels:
        i, j, vectors = choice.bonds(label.atoms)
        if not len(i):
            continue
        frames = BondFrames.of_bonds(label.atoms, i, j, vectors)
        images = _images(label, frames, choice.image)
        column = np.full(len(i), label.split or label.name, "U64")
        sets.append(
            BondSet(
                pair=pair_of(choice.pair),
                spec=choice.image,
                images=quantised(images),
                length=frames.length,
                type=np.full(len(i), "", "U16"),
                group=column,
                structure=np.full(len(i), label.name, "U64"),
                kind=np.full(len(i), label.kind, "U32"),
            )
        )
    if not sets:
        raise InputError(f"no label has a bond {choice.pair} shorter than {choice.cutoff} Å.")
    return BondSet.joined(sets)


def _images(label: Label, frames: BondFrames, spec: ImageSpec) -> np.ndarray:
    if label.points is None:
        return spec.images(frames, label.grid.sample)
    expected = spec.points(frames)
    if expected.size != label.points.size:
        raise InputError(
            f"label {label.name!r} holds {len(label.points)} points, not the "
            f"{expected.size // 3} pixels of its bonds; state the image it was made with."
        )
    return label.values.reshape(expected.shape[:-1])
