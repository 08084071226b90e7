"""Do memory and speed stay what they are over a very long run?

    python tests/soak.py observer|analyze small|large [--frames N] [--results FILE]

`small` is 16 atoms on 16x16x16 points (meant for 100,000 frames), `large` 128 atoms on the
default grid (2,000 frames); shipped weights and the topology of every frame. `observer` runs
molecular dynamics with an ELFObserver, `analyze` a trajectory file through the main job; the
latter goes on where an earlier call with the same --folder was stopped.

Written down: the slope of resident memory and of processor time per frame along the run,
each fitted to the means of twenty equal parts after the first tenth, with its standard
error; and the open descriptors at the beginning and the end.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import tempfile
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import Calculator, all_changes
from ase.io import write
from ase.md.verlet import VelocityVerlet
from scipy.stats import linregress

from ase_elf import ELFCalculator
from ase_elf.domains import get_domain
from ase_elf.observers import ELFObserver
from ase_elf.run import AnalysisRun
from ase_elf.testing import molecular_fluid
from ase_elf.trajectory import Trajectory

SIZES = {"small": (8, 3.0, (16, 16, 16), 100_000), "large": (64, 6.0, None, 2000)}
"""Molecules, edge of the cube (Å), grid (None: the default), frames that are meant."""

PARTS = 20


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


class Record:
    """Memory, processor time and frames, noted as the run goes."""

    def __init__(self, every: int) -> None:
        self.every = every
        self.rows: list[tuple[float, float, float]] = []
        self.descriptors = [_descriptors()]

    def note(self, frames: int) -> None:
        if not self.rows or frames - self.rows[-1][0] >= self.every:
            self.rows.append((frames, _memory(), time.process_time()))

    def summary(self) -> dict:
        self.descriptors.append(_descriptors())
        frames, memory, seconds = np.array(self.rows).T
        pace = np.diff(seconds) / np.diff(frames)
        return {
            "frames": int(frames[-1] - frames[0]),
            "memory_MB": round(float(memory[-1]), 1),
            "memory_slope_kB_per_1000_frames": _slope(frames[1:], 1e6 * memory[1:]),
            "seconds_per_frame": round(float(seconds[-1] - seconds[0]) / (frames[-1] - frames[0]), 5),
            "pace_slope_ms_per_1000_frames": _slope(frames[1:], 1e6 * pace),
            "descriptors": self.descriptors,
        }  # fmt: skip


def _slope(x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Per 1000 frames, of y in a unit 1e-6 of what is wanted times 1000."""
    keep = x > x[0] + 0.1 * (x[-1] - x[0])
    parts = [(a.mean(), b.mean()) for a, b in zip(np.array_split(x[keep], PARTS),
             np.array_split(y[keep], PARTS), strict=True) if len(a)]  # fmt: skip
    fit = linregress(*np.array(parts).T)
    return {"slope": round(float(fit.slope), 3), "error": round(float(fit.stderr), 3)}


def _memory() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def observer(size: str, n_frames: int, folder: Path) -> dict:
    """Molecular dynamics with the ELF of every step."""
    molecules, length, shape, _ = SIZES[size]
    atoms = molecular_fluid(molecules, 1, length=length)[0]
    atoms.set_velocities(np.random.default_rng(0).normal(scale=0.03, size=(len(atoms), 3)))
    atoms.calc = ELFCalculator(domain="dense-hydrogen", calculator=Springs(atoms.positions))
    dynamics = VelocityVerlet(atoms, 0.5 * units.fs)
    watcher = ELFObserver(atoms, shape=shape)
    dynamics.insert_observer(watcher)
    record = Record(every=max(1, n_frames // 400))
    dynamics.attach(lambda: record.note(dynamics.nsteps))
    dynamics.run(n_frames)
    return {**record.summary(), "failures": watcher.failures}


def analyze(size: str, n_frames: int, folder: Path) -> dict:
    """The main job, without plots, over a trajectory file."""
    molecules, length, shape, _ = SIZES[size]
    path = folder / f"{size}-{n_frames}.extxyz"
    if not path.exists():
        part = path.with_suffix(".part")
        with part.open("w") as stream:
            for images in _frames(molecules, n_frames, length):
                write(stream, images, format="extxyz")
        part.replace(path)
    record = Record(every=max(1, n_frames // 400))
    run = AnalysisRun(
        Trajectory(path), get_domain("dense-hydrogen"), folder / f"{size}-{n_frames}-elf",
        chosen={"shape": shape}, report=False,
    )  # fmt: skip
    run.execute(record.note)
    return record.summary()


def _frames(molecules: int, n: int, length: float) -> Iterator[list[Atoms]]:
    """A fluid that is another one every thousand frames, so that little is held at once."""
    for k in range(0, n, 1000):
        yield molecular_fluid(molecules, min(1000, n - k), dt=0.5, seed=k, length=length)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("way", choices=["observer", "analyze"])
    parser.add_argument("size", choices=SIZES)
    parser.add_argument("--frames", type=int, help="default: 100,000 small, 2,000 large")
    parser.add_argument("--folder", type=Path, help="of trajectory and results, to go on later")
    parser.add_argument("--results", type=Path, help="JSON file that is added to")
    given = parser.parse_args()
    frames = given.frames or SIZES[given.size][3]
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        found = {"observer": observer, "analyze": analyze}[given.way](given.size, frames, folder)
    found |= {"date": date.today().isoformat(), "machine": platform.processor() or platform.machine()}
    print(json.dumps(found, indent=1))
    if given.results:
        known = json.loads(given.results.read_text()) if given.results.is_file() else {}
        known.setdefault(f"{given.way} {given.size}", []).append(found)
        given.results.write_text(json.dumps(known, indent=1) + "\n")


if __name__ == "__main__":
    main()
