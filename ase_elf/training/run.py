"""From a configuration to a finished fit: reading labels, drawing points, writing the pack."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import torch

from ase_elf.dataset.label import Label
from ase_elf.errors import InputError
from ase_elf.model import Architecture, FieldModel
from ase_elf.model.field_model import NATIVE_SPACING
from ase_elf.model.weights import digest, load_network
from ase_elf.training.bonding_class import bonding_class
from ase_elf.training.calibration import calibrate
from ase_elf.training.config import TrainConfig
from ase_elf.training.critical import CriticalPlaces
from ase_elf.training.evaluate import score_label
from ase_elf.training.fit import Fit, Recipe
from ase_elf.training.kept_features import MADE_ANEW, KeptFeatures
from ase_elf.training.loop import ALONE
from ase_elf.training.pack import by_group, novelty_of, planned, shorten, write_pack
from ase_elf.training.processes import Processes
from ase_elf.training.region import EVERYWHERE, Region
from ase_elf.training.samples import Pool


def training_labels(settings: TrainConfig) -> list[Label]:
    """What the fit may see: split ``train``, of the chosen kinds, and without the elements left out."""
    found = [label for source in settings.labels for label in source.read("train")]
    chosen = [label for label in found if not settings.kinds or label.kind in settings.kinds]
    if not chosen:
        kinds = sorted({label.kind for label in found})
        raise InputError(f"no training label is of kind {settings.kinds}; there are {kinds}.")
    chosen = [label for label in chosen if not set(settings.without) & set(label.atoms.symbols)]
    if not chosen:
        raise InputError(f"every training label holds one of without: {', '.join(settings.without)}.")
    return chosen


def drawn(
    label: Label,
    arch: Architecture,
    recipe: Recipe,
    rng: np.random.Generator,
    features: KeptFeatures = MADE_ANEW,
    region: Region = EVERYWHERE,
) -> Pool:
    """What a recipe fits to of one label."""
    pool = Pool.draw(label, arch, recipe.pool, rng, features=features, region=region)
    return (
        replace(pool, critical=CriticalPlaces.of(label, arch, features)) if recipe.critical_points else pool
    )


def prepare(settings: TrainConfig, device: torch.device | str = "cpu", processes: Processes = ALONE) -> Fit:
    """A fit ready to run, continued from its checkpoint where there is one.

    Raises
    ------
    InputError
        No label is of the kinds that are asked for, or the recipe asks for less than no critical points.
    """
    rng = np.random.default_rng(settings.recipe.seed)
    arch, recipe = settings.architecture, settings.recipe
    if recipe.critical_points < 0:
        raise InputError(
            f"recipe.critical_points = {recipe.critical_points}; how many per structure, or 0 for none."
        )
    features = KeptFeatures(settings.features)
    train = [
        drawn(label, arch, recipe, rng, features, settings.scored) for label in training_labels(settings)
    ]
    validation = [
        Pool.draw(label, arch, 2048, rng, features=features, region=settings.scored)
        for source in settings.labels
        for label in source.read("validation")
    ]
    start = load_network(settings.start) if settings.start else None
    return Fit(settings.output, recipe, arch, train, validation, start, device=device, processes=processes)


def finish(settings: TrainConfig, fit: Fit) -> dict | None:
    """Write the domain pack, where one is asked for; returns its card."""
    if settings.pack is None:
        return None
    network = shorten(fit.result.cpu().requires_grad_(False).eval())
    factor = calibrate(network, fit.validation) if fit.validation else 1.0
    train = [pool.label for pool in fit.train]
    model = FieldModel(network, native_spacing=planned(settings.pack).get("native_spacing", NATIVE_SPACING))
    known = [label for label in train if not settings.novelty_kinds or label.kind in settings.novelty_kinds]
    if not known:
        kinds = ", ".join(settings.novelty_kinds)
        raise InputError(f"no training label is of a kind in novelty_kinds: {kinds}.")
    model.novelty = novelty_of(model, known)
    held_out = [label for source in settings.labels for label in source.read("validation", "test")]
    scores = [score_label(model, label, region=settings.scored) for label in held_out]
    more = {"scored": asdict(settings.scored)} if settings.scored != EVERYWHERE else {}
    if len(network.arch.elements) > 1:
        more["accuracy_by_element"] = by_group(held_out, scores, lambda atoms: set(atoms.symbols))
    if network.arch.minimal_basis:
        more["accuracy_by_bonding"] = by_group(held_out, scores, lambda atoms: [bonding_class(atoms)])
    return write_pack(
        settings.pack,
        network,
        train=train,
        recipe={
            "recipe": asdict(fit.recipe),
            "architecture": network.arch.to_dict(),
            "sigma_factor": round(factor, 4),
            **({"start": digest(settings.start)} if settings.start else {}),
        },
        scores=scores,
        more=more,
        novelty=model.novelty,
    )
