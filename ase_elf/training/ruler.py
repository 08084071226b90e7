"""From a configuration to a ruler in a domain pack: images, fit, error factor, modes, card."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ase_elf.dataset.bonds import bond_set
from ase_elf.dataset.images import ImageChoice
from ase_elf.dataset.source import LabelSource
from ase_elf.errors import InputError
from ase_elf.geometry.pairs import name_of, pair_of
from ase_elf.model.weights import digest
from ase_elf.ruler.bond_set import BondSet
from ase_elf.ruler.image import ImageSpec
from ase_elf.ruler.modes import attribution, find_modes
from ase_elf.ruler.pairs import find_pairs
from ase_elf.ruler.ruler import Ruler
from ase_elf.ruler.surroundings import Surroundings
from ase_elf.storage.configuration import checked, read_mapping
from ase_elf.training.pack import write_card
from ase_elf.training.reading import ReadingRecipe, error_factor, fit_classifier, fit_reader

if TYPE_CHECKING:
    from ase import Atoms

    from ase_elf.domains import Domain


STRETCHED = 10
"""Bonds of training that are longer than a ruler reads: where fewer are as long, error bars of Au-S cover half of
what they should."""


@dataclass(frozen=True)
class RulerConfig:
    """All that decides what a ruler becomes.

    Parameters
    ----------
    pair : str
        Elements of first and second atom, such as "Au-S".
    cutoff : float
        Å. Longer bonds are left out.
    pack : Path
        Folder that gets ``ruler-<pair>.safetensors`` and its card, ``ruler-<pair>.json``.
    image : ImageSpec
        What the readers of the length see.
    labels : tuple of LabelSource
        Images of bonds, and labels on grids or at the pixels of ``label_image``.
    label_image : ImageSpec
        Images taken from labels.
    type_image : ImageSpec, optional
        What the classifier sees; needs ``types``.
    types : dict of str to list of str
        Classes, each with the bond types that belong to it; other types are left out.
    validation, test : tuple of str
        Groups (:attr:`BondSet.group`) that are not trained on.
    kinds : tuple of str
        Train on these kinds only; all of them if empty.
    modes : bool
        Also cluster attribution maps of the test bonds into reading modes.
    notes : dict
        Copied to the card: sources, reference method, where the ruler fails.
    recipe, type_recipe : ReadingRecipe
        Of the readers, and of the classifiers.
    """

    pair: str
    cutoff: float
    pack: Path
    image: ImageSpec
    labels: tuple[LabelSource, ...] = ()
    label_image: ImageSpec = field(default_factory=ImageSpec)
    type_image: ImageSpec | None = None
    types: dict = field(default_factory=dict)
    validation: tuple[str, ...] = ("validation",)
    test: tuple[str, ...] = ("test",)
    kinds: tuple[str, ...] = ()
    modes: bool = True
    notes: dict = field(default_factory=dict)
    recipe: ReadingRecipe = field(default_factory=ReadingRecipe)
    type_recipe: ReadingRecipe = field(default_factory=ReadingRecipe)

    @classmethod
    def read(cls, path: str | Path) -> RulerConfig:
        """The configuration in a YAML file; relative paths in it start at its folder.

        Raises
        ------
        FormatError
            The file is no YAML mapping.
        InputError
            A key is unknown or missing, or a value has the wrong type.
        """
        folder = Path(path).resolve().parent
        values = dict(checked(cls, _plain(read_mapping(path)), ""))
        for key in ("image", "label_image", "type_image"):
            if values.get(key) is not None:
                values[key] = ImageSpec.from_dict(checked(ImageSpec, values[key], f"{key}."))
        values["labels"] = tuple(LabelSource.parse(item, folder) for item in values.get("labels", ()))
        for key in ("validation", "test", "kinds"):
            if key in values:
                values[key] = tuple(str(item) for item in values[key])
        values["pack"] = folder / str(values["pack"])
        for key in ("recipe", "type_recipe"):
            recipe = dict(checked(ReadingRecipe, values.get(key, {}), f"{key}."))
            if "widths" in recipe:
                recipe["widths"] = tuple(recipe["widths"])
            values[key] = ReadingRecipe(**recipe)
        return cls(**values)


def _plain(loaded: dict) -> dict:
    # One folder may be written without the brackets of a list.
    keys = ("labels", "validation", "test", "kinds")
    return {k: [v] if k in keys and isinstance(v, str | dict) else v for k, v in loaded.items()}


def gather(config: RulerConfig) -> BondSet:
    """All bonds the configuration names, shorter than its cutoff."""
    choice, sets = ImageChoice(config.pair, config.cutoff, config.label_image), []
    for source in config.labels:
        sets += source.images()
        if labels := source.read():
            sets.append(bond_set(labels, choice))
    if not sets:
        raise InputError("labels: name at least one folder with labels, or images of bonds.")
    bonds = BondSet.joined(sets)
    if bonds.pair != pair_of(config.pair):
        raise InputError(f"the images show {name_of(bonds.pair)} bonds, not {config.pair}.")
    return bonds[bonds.length < config.cutoff]


@dataclass(frozen=True)
class Parts:
    """The bonds of a fit, divided."""

    train: BondSet
    validation: BondSet
    test: BondSet


def divide(bonds: BondSet, config: RulerConfig) -> Parts:
    """Split by group; :class:`InputError` where a part stays empty."""
    validation = np.isin(bonds.group, config.validation)
    test = np.isin(bonds.group, config.test)
    train = ~validation & ~test
    if config.kinds:
        train &= np.isin(bonds.kind, config.kinds)
    for name, chosen in (("train", train), ("validation", validation), ("test", test)):
        if not chosen.any():
            raise InputError(
                f"no bond is left for {name}; the groups are {sorted(set(bonds.group.tolist()))}."
            )
    return Parts(bonds[train], bonds[validation], bonds[test])


def fit_ruler(
    config: RulerConfig,
    parts: Parts,
    *,
    progress: Callable[[str, float], None] = lambda what, error: None,
) -> Ruler:
    """Fit readers and classifier, and set the error factor on validation bonds."""
    recipe = config.recipe
    images = parts.train.shown(config.image)
    readers = [
        fit_reader(images, parts.train.length, recipe, seed=recipe.seed + n,
                   progress=lambda error: progress("length", error))
        for n in range(recipe.members)
    ]  # fmt: skip
    pair = pair_of(config.pair)
    ruler = Ruler(pair, config.image, readers)
    read = ruler.read(parts.validation.shown(config.image))
    ruler = replace(ruler, factor=error_factor(*read, parts.validation.length))
    if config.type_image is None:
        return ruler
    # Nothing of the classifiers is tuned on validation bonds, so they may see them.
    seen = BondSet.joined([parts.train, parts.validation])
    classes = class_numbers(seen.type, config.types)
    known = classes >= 0
    wide = seen[known].shown(config.type_image)
    recipe = config.type_recipe
    classifiers = [
        fit_classifier(wide, classes[known], recipe, seed=recipe.seed + n,
                       progress=lambda error: progress("type", error))
        for n in range(recipe.members)
    ]  # fmt: skip
    return replace(ruler, type_spec=config.type_image, classifiers=classifiers, types=tuple(config.types))


def class_numbers(types: np.ndarray, classes: dict[str, list[str]]) -> np.ndarray:
    """Index of the class each type belongs to, -1 for none."""
    lookup = {kind: n for n, kinds in enumerate(classes.values()) for kind in kinds}
    return np.array([lookup.get(kind, -1) for kind in types.tolist()])


def with_modes(ruler: Ruler, bonds: BondSet) -> tuple[Ruler, dict[int, float]]:
    """The ruler with reading modes found on ``bonds``, and the silhouettes of the choice."""
    images = bonds.shown(ruler.spec)
    baseline = images.mean(0)
    maps = attribution(ruler.readers, images, baseline)
    modes, silhouettes = find_modes(maps, baseline, ruler.spec, ruler.pair)
    return replace(ruler, modes=modes), silhouettes


def score(ruler: Ruler, bonds: BondSet, classes: dict[str, list[str]]) -> dict:
    """How well a ruler reads bonds it was not fitted to.

    Returns
    -------
    dict
        ``n``; ``mae``, ``rmse``, ``bias`` in Å; ``coverage`` of one standard deviation;
        ``spearman`` of uncertainty and absolute error; ``spread``, the mean absolute
        deviation of the lengths from their median, which reading nothing would give; and
        ``f1``, macro-averaged, where there is a classifier.
    """
    from scipy.stats import spearmanr

    length, uncertainty = ruler.read(bonds.shown(ruler.spec))
    error = length - bonds.length
    result = {
        "n": len(bonds),
        "mae": float(np.abs(error).mean()),
        "rmse": float(np.sqrt((error**2).mean())),
        "bias": float(error.mean()),
        "coverage": float((np.abs(error) < uncertainty).mean()),
        "spearman": float(spearmanr(uncertainty, np.abs(error))[0]) if len(bonds) > 2 else 0.0,
        "spread": float(np.abs(bonds.length - np.median(bonds.length)).mean()),
    }
    truth = class_numbers(bonds.type, classes)
    if ruler.classifiers and (truth >= 0).any():
        known = truth >= 0
        told = ruler.classify(bonds[known].shown(ruler.type_spec)).argmax(1)
        result["f1"] = macro_f1(truth[known], told)
    return {k: round(v, 5) for k, v in result.items()}


def macro_f1(truth: np.ndarray, told: np.ndarray) -> float:
    """F1 averaged over the classes that occur in ``truth``, all counted alike."""
    scores = []
    for kind in np.unique(truth):
        right = ((truth == kind) & (told == kind)).sum()
        scores.append(2 * right / ((truth == kind).sum() + (told == kind).sum()))
    return float(np.mean(scores))


def write_ruler(config: RulerConfig, ruler: Ruler, parts: Parts, silhouettes: dict[int, float]) -> dict:
    """Write the ruler and its card into the pack; returns the card."""
    stem = f"ruler-{config.pair.lower()}"
    config.pack.mkdir(parents=True, exist_ok=True)
    sha256 = ruler.save(config.pack / f"{stem}.safetensors")
    test = parts.test
    rows = {"all": score(ruler, test, config.types)}
    for column in ("kind", "group", "type"):
        names = sorted(set(getattr(test, column).tolist()) - {""})
        if len(names) > 1:
            rows |= {
                f"{column} {name}": score(ruler, test[getattr(test, column) == name], config.types)
                for name in names
            }
    card = {
        "pair": config.pair,
        "file": f"{stem}.safetensors",
        "sha256": sha256,
        "image": config.image.to_dict(),
        "cutoff": config.cutoff,
        "training": {
            "bonds": len(parts.train),
            "groups": sorted(set(parts.train.group.tolist())),
            "kinds": _counts(parts.train.kind),
            "types": _counts(parts.train.type),
            **known_lengths(parts.train.length),
            "recipe": asdict(config.recipe),
            **({"type_recipe": asdict(config.type_recipe)} if config.type_image else {}),
            "error_factor": round(ruler.factor, 4),
        },
        "test": rows,
        "modes": list(ruler.modes.names) if ruler.modes else [],
        "mode_silhouettes": {str(k): round(v, 4) for k, v in silhouettes.items()},
        **config.notes,
    }
    write_card(config.pack / f"{stem}.json", card)
    return card


def known_lengths(lengths: np.ndarray) -> dict[str, float]:
    """Shortest and longest bond (Å) that a ruler is to read, from the lengths it was fitted to.

    One bond in a hundred, but not more than :data:`STRETCHED`, is as long as the longest or longer.
    """
    n = max(1, min(STRETCHED, len(lengths) // 100))
    return {
        "longest": round(float(np.sort(lengths)[-n]), 3),
        "shortest": round(float(lengths.min()), 3),
    }


def write_surroundings(
    pack: Domain, pair: tuple[str, str], structures: list[Atoms], compounds: list[str]
) -> Surroundings:
    """Write the surroundings of the bonds that a ruler was fitted to beside it, and into its card.

    Parameters
    ----------
    pack : Domain
        With weights, whose readings tell surroundings apart, and with the ruler.
    pair : tuple of str
    structures : list of ase.Atoms
        All that the ruler was fitted to.
    compounds : list of str
        What each is: the limit is taken from compounds left out in turn.
    """
    path = pack.folder / f"ruler-{name_of(pair).lower()}.json"
    card, model = dict(pack.ruler_cards[pair]), pack.load(device="cpu")
    training = []
    for atoms in structures:
        i, j, _, _ = find_pairs(atoms, {pair: card["cutoff"]})
        training.append((atoms, model.invariants(atoms).numpy().astype(float), i, j))
    known = Surroundings.of(training, compounds)
    target = path.with_name(f"{path.stem}-surroundings.safetensors")
    known.save(target)
    card["surroundings"] = {
        "file": target.name,
        "sha256": digest(target),
        "weights": pack.card["weights"]["sha256"],
        "structures": len(structures),
    }
    write_card(path, card)
    return known


def _counts(column: np.ndarray) -> dict[str, int]:
    names, counts = np.unique(column, return_counts=True)
    return dict(zip(names.tolist(), counts.tolist(), strict=True))


def train_ruler(
    config: RulerConfig, progress: Callable[[str, float], None] = lambda what, error: None
) -> dict:
    """Everything from images to a ruler in the pack; returns its card."""
    parts = divide(gather(config), config)
    ruler, silhouettes = fit_ruler(config, parts, progress=progress), {}
    if config.modes:
        ruler, silhouettes = with_modes(ruler, parts.test)
    return write_ruler(config, ruler, parts, silhouettes)
