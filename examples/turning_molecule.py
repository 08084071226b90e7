"""What it costs to turn one molecule in dense hydrogen, and what that does to the network.

    python examples/turning_molecule.py [turning.png] [steps]

ASE throughout: constraints, a relaxation, an elastic band, `.traj`, extended XYZ, a database, an
ELFCAR and a viewer, with an ELFCalculator around the potential of the domain pack. Any calculator
can take the potential's place. Takes seconds.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.calculator import get_calculator_class
from ase.constraints import FixAtoms
from ase.db import connect
from ase.io import read, write
from ase.mep import NEB
from ase.optimize import BFGS, FIRE
from ase.visualize import view
from hydrogen_md import fluid

from ase_elf.potential import Potential
from ase_elf.topology import networking

IMAGES = 5


def with_elf(atoms: Atoms) -> Atoms:
    """``atoms`` with energies from the potential, and an ELF when it is asked for."""
    elf_calculator = get_calculator_class("elf")  # ase_elf.ELFCalculator, as ASE finds it
    atoms.calc = elf_calculator(calculator=Potential())
    return atoms


def closest_pair(atoms: Atoms) -> tuple[int, int]:
    distances = atoms.get_all_distances(mic=True) + 9 * np.eye(len(atoms))
    i, j = np.unravel_index(np.argmin(distances), distances.shape)
    return int(i), int(j)


def turned(atoms: Atoms, pair: tuple[int, int], degrees: float) -> Atoms:
    """A copy in which the molecule of these two atoms is turned about its center."""
    i, j = pair
    bond = atoms.get_distance(i, j, mic=True, vector=True)
    center, length = atoms.positions[i] + bond / 2, np.linalg.norm(bond)
    along = bond / length
    aside = np.cross(along, [0.0, 0.0, 1.0])
    aside /= np.linalg.norm(aside)
    angle = np.radians(degrees)
    axis = np.cos(angle) * along + np.sin(angle) * aside
    copy = atoms.copy()
    copy.positions[i], copy.positions[j] = center - length / 2 * axis, center + length / 2 * axis
    return copy


def keep(band: list[Atoms], folder: Path) -> None:
    """The band in three formats of ASE, read back; the ELF of its top as a file and a view."""
    write(folder / "band.traj", band)
    with connect(folder / "band.db") as db:
        for atoms in band:
            # Databases and trajectories drop what is not ASE's own: φ goes in as a key of ours.
            db.write(atoms, elf_phi=atoms.info["elf_phi"])
        stored = [row.elf_phi for row in db.select()]
    write(folder / "band.extxyz", band)
    for name in ("band.traj", "band.extxyz"):
        back = read(folder / name, ":")
        for one, other in zip(band, back, strict=True):
            assert abs(one.get_potential_energy() - other.get_potential_energy()) < 1e-6
            assert abs(one.info["elf_phi"] - other.info["elf_phi"]) < 1e-6
    assert np.allclose(stored, [atoms.info["elf_phi"] for atoms in band])
    top = max(band, key=lambda atoms: atoms.get_potential_energy())
    grid = top.calc.get_property("elf", top)
    write(folder / "top.ELFCAR", top, format="elfcar", elf=grid)
    atoms, (values,) = read(folder / "top.ELFCAR", read_data=True)
    assert len(atoms) == len(top)
    assert np.abs(values - grid.values).max() < 1e-5
    view(top, viewer="elf", data=grid.values, show=False).savefig(folder / "top.png")
    print(f"{len(list(folder.iterdir()))} files written and read back")


def main(picture: str = "turning.png", steps: int = 60) -> None:
    from matplotlib.figure import Figure

    start = with_elf(fluid())
    pair = closest_pair(start)
    near = start.get_distances(pair[0], range(len(start)), mic=True) < 2.2
    start.set_constraint(FixAtoms(mask=~near))  # far from the molecule nothing moves
    BFGS(start, logfile=None).run(fmax=0.05, steps=steps)

    band = [with_elf(turned(start, pair, 180 * k / (IMAGES - 1))) for k in range(IMAGES)]
    FIRE(NEB(band, method="improvedtangent"), logfile=None).run(fmax=0.3, steps=steps // 3)
    energies = np.array([atoms.get_potential_energy() for atoms in band])
    for atoms in band:
        atoms.info["elf_phi"] = networking(atoms.calc.get_property("elf", atoms)).phi
    phi = np.array([atoms.info["elf_phi"] for atoms in band])
    with tempfile.TemporaryDirectory() as folder:
        keep(band, Path(folder))

    figure = Figure(figsize=(6, 3.4), layout="constrained")
    left = figure.subplots()
    angle = np.linspace(0, 180, IMAGES)
    left.plot(angle, energies - energies[0], "o-", color="#1f5fa8")
    left.set(xlabel="molecule turned by (degrees)", ylabel="energy (eV)")
    right = left.twinx()
    right.plot(angle, phi, "s--", color="#c8502d")
    right.set(ylabel="networking value φ, dashed")
    figure.savefig(picture, dpi=120)
    print(f"barrier {energies.max() - energies[0]:.2f} eV, ends differ by "
          f"{energies[-1] - energies[0]:.3f} eV; φ {phi.min():.3f} to {phi.max():.3f}; see {picture}")  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(int, sys.argv[2:3]))
