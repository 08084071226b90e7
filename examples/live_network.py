"""Network statistics of a simulation while it runs, in another process.

    python examples/live_network.py [live.png] [frames]

One process runs ASE molecular dynamics and serves its structures (IMD protocol, this machine
only). This one reads them with MDAnalysis, evaluates the ELF, and redraws the picture as the
statistics grow. Takes seconds. With a simulation of your own, two lines do it::

    server = IMDServer(dyn)
    dyn.attach(server, interval=10)
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import MDAnalysis as mda
import numpy as np
from ase.io import write
from hydrogen_md import dynamics, fluid

from ase_elf.analysis.recorder import Recorder
from ase_elf.imd import IMDServer
from ase_elf.mda import follow

EVERY = 4  # steps of 0.5 fs


def simulate(frames: int) -> None:
    """The other process: molecular dynamics with a server attached."""
    dyn = dynamics(fluid())
    with IMDServer(dyn, port=0) as server:
        dyn.attach(server, interval=EVERY)
        print(server.url, flush=True)
        if not server.wait_for_reader(60):
            sys.exit("nobody came to read")
        dyn.run((frames - 1) * EVERY)
        server.close(timeout=120)  # the run is over long before the analysis is
    print(f"{dyn.nsteps} steps, {server.sent} frames sent, {server.dropped} dropped")


def draw(recorder: Recorder, picture: str) -> None:
    found, series = recorder.statistics.result(), recorder.series
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    for name in ("elf_phi", "elf_phi_star", "elf_molecular_fraction_distance"):
        left.plot(recorder.times_fs, series[name], label=f"{name}: {found['series'][name]}")
    left.set(xlabel="time / fs", ylim=(0, 1.05), title=f"{len(recorder)} frames so far")
    left.legend(fontsize=8)
    found["rdf"].plot(right)
    figure.savefig(picture, dpi=120)
    plt.close(figure)


def main(picture: str = "live.png", frames: int = 24) -> None:
    other = subprocess.Popen(
        [sys.executable, __file__, "--simulate", str(frames)], stdout=subprocess.PIPE, text=True
    )
    with tempfile.TemporaryDirectory() as folder, other:
        topology = Path(folder) / "start.extxyz"
        write(topology, fluid())
        url = other.stdout.readline().strip()
        # The default buffer of 10 MB is many thousand frames of so few atoms, slow to set up.
        universe = mda.Universe(topology, url, buffer_size=2**20)
        for recorder in follow(universe, spacing=0.2, max_lag=20):
            if len(recorder) % 8 == 0:
                draw(recorder, picture)
                print(f"{len(recorder)} frames, phi = {recorder.series['elf_phi'].mean():.3f}")
        draw(recorder, picture)
        print(other.stdout.readline().strip())
    spacing = np.unique(np.diff(recorder.times_fs).round(6))
    print(f"{len(recorder)} frames analysed, {spacing} fs apart; see {picture}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--simulate"]:
        simulate(int(sys.argv[2]))
    else:
        main(*sys.argv[1:2], *map(int, sys.argv[2:3]))
