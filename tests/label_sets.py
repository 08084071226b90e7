"""Structures and settings of label sets that the stand-in engine builds, and labels made by hand."""

import numpy as np
from ase import Atoms
from ase.io import write

from ase_elf.dataset import BuildConfig, Label
from ase_elf.reference import Provenance

ENGINE = "standin_engine:StandIn"


def structures(count, *, seed=0):
    """Random hydrogen cells of 2, 3, 4, ... atoms, none closer than 0.7 Å."""
    random = np.random.default_rng(seed)
    made = []
    for number in range(count):
        grid = np.stack(np.meshgrid(*[np.arange(3)] * 3), -1).reshape(-1, 3)
        chosen = random.permutation(grid)[: 2 + number]
        positions = chosen + random.uniform(-0.1, 0.1, chosen.shape)
        made.append(Atoms(f"H{2 + number}", positions=positions, cell=[3, 3, 3], pbc=True))
    return made


def config_for(folder, frames, **settings):
    write(folder / "frames.extxyz", frames)
    loaded = {
        "structures": [{"path": "frames.extxyz", "split": "train"}],
        "engine": ENGINE,
        "output": "labels",
        **settings,
    }
    return BuildConfig.from_dict(loaded, folder=folder)


def make_label(shape=(4, 5, 6), **changes):
    values = np.random.default_rng(1).random(shape, dtype=np.float32)
    atoms = Atoms("H2", [(0, 0, 0), (0, 0, 0.74)], cell=[3, 3, 3], pbc=True)
    settings = {
        "id": "a1", "name": "one", "atoms": atoms, "provenance": Provenance("x", "1", "PBE"),
        "values": values, **changes,
    }  # fmt: skip
    return Label(**settings)
