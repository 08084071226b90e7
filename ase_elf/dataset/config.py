"""BuildConfig: what `dataset build` is told, read from YAML and checked key by key."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ase import Atoms
from ase.io.formats import string2index

from ase_elf.dataset.images import ImageChoice
from ase_elf.dataset.label import BATCH
from ase_elf.errors import InputError
from ase_elf.parallel.cluster import ClusterChoice
from ase_elf.reference.engine import locate_files
from ase_elf.ruler.image import ImageSpec
from ase_elf.storage.configuration import checked, read_mapping
from ase_elf.structures.trajectory import Trajectory

SPLITS = ("", "train", "validation", "test")


@dataclass(frozen=True)
class StructureSource:
    """Structures in one file.

    Parameters
    ----------
    path : Path
        Anything that :class:`Trajectory` reads. A relative path starts at the folder of the configuration.
    index : str
        ASE's slice notation, such as ":" (all), "::10" or "5".
    split : str
        "train", "validation", "test", or "" to leave it open.
    kind : str
        What sort of structure it is, such as "fluid"; free to choose.
    """

    path: Path
    index: str = ":"
    split: str = ""
    kind: str = ""

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise InputError(f"split {self.split!r} is none of 'train', 'validation', 'test'.")

    def read(self) -> list[tuple[str, Atoms]]:
        """(name, structure) of every frame; the name is ``info['id']`` where there is one."""
        if not self.path.is_file():
            raise InputError(f"the structure file {self.path} does not exist.")
        # Counted first: memory is for the frames that are chosen.
        every = range(sum(1 for _ in Trajectory(self.path)))
        try:
            chosen = every[string2index(self.index)]
        except (ValueError, TypeError, IndexError):
            chosen = every[:0]
        if isinstance(chosen, int):
            chosen = every[chosen : chosen + 1]
        if not chosen:
            raise InputError(
                f"index {self.index!r} selects no structure of {self.path}, which has {len(every)}; "
                'give a number or a slice, such as "5" or "::10".'
            )
        frames = Trajectory(self.path, min(chosen), max(chosen) + 1, abs(chosen.step))
        found = {frame.index: frame.atoms for frame in frames}
        images = [found[number] for number in chosen]
        names = [f"{self.path.name}[{number}]" for number in range(len(images))]
        return [(str(atoms.info.get("id", name)), atoms) for name, atoms in zip(names, images, strict=True)]


@dataclass(frozen=True)
class PointChoice:
    """Which points of a structure are kept, where the whole grid would be too much.

    Parameters
    ----------
    count : int
        Points per structure.
    seed : int
        Of the random choice. The structure's digest enters too, so each gets its own points.
    within : float, optional
        Å. Only points this close to an atom: the ELF of vacuum is noise.
    """

    count: int
    seed: int = 0
    within: float | None = None

    def __post_init__(self) -> None:
        if self.count < 1:
            raise InputError(f"points: count is {self.count}; at least one point is needed.")
        if self.seed < 0:
            raise InputError(f"points: seed is {self.seed}; it must not be negative.")
        if self.within is not None and not self.within > 0:
            raise InputError(f"points: within is {self.within} Å; it must be positive.")


@dataclass(frozen=True)
class BuildConfig:
    """All that decides what a build makes.

    Parameters
    ----------
    structures : tuple of StructureSource
    engine : str
        Name of a reference engine.
    output : Path
        Folder of the label store.
    batch : str
        Name under which the store keeps the recipe; a store may hold batches of several recipes.
    options : dict
        Options of the engine, such as its recipe.
    points : PointChoice, optional
        Without it the whole grid is kept.
    images : ImageChoice, optional
        Instead of ``points``: the pixels of images of bonds, to fit a ruler to. An engine
        that works on a grid keeps its grid.
    density : bool
        Keep the electron density as well, which masks vacuum.
    attempts : int
        How often a structure is tried, each time with safer mixing, before it is recorded
        as failed.
    workers : int
        Structures computed at the same time, each in its own process.
    cluster : ClusterChoice, optional
        Run on a Dask cluster instead of ``workers`` local processes.
    """

    structures: tuple[StructureSource, ...]
    engine: str
    output: Path
    options: dict = field(default_factory=dict)
    points: PointChoice | None = None
    images: ImageChoice | None = None
    density: bool = False
    attempts: int = 3
    workers: int = 1
    cluster: ClusterChoice | None = None
    batch: str = BATCH

    def __post_init__(self) -> None:
        if self.points is not None and self.images is not None:
            raise InputError("give points: or images:, not both.")
        for key in ("attempts", "workers"):
            if getattr(self, key) < 1:
                raise InputError(f"{key} is {getattr(self, key)}; it must be at least 1.")

    @classmethod
    def read(cls, path: str | Path) -> BuildConfig:
        """The configuration in a YAML file; relative paths in it start at its folder.

        Raises
        ------
        FormatError
            The file is no YAML mapping.
        InputError
            A key is unknown or missing, or a value has the wrong type.
        """
        return cls.from_dict(read_mapping(path), folder=Path(path).resolve().parent)

    @classmethod
    def from_dict(cls, loaded: dict[str, Any], *, folder: Path = Path()) -> BuildConfig:
        """The configuration in a plain dict, as YAML gives it."""
        values = dict(checked(cls, loaded, ""))
        sources = values["structures"]
        if not isinstance(sources, list) or not sources:
            raise InputError("structures: a list of files is needed, each with its `path`.")
        values["structures"] = tuple(_source(source, folder) for source in sources)
        values["output"] = folder / str(values["output"])
        values["options"] = locate_files(values["engine"], values.get("options", {}), folder)
        if isinstance(values.get("images"), dict) and "image" in values["images"]:
            image = checked(ImageSpec, values["images"]["image"], "images.image.")
            values["images"] = {**values["images"], "image": ImageSpec.from_dict(image)}
        parts = (("points", PointChoice), ("images", ImageChoice), ("cluster", ClusterChoice))
        for key, kind in parts:
            if values.get(key) is not None:
                values[key] = kind(**checked(kind, values[key], f"{key}."))
        return cls(**values)


def _source(source: object, folder: Path) -> StructureSource:
    if isinstance(source, str):
        source = {"path": source}
    values = dict(checked(StructureSource, source, "structures."))
    values["path"] = folder / str(values["path"])
    values["index"] = str(values.get("index", ":"))
    return StructureSource(**values)
