"""BondSurvey: every bond of many structures, with how the rulers read it.

Adds to a bond table what takes longer or makes no sense in a simulation: the reading mode
of every bond, the type its image looks like, and a typical image of each type.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from ase_elf.ruler.bonds import Reading, read_bonds, read_many
from ase_elf.ruler.modes import assign_by_all, is_sure
from ase_elf.ruler.table import COLUMNS, SURVEY_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ase import Atoms

    from ase_elf.grid import ELFGrid
    from ase_elf.ruler.image import ImageSpec
    from ase_elf.ruler.ruler import Ruler
    from ase_elf.ruler.source import PredictsELF

STRANGEST = 6
"""Bonds of the largest deviations whose images are kept, each bond of atoms once."""


@dataclass(frozen=True)
class Example:
    """A bond and its image.

    Parameters
    ----------
    row : ndarray, scalar of ``SURVEY_COLUMNS``
    spec : ImageSpec
    pair : tuple of str
    image, attribution : ndarray, shape (planes, size, size)
        ELF, and Å that each pixel adds to the reading.
    """

    row: np.ndarray
    spec: ImageSpec
    pair: tuple[str, str]
    image: np.ndarray
    attribution: np.ndarray

    @classmethod
    def of(cls, reading: Reading, rows: np.ndarray, maps: np.ndarray, n: int) -> Example:
        """The n-th bond that a ruler read, ``rows`` and ``maps`` being those of all."""
        return cls(
            rows[n].copy(), reading.ruler.spec, reading.ruler.pair, reading.images[n].copy(), maps[n].copy()
        )

    @property
    def size(self) -> float:
        """How far the deviation is from zero, Å."""
        return abs(float(self.row["deviation"]))


def has_modes() -> bool:
    """Whether reading modes can be found here: they need the package captum."""
    return find_spec("captum") is not None


class BondSurvey:
    """Bonds of structures, one after the other.

    Parameters
    ----------
    modes : bool
        Find the reading mode of every bond: about as long again as the reading.
    types : bool
        Tell the type from the image, too: several times as long as the reading.
    wanted : tuple of int, optional
        The only bond whose image :attr:`strangest` is to keep.

    Attributes
    ----------
    examples : dict of str to Example
        By label: the bond of median length of the first structure that has bonds of it.
    strangest : list of Example
        The bonds of the largest deviations, largest first.
    """

    def __init__(
        self, *, modes: bool = True, types: bool = True, wanted: tuple[int, int] | None = None
    ) -> None:
        self.modes, self.types, self.wanted = modes, types, wanted
        self.examples: dict[str, Example] = {}
        self.strangest: list[Example] = []
        self._parts: list[np.ndarray] = []

    def add(
        self,
        atoms: Atoms,
        elf: ELFGrid | PredictsELF,
        *,
        frame: int = 0,
        cutoffs: dict[tuple[str, str], float] | None = None,
    ) -> np.ndarray:
        """Measure the bonds of a structure; parameters as of :func:`measure_bonds`.

        Returns
        -------
        ndarray, shape (n_bonds,), dtype ``SURVEY_COLUMNS``
        """
        (found,) = self._take([read_bonds(atoms, elf, cutoffs=cutoffs)], [frame])
        return found

    def add_many(
        self,
        structures: Sequence[Atoms],
        elf: PredictsELF,
        *,
        frames: Sequence[int],
        cutoffs: dict[tuple[str, str], float] | None = None,
    ) -> list[np.ndarray]:
        """Measure the bonds of structures whose ELF is predicted, together: :meth:`add` of each."""
        return self._take(read_many(structures, elf, cutoffs=cutoffs), frames)

    def _take(
        self, read: Sequence[tuple[np.ndarray, list[Reading]]], frames: Sequence[int]
    ) -> list[np.ndarray]:
        parts, looks = [], []
        for (rows, readings), frame in zip(read, frames, strict=True):
            found = np.zeros(len(rows), dtype=SURVEY_COLUMNS)
            for name in COLUMNS.names:
                found[name] = rows[name]
            found["frame"] = frame
            for name in ("mode_confidence", "mode_agreement", "image_type_probability"):
                found[name] = np.nan
            parts.append(found)
            looks += [(found, reading) for reading in readings]
        for ruler in {id(reading.ruler): reading.ruler for _, reading in looks}.values():
            self._look(ruler, [(rows, reading) for rows, reading in looks if reading.ruler is ruler])
        self._parts += parts
        return parts

    def _look(self, ruler: Ruler, looks: list[tuple[np.ndarray, Reading]]) -> None:
        for rows, reading in looks if self.types and ruler.classifiers else ():
            wide = ruler.type_spec.images(reading.frames, reading.sample)
            probability = ruler.classify(wide)
            told = np.array(ruler.types)[probability.argmax(1)]
            rows["image_type"][reading.chosen] = np.where(reading.strange, "", told)
            rows["image_type_probability"][reading.chosen] = np.where(
                reading.strange, np.nan, probability.max(1)
            )
        if not self.modes or ruler.modes is None:
            return
        images = np.concatenate([reading.images for _, reading in looks])
        mode, confidence, agreement, maps = assign_by_all(ruler.modes, ruler.readers, images)
        start = 0
        for rows, reading in looks:
            mine, n = slice(start, start + len(reading.chosen)), len(reading.chosen)
            start += n
            names = np.array(ruler.modes.names)[mode[mine]]
            rows["mode"][reading.chosen] = np.where(reading.strange, "", names)
            for name, values in (("mode_confidence", confidence), ("mode_agreement", agreement)):
                rows[name][reading.chosen] = np.where(reading.strange, np.nan, values[mine])
            self._keep_examples(rows, reading, maps[mine])

    def _keep_examples(self, rows: np.ndarray, reading: Reading, maps: np.ndarray) -> None:
        mine, usual = rows[reading.chosen], ~reading.strange
        for label in sorted(set(mine["label"][usual].tolist()) - set(self.examples)):
            them = np.flatnonzero((mine["label"] == label) & usual)
            n = them[np.argsort(mine["length"][them])[len(them) // 2]]
            self.examples[label] = Example.of(reading, mine, maps, n)
        if self.wanted is not None:
            usual = usual & (mine["i"] == self.wanted[0]) & (mine["j"] == self.wanted[1])
        least = self.strangest[-1].size if len(self.strangest) == STRANGEST else 0.0
        for n in np.flatnonzero(usual & (np.abs(mine["deviation"]) > least)):
            self.strangest.append(Example.of(reading, mine, maps, n))
        best: dict[tuple[int, int], Example] = {}
        for example in sorted(self.strangest, key=lambda one: -one.size):
            best.setdefault((int(example.row["i"]), int(example.row["j"])), example)
        self.strangest = list(best.values())[:STRANGEST]

    @property
    def rows(self) -> np.ndarray:
        """All bonds so far, (n,), dtype ``SURVEY_COLUMNS``."""
        return np.concatenate(self._parts) if self._parts else np.zeros(0, SURVEY_COLUMNS)

    def by_label(self) -> dict[str, dict[str, float]]:
        """Of each label: number, mean and standard deviation of length, reading, deviation.

        ``read`` counts bonds with a deviation, and means of readings are over those alone;
        ``outside`` counts bonds that the ruler was not fitted to.

        ``strain`` is the mean deviation over its standard error of independent bonds; bonds
        of successive frames are not independent, so it is an upper bound there.
        """
        rows, table = self.rows, {}
        for label in sorted(set(rows["label"].tolist())):
            mine = rows[rows["label"] == label]
            read = mine[np.isfinite(mine["deviation"])]
            entry = {"bonds": len(mine), "read": len(read), "outside": int(mine["outside"].sum())}
            for name in ("length", "ruler_length", "deviation", "uncertainty"):
                values = mine[name] if name == "length" else read[name]
                if len(values):
                    entry[name] = float(values.mean())
                    entry[f"{name}_std"] = float(values.std(ddof=1)) if len(values) > 1 else 0.0
            if len(read) > 1 and entry["deviation_std"] > 0:
                entry["strain"] = entry["deviation"] / (entry["deviation_std"] / len(read) ** 0.5)
            for column in ("mode", "image_type"):
                names, counts = np.unique(mine[column][mine[column] != ""], return_counts=True)
                if len(names):
                    entry[column] = dict(zip(names.tolist(), counts.tolist(), strict=True))
            if "mode" in entry:
                sure = mine["mode"][is_sure(mine["mode_confidence"], mine["mode_agreement"])].tolist()
                entry["mode_sure"] = {name: sure.count(name) for name in entry["mode"]}
            table[label] = entry
        return table
