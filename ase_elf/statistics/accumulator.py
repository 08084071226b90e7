"""What every statistic is: update with frames, merge with other parts, ask for the result."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Self

import numpy as np

from ase_elf.errors import InputError
from ase_elf.statistics.blocking import Blocking, RatioBlocking

if TYPE_CHECKING:
    from ase_elf.statistics.frame import FrameResult


class Accumulator(ABC):
    """A statistic over frames whose memory does not grow with their number.

    Parameters
    ----------
    step : int
        Distance of neighboring frames in the numbering of the trajectory. Parts of one run
        merge when they share the step and follow each other.
    """

    def __init__(self, *, step: int = 1) -> None:
        if step < 1:
            raise InputError(f"step = {step} is not a positive number of frames.")
        self.step = step

    @abstractmethod
    def update(self, frame: FrameResult) -> None:
        """Add one frame; frames come in order and without gaps."""

    @abstractmethod
    def merge(self, other: Self) -> None:
        """Append a part whose first frame follows the last one here.

        Gives what one pass over both parts gives, to round-off.
        """

    @abstractmethod
    def result(self) -> object:
        """The statistic of the frames seen so far, as a frozen dataclass."""

    @abstractmethod
    def state(self) -> dict[str, np.ndarray]:
        """Everything but the constructor's arguments, as plain arrays."""

    @abstractmethod
    def load(self, state: dict[str, np.ndarray]) -> None:
        """Take the state of an accumulator that was built with the same arguments."""

    def ordinal(self, frame: FrameResult) -> int:
        return frame.frame // self.step


class BlockedAccumulator(Accumulator):
    """An accumulator which blocks one vector per frame; subclasses say which."""

    def __init__(self, size: int, *, step: int = 1) -> None:
        super().__init__(step=step)
        self.blocks = Blocking(size)

    @abstractmethod
    def values(self, frame: FrameResult) -> np.ndarray:
        """ndarray, shape (size,): what this frame adds to the average."""

    def update(self, frame: FrameResult) -> None:
        self.blocks.update(self.ordinal(frame), self.values(frame))

    def merge(self, other: Self) -> None:
        self.blocks.merge(other.blocks)

    def state(self) -> dict[str, np.ndarray]:
        return self.blocks.state()

    def load(self, state: dict[str, np.ndarray]) -> None:
        self.blocks = Blocking.from_state(state)


class RatioAccumulator(Accumulator):
    """An accumulator of averages over events: subclasses give sums and counts per frame."""

    def __init__(self, size: int, *, step: int = 1) -> None:
        super().__init__(step=step)
        self.ratios = RatioBlocking(size)

    @abstractmethod
    def sums(self, frame: FrameResult) -> tuple[np.ndarray, np.ndarray]:
        """Two ndarrays, shape (size,): sum of the quantity and number of events."""

    def update(self, frame: FrameResult) -> None:
        self.ratios.update(self.ordinal(frame), *self.sums(frame))

    def merge(self, other: Self) -> None:
        self.ratios.blocks.merge(other.ratios.blocks)

    def state(self) -> dict[str, np.ndarray]:
        return self.ratios.blocks.state()

    def load(self, state: dict[str, np.ndarray]) -> None:
        self.ratios.blocks = Blocking.from_state(state)
