"""Accuracy and speed of the field model beside two other kinds of network.

    OMP_NUM_THREADS=1 python benchmarks/peers.py [--minutes 10] [--labels DIR] [--figure PNG]

The field model, a message-passing network with the points as nodes of its graph (after
DeepDFT), and a convolution on superposed atomic densities, each made from scratch and fitted
for the same processor time to the same fluids, then judged on validation fluids nobody saw.
R² is per structure, on the same random grid points for all; speed is processor time of one
thread, structure in, values out, for a grid of 128 atoms. Peers are written from their
papers and are small, so that they can be fitted in minutes; their published versions are
larger and slower. Rates were not tuned per network beyond what is listed here.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from ase.units import Bohr
from torch import nn

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT), str(HERE)]

from peer_models.convolution import Convolution, superposed, turned  # noqa: E402
from peer_models.probe_network import ProbeNetwork  # noqa: E402

from ase_elf.dataset import read_labels  # noqa: E402
from ase_elf.dataset.label import Label  # noqa: E402
from ase_elf.errors import InputError  # noqa: E402
from ase_elf.model import Architecture, FieldModel, FieldNetwork  # noqa: E402
from ase_elf.model.field_model import native_shape, upsample  # noqa: E402
from ase_elf.training.config import TrainConfig  # noqa: E402
from ase_elf.training.fit import losses, objective, standardise  # noqa: E402
from ase_elf.training.samples import Pool  # noqa: E402

LABELS = ROOT.parent / "shared" / "data" / "hydrogen" / "labels"
SHIPPED = ROOT / "plugins" / "dense_hydrogen" / "train.yaml"
"""Where the architecture of the field model is from."""

CONVOLUTION_SPACING = 0.40
"""bohr. A finer grid would cost the convolution steps it needs more."""

Z_BOUND = 7.0
"""Largest magnitude of a target z: 0.001 from an ELF of 0 or 1."""


@dataclass(frozen=True)
class Pace:
    """How a network is fitted.

    Parameters
    ----------
    rate : float
        Of AdamW at the start; falls to zero in the second half of the time.
    structures, points : int
        Per step.
    """

    rate: float
    structures: int
    points: int


class Contender:
    """One kind of network: what a step of its training is, and what it predicts."""

    name: str
    pace: Pace
    network: nn.Module

    def prepare(self, labels: list[Label], rng: np.random.Generator) -> None:
        """Whatever can be worked out from the training labels once."""
        raise NotImplementedError

    def loss(self, rng: np.random.Generator) -> torch.Tensor:
        """Of one random structure."""
        raise NotImplementedError

    def values(self, label: Label, chosen: np.ndarray) -> np.ndarray:
        """ELF at flat indices ``chosen`` of the grid of a label."""
        raise NotImplementedError


class Ours(Contender):
    """The field model of this package."""

    name, pace = "field model", Pace(3e-3, 2, 512)

    def __init__(self, elements: tuple[int, ...], **shape) -> None:
        self.network = FieldNetwork(Architecture(elements, **shape))
        self.model = FieldModel(self.network)  # one, which keeps what belongs to a cell

    def prepare(self, labels: list[Label], rng: np.random.Generator) -> None:
        self.pools = [Pool.draw(label, self.network.arch, 8192, rng) for label in labels]
        standardise(self.network, self.pools[:: max(1, len(self.pools) // 24)])

    def loss(self, rng: np.random.Generator) -> torch.Tensor:
        pool = self.pools[rng.integers(len(self.pools))]
        rows = torch.from_numpy(rng.integers(0, len(pool.target), self.pace.points))
        return objective(
            *losses(self.network, pool.atoms("cpu"), pool.rows(rows), pool.target[rows], pool.highest)
        )

    def values(self, label: Label, chosen: np.ndarray) -> np.ndarray:
        prediction = self.model.predict([label.atoms], [label.values.shape])[0]
        return prediction.values.ravel()[chosen]


class Probes(Contender):
    """Message passing with the points of space as nodes."""

    name, pace = "probe network", Pace(3e-3, 2, 256)

    def __init__(self, elements: tuple[int, ...], **shape) -> None:
        self.elements, self.network = elements, ProbeNetwork(elements, **shape)

    def prepare(self, labels: list[Label], rng: np.random.Generator) -> None:
        like = Architecture(self.elements, cutoff=self.network.cutoff)
        self.pools = [Pool.draw(label, like, 8192, rng) for label in labels]

    def loss(self, rng: np.random.Generator) -> torch.Tensor:
        pool = self.pools[rng.integers(len(self.pools))]
        rows = torch.from_numpy(rng.integers(0, len(pool.target), self.pace.points))
        index, vectors, _ = pool.rows(rows)
        states = self.network.atoms(pool.species, pool.atom_index, pool.atom_vectors)
        elf = torch.sigmoid(self.network.points(states, index, vectors))
        return 100 * ((elf - pool.target[rows]) ** 2).mean()

    def values(self, label: Label, chosen: np.ndarray) -> np.ndarray:
        atoms = label.atoms
        fractional = np.stack(np.unravel_index(chosen, label.values.shape), -1)
        cell = atoms.cell.array / Bohr
        points = fractional / label.values.shape @ cell
        species = torch.tensor([self.elements.index(z) for z in atoms.numbers])
        z = self.network.at(species, cell, atoms.positions / Bohr, points)
        return torch.sigmoid(z).numpy()


class Convolved(Contender):
    """Convolution on superposed densities; z on its grid is carried to the one asked for."""

    name, pace = "3D convolution", Pace(2e-3, 1, 0)

    def __init__(self, elements: tuple[int, ...], **shape) -> None:
        if len(elements) > 1:
            raise InputError("the convolution sums one kind of density; one element is needed.")
        self.network = Convolution(**shape)

    def prepare(self, labels: list[Label], rng: np.random.Generator) -> None:
        self.pairs = []
        for label in labels:
            shape = self._shape(label)
            coarse = label.grid.resample(shape).values
            self.pairs.append((self._densities(label, shape), torch.from_numpy(coarse.copy())))

    def loss(self, rng: np.random.Generator) -> torch.Tensor:
        densities, target = turned(*self.pairs[rng.integers(len(self.pairs))], rng)
        z = self.network(densities[None])[0]
        wanted = torch.logit(target).clamp(-Z_BOUND, Z_BOUND)
        # z fixes the scale far from ELF 1/2, where errors of ELF itself give no slope.
        return 100 * ((torch.sigmoid(z) - target) ** 2).mean() + 0.01 * ((z - wanted) ** 2).mean()

    @torch.no_grad()
    def values(self, label: Label, chosen: np.ndarray) -> np.ndarray:
        z = self.network(self._densities(label, self._shape(label))[None])[0]
        return torch.sigmoid(upsample(z, label.values.shape)).numpy().ravel()[chosen]

    @staticmethod
    def _shape(label: Label) -> tuple[int, int, int]:
        return native_shape(label.atoms.cell.array / Bohr, CONVOLUTION_SPACING)

    @staticmethod
    def _densities(label: Label, shape: tuple[int, int, int]) -> torch.Tensor:
        return superposed(label.atoms.cell.array / Bohr, label.atoms.positions / Bohr, shape)


def train(
    contender: Contender,
    labels: list[Label],
    seconds: float,
    seed: int,
    clock: Callable[[], float] = time.process_time,
) -> int:
    """Fit for a processor time, preparation not counted; returns the number of steps."""
    rng = np.random.default_rng(seed)
    contender.prepare(labels, rng)
    pace = contender.pace
    parameters = list(contender.network.parameters())
    optimiser = torch.optim.AdamW(parameters, lr=pace.rate, weight_decay=1e-3)
    started, steps = clock(), 0
    while (spent := clock() - started) < seconds:
        # The last half of the time lets the rate fall; the first steps let it rise.
        falling = min(1.0, 2 * (1 - spent / seconds))
        for group in optimiser.param_groups:
            group["lr"] = pace.rate * falling * min(1.0, (steps + 1) / 100)
        optimiser.zero_grad()
        for _ in range(pace.structures):
            (contender.loss(rng) / pace.structures).backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        steps += 1
    contender.network.requires_grad_(False).eval()
    return steps


def judge(contender: Contender, labels: list[Label], n_points: int) -> dict[str, float]:
    """R² and MAE per structure on the same random points for everybody."""
    r2, mae = [], []
    for number, label in enumerate(labels):
        rng = np.random.default_rng([1, number])
        chosen = rng.choice(label.values.size, min(n_points, label.values.size), replace=False)
        truth = label.values.ravel()[chosen].astype(float)
        error = contender.values(label, chosen) - truth
        r2.append(1 - (error**2).mean() / truth.var())
        mae.append(np.abs(error).mean())
    return {"r2": float(np.mean(r2)), "worst": float(np.min(r2)), "mae": float(np.mean(mae))}


def points_per_second(contender: Contender, label: Label, n_points: int, repeats: int) -> float:
    """Processor time of a whole grid, or of ``n_points`` where a grid is not computed as one."""
    whole = not isinstance(contender, Probes)
    size = label.values.size if whole else min(n_points, label.values.size)
    chosen = np.arange(size)
    contender.values(label, chosen)
    times = []
    for _ in range(repeats):
        started = time.process_time()
        contender.values(label, chosen)
        times.append(time.process_time() - started)
    return size / float(np.median(times))


def draw(rows: dict[str, dict], path: Path) -> None:
    """1 - R² against points per second; the better, the lower and the farther right."""
    from ase_elf.plotting.figure import COLORS, new_axis, style

    with style():
        ax = new_axis(None, (5.6, 3.8))
        for color, (name, row) in zip(COLORS, rows.items(), strict=False):
            ax.plot(row["speed"], 1 - row["r2"], "o", ms=8, color=color, label=name)
            ax.plot([row["speed"]] * 2, [1 - row["r2"], 1 - row["worst"]], color=color, lw=1)
        ax.set(xscale="log", yscale="log", xlabel="grid points per second and thread",
               ylabel="1 - R² on validation fluids\n(dot: mean, line: to the worst)")  # fmt: skip
        ax.legend()
        ax.figure.savefig(path, metadata={"Software": None})


CONTENDERS: dict[str, Callable[..., Contender]] = {
    "ours": Ours, "probes": Probes, "convolution": Convolved,
}  # fmt: skip


def shipped() -> dict:
    """The architecture of the shipped field model, but for its elements."""
    shape = TrainConfig.read(SHIPPED).architecture.to_dict()
    return {key: value for key, value in shape.items() if key != "elements"}


def main(arguments: list[str] | None = None) -> dict[str, dict]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="Of training, each.")
    parser.add_argument("--labels", type=Path, default=LABELS)
    parser.add_argument("--kind", default="fluid", help="Of the structures; cells must be boxes.")
    parser.add_argument("--points", type=int, default=4096, help="To judge by, per structure.")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--figure", type=Path, default=ROOT / "docs" / "images" / "peers.png")
    parser.add_argument("--only", nargs="*", choices=list(CONTENDERS), default=list(CONTENDERS))
    given = parser.parse_args(arguments)
    threads = torch.get_num_threads()
    print(f"{given.minutes:g} processor minutes of training each; {threads} thread(s); seed 0.\n")
    fitted, unseen = (
        [label for label in read_labels(given.labels, split) if label.kind == given.kind]
        for split in ("train", "validation")
    )
    if not fitted or not unseen:
        raise InputError(f"{given.labels} lacks training or validation labels of {given.kind!r}.")
    elements = tuple(sorted({int(z) for label in fitted for z in label.atoms.numbers}))
    print(f"{len(fitted)} structures to fit, {len(unseen)} to judge by.\n")
    print("| | parameters | steps | R², mean | worst | MAE | points/s |\n|---|---|---|---|---|---|---|")
    rows = {}
    for key in given.only:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            contender = CONTENDERS[key](elements, **(shipped() if key == "ours" else {}))
        steps = train(contender, fitted, 60 * given.minutes, seed=0)
        found = judge(contender, unseen, given.points)
        found["speed"] = points_per_second(contender, unseen[0], given.points, given.repeats)
        count = sum(p.numel() for p in contender.network.parameters())
        rows[contender.name] = found
        print(
            f"| {contender.name} | {count:,} | {steps} | {found['r2']:.4f} | {found['worst']:.4f} "
            f"| {found['mae']:.4f} | {found['speed']:,.0f} |",
            flush=True,
        )
    draw(rows, given.figure)
    return rows


if __name__ == "__main__":
    main()
