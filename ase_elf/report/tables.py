"""frames.csv, bonds.csv and summary.json of an analysed run."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ase_elf.analysis.quantities import BONDS, FRAMES, names_of
from ase_elf.geometry.pairs import name_of

if TYPE_CHECKING:
    from ase_elf.statistics import FrameResult

FRAME_COLUMNS = ("frame", "time_fs", *names_of(FRAMES), "reasons_outside")
"""Columns of ``frames.csv``. Times in fs; empty = undefined."""

BOND_COLUMNS = ("frame", "time_fs", "i", "j", "pair", *names_of(BONDS)[2:])
"""Columns of ``bonds.csv``: one row per bond and frame; i and j count from 0."""


class Tables:
    """Writers of both tables, fed frame by frame.

    Parameters
    ----------
    frames, bonds : Path
        Files to write.
    symbols : sequence of str
        Element of each atom.
    """

    def __init__(self, frames: Path, bonds: Path, symbols: list[str]) -> None:
        self._files = [path.open("w", newline="", encoding="utf-8") for path in (frames, bonds)]
        self._frames, self._bonds = (csv.writer(f, lineterminator="\n") for f in self._files)
        self._symbols = symbols
        self._frames.writerow(FRAME_COLUMNS)
        self._bonds.writerow(BOND_COLUMNS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files:
            file.close()

    def add(self, frame: FrameResult) -> None:
        time = number(frame.time_fs)
        scalars = [number(frame.scalars[name]) for name in names_of(FRAMES)]
        self._frames.writerow([frame.frame, time, *scalars, "; ".join(frame.outside)])
        self._bonds.writerows([frame.frame, time, *row] for row in bond_rows(frame, self._symbols))


def bond_rows(frame: FrameResult, symbols: list[str]) -> Iterator[list[object]]:
    """Rows of the bond table of one frame, from column ``i`` on."""
    for i, j, *values in zip(*(frame.bonds[name].tolist() for name in names_of(BONDS)), strict=True):
        yield [i, j, name_of(sorted((symbols[i], symbols[j]))), *map(_cell, values)]


def _cell(value: object) -> object:
    """Five digits of a number, nothing for NaN, and 0 or 1 for a truth."""
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.5f}"
    return int(value) if isinstance(value, bool) else value


def kind_of(reason: str) -> str:
    """What a reason to lie outside the trained range is about, without the numbers of one structure."""
    return re.split(r" = | is \d", reason)[0]


def number(value: float) -> str:
    """Shortest text that keeps seven digits; empty for NaN."""
    if math.isnan(value):
        return ""
    return f"{value:.7g}"


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """Rows as CSV under all their keys; empty where a row has no number."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({k: number(v) if isinstance(v, float) else v for k, v in row.items()})


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Indented JSON with NaN and infinity as null, so that every reader takes it."""
    text = json.dumps(plain(content), indent=1, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def plain(value: object) -> object:
    """Numbers, strings, lists and dicts out of arrays and dataclasses."""
    if hasattr(value, "__dataclass_fields__"):
        return {name: plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, str) or not isinstance(value, Iterable | float):
        return value
    if isinstance(value, float):
        # Seven digits: more would be round-off, which differs between machines.
        return float(f"{value:.7g}") if math.isfinite(value) else None
    return [plain(item) for item in value]
