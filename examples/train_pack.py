"""A field network fitted to eight DFT labels, and a picture of how far that gets.

    python examples/train_pack.py [fit.png] [steps]

Labels are those shipped with the dense-hydrogen pack: frames of fluid hydrogen and crystals. One
fluid and one crystal are kept back. Half a minute of one core with the 200 steps of the default; the
shipped weights took over a hundred times as long and ten times as many labels.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

from ase_elf import ELFGrid
from ase_elf.dataset import read_labels
from ase_elf.domains import get_domain
from ase_elf.model import FieldModel
from ase_elf.model.network import Architecture
from ase_elf.training.evaluate import score_label
from ase_elf.training.fit import Fit, Recipe
from ase_elf.training.samples import Pool

SMALL = Architecture(elements=(1,), channels=(16, 12, 8), point_channels=(16, 8, 4), n_updates=1, hidden=48)


def main(picture: str = "fit.png", steps: int = 200) -> None:
    folder = Path(__file__).parents[1] / "plugins" / "dense_hydrogen" / "labels"
    fluids, crystals = (read_labels(folder, where={"batch": batch}) for batch in ("fluids", "crystals"))
    known, unknown = [*fluids[1:], *crystals[1:]], [fluids[0], crystals[0]]
    recipe = Recipe(
        steps=steps, decay_steps=steps // 2, warmup_steps=20, structures=2, points=256, pool=4096,
        checkpoint_every=max(1, steps // 10), average_over=max(1, steps // 20),
    )  # fmt: skip
    rng = np.random.default_rng(0)
    pools, held_out = ([Pool.draw(x, SMALL, 4096, rng) for x in some] for some in (known, unknown))
    with tempfile.TemporaryDirectory() as name:
        fit = Fit(Path(name), recipe, SMALL, pools, held_out)
        fit.run()
        log = [json.loads(line) for line in (Path(name) / "log.jsonl").open()]
    model = FieldModel(fit.result.requires_grad_(False).eval())
    for label in unknown:
        print(f"{label.name:32s} R² {score_label(model, label).r2:.3f}")
    draw(model, log, unknown[0], picture)
    print(f"see {picture}")


def draw(model: FieldModel, log: list[dict], label, picture: str) -> None:
    small = model.predict([label.atoms], [label.values.shape])[0].values
    shipped = get_domain("dense-hydrogen").load()
    full = shipped.predict([label.atoms], [label.values.shape])[0].values
    figure, axes = plt.subplots(2, 3, figsize=(13.5, 7.6), layout="constrained")
    planes = (("DFT", label.values), ("fitted here", small), ("shipped weights", full))
    for ax, (title, values) in zip(axes[0], planes, strict=True):
        ELFGrid(values, label.atoms).plot(ax, normal=2, at=0.5)
        ax.set_title(title)
    for ax, (title, values) in zip(axes[1], planes[1:], strict=False):
        error = np.std(values - label.values)
        ax.hexbin(label.values.ravel(), values.ravel(), gridsize=60, bins="log", cmap="Blues",
                  extent=(0, 1, 0, 1))  # fmt: skip
        ax.plot([0, 1], [0, 1], color="#c8502d", lw=0.8)
        ax.set(xlabel="ELF from DFT", ylabel=f"ELF, {title}", title=f"rms error {error:.3f}",
               aspect="equal")  # fmt: skip
    right = axes[1, 2]
    right.semilogy([e["step"] for e in log], [e["train"]["rmse"] for e in log], label="training")
    names = log[0]["validation"]
    for name in names:
        right.semilogy([e["step"] for e in log], [e["validation"][name]["rmse"] for e in log], label=name)
    right.set(xlabel="step", ylabel="rms error of ELF", title="learning, kept back: two structures")
    right.legend(fontsize=8)
    figure.savefig(picture, dpi=110)


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(int, sys.argv[2:3]))
