"""Do rulers and packs say where they were not fitted? Flagged bonds of known and of strange ligands.

    OMP_NUM_THREADS=1 python benchmarks/surroundings.py [--renew]

Held-out compounds are those of the rulers' validation and test sets. Strange ones are clusters in
which one methyl thiolate is exchanged, or beside which a molecule stands. ``--renew`` first writes
what the packs know of surroundings (``ruler-*-surroundings.safetensors``, and for gold
``novelty.safetensors``) from the structures they were fitted to; the geometries lie in
``../shared/data`` beside the repository.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from ase.build import bulk
from ase.io import read

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from ase_elf.dataset import LabelStore, read_labels  # noqa: E402
from ase_elf.domains import Domain, get_domain  # noqa: E402
from ase_elf.model.novelty import Novelty  # noqa: E402
from ase_elf.model.weights import digest  # noqa: E402
from ase_elf.ruler.bond_set import BondSet  # noqa: E402
from ase_elf.ruler.pairs import find_pairs  # noqa: E402
from ase_elf.ruler.surroundings import are_strange  # noqa: E402
from ase_elf.training.pack import NOVELTY, write_card  # noqa: E402
from ase_elf.training.ruler import RulerConfig, write_surroundings  # noqa: E402

DATA = ROOT.parent / "shared" / "data"
LABELS = ROOT / "plugins" / "gold_thiolate" / "labels"
GOLD, HYDROGEN = ("Au", "S"), ("H", "H")
BASES = ("cl000", "cl001", "cl022", "cl085", "fw05", "fw15", "fw43", "fw59")
"""Clusters that ligands are exchanged in."""


def gold_structures() -> list[tuple[str, str, Atoms]]:
    """Name, compound and geometry of the clusters that the images of the ruler were taken of.

    Those displaced at random are displaced anew in the same way. Rings of own dynamics are not among
    the public geometries, but for those of four in examples and of seven in the labels of the pack.
    """
    files = {"cl": read(DATA / "gold" / "clusters.extxyz", ":"),
             "fw": read(DATA / "gold" / "frameworks.extxyz", ":")}  # fmt: skip
    bonds = BondSet.joined(LabelStore(LABELS).images({"batch": "bonds"}))
    found = []
    for name, group in sorted(set(zip(bonds.structure.tolist(), bonds.group.tolist(), strict=True))):
        if place := re.match(r"(cl|fw|sh)(\d+)-(\d?)", name):
            kind, number, copy = place.groups()
            atoms = files["fw" if kind == "sh" else kind][int(number)]
            if kind == "sh":
                atoms = displaced(atoms, np.random.default_rng([int(number), int(copy)]))
            found.append((name, group, atoms))
    rings = read(ROOT / "examples" / "gold-ring.extxyz", ":7")
    found += [(f"ring4-{n}", "au4s4", ring) for n, ring in enumerate(rings)]
    labels = LabelStore(LABELS)
    found += [(label.name, "au7s7", label.atoms) for label in labels]
    return [(name, group, Atoms(a.numbers, a.positions)) for name, group, a in found]


def displaced(atoms: Atoms, rng: np.random.Generator) -> Atoms:
    """Every gold and every SCH3 moved at random, by 0.05 to 0.12 Å rms in each direction."""
    from ase_elf_gold_thiolate.ligands import methyls

    moved, width = Atoms(atoms.numbers, atoms.positions), rng.uniform(0.05, 0.12)
    for gold in atoms.symbols.indices()["Au"]:
        moved.positions[gold] += rng.normal(scale=width, size=3)
    for sulfur, carbon, hydrogens in methyls(atoms):
        moved.positions[[sulfur, carbon, *hydrogens]] += rng.normal(scale=width, size=3)
    return moved


def renew(gold: Domain, hydrogen: Domain) -> None:
    """Write what the packs know of surroundings."""
    config = RulerConfig.read(gold.folder / "ruler.yaml")
    held = {*config.validation, *config.test}
    train = [(group, atoms) for _, group, atoms in gold_structures() if group not in held]
    write_surroundings(gold, GOLD, [a for _, a in train], [g for g, _ in train])
    model = gold.load(device="cpu")
    Novelty.of([model.invariants(atoms) for _, atoms in train]).save(gold.folder / NOVELTY)
    card = json.loads((gold.folder / "card.json").read_text(encoding="utf-8"))
    card["novelty"] = {"file": NOVELTY, "sha256": digest(gold.folder / NOVELTY),
                           "weights": card["weights"]["sha256"], "structures": len(train)}  # fmt: skip
    write_card(gold.folder / "card.json", card)
    labels = read_labels(DATA / "hydrogen" / "labels", "train")
    write_surroundings(
        hydrogen, HYDROGEN, [label.atoms for label in labels], [label.name for label in labels]
    )


def flagged(pack: Domain, pair: tuple[str, str], atoms: Atoms, at: int | None = None) -> np.ndarray:
    """Which bonds of ``pair`` are said to be strange; only those of atom ``at`` if one is given."""
    i, j, _, _ = find_pairs(atoms, {pair: pack.ruler_cards[pair]["cutoff"]})
    mine = np.ones(len(i), bool) if at is None else (i == at) | (j == at)
    return are_strange(pack, pair, atoms, i[mine], j[mine])


def of_pack(pack: Domain, atoms: Atoms) -> bool:
    """Whether the pack itself says that a structure lies outside."""
    if set(atoms.get_chemical_symbols()) - set(pack.elements):
        return True
    return bool(pack.outside(atoms, pack.distance(atoms)))


def row(name: str, marks: list[np.ndarray], outside: list[bool]) -> None:
    bonds = np.concatenate([*marks, np.zeros(0, bool)])
    told = f"{bonds.mean():.3f}" if len(bonds) else "no such bond"
    print(f"| {name} | {len(outside)} | {len(bonds)} | {told} | {np.mean(outside):.2f} |", flush=True)


def clusters(gold: Domain) -> None:
    from ase_elf_gold_thiolate.ligands import KINDS, exchanged, methyls

    config = RulerConfig.read(gold.folder / "ruler.yaml")
    structures = gold_structures()
    for title, groups in (("validation", config.validation), ("test", config.test)):
        mine = [atoms for _, group, atoms in structures if group in groups]
        row(f"held-out compounds, {title}", [flagged(gold, GOLD, a) for a in mine],
            [of_pack(gold, a) for a in mine])  # fmt: skip
    bases = [atoms for name, _, atoms in structures if name.startswith(BASES)]
    rng = np.random.default_rng(0)
    for kind in KINDS:
        marks, outside = [], []
        for atoms in bases:
            beside = kind in ("thiophene", "phosphine", "silver")
            there = np.sum(atoms.symbols == "Au") if beside else len(methyls(atoms))
            for n in rng.choice(there, min(4, there), replace=False):
                made = exchanged(atoms, kind, int(n))
                if made is not None:
                    marks.append(flagged(gold, GOLD, made[0], _looked_at(*made)))
                    outside.append(of_pack(gold, made[0]))
        row(f"one {kind} among methyl thiolates", marks, outside)


def _looked_at(atoms: Atoms, binding: int) -> int:
    """The atom whose bonds to sulfur or gold are judged: sulfur, or the gold nearest to anything else."""
    if atoms.symbols[binding] == "S":
        return binding
    golds = np.flatnonzero(atoms.symbols == "Au")
    return int(golds[atoms.get_distances(binding, golds).argmin()])


def hydrogens(hydrogen: Domain) -> None:
    for split in ("validation", "test"):
        mine = [label.atoms for label in read_labels(DATA / "hydrogen" / "labels", split)]
        row(f"labels, {split}", [flagged(hydrogen, HYDROGEN, a) for a in mine],
            [of_pack(hydrogen, a) for a in mine])  # fmt: skip
    lone = [Atoms("H2", [[0, 0, 0], [0, 0, d]], cell=[6.0] * 3, pbc=True) for d in (0.7, 0.75, 0.9)]
    row("a molecule alone in 6 Å", [flagged(hydrogen, HYDROGEN, a) for a in lone],
        [of_pack(hydrogen, a) for a in lone])  # fmt: skip
    atomic = [bulk("H", "sc", a=a) * (2, 2, 2) for a in (0.9, 1.0, 1.1)]
    row("simple cubic, 0.9 to 1.1 Å", [flagged(hydrogen, HYDROGEN, a) for a in atomic],
        [of_pack(hydrogen, a) for a in atomic])  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--renew", action="store_true", help="write what the packs know first")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    if chosen.renew:
        renew(get_domain("gold-thiolate"), get_domain("dense-hydrogen"))
    head = "| structures | number | bonds | marked by the ruler | structures outside for the pack |"
    head += "\n|---|---|---|---|---|"
    for pair, name, table in ((GOLD, "gold-thiolate", clusters), (HYDROGEN, "dense-hydrogen", hydrogens)):
        print(f"\n### {'-'.join(pair)}\n\n{head}")
        table(Domain(get_domain(name).folder, get_domain(name).bond_types))


if __name__ == "__main__":
    main()
