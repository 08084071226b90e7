"""How often atoms change the atom they are bonded to."""

from __future__ import annotations

import numpy as np


class PartnerChanges:
    """Partners that differ from the one before, counted atom by atom.

    Definition: an atom changes its partner when it is bonded to another atom than it was
    bonded to last, whatever was in between. A bond that breaks and forms again between the
    same two atoms is no change. Error: sqrt(2/n) of n changes, as of counted events that come
    in pairs, because a change of partner seldom comes alone.

    References
    ----------
    Dense hydrogen near dissociation as a reacting mixture: arXiv:2506.20791.

    Attributes
    ----------
    count : int
        Changes seen, of all atoms.
    first, last : ndarray, shape (n_atoms,), int64
        First and last partner of each atom so far; -1 where there was none.
    """

    def __init__(self) -> None:
        self.count = 0
        self.first = self.last = np.zeros(0, dtype=np.int64)

    def update(self, pairs: np.ndarray, n_atoms: int) -> None:
        """Add a frame with these bonds, shape (n, 2), of which each atom has one at most."""
        frame = PartnerChanges()
        frame.last = np.full(n_atoms, -1, dtype=np.int64)
        frame.last[pairs[:, 0]], frame.last[pairs[:, 1]] = pairs[:, 1], pairs[:, 0]
        frame.first = frame.last
        self.merge(frame)

    def merge(self, other: PartnerChanges) -> None:
        """Append a part that follows."""
        n = max(len(self.last), len(other.last))
        first, last = (_longer(a, n) for a in (self.first, self.last))
        their_first, their_last = (_longer(a, n) for a in (other.first, other.last))
        known = (last >= 0) & (their_first >= 0)
        self.count += other.count + int(np.count_nonzero(known & (last != their_first)))
        self.first = np.where(first >= 0, first, their_first)
        self.last = np.where(their_last >= 0, their_last, last)


def _longer(partners: np.ndarray, n: int) -> np.ndarray:
    return np.pad(partners, (0, n - len(partners)), constant_values=-1)
