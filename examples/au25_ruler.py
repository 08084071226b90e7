"""Every S-Au bond of [Au25(SCH3)18]-, read off its ELF: ends in au25-ruler.png.

    python examples/au25_ruler.py [PICTURE]

The ELF is predicted from the geometry (an own GFN1-xTB one); with an ELFCAR or cube of your
own give `survey.add(grid.atoms, grid)` instead.
"""

import sys

import numpy as np
from matplotlib.figure import Figure

from ase_elf import ELFCalculator
from ase_elf.examples import au25
from ase_elf.report.ruler_plots import plot_readings
from ase_elf.ruler.survey import BondSurvey


def main(picture: str = "au25-ruler.png") -> None:
    survey = BondSurvey()
    survey.add(au25(), ELFCalculator())
    for label, row in survey.by_label().items():
        print(
            f"{label:9s} {row['bonds']:3d} bonds  length {row['length']:.3f} Å  "
            f"read {row['ruler_length']:.3f} Å  modes {row['mode']}"
        )

    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1, 1.5))
    plot_readings(survey, left.subplots())
    axes = right.subplots(1, len(survey.examples))
    for ax, (label, example) in zip(axes, sorted(survey.examples.items()), strict=True):
        edge = example.spec.half_width
        image = np.where(example.spec.blank, np.nan, example.image[0])
        shown = ax.imshow(image, origin="lower", extent=(-edge, edge, -edge, edge), vmin=0, vmax=1)
        ax.set(title=f"{label}\n{example.row['length']:.3f} Å", xlabel="Au → S (Å at 2.4 Å)")
    right.colorbar(shown, ax=axes, label="ELF", shrink=0.7)
    figure.savefig(picture, dpi=120)
    print(f"picture in {picture}")


if __name__ == "__main__":
    main(*sys.argv[1:])
