"""Points sorted into boxes, so that those in one share a list of what is near."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ase_elf.model.neighbors import Surroundings

EDGE = 1.5
"""bohr."""

HALF_DIAGONAL = EDGE * math.sqrt(3) / 2


@dataclass(frozen=True)
class Boxes:
    """Some boxes.

    Parameters
    ----------
    rows : ndarray, shape (n_boxes, most)
        Points of each; where there are fewer, the first again.
    there : ndarray of bool, shape (n_boxes, most)
        Which of them are meant.
    centres : ndarray, shape (n_boxes, 3), bohr
    """

    rows: np.ndarray
    there: np.ndarray
    centres: np.ndarray

    def images(self, near: Surroundings) -> tuple[np.ndarray, np.ndarray]:
        """Rows of ``near.images`` within its cutoff of each centre, (n_boxes, most), and which are there."""
        found = near.tree.query_ball_point(self.centres, near.cutoff)
        count = np.array([len(one) for one in found])
        there = np.arange(count.max()) < count[:, None]
        images = np.zeros(there.shape, np.int64)
        images[there] = np.concatenate([np.array(one, dtype=np.int64) for one in found])
        return images, there


def boxes(points: np.ndarray, cost: Callable[[np.ndarray], np.ndarray], most: float) -> Iterator[Boxes]:
    """Boxes that hold points (bohr, shape (n, 3)), those with about as many together.

    Parameters
    ----------
    cost : callable
        What boxes of so many points take of what there is ``most`` of at a time.
    """
    if not len(points):
        return
    low = points.min(0)
    places = np.floor((points - low) / EDGE).astype(np.int64)
    box = np.ravel_multi_index(tuple(places.T), places.max(0) + 1)
    _, box, count = np.unique(box, return_inverse=True, return_counts=True)
    order = np.argsort(box, kind="stable")
    first = np.cumsum(count) - count
    centres = low + (places[order[first]] + 0.5) * EDGE
    by_count = np.argsort(count, kind="stable")
    cuts = np.flatnonzero(np.diff(np.cumsum(cost(count[by_count])) // most)) + 1
    for some in np.split(by_count, cuts):
        there = np.arange(count[some].max()) < count[some][:, None]
        steps = np.where(there, np.arange(there.shape[1]), 0)
        yield Boxes(order[first[some][:, None] + steps], there, centres[some])
