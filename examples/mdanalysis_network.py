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
import numpy as np
from ase.io import write
from hydrogen_md import STEP, dynamics, fluid
from MDAnalysis.analysis.results import Results

from ase_elf.mda import ELFTransformation, NetworkAnalysis
from ase_elf.statistics.rounding import with_error


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


def statistics(results: Results) -> list[tuple[str, object]]:
    """What the run says about the fluid, each with its error or the word that there is none."""
    average, life = results.averages, results.lifetime
    minimum = results.rdf.first_minimum[0]
    curve = results.percolation
    half = np.interp(-0.5, -curve.probability[2], curve.isovalues)  # it falls
    bonds = results.midpoint
    longest = np.flatnonzero(np.isfinite(bonds.mean))[-1]
    return [
        ("g(r), first minimum", "none" if minimum is None else f"{minimum:.2f} Å"),
        ("atoms within 1 Å", f"{results.rdf.coordination[0, np.searchsorted(results.rdf.edges, 1) - 1]:.2f}"),
        ("molecular fraction by cutoff", average["elf_molecular_fraction_cutoff"]),
        ("... by mutual neighbors", average["elf_molecular_fraction_distance"]),
        ("... by ELF domains", average["elf_molecular_fraction_domain"]),
        ("bond lifetime", life.refused or with_error(life.lifetime_fs, life.lifetime_error_fs, "fs")),
        ("domains of two, three, more atoms", (f"{average['elf_clusters_2'].mean:.1f}, "
         f"{average['elf_clusters_3'].mean:.1f}, {average['elf_clusters_larger'].mean:.1f}")),
        ("networking value φ", average["elf_phi"]),
        ("molecularity index φ*", average["elf_phi_star"]),
        ("half of the frames percolate at", f"ELF {half:.2f}"),
        ("ELF half way, longest bonds", f"{bonds.mean[longest]:.2f} at {bonds.centers[longest]:.2f} Å"),
        ("orientational (nematic) order", average["elf_nematic_order"]),
        ("frames outside the trained range", f"{results.statistics.n_outside} of {results.statistics.n_frames}"),
    ]  # fmt: skip


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
    for name, value in statistics(results):
        print(f"{name:34s} {value}")

    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 3.6), layout="constrained")
    for name in ("elf_phi", "elf_phi_star"):
        left.plot(1e3 * analysis.times, results.series[name], label=name)
    left.set(xlabel="time / fs", ylabel="ELF", title="networking value, molecularity index")
    left.legend()
    results.resolved_rdf.plot(middle)
    right.imshow(grid.values[:, :, 0].T, origin="lower", vmin=0, vmax=1)
    right.set(title="ELF in the plane z = 0, last frame")
    figure.savefig(picture, dpi=120)


if __name__ == "__main__":
    main(*sys.argv[1:])
