"""TrainConfig: what `ase-elf train` is told, read from YAML and checked key by key."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from pathlib import Path

from ase_elf.dataset.source import LabelSource
from ase_elf.errors import InputError
from ase_elf.model import Architecture
from ase_elf.storage.configuration import checked, read_mapping
from ase_elf.training.fit import Recipe
from ase_elf.training.region import Region

__all__ = ["RawConfig", "TrainConfig"]


@dataclass(frozen=True)
class TrainConfig:
    """All that decides what a fit makes.

    Parameters
    ----------
    labels : tuple of LabelSource
        Folders of labels, and which labels of them: split "train" is fitted to, "validation" stops and
        calibrates, "test" and "validation" are on the card.
    output : Path
        Folder of the run: checkpoint and log. A run found there is continued.
    pack : Path, optional
        Folder with a ``card.yaml``, into which weights and card are written at the end.
    start : Path, optional
        Weights that the fit starts from: of the same architecture, or with fewer vectors
        or updates.
    kinds : tuple of str
        Train only on these kinds of structure; all of them if empty.
    without : tuple of str
        Elements: structures that hold one are not trained on.
    novelty_kinds : tuple of str
        Kinds of structure that the novelty of others is measured from; all of them if empty.
        What is trained on but described badly still is left out, and comes with a warning.
    features : Path, optional
        Folder in which orbital features are kept for the next fit.
    scored : Region
        Where the fit is judged: ``core`` (Å) and ``density`` (bohr⁻³).
    architecture, recipe : dict
        Fields of :class:`ase_elf.model.Architecture` and :class:`ase_elf.training.fit.Recipe`.
    """

    labels: tuple[LabelSource, ...]
    output: Path
    pack: Path | None
    start: Path | None
    kinds: tuple[str, ...]
    without: tuple[str, ...]
    novelty_kinds: tuple[str, ...]
    features: Path | None
    scored: Region
    architecture: Architecture
    recipe: Recipe

    @classmethod
    def read(cls, path: str | Path) -> TrainConfig:
        """The configuration in a YAML file; relative paths in it start at its folder.

        Raises
        ------
        FormatError
            The file is no YAML mapping.
        InputError
            A key is unknown or missing, or a value has the wrong type.
        """
        given = read_mapping(path)
        if "familiar" in given:
            warnings.warn(
                f"{path}: the key 'familiar' is 'novelty_kinds' since 0.3, and not read by 0.4.",
                DeprecationWarning,
                stacklevel=2,
            )
            given.setdefault("novelty_kinds", given.pop("familiar"))
        raw = RawConfig(**checked(RawConfig, given, ""))
        folder = Path(path).resolve().parent
        if not raw.labels:
            raise InputError("labels: name at least one folder of labels.")
        return cls(
            labels=tuple(LabelSource.parse(item, folder) for item in raw.labels),
            output=folder / raw.output,
            pack=folder / raw.pack if raw.pack else None,
            start=folder / raw.start if raw.start else None,
            kinds=tuple(raw.kinds),
            without=tuple(raw.without),
            novelty_kinds=tuple(raw.novelty_kinds),
            features=folder / raw.features if raw.features else None,
            scored=Region(**checked(Region, raw.scored, "scored.")),
            architecture=Architecture.from_dict(checked(Architecture, raw.architecture, "architecture.")),
            recipe=Recipe(**checked(Recipe, raw.recipe, "recipe.")),
        )


@dataclass(frozen=True)
class RawConfig:
    """The same as it stands in YAML, before paths and nested parts are resolved."""

    labels: list
    output: str
    architecture: dict
    pack: str | None = None
    start: str | None = None
    kinds: list = field(default_factory=list)
    without: list = field(default_factory=list)
    novelty_kinds: list = field(default_factory=list)
    features: str | None = None
    scored: dict = field(default_factory=dict)
    recipe: dict = field(default_factory=dict)
