"""Turning a fitted network into a domain pack: weights file and model card.

Writes ``weights.safetensors``, ``novelty.safetensors`` and ``card.json`` into a folder;
everything on the card that can be computed is computed here, the rest comes from the pack's
``card.yaml``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
import yaml
from ase import Atoms

from ase_elf.dataset.label import Label, digest
from ase_elf.geometry.checks import describe
from ase_elf.model import FieldModel, FieldNetwork, save_network
from ase_elf.model.novelty import Novelty
from ase_elf.model.weights import digest as digest_of
from ase_elf.storage.atomic import replacing
from ase_elf.training.evaluate import Score

__all__ = [
    "KEPT",
    "accuracy_rows",
    "by_group",
    "novelty_of",
    "planned",
    "save_novelty",
    "shorten",
    "trained_range",
    "write_card",
    "write_pack",
]

WEIGHTS, NOVELTY = "weights.safetensors", "novelty.safetensors"

KEPT = 7
"""Bits of a parameter's fraction that are written. The other 16 move the ELF by 4e-4 rms, a twentieth of
its error, and as zeros they take no room where a file is compressed: in the wheel, in the history of the repository."""


def write_pack(
    folder: Path,
    network: FieldNetwork,
    *,
    train: list[Label],
    recipe: dict,
    scores: list[Score],
    novelty: Novelty | None = None,
    more: dict | None = None,
) -> dict:
    """Write weights and card; returns the card.

    Parameters
    ----------
    folder : Path
        Holds ``card.yaml``: name, elements, bonds, what was trained on what, where it fails.
    network : FieldNetwork
    train : list of Label
        What the network was fitted to; their range becomes the trained range.
    recipe : dict
        The fit's configuration.
    scores : list of Score
        On structures that were not trained on.
    novelty : Novelty, optional
        Distance from the training structures, where it has been made; of all of ``train`` by default.
    more : dict, optional
        Further entries of the card.
    """
    card = planned(folder)
    card["weights"] = {"file": WEIGHTS, "sha256": save_network(folder / WEIGHTS, network)}
    known = novelty or novelty_of(FieldModel(network), train)
    card["novelty"] = save_novelty(folder, known, card["weights"]["sha256"])
    card["trained_range"] = trained_range(train)
    card["training"] = {
        "labels": len(train),
        "label_digest": digest(train),
        "kinds": {k: sum(l.kind == k for l in train) for k in sorted({l.kind for l in train})},
        "parameters": sum(p.numel() for p in network.parameters()),
        **recipe,
    }
    card |= more or {}
    card["accuracy"] = accuracy_rows(scores)
    write_card(folder / "card.json", card)
    return card


def planned(folder: Path) -> dict:
    """What a pack says of itself before it is fitted: its ``card.yaml``."""
    return yaml.safe_load((folder / "card.yaml").read_text(encoding="utf-8"))


@torch.no_grad()
def shorten(network: FieldNetwork) -> FieldNetwork:
    """Round the parameters to :data:`KEPT` bits, in place: before scores are taken."""
    for numbers in network.state_dict().values():
        fraction, exponent = torch.frexp(numbers)
        whole = torch.round(fraction * 2.0 ** (KEPT + 1))
        numbers.copy_(torch.ldexp(whole, exponent - (KEPT + 1)))
    return network


def write_card(path: Path, card: dict) -> None:
    """A card as indented JSON, complete under its name or not there."""
    with replacing(path) as part:
        part.write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def trained_range(labels: list[Label]) -> dict[str, list[float]]:
    """Least and greatest of each quantity of :func:`ase_elf.geometry.checks.describe`; some are of crystals alone."""
    seen: dict[str, list[float]] = {}
    for label in labels:
        for quantity, value in describe(label.atoms).items():
            seen.setdefault(quantity, []).append(value)
    return {
        quantity: [round(float(f(values)), 4) for f in (np.min, np.max)] for quantity, values in seen.items()
    }


def novelty_of(model: FieldModel, train: list[Label]) -> Novelty:
    """Distance from these structures, in the field invariants of this model."""
    return Novelty.of([model.invariants(label.atoms) for label in train])


def save_novelty(folder: Path, known: Novelty, weights: str) -> dict[str, str]:
    """Write it beside the weights of this SHA-256, on which it depends; returns its part of the card."""
    path = folder / NOVELTY
    known.save(path)
    return {"file": NOVELTY, "sha256": digest_of(path), "weights": weights}


def by_group(
    labels: list[Label], scores: list[Score], groups: Callable[[Atoms], Iterable[str]]
) -> dict[str, dict[str, float]]:
    """Accuracy by groups of structures: how many, and medians of R² and rms error.

    Parameters
    ----------
    labels, scores : list
        Of the same structures.
    groups : callable
        Which ones a structure belongs to.
    """
    found: dict[str, list[Score]] = {}
    for label, score in zip(labels, scores, strict=True):
        for name in groups(label.atoms):
            found.setdefault(name, []).append(score)
    return {
        name: {
            "structures": len(some),
            "r2": round(float(np.median([score.r2 for score in some])), 4),
            "rmse": round(float(np.median([score.rmse for score in some])), 4),
        }
        for name, some in sorted(found.items())
    }


def accuracy_rows(scores: list[Score]) -> list[dict]:
    """The table of a card: name, kind and split of each structure, and its numbers."""
    return [_row(score) for score in scores]


def _row(score: Score) -> dict:
    row = {k: getattr(score, k) for k in ("name", "kind", "split")}
    numbers = ("r_s", "r2", "mae", "rmse", "bias", "max_error", "histogram", "coverage",
               "phi", "phi_reference", "phi_uncertainty", "distance")  # fmt: skip
    values = {k: float(getattr(score, k)) for k in numbers}
    if score.spectrum:
        names = ("correlation_length", "long_fraction")
        values |= {k: getattr(score.spectrum, k) for k in names}
    if score.bars:
        values |= {k: getattr(score.bars, k) for k in ("likelihood_gain", "spearman")}
    return row | {k: round(v, 5) for k, v in values.items() if math.isfinite(v)}
