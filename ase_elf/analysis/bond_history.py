"""BondHistory: the bonds of a structure through time, and what there is to say of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import numpy as np

from ase_elf.analysis.bond_frames import BondFrame
from ase_elf.geometry.pairs import name_of
from ase_elf.ruler.modes import is_sure
from ase_elf.statistics.series import ScalarAverage, TimeSeries

__all__ = ["FAR", "MEASURES", "BondHistory", "Correlation", "TypeChange"]

MEASURES = ("length", "ruler_length", "deviation")
"""What is averaged by type, Å."""

FAR = 4.0
"""A bond is an outlier whose deviation is that many times as far from the median of its type as
1.4826 median absolute deviations, which is a standard deviation where it is Gaussian."""


@dataclass(frozen=True)
class TypeChange:
    """A bond that was not of one type throughout.

    Parameters
    ----------
    i, j : int
    frames : dict of str to int
        Frames in which it was of a type; "" counts those in which it was no bond.
    changes : int
        How often one frame had another type than the frame before.
    """

    i: int
    j: int
    frames: dict[str, int]
    changes: int


@dataclass(frozen=True)
class Correlation:
    """Rank correlation (Spearman) of deviations with something else.

    Parameters
    ----------
    pair : str
        Elements of the bonds.
    quantity : str
    between : float
        Of the means of every bond over time; ``n`` bonds. NaN where nothing varies.
    within : float
        Of what a frame differs from the mean of its bond.
    n : int
    """

    pair: str
    quantity: str
    between: float
    within: float
    n: int


class BondHistory:
    """Bonds of frames of one structure.

    Parameters
    ----------
    frames : iterable of BondFrame
        In order; the atoms of all are the same.
    symbols : sequence of str
        Element of each atom.
    step : int
        Distance of frames in the numbering of the trajectory.

    Attributes
    ----------
    rows : ndarray, dtype ``SURVEY_COLUMNS``
        All bonds of all frames.
    """

    def __init__(self, frames: Iterable[BondFrame], symbols: Sequence[str], *, step: int = 1) -> None:
        self.frames = list(frames)
        self.symbols, self.step = np.array(symbols), step
        self.rows = np.concatenate([frame.rows for frame in self.frames])
        self.at = np.repeat(np.arange(len(self.frames)), [len(frame.rows) for frame in self.frames])

    @property
    def labels(self) -> list[str]:
        """Types of bonds there are."""
        return sorted(set(self.rows["label"].tolist()))

    @property
    def times(self) -> np.ndarray:
        """Time of every frame (fs), NaN where it is not known."""
        return np.array([frame.time_fs for frame in self.frames])

    def series(self, label: str, measure: str) -> np.ndarray:
        """Mean of a measure over the bonds of a type that were read, per frame; NaN where there are none."""
        mine = (self.rows["label"] == label) & np.isfinite(self.rows[measure])
        if measure != "length":
            mine &= np.isfinite(self.rows["deviation"])
        number = np.bincount(self.at[mine], minlength=len(self.frames))
        total = np.bincount(self.at[mine], self.rows[measure][mine], minlength=len(self.frames))
        return np.where(number > 0, total / np.maximum(number, 1), np.nan)

    @cached_property
    def averages(self) -> dict[str, dict[str, ScalarAverage]]:
        """By type and measure; errors are those of correlated frames."""
        series = {(label, m): self.series(label, m) for label in self.labels for m in MEASURES}
        return self._averaged(series)

    @cached_property
    def motifs(self) -> dict[str, np.ndarray]:
        """How many there are of every motif, per frame."""
        names = sorted({name for frame in self.frames for name in frame.motifs})
        return {name: np.array([frame.motifs.get(name, 0) for frame in self.frames]) for name in names}

    @property
    def not_covered(self) -> dict[str, float]:
        """Contacts that no ruler reads, by pair of elements: their mean number in a frame."""
        total: Counter[str] = Counter()
        for frame in self.frames:
            total.update(frame.not_covered)
        return {name: total[name] / len(self.frames) for name in sorted(total)}

    def motif_averages(self) -> dict[str, ScalarAverage]:
        """Mean number of every motif."""
        found = self._averaged({(name, "number"): values for name, values in self.motifs.items()})
        return {name: each["number"] for name, each in found.items()}

    def _averaged(self, series: dict[tuple[str, str], np.ndarray]) -> dict[str, dict[str, ScalarAverage]]:
        found: dict[str, dict[str, ScalarAverage]] = {}
        for (name, measure), values in series.items():
            seen = np.isfinite(values)
            if seen.all():
                statistic = TimeSeries([measure], step=self.step)
                for frame, value in zip(self.frames, values, strict=True):
                    statistic.update(SimpleNamespace(frame=frame.frame, scalars={measure: value}))
                average = statistic.result()[measure]
            else:  # frames with a gap between them are no series: a mean without error
                mean, std = (values[seen].mean(), values[seen].std()) if seen.any() else (np.nan, np.nan)
                average = ScalarAverage(
                    float(mean), np.nan, float(std), np.nan, int(seen.sum()), too_short=True
                )
            found.setdefault(name, {})[measure] = average
        return found

    def type_changes(self) -> list[TypeChange]:
        """Bonds that change their type, the most restless first."""
        bonds, which = self._bonds
        found = []
        for n, (i, j) in enumerate(bonds.tolist()):
            mine = which == n
            types = np.full(len(self.frames), "", self.rows["label"].dtype)
            types[self.at[mine]] = self.rows["label"][mine]
            if len(set(types.tolist())) > 1:
                changes = int((types[1:] != types[:-1]).sum())
                found.append(TypeChange(i, j, dict(Counter(types.tolist()).most_common()), changes))
        return sorted(found, key=lambda one: (-one.changes, one.i, one.j))

    def outliers(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows of bonds whose deviation is far (:data:`FAR`) from that of their type, farthest first.

        Returns
        -------
        rows : ndarray, shape (n,), int
            Indices into :attr:`rows`.
        far : ndarray, shape (n,)
            How far.
        """
        far = np.zeros(len(self.rows))
        for label in self.labels:
            mine = np.flatnonzero((self.rows["label"] == label) & np.isfinite(self.rows["deviation"]))
            if len(mine) > 2:
                away = np.abs(self.rows["deviation"][mine] - np.median(self.rows["deviation"][mine]))
                far[mine] = away / max(1.4826 * float(np.median(away)), 1e-9)
        found = np.flatnonzero(far > FAR)
        found = found[np.argsort(-far[found], kind="stable")]
        return found, far[found]

    def correlations(self) -> list[Correlation]:
        """Of deviations with the coordination of either end and with strain, by pair of elements.

        Strain is the length of a bond less the mean of its type.
        """
        pairs = np.sort(np.stack([self.symbols[self.rows["i"]], self.symbols[self.rows["j"]]], 1), axis=1)
        names = np.array([name_of(pair) for pair in pairs.tolist()])
        found = []
        for pair in sorted(set(names.tolist())):
            mine = np.flatnonzero((names == pair) & np.isfinite(self.rows["deviation"]))
            _, bond = np.unique(self._bonds[1][mine], return_inverse=True)
            deviation = self.rows["deviation"][mine]
            for quantity, values in self._explanations(mine).items():
                means = _means(bond, values), _means(bond, deviation)
                within = values - means[0][bond], deviation - means[1][bond]
                found.append(
                    Correlation(
                        pair, quantity, _spearman(*means), _spearman(*within), int(bond.max(initial=-1)) + 1
                    )
                )
        return found

    def _explanations(self, mine: np.ndarray) -> dict[str, np.ndarray]:
        """What deviations may go with, for these rows."""
        rows, coordination = self.rows[mine], np.stack([frame.coordination for frame in self.frames])
        labels, codes = np.unique(rows["label"], return_inverse=True)
        found = {"strain": rows["length"] - _means(codes, rows["length"], len(labels))[codes]}
        elements = sorted({*self.symbols[rows["i"]].tolist(), *self.symbols[rows["j"]].tolist()})
        for element in elements:
            ends = np.stack([self.symbols[rows[end]] == element for end in "ij"])
            numbers = np.stack([coordination[self.at[mine], rows[end]] for end in "ij"])
            found[f"coordination of {element}"] = (ends * numbers).sum(0) / ends.sum(0)
        return found

    @cached_property
    def _bonds(self) -> tuple[np.ndarray, np.ndarray]:
        """Pairs of atoms that are ever bonded, and of every row which of them it is."""
        ends = np.stack([self.rows["i"], self.rows["j"]], 1)
        bonds, which = np.unique(ends, axis=0, return_inverse=True)
        return bonds, which.ravel()

    def summary(self) -> dict[str, Any]:
        """All of it as plain values, for JSON."""
        outliers, far = self.outliers()
        sure = is_sure(self.rows["mode_confidence"], self.rows["mode_agreement"])
        by_type = {}
        for label in self.labels:
            mine = self.rows["label"] == label
            modes = Counter(self.rows["mode"][mine & (self.rows["mode"] != "")].tolist())
            by_type[label] = {
                "bonds": int(mine.sum()),
                "read": int(np.isfinite(self.rows["deviation"][mine]).sum()),
                "outside": int(self.rows["outside"][mine].sum()),
                **{m: _stated(average) for m, average in self.averages[label].items()},
                "modes": {mode: {"bonds": n, "sure": int((sure & mine & (self.rows["mode"] == mode)).sum())}
                          for mode, n in sorted(modes.items())},
            }  # fmt: skip
        return {
            "frames": len(self.frames),
            "types": by_type,
            "type_changes": [vars(change) for change in self.type_changes()],
            "outliers": len(outliers),
            "farthest": [
                {
                    name: self.rows[n][name].item()
                    for name in ("frame", "i", "j", "label", "length", "deviation")
                }
                | {"times_the_spread": float(x)}
                for n, x in zip(outliers[:20].tolist(), far[:20], strict=True)
            ],
            "correlations": [vars(each) for each in self.correlations()],
            "motifs": {name: _stated(average) for name, average in self.motif_averages().items()},
            "not_covered": self.not_covered,
            "outside_frames": sum(bool(frame.outside) for frame in self.frames),
        }


def _stated(average: ScalarAverage) -> dict[str, Any]:
    return {"mean": average.mean, "error": average.stated_error, "std": average.std, "text": str(average)}


def _means(which: np.ndarray, values: np.ndarray, n: int = 0) -> np.ndarray:
    return np.bincount(which, values, minlength=n) / np.maximum(np.bincount(which, minlength=n), 1)


def _spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Rank correlation; NaN where either does not vary beyond round-off."""
    from scipy.stats import spearmanr

    a, b = np.round(a, 9), np.round(b, 9)
    if len(a) < 3 or not np.ptp(a) or not np.ptp(b):
        return float("nan")
    return float(spearmanr(a, b).statistic)
