"""The ELF network of a trajectory with MDAnalysis, in parallel, and a picture of it.

    python examples/mdanalysis_network.py [network.png]

Takes seconds: 12 frames of 64 atoms of fluid hydrogen. Any trajectory MDAnalysis reads will do.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import MDAnalysis as mda
from ase.io import write

from ase_elf.mda import ELFTransformation, NetworkAnalysis
from hydrogen_md import STEP, dynamics, fluid


def simulate(path: Path, *, frames: int, every: int = 4) -> None:
    """A trajectory in extended XYZ, which carries cell and time."""
    atoms = fluid()
    dyn = dynamics(atoms)
    images = []

    def store():
        images.append(atoms.copy())
        images[-1].info["time_fs"] = STEP * dyn.nsteps

    dyn.attach(store, interval=every)
    dyn.run((frames - 1) * every)
    write(path, images)


def main(picture: str = "network.png") -> None:
    # Worker processes import this file again, hence the function.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.extxyz"
        simulate(path, frames=12)

        universe = mda.Universe(path)  # ase_elf.mda taught MDAnalysis this format
        analysis = NetworkAnalysis(universe, spacing=0.2, max_lag=8)
        analysis.run(backend="multiprocessing", n_workers=2)

        universe.trajectory.add_transformations(ELFTransformation(universe, spacing=0.2))
        grid = universe.trajectory[-1].data["elf"]

    results = analysis.results
    print(f"networking value     {results.averages['elf_phi']}")
    print(f"molecular fraction   {results.averages['elf_molecular_fraction_distance']}")
    print(f"bond lifetime        {results.lifetime.refused or results.lifetime.lifetime_fs}")

    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 3.6), layout="constrained")
    for name in ("elf_phi", "elf_phi_star"):
        left.plot(1e3 * analysis.times, results.series[name], label=name)
    left.set(xlabel="time / fs", ylabel="ELF", title="networking value, molecularity index")
    left.legend()
    results.rdf.plot(middle)
    right.imshow(grid.values[:, :, 0].T, origin="lower", vmin=0, vmax=1)
    right.set(title="ELF in the plane z = 0, last frame")
    figure.savefig(picture, dpi=120)


if __name__ == "__main__":
    main(*sys.argv[1:])
