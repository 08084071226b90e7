"""Images of bonds: what they show, and how they are taken from any source of ELF.

Owns the preparation of what a reader sees. The same function prepares images for training
and for reading, so that the two cannot drift apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
from scipy.ndimage import map_coordinates

from ase_elf.errors import InputError
from ase_elf.ruler.frame import BondFrames

ELFSource = Callable[[np.ndarray], np.ndarray]
"""ELF, shape (n,), at Cartesian points in Å, shape (n, 3)."""

LARGEST = 1024
"""Pixels of an image at most, far more than an ELF shows: what a file asks for is made."""


@dataclass(frozen=True)
class ImageSpec:
    """What an image of a bond shows.

    Parameters
    ----------
    size : int
        Pixels along and across the bond.
    half_width : float, Å
        From the middle of the bond to the edge of the image.
    reference : float or None, Å
        With it the image is normalised: scaled by length / reference, so that the nuclei
        fall on the same pixels in every image, and distances in it no longer tell the
        length. Without, it has a fixed number of Å per pixel, and they do.
    planes : tuple of int
        Planes of :class:`BondFrames`, one channel each.
    cores : tuple of float, Å
        Radii of the discs around first and second nucleus that are blanked; scaled with
        the image. What a pseudopotential leaves there is no property of the bond.

    Raises
    ------
    InputError
        For sizes no image can have.
    """

    size: int = 48
    half_width: float = 2.56
    reference: float | None = None
    planes: tuple[int, ...] = (0,)
    cores: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        if not 4 <= self.size <= LARGEST or not 0 < self.half_width < math.inf:
            raise InputError(
                f"an image of {self.size} pixels and half width {self.half_width} Å; 4 to "
                f"{LARGEST} pixels and a positive width are needed."
            )
        if self.reference is not None and not 0 < self.reference < math.inf:
            raise InputError(f"reference = {self.reference} Å; a positive length is needed.")
        if self.planes not in ((0,), (1,), (0, 1), (1, 0)):
            raise InputError(f"planes = {self.planes!r:.200}; accepted are 0 and 1, one or both.")
        if len(self.cores) != 2 or not all(0 <= radius < math.inf for radius in self.cores):
            raise InputError(f"cores = {self.cores!r:.200}; two radii in Å are needed.")
        if any(self.cores) and self.reference is None:
            raise InputError("cores are blanked in normalised images only; give a reference.")

    def to_dict(self) -> dict:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict) -> ImageSpec:
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in data.items()})

    def points(self, frames: BondFrames) -> np.ndarray:
        """Where the pixels are: (n, planes, size, size, 3), Å, Cartesian."""
        return np.stack(
            [
                frames.pixels(plane, size=self.size, half_width=self.half_width, reference=self.reference)
                for plane in self.planes
            ],
            axis=1,
        )

    @property
    def blank(self) -> np.ndarray:
        """Pixels that are blanked, (size, size), bool: rows across, columns along the bond."""
        steps = ((np.arange(self.size) + 0.5) / self.size * 2 - 1) * self.half_width
        x, y = steps[None, :], steps[:, None]
        middle = (self.reference or 0.0) / 2
        first, second = self.cores
        return (np.hypot(x + middle, y) < first) | (np.hypot(x - middle, y) < second)

    def images(self, frames: BondFrames, elf: ELFSource) -> np.ndarray:
        """Images of bonds.

        Parameters
        ----------
        frames : BondFrames
        elf : callable
            The ELF at points: of a grid (``ELFGrid.sample``), a model or an engine.

        Returns
        -------
        ndarray, shape (n, planes, size, size), float32
            ``[bond, plane, row, column]``: columns run along the bond from its first atom
            to its second, rows across it; blanked pixels are 0.
        """
        points = self.points(frames)
        wanted = np.broadcast_to(~self.blank, points.shape[:-1])
        images = np.zeros(points.shape[:-1], np.float32)
        images[wanted] = np.clip(elf(points[wanted]), 0.0, 1.0)
        return images


def resample(images: np.ndarray, have: ImageSpec, want: ImageSpec, length: np.ndarray) -> np.ndarray:
    """Images of one specification from those of another that shows as much.

    Parameters
    ----------
    images : ndarray, shape (n, planes, size, size)
        ELF as ``have`` shows it, without blanked cores.
    have, want : ImageSpec
    length : ndarray, shape (n,), Å
        Of the bonds: the two may differ in whether they are normalised.

    Returns
    -------
    ndarray, shape (n, planes, size, size), float32
        Cubic splines between the pixels; at the edge of ``have`` its outermost pixel.

    Raises
    ------
    InputError
        ``want`` asks for a plane that ``have`` lacks.
    """
    missing = set(want.planes) - set(have.planes)
    if missing:
        raise InputError(f"the images hold planes {have.planes}, not plane {missing.pop()}.")
    chosen = images[:, [have.planes.index(plane) for plane in want.planes]]
    stretch = length[:, None] / np.array([have.reference or np.inf, want.reference or np.inf])
    stretch[stretch == 0] = 1.0
    steps = ((np.arange(want.size) + 0.5) / want.size * 2 - 1) * want.half_width
    out = np.zeros((*chosen.shape[:2], want.size, want.size), np.float32)
    for n, planes in enumerate(chosen):
        at = steps * stretch[n, 1] / stretch[n, 0]
        pixel = (at / have.half_width + 1) / 2 * have.size - 0.5
        where = np.meshgrid(pixel, pixel, indexing="ij")
        for p, plane in enumerate(planes):
            out[n, p] = map_coordinates(plane, where, order=3, mode="nearest")
    out[..., want.blank] = 0.0
    return out.clip(0.0, 1.0)
