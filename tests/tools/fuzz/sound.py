"""Sound structures, grids and labels, small enough that every byte of their files counts."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from ase import Atoms

from ase_elf.grid import ELFGrid

CELL = [[3.0, 0.2, -0.1], [1.1, 4.0, 0.3], [-0.7, 0.9, 5.3]]


def grid(*, sigma: bool = False) -> ELFGrid:
    """A 2x3x2 grid of two atoms."""
    values = np.linspace(0, 1 - 1e-5, 12).reshape(2, 3, 2)  # the last with further bits
    atoms = Atoms("HO", positions=[(0, 0, 0), (1, 1, 1)], cell=CELL, pbc=True)
    return ELFGrid(values, atoms, {"note": "sound"}, np.full((2, 3, 2), 0.1) if sigma else None)


def written(name: str, write) -> bytes:
    """What ``write(path)`` leaves in a file called ``name``."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        write(path)
        return path.read_bytes()


def label(name: str = "a", *, points: bool = False, places: bool = False):
    """A label on a grid, at free points, or at points of a grid without its geometry; points with all options."""
    from ase_elf.dataset.label import Critical, Label
    from ase_elf.reference import Provenance

    origin = Provenance(code="closed form", version="1", functional="none")
    here = grid()
    if places:
        on_grid = np.array([(0, 0, 1), (1, 0, 0), (1, 2, 1)]) / (2, 3, 2) @ here.atoms.cell.array
        return Label(
            name, name, here.atoms, origin, 1 - np.geomspace(1e-6, 1e-3, 3), points=on_grid, mesh=(2, 3, 2),
            critical=Critical(np.zeros((1, 3)), np.diag([-1.0, -2.0, 3.0])[None]), geometry="owner:x",
        )  # fmt: skip
    if not points:
        return Label(name, name, here.atoms, origin, here.values)
    return Label(
        name, name, here.atoms, origin, np.linspace(0, 1, 3), points=np.zeros((3, 3)),
        density=np.ones(3), energy=-1.0, forces=np.zeros((2, 3)), split="train", kind="fluid",
    )  # fmt: skip
