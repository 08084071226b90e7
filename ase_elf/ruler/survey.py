"""BondSurvey: every bond of many structures, with how the rulers read it.

Adds to a bond table what takes longer or makes no sense in a simulation: the reading mode
of every bond, the type its image looks like, and a typical image of each type.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ase_elf.ruler.bonds import Reading, read_bonds
from ase_elf.ruler.modes import attribution
from ase_elf.ruler.table import COLUMNS

if TYPE_CHECKING:
    from ase import Atoms

    from ase_elf.grid import ELFGrid
    from ase_elf.ruler.image import ImageSpec
    from ase_elf.ruler.source import PredictsELF

EXTRA = np.dtype(
    [
        ("frame", np.int64),
        ("mode", "U32"),
        ("mode_confidence", np.float64),
        ("image_type", "U16"),
        ("image_type_probability", np.float64),
    ]
)
"""Columns beyond those of a bond table; "" and NaN where no ruler read the bond."""

SURVEY_COLUMNS = np.dtype([*EXTRA.descr[:1], *COLUMNS.descr, *EXTRA.descr[1:]])


@dataclass(frozen=True)
class Example:
    """A typical bond of a type: the one of median length among the first that were seen.

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


class BondSurvey:
    """Bonds of structures, one after the other.

    Parameters
    ----------
    modes : bool
        Find the reading mode of every bond: about as long again as the reading.

    Attributes
    ----------
    examples : dict of str to Example
        By label; from the first structure that has bonds of it.
    """

    def __init__(self, *, modes: bool = True) -> None:
        self.modes = modes
        self.examples: dict[str, Example] = {}
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
        rows, readings = read_bonds(atoms, elf, cutoffs=cutoffs)
        found = np.zeros(len(rows), dtype=SURVEY_COLUMNS)
        for name in COLUMNS.names:
            found[name] = rows[name]
        found["frame"] = frame
        found["mode_confidence"] = found["image_type_probability"] = np.nan
        for reading in readings:
            self._look(found, reading)
        self._parts.append(found)
        return found

    def _look(self, rows: np.ndarray, reading: Reading) -> None:
        ruler, chosen = reading.ruler, reading.chosen
        if ruler.classifiers:
            wide = ruler.type_spec.images(reading.frames, reading.sample)
            probability = ruler.classify(wide)
            told = np.array(ruler.types)[probability.argmax(1)]
            rows["image_type"][chosen] = np.where(reading.strange, "", told)
            rows["image_type_probability"][chosen] = np.where(reading.strange, np.nan, probability.max(1))
        if not self.modes or ruler.modes is None:
            return
        maps = attribution(ruler.readers, reading.images, ruler.modes.baseline)
        mode, confidence = ruler.modes.assign(maps)
        rows["mode"][chosen] = np.where(reading.strange, "", np.array(ruler.modes.names)[mode])
        rows["mode_confidence"][chosen] = np.where(reading.strange, np.nan, confidence)
        usual = rows["label"][chosen][~reading.strange]
        for label in set(usual.tolist()) - set(self.examples):
            mine = np.flatnonzero((rows["label"][chosen] == label) & ~reading.strange)
            n = mine[np.argsort(rows["length"][chosen[mine]])[len(mine) // 2]]
            self.examples[label] = Example(
                rows[chosen[n]], ruler.spec, ruler.pair, reading.images[n], maps[n]
            )

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
            table[label] = entry
        return table
