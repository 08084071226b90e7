"""Every table and figure of docs/field-model.md, and the accuracy on a domain pack's card.

    OMP_NUM_THREADS=1 python benchmarks/field_accuracy.py [--pack DIR] [--labels DIR ...] [--card]
                                                          [--only NAME] [--split test,validation]

From the weights in the pack and from labels: writes the parts of docs/field-model.md between
``<!-- measured: NAME -->`` and ``<!-- end -->``, and docs/images/field-model-*.png. With --card
also the pack's card: accuracy, and, where its ``train.yaml`` and the labels that names are there,
what training structures read (for the distance of a structure from them). Weights in the pack's
folder ``fluids-only``, which saw no crystal in training, get a table as well, and so do those for
large cells. Structures that were
labelled again with a finer k-mesh (batch ``fine-mesh`` of the labels in the pack) are judged
by that, and a table shows what the mesh changes; those of batch ``near-one`` with digits that their labels lack.
Test and validation structures stand in rows of their own; nothing here is fitted. Some 4 s of processor time per
structure of 128 atoms.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from ase_elf.dataset import LabelSource, LabelStore, read_labels  # noqa: E402
from ase_elf.dataset.label import Label, digest  # noqa: E402
from ase_elf.domains import Domain  # noqa: E402
from ase_elf.errors import InputError  # noqa: E402
from ase_elf.model import FieldModel, load_model  # noqa: E402
from ase_elf.report.accuracy_plots import write_figures  # noqa: E402
from ase_elf.training.config import TrainConfig  # noqa: E402
from ase_elf.training.error_bars import rank_correlation  # noqa: E402
from ase_elf.training.evaluate import Score, score_label  # noqa: E402
from ase_elf.training.matching import PERSISTENCE, REACH, match_critical_points  # noqa: E402
from ase_elf.training.pack import accuracy_rows, novelty_of, save_novelty, write_card  # noqa: E402
from ase_elf.training.run import training_labels  # noqa: E402
from ase_elf.training.score_tables import ALL, grouped, summary  # noqa: E402

PACK = ROOT / "plugins" / "dense_hydrogen"
LABELS = [ROOT.parent / "shared" / "data" / "hydrogen" / "labels", PACK / "labels"]
PAGE, IMAGES = ROOT / "docs" / "field-model.md", ROOT / "docs" / "images"

FLUIDS_ONLY = Path("fluids-only", "weights.safetensors")
"""In a pack: weights fitted to fluids alone, as those of arXiv:2604.26445."""

NEAR_ONE, FINER = "near-one", "fine-mesh"
"""Batches of labels in a pack that refine others: the ELF of molecular test structures where it is above 0.999, with
the digits that 16 bits lack, which say where attractors on the plateaus of molecules are; and the ELF of structures
on a k-mesh as fine as the recipe asks for, where the shared labels have a coarser one."""

FINE = (80, 80, 80)
"""Grid on which up-sampling is compared with direct evaluation."""

SAMPLE = 2000
"""Points of it."""

BANDS = (0.0, 1.25, 1.45, math.inf)
"""bohr. Limits of r_s between which fluids are looked at apart."""

Table = list[str]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pack", type=Path, default=PACK)
    parser.add_argument("--labels", type=Path, nargs="+", default=LABELS)
    parser.add_argument("--split", default="test,validation")
    parser.add_argument("--only", help="Structures with this in their name.")
    parser.add_argument("--card", action="store_true", help="Write the card, too.")
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--images", type=Path, default=IMAGES)
    given = parser.parse_args(arguments)
    pack = Domain(given.pack)
    if given.card:
        _renew_novelty(pack)
        pack = Domain(given.pack)
    model = pack.load(device="cpu")
    scores: dict[str, list[Score]] = {}
    known = chosen(given.labels, given.split.split(","), given.only or "")
    coarse, labels = known, known
    if (given.pack / "labels").is_dir():
        coarse = better(known, LabelSource(given.pack / "labels", {"batch": NEAR_ONE}))
        labels = better(coarse, LabelSource(given.pack / "labels", {"batch": FINER}))
    for split, members in labels.items():
        scores[split] = []
        for label in members:
            # Validation decides nothing about topology, and half of the time goes there.
            scores[split].append(score_label(model, label, topology=split == "test"))
            print(f"{split}: {label.name}", file=sys.stderr, flush=True)
    ranged = {label.name for found in labels.values() for label in found
              if pack.outside(label.atoms)}  # fmt: skip
    parts = tables(scores, ranged) | {"grids": between_grids(model, labels)}
    parts["meshes"] = meshes_table(model, coarse, labels, scores)
    parts["figures"] = figures(scores, given.images)
    if "large_cells" in pack.card:
        local = given.pack / pack.card["large_cells"]["weights"]["file"]
        parts["large-cells"] = of_other_weights(local, labels)
    if (given.pack / FLUIDS_ONLY).is_file():
        parts["fluids-only"] = of_other_weights(given.pack / FLUIDS_ONLY, labels)
    text = filled(given.page.read_text(encoding="utf-8"), parts)
    given.page.write_text(text, encoding="utf-8")
    if given.card and not given.only:
        rows = accuracy_rows([score for members in scores.values() for score in members])
        write_card(given.pack / "card.json", {**pack.card, "accuracy": rows})
    for split, members in scores.items():
        print(f"{split}: {len(members)} structures, lowest R² {min(s.r2 for s in members):.5f}")


def of_other_weights(path: Path, labels: dict[str, list[Label]]) -> Table:
    """The table of groups for weights that are not the pack's."""
    model = load_model(path, device="cpu")
    return groups_table(
        {split: [score_label(model, label) for label in found] for split, found in labels.items()}
    )


def chosen(folders: list[Path], splits: list[str], name: str) -> dict[str, list[Label]]:
    """Labels by split, of the folders that are there; those left out are said."""
    there = [folder for folder in folders if folder.is_dir()]
    for folder in folders:
        if folder not in there:
            print(f"{folder} is not there; left out", file=sys.stderr)
    found = {
        split: [
            label
            for folder in there
            for label in read_labels(folder, split)
            if name in label.name and label.points is None
        ]
        for split in splits
    }
    found = {split: members for split, members in found.items() if members}
    if not found:
        raise InputError(f"no label of split {', '.join(splits)} has {name!r} in its name.")
    return found


def better(labels: dict[str, list[Label]], finer: LabelSource) -> dict[str, list[Label]]:
    """The same labels, with the values that refine them where there are such."""
    store = LabelStore(finer.store)
    return {split: store.refine(members, finer.where) for split, members in labels.items()}


def filled(page: str, parts: dict[str, Table]) -> str:
    """The page with the text between the marks of each part replaced.

    Raises
    ------
    InputError
        A part has no mark in the page, or no end.
    """
    for name, lines in parts.items():
        start, end = f"<!-- measured: {name} -->\n", "<!-- end -->\n"
        before, mark, rest = page.partition(start)
        _, stop, after = rest.partition(end)
        if not mark or not stop:
            raise InputError(f"the page has no {start.strip()} followed by {end.strip()}.")
        page = "".join([before, mark, "\n", "\n".join(lines), "\n\n", stop, after])
    return page


def tables(scores: dict[str, list[Score]], outside: set[str]) -> dict[str, Table]:
    """The tables of the page by name; ``outside`` names what lies outside trained_range."""
    main_split = "test" if "test" in scores else next(iter(scores))
    everything = [score for members in scores.values() for score in members]
    return {
        "groups": groups_table(scores),
        "structures": structures_table(everything),
        "critical-points": critical_points_table(scores[main_split]),
        "residual": residual_table(scores[main_split]),
        "uncertainty": uncertainty_table(scores[main_split]),
        "domain": domain_table(everything, outside),
    }


def markdown(heads: list[str], rows: list[list[str]]) -> Table:
    return ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|",
            *("| " + " | ".join(row) + " |" for row in rows)]  # fmt: skip


def number(value: float, digits: int = 4) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else "–"


def _named_groups(scores: list[Score]) -> Iterator[tuple[str, dict]]:
    for name, members in grouped(scores).items():
        label = "all" if name == ALL else name
        r_s = [s.r_s for s in members]
        yield f"{len(members)} {label}, r_s {min(r_s):.2f}-{max(r_s):.2f}", summary(members)


def _bands(scores: list[Score]) -> Iterator[tuple[str, dict]]:
    """Fluids by density: what is lost in long waves is lost at high density."""
    for low, high in itertools.pairwise(BANDS):
        members = [s for s in scores if s.kind == "fluid" and low <= s.r_s < high]
        if members:
            r_s = [s.r_s for s in members]
            name = f"of the fluids {len(members)}, r_s {min(r_s):.2f}-{max(r_s):.2f}"
            yield name, summary(members)


def groups_table(scores: dict[str, list[Score]]) -> Table:
    rows = [
        [split, name, f"{number(g['r2_mean'], 5)}, {number(g['r2_worst'], 5)}",
         f"{number(g['mae_mean'])}, {number(g['mae_worst'])}", number(g["rmse_worst"]),
         f"{number(g['phi_error_mean'])}, {number(g['phi_error_worst'])}",
         number(g["histogram_mean"])]
        for split, members in scores.items() for name, g in _named_groups(members)
    ]  # fmt: skip
    heads = ["split", "structures", "R² (mean, worst)", "MAE (mean, worst)", "worst rmse",
             "abs. error of φ (mean, worst)", "Wasserstein-1 of ELF values"]  # fmt: skip
    return markdown(heads, rows)


def structures_table(scores: list[Score]) -> Table:
    rows = [
        [s.split, s.name, number(s.r_s, 2), number(s.r2, 5), number(s.mae), number(s.rmse),
         f"{s.bias:+.4f}", number(s.phi_reference, 3), f"{s.phi_error:+.4f}",
         number(s.phi_uncertainty, 3), number(s.max_error, 3), number(s.coverage, 2)]
        for s in sorted(scores, key=lambda s: (s.split, s.kind, s.r_s))
    ]  # fmt: skip
    heads = ["split", "structure", "r_s", "R²", "MAE", "rmse", "bias (k = 0)", "φ of DFT", "Δφ",
             "stated error of φ", "bound of \\|Δφ\\|: max \\|ΔELF\\|", "coverage"]  # fmt: skip
    return markdown(heads, rows)


def meshes_table(
    model: FieldModel,
    coarse: dict[str, list[Label]],
    fine: dict[str, list[Label]],
    scores: dict[str, list[Score]],
) -> Table:
    """What a finer k-mesh changes in labels, and in what is said of the model."""
    rows = []
    for split, finer in fine.items():
        for before, after, score in zip(coarse[split], finer, scores[split], strict=True):
            if before is after:
                continue
            other = before.grid.resample(after.values.shape)
            of_label, of_model = match_critical_points(after.grid, other), score.matches or {}
            rows.append([
                split, after.name, number(rms(other.values - after.values)),
                number(score_label(model, before, topology=False).r2, 5), number(score.r2, 5),
                *(number(m["bond"].recall, 3) if m else "" for m in (of_label, of_model)),
            ])  # fmt: skip
    if not rows:
        return ["No structure has labels of two meshes."]
    heads = ["split", "structure", "rms between the labels", "R² against the coarse mesh",
             "against the fine", "bond critical points of the fine in the coarse (recall)",
             "in the model"]  # fmt: skip
    return markdown(heads, rows)


def rms(error: np.ndarray) -> float:
    return math.sqrt((error.astype(float) ** 2).mean())


def critical_points_table(scores: list[Score]) -> Table:
    if not any(score.matches for score in scores):
        return ["Critical points were not compared."]
    rows = []
    for name, g in _named_groups([score for score in scores if score.matches]):
        for kind in ("attractor", "bond", "ring", "cage"):
            rows.append([
                name, kind, str(g[f"{kind}_reference"]), number(g[f"{kind}_recall"], 3),
                number(g[f"{kind}_precision"], 3), number(g[f"{kind}_recall_any"], 3),
                number(g[f"{kind}_precision_any"], 3), number(g[f"{kind}_displacement"], 4),
                f"{number(g['f1_mean'], 3)}, {number(g['f1_worst'], 3)}" if kind == "bond" else "",
            ])  # fmt: skip
    heads = ["structures", "kind", f"in DFT (persistence > {PERSISTENCE:g})",
             f"recall (within {REACH:g} Å)", "precision", "recall, any persistence",
             "precision, any persistence", "displacement (Å)",
             "F1 of bond graphs (mean, worst)"]  # fmt: skip
    return markdown(heads, rows)


def residual_table(scores: list[Score]) -> Table:
    rows = [
        [name, number(g["correlation_length_mean"], 2), f"{g['long_power_mean']:.2e}",
         number(g["long_fraction_mean"], 3), f"{g['bias_mean']:+.5f}"]
        for name, g in [*_named_groups(scores), *_bands(scores)]
    ]  # fmt: skip
    heads = ["structures", "correlation length (Å)", "power of waves over 2 Å (ELF²)",
             "part of the residual", "mean error (k = 0)"]  # fmt: skip
    return markdown(heads, rows)


def uncertainty_table(scores: list[Score]) -> Table:
    rows = [
        [name, (f"{number(g['coverage_mean'], 2)} ({number(g['coverage_lowest'], 2)}-"
         f"{number(g['coverage_highest'], 2)})"), number(g["coverage_within_60_75"], 2),
         f"{g['likelihood_gain_mean']:+.3f} ({g['likelihood_gain_lowest']:+.3f})",
         f"{number(g['spearman_mean'], 2)} ({number(g['spearman_lowest'], 2)})",
         number(g["phi_within_uncertainty"], 2)]
        for name, g in _named_groups(scores)
    ]  # fmt: skip
    heads = ["structures", "coverage of 1 σ (lowest-highest)", "structures within 0.60-0.75",
             "gain of log-likelihood per point (lowest)", "Spearman of σ and error (lowest)",
             "φ within its stated error"]  # fmt: skip
    return markdown(heads, rows)


def domain_table(scores: list[Score], outside: set[str]) -> Table:
    """How well the distance ranks the errors of whole structures, and what ``trained_range`` says."""
    rows = []
    for split in dict.fromkeys(score.split for score in scores):
        members = [s for s in scores if s.split == split]
        far = [s for s in members if s.distance > 1]
        near = [s for s in members if s.distance <= 1]
        said = [s for s in members if s.name in outside]
        rows.append([
            split, str(len(members)),
            number(rank_correlation([s.distance for s in members], [s.rmse for s in members]), 2),
            number(rank_correlation([float(s.name in outside) for s in members],
                                    [s.rmse for s in members]), 2),
            *(f"{len(part)}: {number(float(np.mean([s.rmse for s in part])) if part else math.nan)}"
              for part in (far, near, said)),
        ])  # fmt: skip
    heads = ["split", "structures", "Spearman of distance and rmse", "of trained range and rmse",
             "beyond a distance of 1: mean rmse", "within: mean rmse",
             "outside the trained range: mean rmse"]  # fmt: skip
    return markdown(heads, rows)


def between_grids(model: FieldModel, labels: dict[str, list[Label]]) -> Table:
    """Carrying z to the grid asked for, against the network at the points themselves."""
    fluids = [label for label in next(iter(labels.values())) if "fluid" in label.kind]
    rng, rows = np.random.default_rng(0), []
    for label in fluids[:: max(1, len(fluids) // 4)]:
        index = rng.integers(0, FINE, (SAMPLE, 3))
        carried = model.predict([label.atoms], [FINE], sigma=False)[0].values[tuple(index.T)]
        points = index / FINE @ label.atoms.cell.array
        direct = model.predict_points(label.atoms, points, sigma=False).values
        error = carried.astype(float) - direct
        rows.append([label.name, number(rms(error)), number(np.abs(error).max())])
    return markdown([f"{SAMPLE} points of {FINE[0]}³", "rms difference", "largest"], rows)


FIGURES = {
    "against-density": "Errors of single structures against density",
    "parity": "Prediction against DFT, point by point, and the distributions of both",
    "spectrum": "Power of the residual by wave number",
    "correlation": "Autocorrelation of the residual",
    "calibration": "Errors made against errors predicted",
    "critical-points": "Critical points and bonds found",
}


def figures(scores: dict[str, list[Score]], folder: Path) -> Table:
    """Draw the test structures; returns what shows the figures on the page."""
    folder.mkdir(parents=True, exist_ok=True)
    main_split = "test" if "test" in scores else next(iter(scores))
    lines = []
    for path in write_figures(scores[main_split], folder):
        drawn = path.replace(path.with_name(f"field-model-{path.name}"))
        lines += [f"![{FIGURES[path.stem]}](images/{drawn.name})", ""]
    return lines[:-1]


def _renew_novelty(pack: Domain) -> None:
    """From the structures that ``train.yaml`` names, which have to be those of the card."""
    settings = TrainConfig.read(pack.folder / "train.yaml")
    train = training_labels(settings)
    if digest(train) != pack.card["training"]["label_digest"]:
        raise InputError(
            f"{pack.folder / 'train.yaml'} gives {len(train)} training labels, which are not the "
            f"{pack.card['training']['labels']} that the weights were fitted to; bring both in line "
            "first, or the distance would be from the wrong ones."
        )
    weights = pack.card["weights"]["sha256"]
    card = json.loads((pack.folder / "card.json").read_text(encoding="utf-8"))
    card["novelty"] = save_novelty(pack.folder, novelty_of(pack.load(device="cpu"), train), weights)
    write_card(pack.folder / "card.json", card)


if __name__ == "__main__":
    main()
