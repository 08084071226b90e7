"""What of the field model pays: variants and numbers of labels, at equal steps.

    python benchmarks/ablations.py [CONFIG.yaml] [--only NAME ...]

The configuration names a `base`, a configuration of `ase-elf train` whose labels and architecture
all fits have, and variants that change parts of its architecture or recipe, or fit to the first
``train_labels`` of the training labels in a fixed random order, so that fewer labels are always
a part of more. A variant with ``as_many_parameters_as`` gets hidden layers wide enough for that.
Each is fitted in a folder of its own below ``output``, goes on there when it was interrupted, and
is scored once on the validation labels; test labels are not touched. Prints Markdown. Hours, with
the default configuration; one line per variant and checkpoint goes to stderr meanwhile.
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
sys.path.insert(0, str(ROOT))

from ase_elf.errors import InputError, OutputError  # noqa: E402
from ase_elf.model import Architecture, FieldModel, FieldNetwork  # noqa: E402
from ase_elf.report.tables import write_json  # noqa: E402
from ase_elf.settings import checked, read_mapping  # noqa: E402
from ase_elf.training.config import TrainConfig  # noqa: E402
from ase_elf.training.evaluate import score_label  # noqa: E402
from ase_elf.training.fit import Fit, Recipe  # noqa: E402
from ase_elf.training.labels import digest, read_labels  # noqa: E402
from ase_elf.training.run import training_labels  # noqa: E402
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


def fit(variant: Variant, folder: Path, train: list, validation: list) -> Fit:
    """The variant fitted to the end of its recipe, from a checkpoint where there is one."""
    rng = np.random.default_rng(variant.recipe.seed)
    order = np.random.default_rng(variant.recipe.seed).permutation(len(train))
    chosen = [train[i] for i in sorted(order[: variant.train_labels].tolist())]
    same = {
        "architecture": variant.architecture.to_dict(),
        "recipe": asdict(variant.recipe),
        "labels": digest(chosen),
    }
    _claim(folder, json.loads(json.dumps(same)))
    pools = [Pool.draw(l, variant.architecture, variant.recipe.pool, rng) for l in chosen]
    checks = [Pool.draw(l, variant.architecture, VALIDATION_POINTS, rng) for l in validation]
    run = Fit(folder, variant.recipe, variant.architecture, pools, checks)

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


def measured(variant: Variant, folder: Path, train: list, validation: list) -> dict:
    """What a fitted variant is worth on the validation labels; read where it is known."""
    result = folder / "result.json"
    run = fit(variant, folder, train, validation)
    if result.is_file():
        return json.loads(result.read_text())
    log = [json.loads(line) for line in run.log.read_text().splitlines()]
    model = FieldModel(run.result.requires_grad_(False).eval())
    scores = [score_label(model, label) for label in validation]
    fluids = [s for s in scores if s.kind == "fluid"] or scores
    others = [s for s in scores if s.kind != "fluid"]
    long = [s.spectrum.long_power for s in fluids if s.r_s < DENSE]
    found = {
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
}


def table(rows: dict[str, dict]) -> str:
    """Markdown, one line per variant; what was not measured is a dash."""
    heads = [head for head, _ in COLUMNS.values()]
    lines = ["| variant | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for name, row in rows.items():
        cells = [
            form.format(row[key]) if row[key] is not None else "–"
            for key, (_, form) in COLUMNS.items()
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = Path(__file__).with_suffix(".yaml")
    parser.add_argument("config", nargs="?", type=Path, default=default)
    parser.add_argument("--only", nargs="*", help="Names of variants.")
    chosen = parser.parse_args(arguments)
    config = Config(**checked(Config, read_mapping(chosen.config), ""))
    here = chosen.config.resolve().parent
    base = TrainConfig.read(here / config.base)
    variants = variants_of(config, base)
    few = [v.name for v in variants if v.train_labels is not None and v.train_labels < 1]
    if few:
        raise InputError(f"variant {few[0]!r}: train_labels must be at least 1.")
    unknown = sorted(set(chosen.only or ()) - {variant.name for variant in variants})
    if unknown:
        raise InputError(f"no variant is called {unknown[0]!r}; {chosen.config} has "
                         f"{', '.join(repr(v.name) for v in variants)}.")  # fmt: skip
    train = training_labels(base)
    validation = [label for folder in base.labels for label in read_labels(folder, "validation")]
    rows = {}
    for variant in variants:
        if chosen.only is None or variant.name in chosen.only:
            folder = here / config.output / variant.name.replace(" ", "-").replace(",", "")
            rows[variant.name] = measured(variant, folder, train, validation)
    steps = sorted({row["steps"] for row in rows.values()})
    print(f"{', '.join(map(str, steps))} steps each; {len(validation)} validation structures.\n")
    print(table(rows))


if __name__ == "__main__":
    main()
