"""The manifest of a label store: one row per label, by which labels are chosen without reading them."""

from __future__ import annotations

import csv
import difflib
import io
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from ase_elf.dataset.shard import StoredLabel
from ase_elf.errors import FormatError, InputError

COLUMNS = ("id", "name", "kind", "split", "batch", "holds", "geometry", "kmesh", "grid", "refines",
           "n_values", "energy", "shard", "sha256")  # fmt: skip

Row = dict[str, str]

REMEDY = (
    "Delete the file: a store makes its manifest again from the shards when `ase-elf dataset build` opens it."
)
"""What to do about a damaged manifest."""

_SHARD = re.compile(r"[0-9a-f]{16}\.npz")
_BREAKS = re.compile(r"[\r\n\0]")


def row_of(stored: StoredLabel, shard: str, sha256: str) -> Row:
    """The row of a label in a shard."""
    text = stored.text
    provenance, grid = text.get("provenance") or {}, stored.grid
    values = {key: text.get(key, "") for key in ("id", "name", "kind", "split", "batch", "refines")} | {
        "holds": stored.holds,
        "geometry": stored.geometry,
        "kmesh": kmesh(provenance.get("kpts"), provenance.get("kshift")),
        "grid": _times(grid) if grid else "",
        "n_values": math.prod(stored.shape),
        "energy": "" if text["energy"] is None else text["energy"],
        "shard": shard,
        "sha256": sha256,
    }
    return {key: _BREAKS.sub(" ", str(values[key])) for key in COLUMNS}


def kmesh(kpts: Iterable[int] | None, kshift: Iterable[int] | None) -> str:
    """A k-mesh as "3x3x3", with " shifted" or " shift 1x1x0" where it does not hold Γ."""
    if not kpts:
        return ""
    shift = tuple(kshift or ())
    moved = "" if not any(shift) else " shifted" if all(shift) else f" shift {_times(shift)}"
    return _times(kpts) + moved


def _times(numbers: Iterable[int]) -> str:
    return "x".join(map(str, numbers))


def write_rows(rows: Iterable[Row], *, header: bool) -> bytes:
    """Rows as CSV, one line each."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode("utf-8", "backslashreplace")


def read_rows(path: Path) -> dict[str, Row]:
    """Rows by id, in order; a last line without its end was cut off, and is skipped.

    Raises
    ------
    FormatError
        The file is not a manifest.
    """
    data = path.read_bytes()
    rows = {}
    try:
        lines = io.StringIO(data[: data.rfind(b"\n") + 1].decode(), newline="")
        reader = csv.DictReader(lines, strict=True)
        if data and reader.fieldnames is not None and tuple(reader.fieldnames) != COLUMNS:
            raise ValueError(f"its columns are {reader.fieldnames}, not {list(COLUMNS)}")
        for row in reader:
            if None in row or None in row.values():
                raise ValueError(f"line {reader.line_num} has not {len(COLUMNS)} columns")
            rows[row["id"]] = row
    except (ValueError, csv.Error) as error:
        raise FormatError(f"{path} is damaged ({str(error)[:300]}). {REMEDY}") from error
    return named_shards(rows, path)


def named_shards(rows: dict[str, Row], path: Path) -> dict[str, Row]:
    """``rows``, all of which name shards; :class:`FormatError` otherwise."""
    for row in rows.values():
        if not _SHARD.fullmatch(row["shard"]):
            raise FormatError(
                f"{path} lists a shard {row['shard']!r:.100}, which is not a name of one. {REMEDY}"
            )
    return rows


def matching(rows: Iterable[Row], where: Mapping[str, object], what: str) -> list[Row]:
    """Rows whose columns are equal to the value, or to one of the list of values, that ``where`` gives.

    Parameters
    ----------
    rows : iterable of dict
    where : mapping of column to scalar or list
    what : str
        Where the rows come from, for messages.

    Raises
    ------
    InputError
        A column does not exist, or no row has such a value: the message names the near miss.
    """
    found = list(rows)
    every, columns = found, list(found[0]) if found else []
    for column, wanted in where.items():
        if every and column not in columns:
            near = difflib.get_close_matches(str(column), columns, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise InputError(
                f"where: {what} has no column {column!r}; {hint}columns are {', '.join(columns)}."
            )
        values = {
            "" if v is None else str(v) for v in (wanted if isinstance(wanted, list | tuple) else [wanted])
        }
        there = {row[column] for row in every}
        for value in sorted(values - there):
            near = difflib.get_close_matches(value, there, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            some = ", ".join(sorted(map(repr, there))[:20])
            raise InputError(f"where: no label in {what} has the {column} {value!r}; {hint}there are {some}.")
        found = [row for row in found if row[column] in values]
    return found
