"""Does choosing frames by the model's uncertainty lower the error outside its range?

A small network is fitted to hydrogen fluids of r_s above 1.45 bohr and then meets fluids
below 1.30. Of the labelled frames there, four are added: those `select_frames` picks, or
four at random (two draws). Each is fitted from scratch, with the same number of steps.

    python benchmarks/active_learning.py ../shared/data/hydrogen/labels [--steps 1500]

Printed: rmse and R² on test fluids outside and inside the first range, that nobody trained on.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from ase_elf.dataset import read_labels, select_frames
from ase_elf.domains import describe
from ase_elf.model import Architecture, FieldModel
from ase_elf.training.fit import Fit, Recipe, score
from ase_elf.training.samples import Pool

ARCHITECTURE = Architecture(
    (1,), cutoff=6.0, channels=(16, 12, 8, 6, 4), point_channels=(16, 12, 8, 6, 4),
    n_updates=1, hidden=64,
)  # fmt: skip


def r_s(label):
    return describe(label.atoms)["r_s_bohr"]


def fitted(labels, recipe):
    rng = np.random.default_rng(recipe.seed)
    pools = [Pool.draw(label, ARCHITECTURE, recipe.pool, rng) for label in labels]
    with tempfile.TemporaryDirectory() as folder:
        fit = Fit(Path(folder), recipe, ARCHITECTURE, pools, [])
        fit.run()
    return fit.network.eval()


def report(name, network, tests, started):
    row = f"{name:22s}"
    for pools in tests:
        scores = score(network, pools, 2048).values()
        rmse, r2 = (np.array([s[key] for s in scores]) for key in ("rmse", "r2"))
        row += f" {rmse.mean():8.4f} {r2.min():8.4f}"
    print(f"{row} {time.monotonic() - started:8.0f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--count", type=int, default=4)
    arguments = parser.parse_args()
    steps = arguments.steps
    recipe = Recipe(
        steps=steps, decay_steps=steps // 3, warmup_steps=100, points=256, pool=4096,
        checkpoint_every=10**9,
    )  # fmt: skip
    fluids = [x for x in read_labels(arguments.labels, "train") if x.kind == "fluid"]
    inside = [x for x in fluids if r_s(x) > 1.45][:16]
    outside = [x for x in fluids if r_s(x) < 1.30]
    held_out = [x for x in read_labels(arguments.labels, "test") if x.kind == "fluid"]
    rng = np.random.default_rng(1)
    tests = [
        [Pool.draw(x, ARCHITECTURE, 2048, rng) for x in held_out if condition(r_s(x))]
        for condition in (lambda r: r < 1.30, lambda r: r > 1.45)
    ]
    print(
        f"{len(inside)} fluids first, {len(outside)} to choose from; tested on "
        f"{len(tests[0])} outside, {len(tests[1])} inside; torch {torch.__version__}, "
        f"{torch.get_num_threads()} thread(s)\n{'trained on':22s}  outside: rmse, worst R²; "
        "inside: the same; seconds"
    )
    started = time.monotonic()
    first = fitted(inside, recipe)
    report("first range", first, tests, started)
    atoms = [x.atoms for x in outside]
    chosen = select_frames(
        atoms, FieldModel(first), arguments.count, labelled=[x.atoms for x in inside], n_points=256
    )
    print("chosen:", ", ".join(f"{outside[c.index].name} ({c.sigma:.3f})" for c in chosen))
    report("+ chosen", fitted(inside + [outside[c.index] for c in chosen], recipe), tests, started)
    for seed in (0, 1):
        drawn = np.random.default_rng(seed).choice(len(outside), arguments.count, replace=False)
        network = fitted(inside + [outside[i] for i in drawn], recipe)
        report(f"+ random, draw {seed}", network, tests, started)


if __name__ == "__main__":
    main()
