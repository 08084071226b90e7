"""The table of `docs/many-elements.md`: the pack many-elements on compounds it was not trained on.

    python benchmarks/many_elements.py [--unseen WEIGHTS] [--features FOLDER] [--no-grids] [--no-time]

WEIGHTS are those of a fit without the elements Y, Se, Ga, Nb and Ba (`plugins/many_elements/unseen.yaml`), a file
of `ase_elf.model.save_network` or the checkpoint of a run. All else is in the repository. Baselines: the ELF of
one-shot orbitals as it is, and a pointwise network (64-64) that gets superposed atomic densities alone, fitted here
to the same labels. Some ten minutes on one core.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from ase import Atoms
from ase_elf_many_elements.splits import HEADLINE, reduced_formula

from ase_elf import ELFCalculator, ELFGrid
from ase_elf.dataset import Label, LabelStore, read_labels
from ase_elf.domains import Domain, get_domain
from ase_elf.grid import cartesian, fast_shape
from ase_elf.model import FieldModel
from ase_elf.model.neighbors import nearest_core
from ase_elf.model.network import head
from ase_elf.prediction import Predictor
from ase_elf.topology import networking
from ase_elf.training.bonding_class import CLASSES as BONDING_CLASSES
from ase_elf.training.bonding_class import bonding_class
from ase_elf.training.config import TrainConfig
from ase_elf.training.fit import Fit
from ase_elf.training.kept_features import KeptFeatures
from ase_elf.training.matching import PERSISTENCE, Match, match_critical_points, total
from ase_elf.training.region import Region, points_of
from ase_elf.training.run import drawn, training_labels

PLUGINS = Path(__file__).resolve().parents[1] / "plugins"
LABELS = PLUGINS / "many_elements" / "labels"
REGION = Region(core=0.7, density=1e-3)
GROUPS = ("huckel", "one-shot", "atoms")
ONE_SHOT_Z, OF_ATOMS = 4, slice(8, 16)
"""Columns of `ase_elf.model.minimal_basis.NAMES`."""

CLASSES = {
    "hydrides": ("hydride",),
    "displaced and strained hydrides": ("distorted", "hot"),
    "ternary hydrides": ("ternary",),
    "H-He mixtures": ("helium",),
    "crystals without H": ("crystal", "distorted-crystal"),
    "molecules": ("molecule",),
}
"""Kinds of labels by the row of the table they are in."""

REACH = 0.1
"""Å. A bond critical point so close to one of the label is found."""

SEMICORE = 1.0
"""Å. Closer to a nucleus lie shells of semicore electrons, on which the ELF is so flat that an error
of 0.01 makes and removes critical points."""

COARSE = 0.25
"""Å, of grids that are made to see whether a structure is flagged."""

STEPS = 2000
"""Of fits to some of the labels."""

MOST = 4000
"""Points of a grid that are compared."""


@dataclass(frozen=True)
class Row:
    """A structure: R² and rms error of a prediction, how many errors are below σ, and whether it was flagged."""

    label: Label
    r2: float
    rmse: float
    coverage: float = np.nan
    flagged: bool = False
    distance: float = np.nan


def thin(label: Label) -> tuple[np.ndarray, np.ndarray]:
    """Points (Å) of a label that count, and ELF there."""
    inside = REGION.of(label).ravel()
    rows = np.flatnonzero(inside)
    if len(rows) > MOST:
        rows = np.random.default_rng(len(rows)).choice(rows, MOST, replace=False)
    return points_of(label)[rows], label.values.ravel()[rows].astype(float)


def errors(label: Label, truth: np.ndarray, found: np.ndarray) -> Row:
    error = found - truth
    return Row(label, 1 - (error**2).mean() / truth.var(), float(np.sqrt((error**2).mean())))


def by_model(label: Label, model: FieldModel, predictor: Predictor | None) -> Row:
    points, truth = thin(label)
    prediction = model.predict_points(label.atoms, points)
    row = errors(label, truth, prediction.values)
    inside = np.abs(prediction.values - truth) < prediction.sigma
    reasons = []
    if predictor:  # As a user gets them, with a grid.
        (grid,) = predictor.grids([label.atoms], predictor.shapes([label.atoms], spacing=COARSE))
        reasons = grid.info["out_of_domain"]
    return Row(label, row.r2, row.rmse, float(inside.mean()), bool(reasons), prediction.distance or np.nan)


def told(label: Label, features: KeptFeatures) -> torch.Tensor:
    """Orbital features at the points that :func:`thin` gives; of labels at points those that fits keep."""
    if label.points is None:
        return features(label.atoms, thin(label)[0], GROUPS)
    return features(label.atoms, label.points, GROUPS)[torch.from_numpy(REGION.of(label))]


def by_one_shot(label: Label, features: KeptFeatures) -> Row:
    z = told(label, features)[:, ONE_SHOT_Z]
    return errors(label, thin(label)[1], torch.sigmoid(z).numpy())


class OfAtoms:
    """A pointwise network that knows superposed densities of atoms and nothing else."""

    def __init__(self, labels: list[Label], features: KeptFeatures, steps: int = 4000) -> None:
        torch.manual_seed(0)
        self.features = features
        x = torch.cat([told(label, features)[:, OF_ATOMS] for label in labels])
        y = torch.cat([torch.from_numpy(thin(label)[1]).float() for label in labels])
        self.mean, self.spread = x.mean(0), x.std(0) + 1e-6
        self.network = head(x.shape[1], 64, 1)
        optimiser = torch.optim.Adam(self.network.parameters(), 3e-3)
        for step in range(steps):
            optimiser.param_groups[0]["lr"] = 3e-3 * (1 - step / steps)
            rows = torch.randint(len(x), (2048,))
            optimiser.zero_grad()
            ((self.elf(x[rows]) - y[rows]) ** 2).mean().backward()
            optimiser.step()

    def elf(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.network((x - self.mean) / self.spread)[:, 0])

    @torch.no_grad()
    def __call__(self, label: Label) -> Row:
        found = self.elf(told(label, self.features)[:, OF_ATOMS])
        return errors(label, thin(label)[1], found.numpy())


def of_class(rows: Iterable[Row], name: str) -> list[Row]:
    return [row for row in rows if row.label.kind in CLASSES[name]]


def table(title: str, rows: list[Row]) -> None:
    """R², rms error and coverage by class."""
    print(
        f"\n{title}\n\n| | structures | R² median | 10 % are below | rms median | 90 % are below | 1σ covers |"
    )
    print("|---|---|---|---|---|---|---|")
    for name in CLASSES:
        if some := of_class(rows, name):
            r2, rmse = np.array([row.r2 for row in some]), np.array([row.rmse for row in some])
            numbers = [np.median(r2), np.quantile(r2, 0.1), np.median(rmse), np.quantile(rmse, 0.9)]
            covers = np.mean([row.coverage for row in some])
            cells = [*(f"{number:.4f}" for number in numbers), "" if np.isnan(covers) else f"{covers:.2f}"]
            print(f"| {name} | {len(some)} | " + " | ".join(cells) + " |")


def flags(rows: list[Row]) -> None:
    bad = [row for row in rows if row.r2 < 0.9]
    print(f"\nflagged: {sum(row.flagged for row in bad)} of {len(bad)} structures with R² < 0.9; "
          f"{sum(row.flagged for row in rows)} of all {len(rows)}")  # fmt: skip
    for row in sorted(rows, key=lambda row: row.r2)[:12]:
        print(f"  {row.label.name:40} {row.label.kind:10} R² {row.r2:.4f} distance {row.distance:.2f}"
              f"{' flagged' if row.flagged else ''}")  # fmt: skip


def by_bonding(rows: list[Row]) -> None:
    found = defaultdict(list)
    for row in rows:
        found[bonding_class(row.label.atoms)].append(row)
    print("\n| | structures | R² median | rms median | 90 % are below |\n|---|---|---|---|---|")
    for name in BONDING_CLASSES:
        if some := found[name]:
            rmse = [row.rmse for row in some]
            numbers = np.median([row.r2 for row in some]), np.median(rmse), np.quantile(rmse, 0.9)
            print(f"| {name} | {len(some)} | " + " | ".join(f"{number:.4f}" for number in numbers) + " |")


def by_element(rows: list[Row]) -> None:
    found = defaultdict(list)
    for row in rows:
        for element in set(row.label.atoms.symbols) - {"H"}:
            found[element].append(row.rmse)
    worst = sorted(found.items(), key=lambda item: -np.median(item[1]))
    print(
        "\nrms error by element, median: " + ", ".join(f"{e} {np.median(v):.3f} ({len(v)})" for e, v in worst)
    )


def bond_points(pair: Sequence[ELFGrid], core: float) -> Match:
    """Bond critical points of a prediction and its label, farther than ``core`` (Å) from nuclei but hydrogen."""
    mine, true = pair

    def outside(positions: np.ndarray) -> np.ndarray:
        return nearest_core(true.atoms, positions, core) >= core

    return match_critical_points(true, mine, reach=REACH, where=outside)["bond"]


def grids(labels: list[Label], model: FieldModel) -> None:
    """φ, φ* and bond critical points outside cores, of whole grids."""
    wrong, points = defaultdict(list), defaultdict(list)
    print("\n| | φ | DFT | φ* | DFT |\n|---|---|---|---|---|")
    for label in labels:
        values = model.predict([label.atoms], [label.values.shape], sigma=False)[0].values
        pair = [ELFGrid(values, label.atoms), label.grid]
        nets = [networking(grid) for grid in pair]
        numbers = [getattr(net, name) for name in ("phi", "phi_star") for net in nets]
        print(f"| {label.name} | " + " | ".join(f"{number:.3f}" for number in numbers) + " |")
        for name in ("phi", "phi_star"):
            wrong[name].append(abs(getattr(nets[0], name) - getattr(nets[1], name)))
        for core in (REGION.core, SEMICORE):
            points[core].append(bond_points(pair, core))
    for name, errors in wrong.items():
        errors = np.array(errors)[np.isfinite(errors)]
        print(f"{name}: {len(errors)} structures, mean absolute error {errors.mean():.4f}, 90 % within "
              f"{np.quantile(errors, 0.9):.4f}, largest {errors.max():.4f}")  # fmt: skip
    for core, matches in points.items():
        of = total(matches)
        print(f"bond critical points farther than {core} Å from nuclei but H, within {REACH} Å: found "
              f"{of.found / of.reference:.3f} of {of.reference}, confirmed {of.confirmed / of.predicted:.3f} of "
              f"{of.predicted}; both above {PERSISTENCE}: "
              f"recall {of.recall:.3f}, precision {of.precision:.3f}")  # fmt: skip


def pure_hydrogen(domain: Domain) -> None:
    """Against the pack dense-hydrogen, on its test structures."""
    other, model = get_domain("dense-hydrogen").load(device="cpu"), domain.load(device="cpu")
    apart = defaultdict(list)
    for label in read_labels(PLUGINS / "dense_hydrogen" / "labels", "test"):
        points = cartesian(label.atoms.cell.array, (14, 14, 14)).reshape(-1, 3)
        pair = [each.predict_points(label.atoms, points, sigma=False).values for each in (model, other)]
        apart[label.kind].append(np.sqrt(np.mean((pair[0] - pair[1]) ** 2)))
    print("\npure hydrogen, rms difference from dense-hydrogen: " + ", ".join(
        f"{kind} {np.median(v):.4f} (largest {max(v):.4f} of {len(v)})" for kind, v in apart.items()))  # fmt: skip


def seconds(labels: list[Label]) -> None:
    """From Atoms to a grid of 0.1 Å, on one thread."""
    calculator, taken = ELFCalculator(domain="many-elements", device="cpu"), []
    rng = np.random.default_rng(0)
    calculator.get_elf(labels[0].atoms)
    for label in [one for one in labels if len(one.atoms) <= 12][::4]:
        atoms = label.atoms.copy()
        atoms.positions += rng.normal(0, 0.01, (len(atoms), 3))
        start = time.perf_counter()
        calculator.get_elf(atoms, shape=fast_shape(atoms.cell.array, 0.1))
        taken.append(time.perf_counter() - start)
    print(f"\ntime at 0.1 Å, {len(taken)} structures of at most 12 atoms: median {np.median(taken):.2f} s, "
          f"90 % below {np.quantile(taken, 0.9):.2f} s")  # fmt: skip
    from ase.spacegroup import crystal

    places = [(0.5, 0.5, 0.5), (0.25, 0.25, 0.25), (0.12, 0.12, 0.12)]
    atoms = crystal(["La", "H", "H"], places, spacegroup=225, cellpar=[5.1] * 3 + [90] * 3).repeat(2)
    atoms.positions += rng.normal(0, 0.03, (len(atoms), 3))
    start = time.perf_counter()
    calculator.get_elf(Atoms(atoms), shape=fast_shape(atoms.cell.array, 0.1))
    print(f"LaH10 of {len(atoms)} atoms: {time.perf_counter() - start:.1f} s")


def curve(counts: list[int], folder: Path, features: KeptFeatures) -> None:
    """Accuracy against the number of labels: fits of :data:`STEPS` steps to some of the compounds, drawn at random."""
    settings = TrainConfig.read(PLUGINS / "many_elements" / "train.yaml")
    recipe = replace(settings.recipe, steps=STEPS, decay_steps=2 * STEPS // 3)
    labels = training_labels(settings)
    formulas = np.random.default_rng(0).permutation(
        sorted({reduced_formula(label.atoms) for label in labels})
    )
    place = {formula: number for number, formula in enumerate(formulas)}
    labels.sort(key=lambda label: place[reduced_formula(label.atoms)])
    test = [label for label in LabelStore(LABELS) if label.split == "test"]
    rng = np.random.default_rng(recipe.seed)
    pools = [drawn(label, settings.architecture, recipe, rng, features, settings.scored) for label in labels]
    for count in counts:
        fit = Fit(folder / str(count), recipe, settings.architecture, pools[:count], [])
        fit.run()
        model = FieldModel(fit.result.requires_grad_(False).eval())
        table(
            f"{min(count, len(pools))} labels, {STEPS} steps",
            [by_model(label, model, None) for label in test],
        )


def unseen_model(path: Path, settings: TrainConfig) -> FieldModel:
    from ase_elf.model import FieldNetwork
    from ase_elf.model.weights import load_network

    if path.suffix != ".pt":
        return FieldModel(load_network(path))
    network = FieldNetwork(settings.architecture)
    state = torch.load(path, weights_only=True)["average"]
    network.load_state_dict(
        {k.removeprefix("module."): v for k, v in state.items() if k.startswith("module.")}
    )
    return FieldModel(network.requires_grad_(False).eval())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--unseen", type=Path)
    parser.add_argument("--features", type=Path, help="folder where orbital features are kept")
    parser.add_argument("--no-grids", action="store_true")
    parser.add_argument("--no-time", action="store_true")
    parser.add_argument("--no-baselines", action="store_true")
    parser.add_argument(
        "--curve", type=int, nargs="+", help="numbers of labels to fit to; makes nothing else"
    )
    parser.add_argument("--fits", type=Path, default=Path("scratch/curve"), help="folder of these fits")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.curve:
        curve(options.curve, options.fits, KeptFeatures(options.features))
        return
    features, domain = KeptFeatures(options.features), get_domain("many-elements")
    model, labels = domain.load(device="cpu"), list(LabelStore(LABELS))
    test = [label for label in labels if label.split == "test"]
    predictor = Predictor(domain, "cpu")
    rows = [by_model(label, model, predictor) for label in test]
    table("Compounds never trained on", rows)
    flags(rows)
    by_element(rows)
    by_bonding(rows)
    if not options.no_baselines:
        table("One-shot orbitals as they are", [by_one_shot(label, features) for label in test])
        train = [label for label in labels if label.split == "train"]
        of_atoms = OfAtoms(train, features)
        table("Superposed atoms alone", [of_atoms(label) for label in test])
    if options.unseen:
        other = unseen_model(options.unseen, TrainConfig.read(PLUGINS / "many_elements" / "unseen.yaml"))
        unseen = [label for label in labels if set(label.atoms.symbols) & HEADLINE]
        table(
            "Elements never trained on: Y, Se, Ga, Nb, Ba", [by_model(label, other, None) for label in unseen]
        )
        if not options.no_grids:
            grids([one for one in unseen if one.kind == "hydride" and one.points is None], other)
    if not options.no_grids:
        grids([label for label in test if label.kind == "hydride" and label.points is None], model)
    pure_hydrogen(domain)
    if not options.no_time:
        seconds(test)


if __name__ == "__main__":
    main()
