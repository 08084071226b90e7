"""Born-Oppenheimer molecular dynamics of dense fluid hydrogen with Quantum ESPRESSO.

    python examples/dense-hydrogen-md/run.py FOLDER       # about two hours on one core
    python examples/dense-hydrogen-md/run.py FOLDER --convert trajectory.extxyz

The run behind ``examples/dense-hydrogen.extxyz``: 64 atoms at r_s = 1.42 bohr, around the
molecular-to-atomic transition of PBE hydrogen. Molecules on an fcc lattice are melted at
3000 K, equilibrated at 1300 K with a cheap setting, then again with the one of the
production, which runs without a thermostat so that its drift means something.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms, units

R_S, N_ATOMS = 1.42, 64
SIDE = R_S * (4 * np.pi / 3 * N_ATOMS) ** (1 / 3)  # bohr
STEP = 10.33535  # Rydberg atomic units of time: 0.5 fs
RYDBERG_TIME = units._hbar / (0.5 * units.Hartree * units._e)  # s
STORE_EVERY = 4  # steps: 2 fs

INPUT = """\
&control
 calculation='md', prefix='md', outdir='{name}', pseudo_dir='.', dt={dt}, nstep={steps},
 disk_io='low', tprnfor=.true., tstress=.{stress}.
/
&system
 ibrav=1, celldm(1)={side:.10f}, nat={n}, ntyp=1, ecutwfc={cutoff}, nosym=.true.,
 occupations='smearing', smearing='cold', degauss=0.02
/
&electrons
 conv_thr={convergence}, mixing_beta={mixing}
/
&ions
 pot_extrapolation='second_order', wfc_extrapolation='second_order', {ions}
/
ATOMIC_SPECIES
 H 1.008 H.UPF
{mesh}
ATOMIC_POSITIONS bohr
{positions}
"""

FULL_MESH = "K_POINTS automatic\n 2 2 2 1 1 1"
ONE_POINT = "K_POINTS tpiba\n 1\n 0.25 0.25 0.25 1.0"


@dataclass(frozen=True)
class Stage:
    """One pw.x run; the next one starts from its last positions (and velocities)."""

    name: str
    steps: int
    cutoff: int
    mesh: str
    ions: str
    convergence: str = "1e-6"
    mixing: float = 0.7


STAGES = (
    Stage("start", 157, 40, FULL_MESH, "ion_temperature='svr', tempw=3000, nraise=10"),
    Stage("melt", 300, 40, ONE_POINT, "ion_temperature='svr', tempw=3000, nraise=10"),
    Stage("equilibrate", 1050, 40, ONE_POINT, "ion_temperature='svr', tempw=1300, nraise=40"),
    Stage("settle", 55, 60, FULL_MESH, "ion_temperature='svr', tempw=1300, nraise=40"),
    # Softer mixing needs one self-consistency step less, which 1200 times is half an hour.
    Stage("produce", 1202, 60, FULL_MESH, "ion_temperature='not_controlled'", "1e-5", 0.4),
)


def molecules_on_fcc(rng: np.random.Generator) -> np.ndarray:
    """32 molecules of 1.4 bohr with random orientations, (64, 3) bohr."""
    corners = np.array(list(np.ndindex(2, 2, 2)))
    basis = np.array([[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
    centres = (corners[:, None] + basis).reshape(-1, 3) * SIDE / 2
    axes = rng.normal(size=centres.shape)
    axes *= 0.7 / np.linalg.norm(axes, axis=1, keepdims=True)
    return np.stack([centres + axes, centres - axes], axis=1).reshape(-1, 3)


def card(rows: np.ndarray) -> str:
    return "\n".join("H {:.12e} {:.12e} {:.12e}".format(*row) for row in rows)


def run_stage(folder: Path, stage: Stage, positions: np.ndarray, velocities) -> None:
    text = INPUT.format(
        name=stage.name, dt=STEP, steps=stage.steps, side=SIDE, n=N_ATOMS, cutoff=stage.cutoff,
        ions=stage.ions, mesh=stage.mesh, convergence=stage.convergence, mixing=stage.mixing,
        positions=card(positions),
        stress="true" if stage.mesh == FULL_MESH else "false",
    )  # fmt: skip
    if velocities is not None and "not_controlled" in stage.ions:
        text = text.replace("&ions", "&ions\n ion_velocities='from_input',")
        text += "ATOMIC_VELOCITIES\n" + card(velocities) + "\n"
    (folder / f"{stage.name}.in").write_text(text)
    with (folder / f"{stage.name}.out").open("w") as output:
        subprocess.run(
            ["pw.x", "-in", f"{stage.name}.in"], cwd=folder, stdout=output, check=True,
            env=dict(os.environ, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1"),
        )  # fmt: skip


def positions_in(text: str) -> np.ndarray:
    """Positions after every step in an output file, (n_steps, 64, 3) bohr, never wrapped."""
    blocks = re.findall(rf"ATOMIC_POSITIONS \(bohr\)\n((?:H .*\n){{{N_ATOMS}}})", text)
    rows = [[line.split()[1:4] for line in block.splitlines()] for block in blocks]
    return np.array(rows, dtype=float)


def last_state(folder: Path, stage: Stage) -> tuple[np.ndarray, np.ndarray]:
    positions = positions_in((folder / f"{stage.name}.out").read_text())
    return positions[-1], (positions[-1] - positions[-2]) / STEP


def simulate(folder: Path) -> None:
    from ase_elf.domains import installed  # makes plugins importable in a source tree
    from ase_elf.plugins import discover

    installed(), discover("ase_elf.references")["espresso"].load()
    from ase_elf_espresso.pseudopotential import hydrogen_pseudopotential

    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(hydrogen_pseudopotential(), folder / "H.UPF")
    positions, velocities = molecules_on_fcc(np.random.default_rng(7)), None
    for stage in STAGES:
        run_stage(folder, stage, positions, velocities)
        positions, velocities = last_state(folder, stage)


def convert(folder: Path, target: Path) -> None:
    """The production run, every 2 fs, with what was computed on the way.

    pw.x prints positions after the step, energy and forces before it; a frame here is one
    configuration with its own energy, forces and pressure.
    """
    text = (folder / "produce.out").read_text()
    after = positions_in(text)
    start = positions_in((folder / "settle.out").read_text())[-1:]
    positions = np.concatenate([start, after])
    force = re.findall(r"atom .* force =\s+(\S+)\s+(\S+)\s+(\S+)", text)
    forces = np.array(force, dtype=float)
    energies = [float(e) for e in re.findall(r"!\s+total energy\s+=\s+(\S+)", text)]
    pressures = [float(p) for p in re.findall(r"P=\s*(\S+)", text)]
    temperatures = [float(t) for t in re.findall(r"temperature\s+=\s+(\S+)", text)]
    conserved = [float(c) for c in re.findall(r"Ekin \+ Etot \(const\)\s+=\s+(\S+)", text)]
    forces = forces[: len(energies) * N_ATOMS].reshape(-1, N_ATOMS, 3)
    frames = []
    for i in range(0, min(len(energies), len(temperatures), len(pressures)), STORE_EVERY):
        atoms = Atoms(f"H{N_ATOMS}", positions[i] * units.Bohr, cell=[SIDE * units.Bohr] * 3, pbc=True)
        atoms.arrays["dft_forces"] = forces[i] * units.Ry / units.Bohr
        atoms.info = {
            "time_fs": i * STEP * RYDBERG_TIME * 1e15,
            "dft_energy": energies[i] * units.Ry,
            "dft_pressure_GPa": pressures[i] / 10 + kinetic_pressure(conserved[i] - energies[i]),
            "temperature_K": temperatures[i],
            "conserved_energy": conserved[i] * units.Ry,
        }
        frames.append(atoms)
    write_frames(target, frames)
    show(frames, target.parent / "dense-hydrogen-md" / "run.png")
    print(f"{len(frames)} frames in {target}")


def show(frames: list[Atoms], figure: Path) -> None:
    """Temperature, pressure and drift of the conserved energy; printed and drawn."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    time = np.array([atoms.info["time_fs"] for atoms in frames])
    drift = np.array([atoms.info["conserved_energy"] for atoms in frames])
    drift = 1000 * (drift - drift[0]) / N_ATOMS
    curves = {
        "temperature / K": np.array([atoms.info["temperature_K"] for atoms in frames]),
        "pressure / GPa": np.array([atoms.info["dft_pressure_GPa"] for atoms in frames]),
        "conserved energy / meV per atom": drift,
    }
    canvas, axes = plt.subplots(3, 1, sharex=True, figsize=(7, 6), layout="constrained")
    for axis, (name, values) in zip(axes, curves.items(), strict=True):
        axis.plot(time, values, lw=1)
        axis.set_ylabel(name, fontsize=8)
        print(f"{name}: mean {values.mean():.2f}, standard deviation {values.std():.2f}")
    slope = np.polyfit(time, drift, 1)[0] * 1000
    print(f"drift: {slope:+.3f} meV per atom and ps")
    axes[-1].set_xlabel("t / fs")
    figure.parent.mkdir(parents=True, exist_ok=True)
    canvas.savefig(figure, dpi=110)


def kinetic_pressure(kinetic_energy: float) -> float:
    """What moving nuclei add to the pressure that pw.x prints, in GPa (energy in Ry)."""
    volume = (SIDE * units.Bohr) ** 3
    return 2 / 3 * kinetic_energy * units.Ry / volume / units.GPa


def write_frames(target: Path, frames: list[Atoms]) -> None:
    from ase.io import write

    for atoms in frames:
        atoms.arrays["dft_forces"] = np.round(atoms.arrays["dft_forces"], 4)
        atoms.info = {k: float(f"{v:.6f}") for k, v in atoms.info.items()}
    write(target, frames, format="extxyz", columns=["symbols", "positions", "dft_forces"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--convert", type=Path, metavar="EXTXYZ")
    options = parser.parse_args()
    if options.convert:
        convert(options.folder, options.convert)
    else:
        simulate(options.folder)


if __name__ == "__main__":
    main()
