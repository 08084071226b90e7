"""One simulation, three ways to its network statistics, the same numbers.

    python examples/three_feeds.py [frames]

Another process runs ASE molecular dynamics with (a) an observer that feeds the statistics there and
then, (b) a trajectory file, (c) an IMDv3 server. This one reads the stream while the run goes on,
and the file when it has ended, both with MDAnalysis. Takes seconds.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import MDAnalysis as mda
import numpy as np
from ase.io import write
from hydrogen_md import STEP, dynamics, fluid

from ase_elf.analysis.recorder import NetworkObserver, Recorder
from ase_elf.imd import IMDServer
from ase_elf.mda import NetworkAnalysis, follow

EVERY = 4  # steps of 0.3 fs
CHOSEN = {"spacing": 0.2, "max_lag": 20}
SHOWN = ("elf_phi", "elf_phi_star", "elf_molecular_fraction_distance", "elf_bond_length_mean")


def simulate(frames: int, trajectory: Path) -> None:
    """The other process."""
    atoms = fluid()
    dyn = dynamics(atoms)
    observer = NetworkObserver(dyn, Recorder.starting_with(atoms, batch=1, **CHOSEN))

    def store() -> None:
        frame = dyn.atoms.copy()
        frame.info["time_fs"] = STEP * dyn.nsteps
        write(trajectory, frame, append=True)

    with IMDServer(dyn, port=0) as server:
        for feed in (store, server, observer):
            dyn.attach(feed, interval=EVERY)
        print(server.url, flush=True)
        if not server.wait_for_reader(60):
            sys.exit("nobody came to read")
        dyn.run((frames - 1) * EVERY)
        server.close(timeout=120)
    recorder = observer.recorder
    lifetime = recorder.statistics.result()["lifetime"]
    print(json.dumps({
        "series": {name: recorder.series[name].tolist() for name in SHOWN},
        "times": recorder.times_fs, "continuous": lifetime.continuous.tolist(),
    }))  # fmt: skip


def main(frames: int = 6) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path, topology = Path(folder) / "run.extxyz", Path(folder) / "start.extxyz"
        write(topology, fluid())
        command = [sys.executable, __file__, "--simulate", str(frames), str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
            url = other.stdout.readline().strip()
            universe = mda.Universe(topology, url, buffer_size=2**20)
            for live in follow(universe, **CHOSEN):
                print(f"live: {len(live)} frames, φ {live.series['elf_phi'][-1]:.4f}", flush=True)
            observed = json.loads(other.stdout.readline())
        filed = NetworkAnalysis(mda.Universe(path), **CHOSEN).run()

    print(f"\n{'mean over ' + str(len(live)) + ' frames':36s} observer     file   stream")
    worst = 0.0
    for name in SHOWN:
        rows = (observed["series"][name], filed.results.series[name], live.series[name])
        worst = max(worst, *(float(np.abs(np.subtract(row, rows[0])).max()) for row in rows))
        print(f"{name:36s}" + "".join(f"{np.mean(row):9.5f}" for row in rows))
    bonds = (observed["continuous"], filed.results.lifetime.continuous,
             live.statistics.result()["lifetime"].continuous)  # fmt: skip
    print(f"{'bonded all the time, last lag':36s}" + "".join(f"{row[-1]:9.5f}" for row in bonds))
    # The stream and MDAnalysis carry coordinates in single precision.
    same = worst < 1e-3 and all(np.allclose(row, bonds[0], atol=1e-6) for row in bonds)
    print(f"largest difference in a frame {worst:.1e}: {'the same' if same else 'NOT the same'}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--simulate"]:
        simulate(int(sys.argv[2]), Path(sys.argv[3]))
    else:
        main(*map(int, sys.argv[1:2]))
