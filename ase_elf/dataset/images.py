"""Which pixels of images of bonds a label holds instead of a grid."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from ase import Atoms

from ase_elf.errors import InputError
from ase_elf.geometry.pairs import pair_of
from ase_elf.ruler.frame import BondFrames
from ase_elf.ruler.image import ImageSpec
from ase_elf.ruler.pairs import find_pairs


@dataclass(frozen=True)
class ImageChoice:
    """The pixels of images of all bonds of a structure, as the points of a label.

    Parameters
    ----------
    pair : str
        Elements of first and second atom, such as "Au-S".
    cutoff : float
        Å. Longest bond.
    image : ImageSpec
        Without blanked cores.
    """

    pair: str
    cutoff: float
    image: ImageSpec = field(default_factory=ImageSpec)

    def __post_init__(self) -> None:
        try:
            pair_of(self.pair)
        except InputError as error:
            raise InputError(f"images: pair is {self.pair!r}; two elements are needed, as Au-S.") from error
        if not self.cutoff > 0:
            raise InputError(f"images: cutoff is {self.cutoff} Å; it must be positive.")
        if any(self.image.cores):
            raise InputError("images: cores are blanked when a ruler is fitted, not in labels.")

    def points(self, atoms: Atoms) -> np.ndarray:
        """Cartesian points, (n_bonds * planes * size * size, 3), Å, bond by bond."""
        frames = BondFrames.of_bonds(atoms, *self.bonds(atoms))
        return self.image.points(frames).reshape(-1, 3)

    def bonds(self, atoms: Atoms) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """First and second atoms, (n,), and the vectors between them, (n, 3) in Å."""
        first, second = pair_of(self.pair)
        i, j, vectors, _ = find_pairs(atoms, {(first, second): self.cutoff})
        turned = np.array(atoms.get_chemical_symbols())[i] != first
        ways = np.where(turned, j, i), np.where(turned, i, j)
        return *ways, np.where(turned[:, None], -vectors, vectors)
