"""Topology of many frames: networking values one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from ase_elf.topology.networking import Networking, networking

if TYPE_CHECKING:
    from ase_elf.grid import ELFGrid


def networking_frames(grids: Iterable[ELFGrid]) -> Iterator[Networking]:
    """:func:`~ase_elf.topology.networking` of each grid, as they come.

    Lazy: one frame is held at a time. What depends on shape and cell only (neighbour
    steps and distances) is kept between frames of one shape and cell. Results do not
    depend on the frames before, so frames may be split over processes as one likes.

    Parameters
    ----------
    grids : iterable of ELFGrid

    Yields
    ------
    Networking
    """
    for grid in grids:
        yield networking(grid)
