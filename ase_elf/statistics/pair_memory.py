"""Bonded pairs of the first and last frames of a run: what the survival of bonds is counted from."""

from __future__ import annotations

from typing import Self

import numpy as np

__all__ = ["PairMemory"]


class PairMemory:
    """The pairs of as many frames as correlation functions reach back, and how old bonds are.

    Parameters
    ----------
    max_lag : int
        Longest lag in frames.

    Attributes
    ----------
    head, tail : list of ndarray
        Sorted keys of the bonded pairs of the first and of the last ``max_lag`` frames.
    ages : ndarray, int
        For how many frames each pair of the last frame has been bonded.
    """

    def __init__(self, max_lag: int) -> None:
        self.max_lag = max_lag
        self.head: list[np.ndarray] = []
        self.tail: list[np.ndarray] = []
        self.ages = np.zeros(0, dtype=np.int64)

    def correlate(self, keys: np.ndarray, lag: int) -> np.ndarray:
        """Origins and recurrences that end in a frame, by lag.

        Parameters
        ----------
        keys : ndarray
            Pairs of that frame.
        lag : int
            How many frames before it the last one here lies.

        Returns
        -------
        ndarray, shape (2, max_lag + 1)
        """
        n = min(len(self.tail), max(0, self.max_lag - lag + 1))
        pasts = self.tail[len(self.tail) - n :]
        lags = np.repeat(np.arange(n, 0, -1) + lag - 1, [len(past) for past in pasts])
        past = np.concatenate([*pasts, np.zeros(0, dtype=np.int64)])
        bins = self.max_lag + 1
        again = lags[np.isin(past, keys)]
        return np.stack([np.bincount(lags, minlength=bins), np.bincount(again, minlength=bins)])

    def age(self, keys: np.ndarray) -> tuple[int, int, np.ndarray]:
        """Follow survival into the frame ``keys``: pairs at risk, breaks, survivors by lag."""
        last = self.tail[-1] if self.tail else np.zeros(0, dtype=np.int64)
        alive = np.isin(last, keys)
        ages = np.ones(len(keys), dtype=np.int64)
        ages[np.searchsorted(keys, last[alive])] += self.ages[alive]
        self.ages = ages
        return len(last), int((~alive).sum()), self.survivors(0, ages)

    def survivors(self, first: int, count: np.ndarray) -> np.ndarray:
        """ndarray, shape (max_lag + 1,): pairs that survived the lags first, ..., first + count - 1."""
        edges = np.zeros(self.max_lag + 2)
        edges[min(first, self.max_lag + 1)] += len(count)
        np.subtract.at(edges, np.minimum(first + count, self.max_lag + 1), 1)
        return np.cumsum(edges)[:-1]

    def remember(self, tail: list[np.ndarray], head: list[np.ndarray] | None = None) -> None:
        """Add frames: their last ones, and the first ones where these are others."""
        if len(self.head) < self.max_lag:
            self.head = (self.head + (tail if head is None else head))[: self.max_lag]
        self.tail = (self.tail + tail)[-self.max_lag :]

    def merge(self, other: Self, n: int) -> None:
        """Add the memory of the ``n`` frames that follow."""
        ages = other.ages.copy()
        whole = ages == n  # bonds older than the part count what they lived before it began
        if self.tail and whole.any():
            keys = other.tail[-1]
            before = np.isin(keys, self.tail[-1]) & whole
            ages[before] += self.ages[np.searchsorted(self.tail[-1], keys[before])]
        self.ages = ages
        self.remember(other.tail, head=other.head)

    def state(self) -> dict[str, np.ndarray]:
        """Arrays that :meth:`from_state` takes."""
        return {"ages": self.ages, **_pack("head", self.head), **_pack("tail", self.tail)}

    @classmethod
    def from_state(cls, max_lag: int, state: dict[str, np.ndarray]) -> Self:
        memory = cls(max_lag)
        memory.ages = np.array(state["ages"])
        memory.head, memory.tail = _unpack("head", state), _unpack("tail", state)
        return memory


def _pack(name: str, frames: list[np.ndarray]) -> dict[str, np.ndarray]:
    flat = np.concatenate([*frames, np.zeros(0, dtype=np.int64)])
    return {name: flat, f"{name}_sizes": np.array([len(keys) for keys in frames], dtype=int)}


def _unpack(name: str, state: dict[str, np.ndarray]) -> list[np.ndarray]:
    sizes = state[f"{name}_sizes"]
    parts = np.split(np.asarray(state[name], dtype=np.int64), np.cumsum(sizes)[:-1])
    return parts if len(sizes) else []
