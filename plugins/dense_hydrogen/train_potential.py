"""Train the potential of this pack on public PBE energies and forces of fluid hydrogen.

    python -m ase_elf_dense_hydrogen.train_potential DATA RUN [--steps N]

DATA is a folder with the fluids (``fluid-*.extxyz.gz``: ``REF_energy``, ``REF_forces``,
``id``) of the training set of Cheng, Mazzola, Pickard, Ceriotti, Nature 585, 217 (2020), and
``labels/split.csv``; RUN a scratch folder, in which an interrupted run is continued. At the
end ``potential.safetensors`` and its card ``potential.json`` are written beside this file.

Nothing is trained on that the ELF model or this potential is judged by: neither the
validation and test structures of ``split.csv``, nor blocks of frames held out here, nor what
stands less than four frames from either in its source.
"""

from __future__ import annotations

import argparse
import csv
from dataclasses import asdict
from pathlib import Path

from ase.io import read

from ase_elf.model.network import Architecture
from ase_elf.model.weights import save_network
from ase_elf.storage.locks import locked
from ase_elf.training.energies import EnergyFit, EnergyFrame, EnergyRecipe, score
from ase_elf.training.pack import write_card

ARCHITECTURE = Architecture(
    elements=(1,),
    cutoff=5.0,
    n_radial=8,
    channels=(24, 16, 12, 8),
    point_channels=(24, 16, 12, 8),
    n_updates=1,
    hidden=96,
)
"""Small: what a simulation on one core can afford, some 10 ms a step for 64 atoms."""

MARGIN = 4
"""Frames of one source that are closer than this may resemble each other."""

BLOCK, EVERY = 12, 100
"""Of each source, the first 12 frames of every 100 are held out, and the middle ones judged."""


def source_and_number(name: str) -> tuple[str, int]:
    source, _, number = name.rpartition("-")
    return source, int(number)


def held_out(labels: Path) -> set[tuple[str, int]]:
    """Source and number of the validation and test structures of ``split.csv``."""
    with labels.open() as handle:
        rows = [row for row in csv.DictReader(handle) if row["split"] != "train"]
    names = [row["source"] for row in rows if row["source"].rpartition("-")[2].isdigit()]
    return {source_and_number(name) for name in names}


def role(name: str, judged: set[tuple[str, int]]) -> str:
    """``train``, ``test``, or ``unused`` for the margin between them."""
    source, number = source_and_number(name)
    distance = min((abs(number - other) for of, other in judged if of == source), default=MARGIN)
    in_block = number % EVERY
    if distance <= 1 or MARGIN <= in_block < BLOCK - MARGIN:
        return "test"
    return "unused" if distance < MARGIN or in_block < BLOCK else "train"


def read_frames(data: Path) -> dict[str, list[EnergyFrame]]:
    """Frames by role."""
    judged = held_out(data / "labels" / "split.csv")
    frames: dict[str, list[EnergyFrame]] = {"train": [], "test": [], "unused": []}
    for path in sorted(data.glob("fluid-*.extxyz.gz")):
        for atoms in read(path, ":", do_not_split_by_at_sign=True):
            name = atoms.info["id"]
            frames[role(name, judged)].append(
                EnergyFrame.of(
                    atoms,
                    atoms.info["REF_energy"],
                    atoms.arrays["REF_forces"],
                    ARCHITECTURE,
                    name=name,
                    group=f"r_s {atoms.info['rs']:.2f}",
                )
            )
    return frames


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("run", type=Path)
    for name, kind in (("steps", int), ("decay_steps", int), ("energy_weight", float)):
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind)
    given = {k: v for k, v in vars(parser.parse_args()).items() if v is not None}
    data, run = given.pop("data"), given.pop("run")
    frames = read_frames(data)
    watched = frames["test"][:: max(1, len(frames["test"]) // 24)]
    with locked(run, "training"):
        fit = EnergyFit(run, EnergyRecipe(**given), ARCHITECTURE, frames["train"], watched)
        fit.run()
    write(Path(__file__).parent, fit, frames)


def write(folder: Path, fit: EnergyFit, frames: dict[str, list[EnergyFrame]]) -> None:
    """Weights, and what the card says about them."""
    network = fit.result.requires_grad_(False).eval()
    file = "potential.safetensors"
    card = {
        "file": file,
        "sha256": save_network(folder / file, network),
        "reference": "PBE energies and forces of the training set of Cheng, Mazzola, Pickard, "
        "Ceriotti, Nature 585, 217 (2020), doi 10.1038/s41586-020-2677-y",
        "trained_range": {"r_s_bohr": _range(frames["train"])},
        "training": {
            "frames": len(frames["train"]),
            "atoms": sum(map(len, frames["train"])),
            "recipe": asdict(fit.recipe),
            "architecture": fit.network.arch.to_dict(),
        },
        "accuracy": score(network, frames["test"]),
    }
    write_card(folder / "potential.json", card)


def _range(frames: list[EnergyFrame]) -> list[float]:
    found = [float(frame.group.removeprefix("r_s ")) for frame in frames]
    return [min(found), max(found)]


if __name__ == "__main__":
    main()
