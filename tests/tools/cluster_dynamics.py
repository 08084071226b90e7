"""GFN1-xTB dynamics of [Au25(SCH3)18]-, frames 5 fs apart, for measuring what `analyze` makes of a trajectory.

    OMP_NUM_THREADS=1 python tests/tools/cluster_dynamics.py au25.traj [n_frames]

Needs tblite (PyPI). Starts from the cluster of ``ase_elf.examples`` with momenta of 700 K, half of which becomes
potential energy; Langevin at 350 K. One step is 5 fs and one call of tight binding, since C-H bonds are fixed and
hydrogen has 12 u: masses do not change what places atoms are found at, only how fast they move. A run that was
stopped goes on where the file ends. The frames are correlated and at another level than the labels of the pack:
they are for speed and reports, and never for training.
"""

import sys
import time
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.constraints import FixBondLengths
from ase.io import Trajectory
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
from tblite.ase import TBLite

from ase_elf.examples import au25

STEP, TEMPERATURE, FRICTION, HYDROGEN = 5.0, 350.0, 0.005, 12.0
"""fs, K, 1/fs, u."""


def started() -> Atoms:
    """The shipped cluster, with momenta."""
    atoms = au25()
    atoms.info = {}
    prepare(atoms)
    rng = np.random.default_rng(0)
    MaxwellBoltzmannDistribution(atoms, temperature_K=2 * TEMPERATURE, rng=rng, force_temp=True)
    return atoms


def prepare(atoms: Atoms) -> None:
    """Heavy hydrogen, on bonds of fixed length."""
    hydrogens = atoms.symbols.indices()["H"]
    masses = atoms.get_masses()
    masses[hydrogens] = HYDROGEN
    atoms.set_masses(masses)
    carbons = atoms.symbols.indices()["C"]
    nearest = [carbons[atoms.get_distances(h, carbons).argmin()] for h in hydrogens]
    atoms.set_constraint(FixBondLengths(list(zip(nearest, hydrogens, strict=True)), tolerance=1e-8))


def main(path: str, n_frames: int = 1000) -> None:
    done = 0
    if Path(path).exists():
        with Trajectory(path) as held:
            done, atoms = len(held), held[-1]
        prepare(atoms)
    else:
        atoms = started()
    atoms.calc = TBLite(method="GFN1-xTB", charge=-1, verbosity=0, accuracy=10.0)
    dynamics = Langevin(
        atoms, STEP * units.fs, temperature_K=TEMPERATURE, friction=FRICTION / units.fs, fixcm=False,
        rng=np.random.default_rng([1, done]),
    )  # fmt: skip
    began = time.process_time()
    with Trajectory(path, "a") as out:
        for n, _ in enumerate(dynamics.irun(n_frames - done)):
            if n or not done:
                out.write(atoms)
            if n % 10 == 0:
                each, kelvin = (time.process_time() - began) / (n + 1), atoms.get_temperature()
                print(f"{done + n} frames, {kelvin:.0f} K, {each:.2f} s of processor time each", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
