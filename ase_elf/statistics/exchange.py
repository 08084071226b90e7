"""How often atoms change the atom they are bonded to."""

from __future__ import annotations

import numpy as np

__all__ = ["PartnerChanges"]


class PartnerChanges:
    """Partners that differ from the one before, counted atom by atom.

    Definition: an atom changes its partner when it is bonded to another atom than it was
    bonded to last, whatever was in between. A bond that breaks and forms again between the
    same two atoms is no change. Error: that of the mean of correlated frames, but at least
    sqrt(2/n) of n changes, as of counted events that come in pairs, because a change of partner
    seldom comes alone.

    References
    ----------
    Dense hydrogen near dissociation as a reacting mixture: arXiv:2506.20791.

    Attributes
    ----------
    count : int
        Changes seen, of all atoms.
    n : int
        Number of frames.
    first, last : ndarray, shape (n_atoms,), int64
        First and last partner of each atom so far; -1 where there was none.
    since : ndarray, shape (n_atoms,), int64
        Frame, from 0, in which the first partner was seen.
    """

    def __init__(self) -> None:
        self.count = self.n = 0
        self.first = self.last = self.since = np.zeros(0, dtype=np.int64)

    def update(self, pairs: np.ndarray, n_atoms: int) -> int:
        """Add a frame with these bonds, shape (n, 2), of which each atom has one at most.

        Returns
        -------
        int
            Changes in this frame.
        """
        frame = PartnerChanges()
        frame.n = 1
        frame.last = np.full(n_atoms, -1, dtype=np.int64)
        frame.last[pairs[:, 0]], frame.last[pairs[:, 1]] = pairs[:, 1], pairs[:, 0]
        frame.first, frame.since = frame.last, np.zeros(n_atoms, dtype=np.int64)
        return len(self.merge(frame))

    def merge(self, other: PartnerChanges) -> np.ndarray:
        """Append a part that follows.

        Returns
        -------
        ndarray, int64
            For each change between the parts, the frame of ``other`` in which it shows.
        """
        n = max(len(self.last), len(other.last))
        first, last, since = (_longer(a, n) for a in (self.first, self.last, self.since))
        their_first, their_last, their_since = (_longer(a, n) for a in (other.first, other.last, other.since))
        changed = (last >= 0) & (their_first >= 0) & (last != their_first)
        self.count += other.count + int(np.count_nonzero(changed))
        self.first = np.where(first >= 0, first, their_first)
        self.since = np.where(first >= 0, since, their_since + self.n)
        self.last = np.where(their_last >= 0, their_last, last)
        self.n += other.n
        return their_since[changed]


def _longer(partners: np.ndarray, n: int) -> np.ndarray:
    return np.pad(partners, (0, n - len(partners)), constant_values=-1)
