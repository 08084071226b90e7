"""BondTable: one row per bond, columns by name."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_elf.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["COLUMNS", "SURVEY_COLUMNS", "BondTable"]

COLUMNS = np.dtype(
    [
        ("i", np.int64),
        ("j", np.int64),
        ("length", np.float64),
        ("ruler_length", np.float64),
        ("deviation", np.float64),
        ("label", "U16"),
        ("uncertainty", np.float64),
        ("outside", np.bool_),
        ("elf_min", np.float64),
        ("elf_mid", np.float64),
        ("elf_max", np.float64),
        ("S1", np.int64),
        ("S2", np.int64),
        ("S3", np.int64),
    ]
)
"""Columns of every table, in order; lengths, deviation and uncertainty in Å."""

EXTRA = np.dtype(
    [
        ("frame", np.int64),
        ("mode", "U32"),
        ("mode_confidence", np.float64),
        ("mode_agreement", np.float64),
        ("image_type", "U16"),
        ("image_type_probability", np.float64),
    ]
)
"""Columns of a survey beyond those of a table; "" and NaN where no ruler read the bond."""

SURVEY_COLUMNS = np.dtype([*EXTRA.descr[:1], *COLUMNS.descr, *EXTRA.descr[1:]])
"""Columns of :class:`~ase_elf.ruler.survey.BondSurvey`."""


@dataclass(frozen=True, eq=False)
class BondTable:
    """Bonds of one structure.

    Parameters
    ----------
    rows : ndarray, shape (n_bonds,), dtype ``COLUMNS``
        ``i``, ``j``: atoms, with ``i <= j``; the bond goes from atom i to the image of
        atom j in lattice cell (``S1``, ``S2``, ``S3``). ``length``: Å. ``label``: what the
        bond is. ``ruler_length``, ``deviation`` (length minus ruler length) and
        ``uncertainty`` (one standard deviation of the ruler length): Å, NaN where no ruler
        is installed for the bond. ``outside``: the ruler was not fitted to such a bond, by its
        length or by what surrounds it; a reading then has no deviation and no uncertainty.
        ``elf_min``, ``elf_mid``, ``elf_max``: smallest, middle and largest ELF on the line
        between the nuclei. Kept read-only.

    Examples
    --------
    >>> table = BondTable(np.zeros(2, dtype=COLUMNS))
    >>> len(table), table["length"]
    (2, array([0., 0.]))
    """

    rows: np.ndarray

    def __post_init__(self) -> None:
        rows = np.array(self.rows)
        if rows.dtype != COLUMNS or rows.ndim != 1:
            raise InputError(f"rows must be one-dimensional with the columns {COLUMNS.names}.")
        rows.flags.writeable = False
        object.__setattr__(self, "rows", rows)

    @classmethod
    def of_survey(cls, rows: np.ndarray) -> BondTable:
        """The columns of a table, of rows with ``SURVEY_COLUMNS``."""
        table = np.zeros(len(rows), COLUMNS)
        for name in COLUMNS.names:
            table[name] = rows[name]
        return cls(table)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return COLUMNS.names

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, column: str) -> np.ndarray:
        if column not in self.columns:
            raise KeyError(f"no column {column!r}; there are {', '.join(self.columns)}.")
        return self.rows[column]

    def __iter__(self) -> Iterator[dict[str, object]]:
        """Rows as dictionaries."""
        return (dict(zip(self.columns, row.tolist(), strict=True)) for row in self.rows)

    def __repr__(self) -> str:
        kinds = sorted(set(self["label"].tolist()))
        return f"BondTable({len(self)} bonds{': ' if kinds else ''}{', '.join(kinds)})"

    def plot(self, ax: Axes | None = None, **draw: Any) -> Axes:
        """ELF half way against bond length, by label."""
        from ase_elf.plotting.fields import plot_bonds

        columns = ("length", "elf_mid", "elf_min")
        bonds = {}
        for label in sorted(set(self["label"].tolist())):
            rows = self.rows[self["label"] == label]
            bonds[label] = tuple(rows[name] for name in columns)
        return plot_bonds(bonds, ax, **draw)

    def to_dict(self) -> dict[str, list]:
        """Columns as lists of plain numbers and strings (NaN stays NaN)."""
        return {name: self[name].tolist() for name in self.columns}

    def to_csv(self, path: str | os.PathLike) -> None:
        """Write one line per bond under a header of column names; floats in full."""
        with Path(path).open("w", newline="", encoding="utf-8") as fd:
            writer = csv.writer(fd)
            writer.writerow(self.columns)
            writer.writerows(row.tolist() for row in self.rows)
