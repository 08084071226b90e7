"""OwnTable: columns that a user knows of structures, joined to a ranking and used to choose what is ranked."""

from __future__ import annotations

import csv
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path, PurePath
from typing import Any

from ase_elf.errors import FormatError, InputError

__all__ = ["Condition", "OwnTable"]

KEYS = ("name", "structure", "file", "id")
"""Headings of the column that names the structure; without any of them the first column does."""

_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le, ">=": operator.ge, "!=": operator.ne, "==": operator.eq, "=": operator.eq,
    "<": operator.lt, ">": operator.gt,
}  # fmt: skip

_CONDITION = re.compile(r"\s*([^<>=!]+?)\s*(<=|>=|!=|==|=|<|>)\s*(.+?)\s*")


@dataclass(frozen=True)
class Condition:
    """What a column has to be, such as ``pressure <= 100`` or ``stable = yes``.

    Parameters
    ----------
    column, comparison, value : str
        Compared as numbers where both are, else as text, which can only be equal or not.
    """

    column: str
    comparison: str
    value: str

    @classmethod
    def parse(cls, text: str) -> Condition:
        """The condition written as ``COLUMN <= VALUE``, with <, <=, =, !=, >= or >."""
        match = _CONDITION.fullmatch(text)
        if match is None:
            raise InputError(f"{text!r} is no condition; write COLUMN<=VALUE with <, <=, =, !=, >= or >.")
        found = cls(*match.groups())
        if _number(found.value) is None and found.comparison not in ("=", "==", "!="):
            raise InputError(f"{text!r}: {found.value!r} is not a number; text can be = or != only.")
        return found

    def holds(self, entry: str) -> bool:
        """Whether an entry of the column meets it; one that is empty, or no number where one is meant, does not."""
        mine, other = _number(entry), _number(self.value)
        compare = _COMPARISONS[self.comparison]
        if other is None:
            return compare(entry.strip(), self.value)
        return mine is not None and compare(mine, other)


@dataclass(frozen=True)
class OwnTable:
    """A CSV file with a row for structures of a collection.

    Parameters
    ----------
    path : str or Path
        The first of the columns "name", "structure", "file" and "id" that is there names the structure,
        without any the first column: as the ranking does, or by the file without its suffix.
    conditions : sequence of Condition
        Structures that do not meet all of them are left out, those without a row too.

    Raises
    ------
    FormatError
        The file cannot be read, has no heading, or names a structure twice.
    InputError
        A condition is on a column that is not there.
    """

    path: str | Path
    conditions: Sequence[Condition] = ()
    columns: tuple[str, ...] = field(init=False, repr=False, compare=False)
    """Headings but that of the name."""
    _rows: dict[str, dict[str, str]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        try:
            with Path(self.path).open(newline="", encoding="utf-8-sig") as file:
                reader = csv.DictReader(file, restval="")
                headings = [name for name in reader.fieldnames or () if name]
                if not headings:
                    raise FormatError(f"{self.path} has no line of headings.")
                key = next((name for name in KEYS if name in headings), headings[0])
                rows = self._read(reader, key)
        except (csv.Error, UnicodeDecodeError) as error:
            raise FormatError(f"{self.path} is no CSV file: {error}.") from error
        object.__setattr__(self, "_rows", rows)
        object.__setattr__(self, "columns", tuple(name for name in headings if name != key))
        for condition in self.conditions:
            if condition.column not in self.columns:
                near = get_close_matches(condition.column, self.columns, 1)
                hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(self.columns)}."
                raise InputError(f"{self.path} has no column {condition.column!r}; {hint}")

    def _read(self, reader: csv.DictReader[str], key: str) -> dict[str, dict[str, str]]:
        rows: dict[str, dict[str, str]] = {}
        for row in reader:
            name = row.pop(key).strip()
            if name in rows:
                raise FormatError(f"{self.path}, line {reader.line_num}: {name!r} has a row already.")
            rows[name] = {column: entry for column, entry in row.items() if column}
        return rows

    def __len__(self) -> int:
        return len(self._rows)

    def of(self, name: str) -> dict[str, str] | None:
        """The row of the structure that a ranking calls ``name``, or None."""
        bare = name.partition("#")[0]
        for known in (name, name.removeprefix("id="), PurePath(name).name, bare, PurePath(bare).stem):
            if known in self._rows:
                return self._rows[known]
        return None

    def admits(self, name: str) -> bool:
        """Whether the structure that a ranking calls ``name`` meets all conditions."""
        if not self.conditions:
            return True
        row = self.of(name)
        return row is not None and all(c.holds(row[c.column]) for c in self.conditions)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
