"""Network statistics of a simulation that is still running, over MDAnalysis' stream reader."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase_elf.analysis.recorder import Recorder
from ase_elf.analysis.settings import AnalysisSettings, positive
from ase_elf.domains import Domain
from ase_elf.errors import InputError, refuse_unknown
from ase_elf.mda.bridge import described, frame_of

if TYPE_CHECKING:
    import MDAnalysis as mda

__all__ = ["follow"]


def follow(
    universe: mda.Universe,
    *,
    domain: str | Path | Domain | None = None,
    device: str | None = None,
    step: int = 1,
    stop: int | None = None,
    batch: int = 1,
    **chosen: Any,
) -> Iterator[Recorder]:
    """Statistics so far, again after every batch of frames, until the stream ends.

    Parameters
    ----------
    universe : Universe
        ``MDAnalysis.Universe(topology, "imd://127.0.0.1:8888")``; a file does as well.
    domain, device : optional
        See :class:`ase_elf.mda.NetworkAnalysis`.
    step : int
        Analyse every ``step``-th frame that arrives.
    stop : int, optional
        End after so many analysed frames.
    batch : int
        Frames predicted together.
    **chosen
        Of :class:`~ase_elf.analysis.settings.AnalysisSettings`: ``isovalue``, ``spacing``, ``max_lag``, ...

    Yields
    ------
    Recorder
        The same object each time: ``recorder.statistics.result()``, ``recorder.series``.

    Notes
    -----
    The connection is closed when the stream ends, when the loop is left, and on errors.
    Where frames are lost on the way (a server that does not wait for its reader), times are
    uneven, and no bond lifetime is given; averages are not affected.
    """
    refuse_unknown(
        chosen, [f.name for f in fields(AnalysisSettings)], "setting"
    )  # before waiting for a frame
    step = positive(step, "step")
    stop = None if stop is None else positive(stop, "stop")
    trajectory = universe.trajectory
    try:
        symbols, known = described(universe)
        recorder = None
        for count, ts in enumerate(trajectory if step == 1 else trajectory[::step], start=1):
            frame = frame_of(ts, symbols, known_time=known)
            if recorder is None:
                recorder = Recorder.starting_with(
                    frame.atoms,
                    domain=domain,
                    device=device,
                    batch=batch,
                    **chosen,
                )
            if recorder.add(frame):
                yield recorder
            if count == stop:
                break
        if recorder is None:
            raise InputError("the stream ended before its first frame.")
        if recorder.flush():
            yield recorder
    finally:
        trajectory.close()
