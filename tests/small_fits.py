"""Labels in closed form, and fits of a network so small that they take seconds."""

import numpy as np
from ase import Atoms
from ase.units import Bohr

from ase_elf.dataset.label import Label
from ase_elf.model import Architecture
from ase_elf.reference import Provenance
from ase_elf.storage.quantization import coarse
from ase_elf.training.fit import Recipe
from ase_elf.training.samples import Pool

ARCH = Architecture((1,), n_radial=6, channels=(8, 4, 2), point_channels=(8, 4, 2), n_updates=1, hidden=16)


def analytic_label(seed, split="train", shape=(12, 13, 14)):
    """A field that depends on positions the way an ELF does, but is known in closed form."""
    rng = np.random.default_rng(seed)
    cell = np.diag([6.0, 6.5, 7.0])
    positions = rng.random((6, 3)) @ cell
    grid = np.stack(np.meshgrid(*[np.arange(n) / n for n in shape], indexing="ij"), -1) @ cell
    density = np.zeros(shape)
    for shift in np.stack(np.meshgrid(*[[-1, 0, 1]] * 3), -1).reshape(-1, 3):
        for p in positions + shift @ cell:
            density += np.exp(-((grid - p) ** 2).sum(-1) / 2.0)
    atoms = Atoms("H6", positions * Bohr, cell=cell * Bohr, pbc=True)
    origin = Provenance(code="closed form", version="1", functional="none")
    values = 1 / (1 + np.exp(1 - 2 * density))
    return Label(f"s{seed}", f"s{seed}", atoms, origin, values, split=split, kind="fluid")


def pools(seeds, arch=ARCH):
    rng = np.random.default_rng(0)
    return [Pool.draw(analytic_label(s), arch, 600, rng) for s in seeds]


def recipe(steps):
    return Recipe(steps=steps, decay_steps=steps // 2, warmup_steps=5, rate=1e-2, structures=2,
                  points=64, pool=600, checkpoint_every=10)  # fmt: skip


def write_labels(folder, splits):
    """A folder of analytic labels: number k of the split that ``splits[k]`` names."""
    folder.mkdir()
    lines = ["file,kind,split"]
    for seed, split in enumerate(splits):
        label = analytic_label(seed, split)
        cell, positions = label.atoms.cell.array / Bohr, label.atoms.positions / Bohr
        np.savez(folder / label.name, cell=cell, pos=positions, elf=coarse(label.values))
        lines.append(f"{label.name}.npz,fluid,{split}")
    (folder / "split.csv").write_text("\n".join(lines) + "\n")
    return folder
