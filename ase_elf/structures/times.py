"""Times of frames: what a file states, what the user gives, and which of them holds."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from dataclasses import dataclass

from ase_elf.errors import ElfWarning, remedy


@dataclass(frozen=True)
class Clock:
    """Times from a given distance of frames, along the steps or times that the file counts.

    Parameters
    ----------
    timestep : float
        fs between the first two frames stored in the file.
    begin : float
        Step or time that the file states for its first frame; NaN where it counts nothing.
    interval : float
        The same from the first frame to the next one; NaN where it counts nothing.
    """

    timestep: float
    begin: float = math.nan
    interval: float = math.nan

    @classmethod
    def of(cls, timestep: float, marks: Iterable[float]) -> Clock:
        """The clock of a file, from what it states for its first frames."""
        first = previous = math.nan
        for mark in marks:
            if math.isnan(mark):
                break
            if mark > previous:
                return cls(timestep, first, mark - previous)
            first = mark if math.isnan(first) else first
            previous = mark
        return cls(timestep)

    def time(self, index: int, mark: float) -> float:
        """fs of frame ``index``, for which the file states ``mark``; 0 for the first frame."""
        if math.isnan(self.interval) or math.isnan(mark):
            return index * self.timestep
        # To twelve digits: steps are whole numbers, and even ones give even times.
        return float(f"{(mark - self.begin) / self.interval * self.timestep:.12g}")

    def agrees(self) -> bool:
        """Whether the first two frames are as far apart as is given, if the file counts in fs."""
        return math.isclose(self.interval, self.timestep, rel_tol=1e-6)


class TimeCheck:
    """Warns, once for each kind, of times that do not go on evenly."""

    def __init__(self, path: object, timestep: float | None) -> None:
        self._path, self._timestep = path, timestep
        self._last: tuple[int, float] | None = None
        self._overruled = self._backwards = False

    def compare(self, index: int, time: float, stated: float) -> None:
        """``time`` holds for frame ``index``; ``stated`` is the file's own in fs, or NaN."""
        if not self._overruled and abs(stated - time) > 1e-6 * max(abs(stated), abs(time), 1e-9):
            self._overruled = True
            warnings.warn(
                f"{str(self._path)!r} states a time of {stated:g} fs for frame {index}; with the given timestep "
                f"of {self._timestep:g} fs it is {time:g} fs. What is given holds; leave out "
                f"{remedy('timestep=', '--timestep')} for the times of the file.",
                ElfWarning,
                stacklevel=4,
            )
        if self._last and not self._backwards and time <= self._last[1]:
            self._backwards = True
            warnings.warn(
                f"{str(self._path)!r}: frame {index} ({time:g} fs) is not later than frame {self._last[0]} "
                f"({self._last[1]:g} fs), as where a run was restarted, or where all frames carry the time of the "
                "structure they began with. Every frame counts in averages; bond lifetimes need a part with even times "
                f"({remedy('start=, stop=', '--start, --stop')}), or the time between frames "
                f"({remedy('timestep=', '--timestep')}).",
                ElfWarning,
                stacklevel=4,
            )
        self._last = (index, time)
