"""JSON of ASE, looked through before ASE decodes it.

ASE makes an array of the shape that a file declares, and fills it with one value where there
is only one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_elf.errors import FormatError

if TYPE_CHECKING:
    from ase.io.trajectory import TrajectoryReader

_WIDEST = 32
"""Bytes of the largest number of NumPy."""


def check_arrays(text: str | bytes) -> None:
    """Raise :class:`FormatError` for an array that declares more than the values it has."""
    found = json.loads(text, object_hook=_check)
    if isinstance(found, str):
        _check_within(found)


def check_database(path: Path) -> None:
    """:func:`check_arrays` of all that ASE decodes of a database, whose kind it tells by its name."""
    if path.suffix == ".json":
        check_arrays(path.read_bytes())
    elif path.suffix == ".db":
        import sqlite3  # which not every Python has

        with closing(sqlite3.connect(path)) as database:
            query = "SELECT constraints, calculator_parameters, key_value_pairs FROM systems"
            for row in database.execute(query):
                _check(dict(enumerate(row)))


@contextmanager
def open_traj(path: Path) -> Iterator[tuple[TrajectoryReader, Callable[[int], None]]]:
    """ASE's reader of a ``.traj``, and :func:`check_arrays` of one of its frames."""
    from ase.io.trajectory import TrajectoryReader
    from ase.io.ulm import read_header, readints

    with path.open("rb") as file:
        *_, offsets = read_header(file)

        def check(index: int) -> None:
            file.seek(offsets[index])
            check_arrays(file.read(int(readints(file, 1)[0])))

        if len(offsets):
            check(0)  # which the reader decodes as soon as it is made
        with TrajectoryReader(str(path)) as traj:
            yield traj, check


def _check(found: dict[Any, Any]) -> None:
    if "__ndarray__" in found:
        shape, kind, values = found["__ndarray__"]
        longest = max((4 * len(value) for value in values if isinstance(value, str)), default=0)
        if math.prod(shape) > len(values) or np.dtype(kind).itemsize > max(_WIDEST, longest):
            raise FormatError(
                f"an array of {kind!s:.40} declares the shape {shape!s:.80}, but has "
                f"{len(values)} values; the file is damaged."
            )
    for value in found.values():
        if isinstance(value, str) and value.lstrip()[:1] in ("[", "{", '"'):
            _check_within(value)


def _check_within(text: str) -> None:
    """Constraints, and parameters of calculators, are JSON within JSON."""
    try:
        check_arrays(text)
    except json.JSONDecodeError:
        return  # a text like any other
