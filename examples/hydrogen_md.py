"""Dense hydrogen that moves: the potential of the domain pack, from a frame of the shipped DFT run.

    python examples/hydrogen_md.py [hydrogen-md.png] [steps]

64 atoms at r_s 1.42 bohr and 1400 K, fluid hydrogen on its way from molecules to metal. The ELF is
evaluated every tenth step while the simulation runs; ends in the networking value φ and the
molecularity index φ* against time, and in g(r) beside that of the DFT run.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.io import read
from ase.md.langevin import Langevin

from ase_elf import ELFCalculator
from ase_elf.potential import Potential

TEMPERATURE = 1400  # K
STEP = 0.3  # fs
SHIPPED = Path(__file__).with_name("dense-hydrogen.extxyz")
BINS = np.linspace(0.3, 2.4, 43)  # Å, up to half the cell


def fluid(*, seed: int = 0) -> Atoms:
    """The first shipped frame, with velocities drawn anew and the pack's potential."""
    shipped = read(SHIPPED, index=0)
    atoms = Atoms(shipped.numbers, shipped.positions, cell=shipped.cell, pbc=True)
    rng = np.random.default_rng(seed)
    spread = np.sqrt(units.kB * TEMPERATURE * atoms.get_masses())  # Maxwell-Boltzmann
    atoms.set_momenta(rng.normal(size=(len(atoms), 3)) * spread[:, None])
    atoms.calc = Potential(domain="dense-hydrogen")
    return atoms


def dynamics(atoms: Atoms, *, seed: int = 0) -> Langevin:
    """Molecular dynamics at 1400 K in steps of 0.3 fs."""
    rng = np.random.default_rng(seed)
    friction = 0.02 / units.fs
    return Langevin(
        atoms, STEP * units.fs, temperature_K=TEMPERATURE, friction=friction, fixcm=False, rng=rng
    )


def pair_distribution(frames: list[Atoms]) -> np.ndarray:
    """g(r) in ``BINS``, mean over frames."""
    shells = 4 / 3 * np.pi * np.diff(BINS**3)
    rows = []
    for atoms in frames:
        distances = atoms.get_all_distances(mic=True)[np.triu_indices(len(atoms), 1)]
        ideal = len(atoms) ** 2 / 2 / atoms.get_volume() * shells
        rows.append(np.histogram(distances, BINS)[0] / ideal)
    return np.mean(rows, axis=0)


def main(picture: str = "hydrogen-md.png", steps: int = 200) -> None:
    from matplotlib.figure import Figure

    names = ("elf_phi", "elf_phi_star")
    atoms = fluid()
    atoms.calc = ELFCalculator(calculator=atoms.calc, every=10, properties=names)
    seen, frames = [], []

    def keep() -> None:
        found = atoms.calc.elf_results
        frames.append(atoms.copy())
        if not seen or seen[-1][0] != found["structure"]:
            seen.append((found["structure"], *(found[name] for name in names)))

    dyn = dynamics(atoms)
    dyn.attach(keep)
    dyn.run(steps)

    table = np.array(seen)
    g = pair_distribution(frames[len(frames) // 4 :: 5])
    reference = pair_distribution(read(SHIPPED, "::10"))

    figure = Figure(figsize=(10, 3.4), layout="constrained")
    axis, right = figure.subplots(1, 2)
    for column, label in ((1, "φ"), (2, "φ*")):
        axis.plot(table[:, 0] * STEP, table[:, column], "o-", ms=3, label=label)
    axis.set(xlabel="time (fs)", ylabel="ELF", ylim=(0, 1))
    axis.legend()
    middle = (BINS[1:] + BINS[:-1]) / 2
    right.plot(middle, reference, label="DFT molecular dynamics")
    right.plot(middle, g, label=f"this run, {STEP * steps:.0f} fs")
    right.set(xlabel="r (Å)", ylabel="g(r)", ylim=(0, None))
    right.legend()
    figure.savefig(picture, dpi=120)
    apart = np.sqrt(np.mean((g - reference) ** 2))
    print(f"{len(table)} structures; φ {table[:, 1].mean():.3f}; g(r) within rms {apart:.2f} of DFT; "
          f"picture in {picture}")  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:2], *(int(word) for word in sys.argv[2:3]))
