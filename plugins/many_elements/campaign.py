"""Lists of structures to label, and the build that labels them, written into a folder.

``python -m ase_elf_many_elements.campaign FOLDER [PUBLISHED]``; then, with the potentials named by
``ASE_ELF_PSEUDO``, ``ase-elf dataset build FOLDER/build.yaml`` as often as it takes, and
``python -m ase_elf_many_elements.compact FOLDER/store plugins/many_elements/labels``. PUBLISHED holds the JSON
files of Materials Project and WBM (``mp-*.json.gz``, ``wbm-*.json.gz``); without it there are no crystals.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import yaml
from ase import Atoms
from ase.io import write
from ase_elf_espresso.pseudodojo import known
from ase_elf_many_elements.splits import split_of
from ase_elf_many_elements.structures import crystals, hydrides, molecules, ternary, trials

GASES = frozenset({"H", "He", "Ne", "Ar", "Kr", "Xe", "Rn", "Po"})
"""Elements that crystals are not chosen for."""

TURNS = 12
"""Parts that lists are built in, one of each after another: every stage is of use when it ends."""

KINDS = {
    # list: (kind, structures per turn)
    "crystals": ("crystal", 50),
    "hydrides-distorted": ("distorted", 35),
    "ternary": ("ternary", 20),
    "helium": ("helium", 4),
    "hot": ("hot", 4),
    "molecules": ("molecule", 7),
    "single-atom": ("molecule", 10),
    "groups": ("molecule", 4),
    "crystals-distorted": ("distorted-crystal", 12),
    "elements": ("crystal", 10),
}

JUDGED = {"crystals": 20, "hydrides-distorted": 15, "crystals-distorted": 8, "ternary": 5}
"""Structures of the test and validation splits of each list; 4 of the others."""


def lists(published: Path | None) -> dict[str, Iterable[Atoms]]:
    """Structures by the name of their list."""
    table = set(known())
    found: list[Atoms] = []
    for prefix, source in (("mp", "Materials Project"), ("wbm", "WBM")):
        for path in sorted(published.glob(f"{prefix}-*.json.gz")) if published else ():
            found += crystals.read_published(path, source)
    chosen = crystals.chosen(found, 700, table - GASES, without=frozenset())
    return {
        "trial-hydrides": trials.hydrides("symmetric"),
        "trial-crystals": trials.crystals(),
        "trial-molecules": trials.molecules(),
        "trial-distorted": trials.hydrides("distorted"),
        "hydrides-distorted": hydrides.binary_hydrides("distorted"),
        "hydrides-symmetric": hydrides.binary_hydrides("symmetric"),
        "crystals": chosen,
        "crystals-distorted": crystals.distorted_crystals(chosen),
        "molecules": molecules.molecules(table),
        "single-atom": molecules.single_atom_hydrides(),
        "groups": molecules.pairs_of_groups(),
        "elements": crystals.elements(table - GASES),
        "ternary": ternary.ternary_hydrides(),
        "hot": ternary.hot_hydrides(),
        "helium": ternary.helium_mixtures(),
    }


def write_lists(folder: Path, published: Path | None) -> dict[tuple[str, str], int]:
    """Write every list by split; how many structures each has."""
    counts = {}
    for name, images in lists(published).items():
        by_split = defaultdict(list)
        for atoms in images:
            by_split[split_of(atoms)].append(atoms)
        for split, some in by_split.items():
            write(folder / f"{name}-{split}.extxyz", some)
            counts[name, split] = len(some)
    return counts


def sources(counts: dict[tuple[str, str], int]) -> list[dict]:
    """What is built, in order: held-out compounds first, then a part of every list in turn."""

    def part(name: str, split: str, kind: str, first: int, last: int) -> list[dict]:
        if first >= min(last, counts.get((name, split), 0)):
            return []
        where = {"path": f"lists/{name}-{split}.extxyz", "index": f"{first}:{last}"}
        return [{**where, "split": split, "kind": kind}]

    rows = []
    for name, kind in (("hydrides", "hydride"), ("crystals", "crystal"), ("molecules", "molecule"),
                       ("distorted", "distorted")):  # fmt: skip
        rows += part(f"trial-{name}", "test", kind, 0, 10**6)
    for turn in range(TURNS):
        for name, (kind, count) in KINDS.items():
            rows += part(name, "train", kind, turn * count, (turn + 1) * count)
        for name, (kind, _) in KINDS.items() if turn == 0 else ():
            for split in ("validation", "test"):
                rows += part(name, split, kind, 0, JUDGED.get(name, 4))
    return rows


def main(folder: Path, published: Path | None = None) -> None:
    (folder / "lists").mkdir(parents=True, exist_ok=True)
    build = {
        "structures": sources(write_lists(folder / "lists", published)),
        "engine": "espresso",
        "options": {"recipe": "many-elements"},
        "output": "store",
        "batch": "campaign",
        "density": True,
    }
    (folder / "build.yaml").write_text(yaml.safe_dump(build, sort_keys=False))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
