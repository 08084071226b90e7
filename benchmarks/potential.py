"""The potential of dense hydrogen against DFT molecular dynamics, and its drift.

    python benchmarks/potential.py [--steps 4000] [--nve 2000] [-o figure.png]

The reference is the shipped trajectory (64 atoms, r_s 1.42 bohr, Born-Oppenheimer dynamics
by Quantum ESPRESSO with PBE), of which the potential has seen nothing. Printed: errors of
its forces; g(r) of a Langevin run at the same density and temperature, its largest and rms
distance from that of DFT; pressure, temperature; and the drift of the total energy of a run
without thermostat. Runs for about 10 ms per step on one core.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.io import read
from ase.md.langevin import Langevin
from ase.md.verlet import VelocityVerlet

from ase_elf.domains import get_domain
from ase_elf.errors import DomainError
from ase_elf.potential import Potential

SHIPPED = Path(__file__).parents[1] / "examples" / "dense-hydrogen.extxyz"
EDGES = np.linspace(0.0, 2.4, 61)
STEP = 0.2  # fs


def distribution(frames: list[Atoms]) -> np.ndarray:
    """g(r) in the bins of ``EDGES`` (up to half the cell), shape (60,)."""
    counts = np.zeros(len(EDGES) - 1)
    for atoms in frames:
        lengths = atoms.get_all_distances(mic=True)[np.triu_indices(len(atoms), 1)]
        counts += np.histogram(lengths, EDGES)[0]
    n, volume = len(frames[0]), frames[0].get_volume()
    shells = 4 / 3 * np.pi * np.diff(EDGES**3)
    return counts / len(frames) / (n * (n - 1) / 2 * shells / volume)


def pressure(atoms: Atoms) -> float:
    """GPa, the motion of the nuclei included."""
    return -atoms.get_stress(include_ideal_gas=True)[:3].mean() / units.GPa


def against_forces(frames: list[Atoms]) -> None:
    errors, size = [], []
    for atoms in frames:
        copy = atoms.copy()
        copy.calc = Potential(device="cpu")
        errors.append(copy.get_forces() - atoms.arrays["dft_forces"])
        size.append(atoms.arrays["dft_forces"])
    rms = [float(np.sqrt(np.mean(np.square(x)))) for x in (errors, size)]
    print(f"forces on {len(frames)} frames: rmse {rms[0]:.3f} of {rms[1]:.3f} eV/Å")


def langevin(start: Atoms, temperature: float, steps: int) -> tuple[list, list, list]:
    rng = np.random.default_rng(1)
    atoms = Atoms(start.numbers, start.positions, cell=start.cell, pbc=True)
    atoms.calc = Potential(device="cpu")
    width = np.sqrt(units.kB * temperature * atoms.get_masses())[:, None]
    atoms.set_momenta(rng.normal(size=(len(atoms), 3)) * width)
    dyn = Langevin(
        atoms, STEP * units.fs, temperature_K=temperature, friction=0.02 / units.fs,
        fixcm=False, rng=rng,
    )  # fmt: skip
    dyn.run(steps // 4)  # forget the start
    frames, pressures, temperatures = [], [], []

    def store():
        frames.append(atoms.copy())
        pressures.append(pressure(atoms))
        temperatures.append(atoms.get_temperature())

    dyn.attach(store, interval=10)
    began = time.process_time()
    dyn.run(steps)
    print(f"{1e3 * (time.process_time() - began) / steps:.1f} ms of processor per step")
    return frames, pressures, temperatures


def drift(start: Atoms, steps: int) -> None:
    atoms = start.copy()
    atoms.calc = Potential(device="cpu")
    dyn = VelocityVerlet(atoms, STEP * units.fs)
    energies = []
    dyn.attach(lambda: energies.append(atoms.get_total_energy() / len(atoms)), interval=5)
    dyn.run(steps)
    energies = 1e3 * np.array(energies)
    times = np.arange(len(energies)) * 5 * STEP / 1000
    slope = np.polyfit(times, energies, 1)[0]
    print(
        f"NVE, {steps * STEP / 1000:.2f} ps in steps of {STEP} fs: drift {slope:+.3f} "
        f"meV/atom/ps, rms about it {np.std(energies - slope * times):.3f} meV/atom"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--nve", type=int, default=2000)
    parser.add_argument("-o", "--output", type=Path, help="figure of g(r)")
    given = parser.parse_args()
    try:
        get_domain("dense-hydrogen").load_potential()
    except DomainError as error:
        print(f"nothing to measure: {error}")
        return
    dft = read(SHIPPED, ":")
    against_forces(dft[::30])
    temperature = np.mean([atoms.info["temperature_K"] for atoms in dft])
    frames, pressures, temperatures = langevin(dft[0], temperature, given.steps)
    ours, theirs = distribution(frames), distribution(dft)
    halves = distribution(dft[: len(dft) // 2]), distribution(dft[len(dft) // 2 :])
    apart = ours - theirs
    r = (EDGES[1:] + EDGES[:-1]) / 2
    print(
        f"g(r): rms difference {np.sqrt(np.mean(apart**2)):.3f}, largest "
        f"{np.abs(apart).max():.3f} at {r[np.abs(apart).argmax()]:.2f} Å; halves of DFT "
        f"differ by rms {np.sqrt(np.mean((halves[0] - halves[1]) ** 2)):.3f}"
    )
    for name, curve in (("potential", ours), ("DFT", theirs)):
        low = (r > 0.85) & (r < 1.4)
        print(
            f"{name}: first maximum {curve.max():.2f} at {r[curve.argmax()]:.2f} Å, minimum "
            f"behind it {curve[low].min():.2f} at {r[low][curve[low].argmin()]:.2f} Å"
        )
    reference = np.mean([atoms.info["dft_pressure_GPa"] for atoms in dft])
    print(
        f"pressure {np.mean(pressures):.1f} GPa, DFT {reference:.1f} GPa; temperature "
        f"{np.mean(temperatures):.0f} K, DFT {temperature:.0f} K"
    )
    if given.output:
        draw(given.output, r, ours, theirs, *halves)
    drift(frames[-1], given.nve)


def draw(path: Path, r, ours, theirs, first, second) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(5.5, 3.6), layout="constrained")
    axes.fill_between(r, first, second, alpha=0.3, label="halves of the DFT run")
    axes.plot(r, theirs, label="DFT, PBE")
    axes.plot(r, ours, "--", label="potential")
    axes.set(xlabel="r / Å", ylabel="g(r)", title="fluid hydrogen, r_s = 1.42 bohr")
    axes.legend()
    figure.savefig(path, dpi=130)


if __name__ == "__main__":
    main()
