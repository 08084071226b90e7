"""How well DFT finds its own attractors and bonds again: with another cutoff, and after rounding.

    OMP_NUM_THREADS=1 python benchmarks/label_ceiling.py [--labels DIR] [--batch NAME ...] [--cutoff 110]
        [--cutoff-of NAME ...] [--folder DIR]

The test labels of molecular hydrogen at r_s 1.85 and more are computed once more by their own recipe, and
those of --cutoff-of with a higher cutoff of plane waves (Ry); grids stay in --folder, so that a run that
was stopped goes on. Critical points of persistence above 0.01 that the recipe gives before any rounding
are what is to be found within 0.05 Å: by the same in 16 bits, as labels were kept, by every second point of
the grid, by the higher cutoff, and by the shipped field model; recall and precision. Needs Quantum ESPRESSO; some two
minutes per grid of 64 atoms, five at 110 Ry.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from ase_elf.dataset import LabelStore  # noqa: E402
from ase_elf.dataset.label import Label  # noqa: E402
from ase_elf.domains import get_domain  # noqa: E402
from ase_elf.grid import ELFGrid  # noqa: E402
from ase_elf.reference import get_engine  # noqa: E402
from ase_elf.storage.quantization import coarse, restored  # noqa: E402
from ase_elf.training.matching import Match, match_critical_points, total  # noqa: E402

LABELS = ROOT / "plugins" / "dense_hydrogen" / "labels"
BATCH = "molecular-64"
KINDS = ("attractor", "bond")


def computed(label: Label, options: dict, path: Path) -> ELFGrid:
    """The ELF of a label's structure by DFT, or from ``path`` where it was computed before."""
    if not path.is_file():
        print(f"{path.stem} ...", file=sys.stderr, flush=True)
        values = get_engine("espresso", **options).compute(label.atoms).grid.values
        part = path.with_suffix(".part.npz")
        np.savez(part, values=values)
        part.replace(path)
    with np.load(path) as stored:
        return ELFGrid(stored["values"], label.atoms)


def halved(grid: ELFGrid) -> ELFGrid | None:
    """Every second point along each lattice vector; None where their number is odd."""
    if any(n % 2 for n in grid.shape):
        return None
    return ELFGrid(grid.values[::2, ::2, ::2].copy(), grid.atoms)


def row(name: str, matches: dict[str, list[Match]]) -> str:
    """Recall and precision, of attractors and of bonds, by what was asked to find them."""
    cells = []
    for found in matches.values():
        for kind in KINDS:
            match = total([m for m in found if m.kind == kind]) if found else None
            cells.append(f"{match.recall:.3f}, {match.precision:.3f}" if match else "–")
    return f"| {name} | " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labels", type=Path, default=LABELS)
    parser.add_argument("--batch", nargs="*", default=[BATCH])
    parser.add_argument("--cutoff", type=float, default=110.0)
    parser.add_argument("--cutoff-of", nargs="*", help="Names of labels; all of them by default.")
    parser.add_argument("--folder", type=Path, default=ROOT / "scratch" / "label-ceiling")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    model = get_domain("dense-hydrogen").load()
    columns = ("in 16 bits", "every second point", f"{given.cutoff:g} Ry", "model")
    print("| structure | " + " | ".join(f"{c}: {k}s" for c in columns for k in KINDS) + " |")
    print("|---" * (1 + len(columns) * len(KINDS)) + "|")
    everything: dict[str, list[Match]] = {column: [] for column in columns}
    store = LabelStore(given.labels)
    for batch in given.batch:
        options = store.batches[batch]["options"]
        for label in sorted(store.select("test", where={"batch": batch}), key=lambda one: one.name):
            exact = computed(label, options, given.folder / f"{label.name}.npz")
            rounded = ELFGrid(restored(coarse(exact.values)), label.atoms)
            predicted = model.predict([label.atoms], [exact.values.shape])[0].values
            found = (rounded, halved(exact), None, ELFGrid(predicted, label.atoms))
            finders = dict(zip(columns, found, strict=True))
            if given.cutoff_of is None or label.name in given.cutoff_of:
                path = given.folder / f"{label.name}-{given.cutoff:g}.npz"
                finders[columns[2]] = computed(label, options | {"ecutwfc": given.cutoff}, path)
            here = {
                column: list(match_critical_points(exact, field).values()) if field else []
                for column, field in finders.items()
            }
            print(row(label.name, here), flush=True)
            for column, matches in here.items():
                everything[column] += matches
    print(row("all", everything))


if __name__ == "__main__":
    main()
