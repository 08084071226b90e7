"""A ruler for C-C bonds, from single to triple: fitted in seconds, ends in carbon-ruler.png.

    python examples/carbon_ruler.py [PICTURE]

Reads the label store `examples/carbon-labels`: images of the C-C bonds of twenty hydrocarbons, at rest and
with every atom displaced at random, made by `ase-elf dataset build` with CP2K (docs/ruler.md
has the configuration). It is fitted to molecules with localized bonds and then reads others,
among them butadiene and benzene: conjugated bonds, whose electrons are not where those of a
localized bond of that length are.
"""

import sys
from pathlib import Path

import numpy as np
import torch

from ase_elf.dataset.source import LabelSource
from ase_elf.plotting.figure import new_axis
from ase_elf.ruler import ImageSpec
from ase_elf.training.reading import ReadingRecipe
from ase_elf.training.ruler import RulerConfig, divide, fit_ruler, gather, score

HERE = Path(__file__).resolve().parent

CONFIG = RulerConfig(
    pair="C-C",
    cutoff=1.75,
    pack=Path(),
    image=ImageSpec(16, 0.8, 1.4, (0, 1), (0.35, 0.35)),
    labels=(LabelSource(HERE / "carbon-labels"),),
    validation=("C3H6_Cs", "2-butyne", "isobutene"),
    test=("C3H4_C3v", "trans-butane", "cyclobutene", "butadiene", "C6H6"),
    recipe=ReadingRecipe(members=3, epochs=120, batch=16),
)

CONJUGATED = ("butadiene", "C6H6")


def main(picture: str = "carbon-ruler.png") -> None:
    torch.set_num_threads(1)
    parts = divide(gather(CONFIG), CONFIG)
    ruler = fit_ruler(CONFIG, parts)
    conjugated = np.isin(parts.test.group, CONJUGATED)
    print(f"{len(parts.train)} bonds fitted; of other molecules")
    for name, chosen in (("localized", ~conjugated), ("conjugated", conjugated)):
        row = score(ruler, parts.test[chosen], {})
        print(f"{name:10s} {row['n']} bonds: mae {row['mae']:.4f} Å, reading less length "
              f"{row['bias']:+.4f} Å, spread of the lengths {row['spread']:.4f} Å")  # fmt: skip

    length, error = ruler.read(parts.test.shown(ruler.spec))
    axis = new_axis(None, (4.8, 4.4))
    for molecule in CONFIG.test:
        mine = parts.test.group == molecule
        true = parts.test.length[mine]
        axis.errorbar(true, length[mine], error[mine], fmt="o", ms=4, label=molecule)
    ends = np.array([parts.test.length.min(), parts.test.length.max()])
    axis.plot(ends, ends, color="black", lw=0.8)
    axis.set(xlabel="C-C bond length (Å)", ylabel="length read off the ELF (Å)")
    axis.legend(fontsize=8)
    axis.figure.savefig(picture)
    print(f"picture in {picture}")


if __name__ == "__main__":
    main(*sys.argv[1:])
