"""What of the field model pays: variants and numbers of labels, at equal steps.

    python benchmarks/ablations.py [CONFIG.yaml] [--only NAME ...] [--steps N] [--splits validation test]

The configuration names a `base`, a configuration of `ase-elf train` whose labels and architecture
all fits have, and variants that change parts of its architecture or recipe, or fit to the first
``train_labels`` of the training labels in a fixed random order, so that fewer labels are always
a part of more. A variant with ``as_many_parameters_as`` gets hidden layers wide enough for that.
Each is fitted in a folder of its own below ``output``, goes on there when it was interrupted, and
is scored on the validation labels, by which one may choose; test labels are for what is chosen. Other labels
judge where the configuration names such `judges`. Where rows of the store `finer` refine a label, their values
are the judge. Prints Markdown. Hours,
with the default configuration; one line per variant and checkpoint goes to stderr meanwhile. ``--steps``
shortens fits, their decay and averaging in proportion; the warm-up stays.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from field_accuracy import better  # noqa: E402

from ase_elf.dataset import LabelSource  # noqa: E402
from ase_elf.dataset.label import digest  # noqa: E402
from ase_elf.errors import InputError, OutputError  # noqa: E402
from ase_elf.model import Architecture, FieldModel, FieldNetwork  # noqa: E402
from ase_elf.report.tables import write_json  # noqa: E402
from ase_elf.storage.configuration import checked, read_mapping  # noqa: E402
from ase_elf.training.config import TrainConfig  # noqa: E402
from ase_elf.training.evaluate import score_label  # noqa: E402
from ase_elf.training.fit import Fit, Recipe  # noqa: E402
from ase_elf.training.matching import total  # noqa: E402
from ase_elf.training.run import drawn, training_labels  # noqa: E402
from ase_elf.training.samples import Pool  # noqa: E402

DENSE = 1.25
"""bohr. Fluids below this r_s are those whose long waves are compared."""

VALIDATION_POINTS = 2048
"""Per structure, for the log of a fit; the table is made on full grids."""


@dataclass(frozen=True)
class Config:
    """The YAML file as it stands; paths start at its folder."""

    base: str
    output: str
    variants: dict
    recipe: dict = field(default_factory=dict)
    judges: list = field(default_factory=list)
    finer: dict | None = None


@dataclass(frozen=True)
class Variant:
    """One thing to fit."""

    name: str
    architecture: Architecture
    recipe: Recipe
    train_labels: int | None = None


@dataclass(frozen=True)
class Change:
    """What a variant changes, as it stands in YAML."""

    architecture: dict = field(default_factory=dict)
    recipe: dict = field(default_factory=dict)
    train_labels: int | None = None
    as_many_parameters_as: str | None = None


def shortened(config: Config, base: TrainConfig, steps: int) -> Config:
    """With fits of so many steps, in a folder of their own."""
    whole = {**asdict(base.recipe), **config.recipe}
    shorter = {
        key: max(1, round(whole[key] * steps / whole["steps"]))
        for key in ("steps", "decay_steps", "average_over")
    }
    return replace(config, recipe={**config.recipe, **shorter}, output=f"{config.output}/{steps}-steps")


def variants_of(config: Config, base: TrainConfig) -> list[Variant]:
    """All variants, hidden layers widened where one asks for as many parameters as another."""
    found: dict[str, Variant] = {}
    shape, pace = base.architecture.to_dict(), {**asdict(base.recipe), **config.recipe}
    for name, raw in config.variants.items():
        change = Change(**checked(Change, raw, f"variants.{name}."))
        architecture = Architecture.from_dict(
            checked(Architecture, {**shape, **change.architecture}, "architecture.")
        )
        recipe = Recipe(**checked(Recipe, {**pace, **change.recipe}, "recipe."))
        like = change.as_many_parameters_as
        if like is not None:
            if like not in found:
                raise InputError(
                    f"variant {name!r}: as_many_parameters_as names {like!r}, which does not "
                    f"come before it; there are {', '.join(map(repr, found)) or 'none'}."
                )
            architecture = widened(architecture, n_parameters(found[like].architecture))
        found[name] = Variant(name, architecture, recipe, change.train_labels)
    return list(found.values())


def n_parameters(architecture: Architecture) -> int:
    return sum(p.numel() for p in FieldNetwork(architecture).parameters())


def widened(architecture: Architecture, least: int) -> Architecture:
    """With hidden layers of the smallest multiple of 8 that gives ``least`` parameters."""
    while n_parameters(architecture) < least:
        architecture = replace(architecture, hidden=architecture.hidden // 8 * 8 + 8)
    return architecture


class Pools:
    """Points of all labels, drawn again only where the next variant sees something else there."""

    def __init__(self, train: list, validation: list) -> None:
        self.train, self.validation = train, validation
        self._drawn: tuple | None = None
        self._pools: tuple[list[Pool], list[Pool]] = [], []

    def of(self, variant: Variant) -> tuple[list[Pool], list[Pool]]:
        """For training and for the log."""
        seen, recipe = variant.architecture, variant.recipe
        told = bool(recipe.critical_points)
        asked = (seen.elements, seen.cutoff, seen.orbital_exponent, recipe.pool, told, recipe.seed)
        if asked != self._drawn:
            self._pools = [], []
            rng = np.random.default_rng(recipe.seed)
            self._pools = (
                [drawn(label, seen, recipe, rng) for label in self.train],
                [Pool.draw(label, seen, VALIDATION_POINTS, rng) for label in self.validation],
            )
            self._drawn = asked
        return self._pools


def fit(variant: Variant, folder: Path, pools: Pools) -> Fit:
    """The variant fitted to the end of its recipe, from a checkpoint where there is one."""
    order = np.random.default_rng(variant.recipe.seed).permutation(len(pools.train))
    chosen = sorted(order[: variant.train_labels].tolist())
    same = {
        "architecture": variant.architecture.to_dict(),
        "recipe": asdict(variant.recipe),
        "labels": digest([pools.train[i] for i in chosen]),
    }
    _claim(folder, json.loads(json.dumps(same)))
    train, checks = pools.of(variant)
    run = Fit(folder, variant.recipe, variant.architecture, [train[i] for i in chosen], checks)

    def show(step: int, losses: dict) -> None:
        if step % variant.recipe.checkpoint_every == 0:
            print(f"{variant.name}: step {step}, rmse {losses['rmse']:.4f}", file=sys.stderr)

    run.run(show)
    return run


def _claim(folder: Path, same: dict) -> None:
    """A folder belongs to one variant: a result must not pass for that of another."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "variant.json"
    if path.is_file() and json.loads(path.read_text()) != same:
        raise OutputError(
            f"{folder} holds a fit of another architecture, recipe or label set; remove it, or "
            "name another output."
        )
    write_json(path, same)


def measured(run: Fit, variant: Variant, judges: list, result: Path) -> dict:
    """What a fitted variant is worth on labels that judge; read where it is known."""
    by = digest(judges)
    if result.is_file() and (known := json.loads(result.read_text())).get("judges") == by:
        return known
    log = [json.loads(line) for line in run.log.read_text().splitlines()]
    model = FieldModel(run.result.requires_grad_(False).eval())
    scores = [score_label(model, label, topology=True) for label in judges]
    fluids = [s for s in scores if s.kind == "fluid"] or scores
    others = [s for s in scores if s.kind != "fluid"]
    bonds = total(s.matches["bond"] for s in fluids if s.matches)
    long = [s.spectrum.long_power for s in fluids if s.r_s < DENSE]
    found = {
        "judges": by,
        "parameters": n_parameters(variant.architecture),
        "labels": len(run.train),
        "steps": run.step,
        "train_rmse": log[-1]["train"]["rmse"],
        "fluids_rmse": float(np.mean([s.rmse for s in fluids])),
        "fluids_mae": float(np.mean([s.mae for s in fluids])),
        "fluids_r2": float(np.mean([s.r2 for s in fluids])),
        "fluids_r2_worst": min(s.r2 for s in fluids),
        "others_r2_worst": min((s.r2 for s in others), default=math.nan),
        "phi_error": float(np.mean([abs(s.phi_error) for s in scores])),
        "long_power": float(np.mean(long)) if long else math.nan,
        "bonds_recall": bonds.recall,
        "bonds_precision": bonds.precision,
    }
    write_json(result, found)
    return json.loads(result.read_text())


COLUMNS = {
    "parameters": ("parameters", "{:,d}"),
    "labels": ("labels", "{:d}"),
    "train_rmse": ("training rmse", "{:.4f}"),
    "fluids_rmse": ("rmse, fluids", "{:.4f}"),
    "fluids_mae": ("MAE, fluids", "{:.4f}"),
    "fluids_r2": ("R², fluids", "{:.5f}"),
    "fluids_r2_worst": ("worst", "{:.5f}"),
    "others_r2_worst": ("worst R², others", "{:.5f}"),
    "phi_error": ("mean abs. Δφ", "{:.4f}"),
    "long_power": (f"long waves, r_s < {DENSE}", "{:.2e}"),
    "bonds_recall": ("bonds, fluids: recall", "{:.3f}"),
    "bonds_precision": ("precision", "{:.3f}"),
}


def table(rows: dict[str, dict]) -> str:
    """Markdown, one line per variant; what was not measured is a dash."""
    heads = [head for head, _ in COLUMNS.values()]
    lines = ["| variant | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for name, row in rows.items():
        cells = [form.format(row[key]) if row[key] is not None else "–" for key, (_, form) in COLUMNS.items()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = Path(__file__).with_suffix(".yaml")
    parser.add_argument("config", nargs="?", type=Path, default=default)
    parser.add_argument("--only", nargs="*", help="Names of variants.")
    parser.add_argument("--steps", type=int, help="of every fit; default: as configured")
    parser.add_argument("--splits", nargs="*", default=["validation"], choices=["validation", "test"])
    chosen = parser.parse_args(arguments)
    config = Config(**checked(Config, read_mapping(chosen.config), ""))
    here = chosen.config.resolve().parent
    base = TrainConfig.read(here / config.base)
    if chosen.steps:
        config = shortened(config, base, chosen.steps)
    variants = variants_of(config, base)
    few = [v.name for v in variants if v.train_labels is not None and v.train_labels < 1]
    if few:
        raise InputError(f"variant {few[0]!r}: train_labels must be at least 1.")
    unknown = sorted(set(chosen.only or ()) - {variant.name for variant in variants})
    if unknown:
        raise InputError(f"no variant is called {unknown[0]!r}; {chosen.config} has "
                         f"{', '.join(repr(v.name) for v in variants)}.")  # fmt: skip
    sources = [LabelSource.parse(item, here) for item in config.judges] or base.labels
    judges = {
        split: [label for source in sources for label in source.read(split)]
        for split in {"validation", *chosen.splits}
    }
    pools = Pools(training_labels(base), judges["validation"])
    if config.finer:
        judges = better(judges, LabelSource.parse(config.finer, here))
    rows: dict[str, dict] = {split: {} for split in chosen.splits}
    for variant in variants:
        if chosen.only is None or variant.name in chosen.only:
            folder = here / config.output / variant.name.replace(" ", "-").replace(",", "")
            run = None  # it holds pools, and those of two variants may not fit into memory
            run = fit(variant, folder, pools)
            for split in chosen.splits:
                result = folder / f"result-{split}.json"
                rows[split][variant.name] = measured(run, variant, judges[split], result)
    for split, found in rows.items():
        steps = sorted({row["steps"] for row in found.values()})
        print(f"{', '.join(map(str, steps))} steps each; {len(judges[split])} {split} structures.\n")
        print(table(found) + "\n")


if __name__ == "__main__":
    main()
