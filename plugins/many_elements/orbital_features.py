"""Features from cheap orbitals at the points of labels, one file per label.

    python plugins/many_elements/orbital_features.py OUT SOURCE... [--points 4000] [--part 0/2]

A SOURCE is a label store (a folder with manifest.jsonl) or a file as the first trial labels are. Files that
exist are left as they are: start again after a stop, or several with different parts at a time. Each `OUT/NAME.npz`
holds `features` (n, 16; `ase_elf.model.minimal_basis.NAMES`), `points` (Å), `elf`, `rho` (bohr⁻³), `index` (flat, of
grids), `shape`, `numbers`, `positions`, `cell`, `split`, `kind`, `fermi` (level eV, states/eV,
share of H with and without added d shells, gap eV).
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from ase.units import Bohr

from ase_elf.dataset import LabelStore
from ase_elf.model.minimal_basis import OccupiedOrbitals, features
from ase_elf.model.minimal_basis.occupied import fermi_level


def chosen(n: int, most: int) -> np.ndarray:
    """Up to ``most`` of so many points, the same ones every time."""
    return np.sort(np.random.default_rng(n).choice(n, most, replace=False)) if n > most else np.arange(n)


def on_grid(atoms: Atoms, shape: tuple[int, ...], index: np.ndarray) -> np.ndarray:
    return np.stack(np.unravel_index(index, shape), -1) / np.array(shape) @ atoms.cell.array


def from_store(folder: Path, most: int) -> Iterator[tuple[str, Atoms, dict[str, np.ndarray]]]:
    for label in LabelStore(folder):
        index = chosen(label.values.size, most)
        shape = label.values.shape
        points = on_grid(label.atoms, shape, index) if label.points is None else label.points[index]
        density = label.density if label.density is not None else np.full(shape, np.nan)
        yield f"{label.name}-{label.id}", label.atoms, {
            "points": points, "index": index, "elf": label.values.ravel()[index],
            "rho": density.ravel()[index] * Bohr**3, "shape": np.array(shape), "split": np.array(label.split),
            "kind": np.array(label.kind),
        }  # fmt: skip


def from_file(path: Path, most: int) -> tuple[str, Atoms, dict[str, np.ndarray]]:
    with np.load(path) as file:
        atoms = Atoms(file["numbers"], file["pos"], cell=file["cell"], pbc=True)
        shape = tuple(file["shape"].tolist())
        known = file["points"] if "points" in file.files else np.arange(file["elf"].size)
        rows = chosen(len(known), most)
        index = known[rows]
        return path.stem, atoms, {
            "points": on_grid(atoms, shape, index), "index": index,
            "elf": file["elf"].ravel()[rows] / np.float32(65535),
            "rho": file["rho_e_bohr3"].ravel()[rows].astype(np.float32), "shape": np.array(shape),
            "split": np.array(""), "kind": np.array("hydride" if 1 in atoms.numbers else "crystal"),
        }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("sources", nargs="+", type=Path)
    parser.add_argument("--points", type=int, default=4000)
    parser.add_argument("--part", default="0/1", help="which of how many parts: 0/2")
    parser.add_argument("--fermi", action="store_true", help="Fermi levels on the dense mesh, twice the time")
    options = parser.parse_args()
    part, parts = map(int, options.part.split("/"))
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    jobs = []
    for source in options.sources:
        if source.is_dir():
            jobs.append(from_store(source, options.points))
        else:
            jobs.append(iter([from_file(source, options.points)]))
    number = 0
    for job in jobs:
        for name, atoms, known in job:
            number += 1
            target = options.out / (name.replace("/", "_") + ".npz")
            if number % parts != part or target.exists():
                continue
            start = time.process_time()
            try:
                orbitals = OccupiedOrbitals(atoms)
                values = features(orbitals, known["points"]).numpy()
            except Exception as error:  # one structure must not stop the others
                warnings.warn(f"{name}: {error!r:.300}", stacklevel=1)
                continue
            fermi = orbitals.fermi_level if options.fermi else fermi_level(orbitals.states["one-shot"])
            about = np.array([
                fermi.level, fermi.dos, fermi.hydrogen_share, fermi.hydrogen_share_without_d, fermi.gap,
            ])  # fmt: skip
            temporary = target.with_suffix(f".{os.getpid()}.tmp")
            with temporary.open("wb") as file:
                np.savez(
                    file, features=values.astype(np.float32), fermi=about, numbers=atoms.numbers,
                    positions=atoms.positions, cell=atoms.cell.array, **known,
                )  # fmt: skip
            temporary.replace(target)
            print(f"{name} {len(atoms)} atoms {time.process_time() - start:.2f} s", flush=True)


if __name__ == "__main__":
    main()
