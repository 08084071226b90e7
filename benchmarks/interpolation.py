"""How well an ELF is recovered between grid points, by what is interpolated.

Each grid is thinned to every second (or third) point and interpolated back; the table gives
the rms error of ELF. Hydrogen labels and published grids are read from ``../shared/data``;
other files can be named instead:

    python benchmarks/interpolation.py [ELFCAR or cube files]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from ase import Atoms
from scipy.special import expit, logit

from ase_elf import ELFGrid, read_elf, spline

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
SQUEEZES = (0.0, 0.001, 0.03, 0.1)
EPSILONS = (1e-2, 1e-3, 1e-5)


def grids() -> dict[str, ELFGrid]:
    if sys.argv[1:]:
        return {Path(name).name: read_elf(name) for name in sys.argv[1:]}
    out = {}
    for name in ("fluid-gen8-100", "crystal-H-H-C2c-24-I"):
        label = np.load(DATA / "hydrogen/labels" / f"{name}.npz")
        atoms = Atoms(f"H{len(label['pos'])}", cell=label["cell"], pbc=True)
        out[name] = ELFGrid(label["elf"] / 65535, atoms)
    for name in ("H3S-qe.cube", "CaYH18-qe.cube"):
        out[name] = read_elf(DATA / "tcestime" / name)
    return out


def rms(field: np.ndarray, truth: np.ndarray) -> float:
    return float(np.sqrt(np.mean((field - truth) ** 2)))


def main() -> None:
    columns = ["ELF", *(f"s={s:g}" for s in SQUEEZES), *(f"FFT e={e:g}" for e in EPSILONS)]
    print(f"{'':24s}" + "".join(f"{c:>12s}" for c in columns))
    for name, grid in grids().items():
        step = 2 if not any(n % 2 for n in grid.shape) else 3
        thin = grid.values[::step, ::step, ::step].astype(float)
        axes = [np.arange(n) / n for n in grid.shape]
        points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)

        def splined(field, points=points, grid=grid):
            return spline.evaluate(spline.coefficients(field), points).reshape(grid.shape)

        errors = [rms(splined(thin), grid.values)]
        for s in SQUEEZES:
            low = max(s, 1e-6)
            z = splined(logit(low + (1 - 2 * low) * thin))
            errors.append(rms((expit(z) - low) / (1 - 2 * low), grid.values))
        coarse = ELFGrid(thin, grid.atoms)
        for e in EPSILONS:
            errors.append(rms(coarse.resample(grid.shape, epsilon=e).values, grid.values))
        print(f"{name[:20]:20s} 1/{step} " + "".join(f"{e:12.5f}" for e in errors))


if __name__ == "__main__":
    main()
