"""Do memory and speed stay what they are over a very long run?

    python tests/tools/soak.py observer|analyze small|large [--frames N] [--results FILE]

`small` is 16 atoms on 16x16x16 points (meant for 100,000 frames), `large` 128 atoms on the
default grid (2,000 frames); shipped weights and the topology of every frame. `observer` runs
molecular dynamics with an ELFObserver, `analyze` a trajectory file through the main job. Both
go on where an earlier call with the same --folder was stopped, and then write down first how
that one went.

Written down for each process: the slopes of resident memory, of memory in use and of processor
time per frame along its run, each fitted to the means of twenty equal parts after the first
tenth, and at least 200 frames, with its standard error; and the open descriptors at its
beginning and end.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import math
import os
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import figures
import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import Calculator, all_changes
from ase.io import write
from ase.md.verlet import VelocityVerlet
from scipy.stats import linregress

from ase_elf import ELFCalculator
from ase_elf.domains import get_domain
from ase_elf.observers import ELFObserver
from ase_elf.runs.trajectory import AnalysisRun
from ase_elf.structures.trajectory import Trajectory
from ase_elf.testing import molecular_fluid

SIZES = {"small": (8, 3.0, (16, 16, 16), 100_000), "large": (64, 6.0, None, 2000)}
"""Molecules, edge of the cube (Å), grid (None: the default), frames that are meant."""

PARTS = 20

WARM = 200
"""Frames in which the heap of a process grows to what it needs."""


class Springs(Calculator):
    """Every atom on a spring of its own: the cheapest dynamics that never ends."""

    implemented_properties = ("energy", "forces")

    def __init__(self, home: np.ndarray, stiffness: float = 20.0) -> None:
        super().__init__()
        self.home, self.stiffness = home.copy(), stiffness

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        off = atoms.positions - self.home
        energy = 0.5 * self.stiffness * float((off**2).sum())
        self.results = {"energy": energy, "forces": -self.stiffness * off}


class _Heap(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in (
        "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks",
        "keepcost")]  # fmt: skip


class Record:
    """Memory, processor time and frames, noted in a file as the run goes.

    Columns: frames; resident memory, memory in use of the C heap, without what it keeps for
    later (MB); blocks in use of Python's own heap; processor time (s); open descriptors.
    """

    def __init__(self, path: Path, every: int) -> None:
        self.path, self.every = path, every
        self.last = -math.inf

    def note(self, frames: int) -> None:
        if frames - self.last >= self.every:
            self.last = frames
            row = (frames, _resident(), _in_use(), sys.getallocatedblocks(), time.process_time(),
                   len(os.listdir("/proc/self/fd")))  # fmt: skip
            with self.path.open("a") as file:
                file.write(json.dumps(row) + "\n")

    def summary(self) -> dict | None:
        """Of a run that has ended, however it did; None where it was too short to say anything."""
        rows = [json.loads(line) for line in self.path.read_text().splitlines() if line.endswith("]")]
        frames, resident, used, blocks, seconds, descriptors = np.array(rows).reshape(-1, 6).T
        if len(frames) < PARTS or frames[-1] - frames[0] < 2 * WARM:
            return None
        pace = np.diff(seconds) / np.diff(frames)
        return {
            "frames": int(frames[-1] - frames[0]),
            "memory_MB": round(float(resident[-1]), 1),
            "memory_slope_kB_per_1000_frames": _slope(frames, 1e6 * resident),
            "in_use_slope_kB_per_1000_frames": _slope(frames, 1e6 * used),
            "blocks_slope_per_1000_frames": _slope(frames, 1e3 * blocks),
            "seconds_per_frame": round(float(seconds[-1] - seconds[0]) / (frames[-1] - frames[0]), 5),
            "pace_slope_ms_per_1000_frames": _slope(frames[1:], 1e6 * pace),
            "descriptors": [int(descriptors[0]), int(descriptors[-1])],
        }  # fmt: skip


def _slope(x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Per 1000 frames, of y in a unit 1e-6 of what is wanted times 1000."""
    keep = x > x[0] + max(WARM, 0.1 * (x[-1] - x[0]))
    parts = [(a.mean(), b.mean()) for a, b in zip(np.array_split(x[keep], PARTS),
             np.array_split(y[keep], PARTS), strict=True) if len(a)]  # fmt: skip
    fit = linregress(*np.array(parts).T)
    return {"slope": round(float(fit.slope), 3), "error": round(float(fit.stderr), 3)}


def _resident() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def _in_use() -> float:
    """Of the heap of the C library, glibc 2.33 or later, where arrays and tensors are."""
    mallinfo2 = ctypes.CDLL(None).mallinfo2
    mallinfo2.restype = _Heap
    heap = mallinfo2()
    return (heap.uordblks + heap.hblkhd) / 1e6


def observer(size: str, n_frames: int, folder: Path, record: Record) -> int:
    """Molecular dynamics with the ELF of every step; goes on from where it was last noted."""
    molecules, length, shape, _ = SIZES[size]
    atoms = molecular_fluid(molecules, 1, length=length)[0]
    atoms.set_velocities(np.random.default_rng(0).normal(scale=0.03, size=(len(atoms), 3)))
    atoms.calc = ELFCalculator(domain="dense-hydrogen", calculator=Springs(atoms.positions))
    state = folder / "state.npz"
    done = _restore(state, atoms)
    dynamics = VelocityVerlet(atoms, 0.5 * units.fs)
    watcher = ELFObserver(atoms, shape=shape)
    dynamics.insert_observer(watcher)

    def note() -> None:
        record.note(done + dynamics.nsteps)
        _save(state, atoms, done + dynamics.nsteps)

    dynamics.attach(note, interval=record.every)
    dynamics.run(max(0, n_frames - done))
    return watcher.failures


def _restore(path: Path, atoms: Atoms) -> int:
    """Put ``atoms`` where they were; frames done."""
    if not path.exists():
        return 0
    with np.load(path) as state:
        atoms.set_positions(state["positions"])
        atoms.set_velocities(state["velocities"])
        return int(state["frames"])


def _save(path: Path, atoms: Atoms, frames: int) -> None:
    part = path.with_suffix(".part.npz")
    np.savez(part, positions=atoms.positions, velocities=atoms.get_velocities(), frames=frames)
    part.replace(path)


def analyze(size: str, n_frames: int, folder: Path, record: Record) -> int:
    """The main job, without plots, over a trajectory file."""
    molecules, length, shape, _ = SIZES[size]
    path = folder / "run.extxyz"
    if not path.exists():
        part = path.with_suffix(".part")
        with part.open("w") as stream:
            for images in _frames(molecules, n_frames, length):
                write(stream, images, format="extxyz")
        part.replace(path)
    run = AnalysisRun(
        Trajectory(path), get_domain("dense-hydrogen"), folder / "elf",
        chosen={"shape": shape}, report=False,
    )  # fmt: skip
    run.execute(record.note)
    return 0


def _frames(molecules: int, n: int, length: float) -> Iterator[list[Atoms]]:
    """A fluid that is another one every thousand frames, so that little is held at once."""
    for k in range(0, n, 1000):
        yield molecular_fluid(molecules, min(1000, n - k), dt=0.5, seed=k, length=length)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("way", choices=["observer", "analyze"])
    parser.add_argument("size", choices=SIZES)
    parser.add_argument("--frames", type=int, help="default: 100,000 small, 2,000 large")
    parser.add_argument("--folder", type=Path, help="where a run goes on that was stopped")
    parser.add_argument("--results", type=Path, help="JSON file that is added to")
    given = parser.parse_args()
    frames = given.frames or SIZES[given.size][3]
    with tempfile.TemporaryDirectory() as temporary:
        folder = (given.folder or Path(temporary)) / f"{given.way}-{given.size}-{frames}"
        folder.mkdir(parents=True, exist_ok=True)
        record = Record(folder / "rows.jsonl", every=max(1, min(20, frames // 400)))
        name = f"{given.way} {given.size}"
        conclude(record, name, given.results)  # of a process that was stopped
        failures = {"observer": observer, "analyze": analyze}[given.way](given.size, frames, folder, record)
        conclude(record, name, given.results, failures=failures)


def conclude(record: Record, name: str, results: Path | None, **more: object) -> None:
    """Write down what one process has done, and forget its rows."""
    if not record.path.exists():
        return
    found = record.summary()
    day = date.fromtimestamp(record.path.stat().st_mtime).isoformat()
    record.path.unlink()
    if found is None:
        return
    weights = get_domain("dense-hydrogen").card["weights"]["sha256"][:8]
    machine = platform.processor() or platform.machine()
    found |= {**more, "weights": weights, "date": day, "machine": machine}
    print(json.dumps(found, indent=1))
    if results:
        known = figures.read(results)
        known.setdefault(name, []).append(found)
        figures.write(results, known)


if __name__ == "__main__":
    main()
