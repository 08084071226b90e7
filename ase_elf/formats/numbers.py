"""Long runs of numbers in text files, read without believing how many there should be."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from typing import TextIO

import numpy as np

from ase_elf.errors import FormatError

_BLOCK = 4096
"""Lines formatted or parsed at once, so that text never doubles the memory of a grid."""


def read_shape(words: list[str]) -> tuple[int, int, int]:
    """Three positive grid sizes, or :class:`FormatError`."""
    try:
        shape = tuple(int(word) for word in words)
    except ValueError as error:
        raise FormatError(f"expected three grid sizes, found {' '.join(words)!r}.") from error
    if len(shape) != 3 or min(shape) < 1:
        raise FormatError(f"expected three positive grid sizes, found {' '.join(words)!r}.")
    return shape


def read_numbers(lines: Iterator[str], shape: tuple[int, ...]) -> np.ndarray:
    """ndarray, shape (prod(shape),), float32: the next numbers, to the end of a line.

    Memory grows with what is there, not with what ``shape`` asks for.

    Raises
    ------
    FormatError
        If there are fewer or more of them, or something that is no number.
    """
    wanted = math.prod(shape)
    parts: list[np.ndarray] = []
    found = 0
    while found < wanted:
        text, words = _take(lines, wanted - found)
        if not words:
            raise FormatError(
                f"ends after {found} of {wanted} values ({'x'.join(map(str, shape))} grid): "
                "the file is truncated, or its grid sizes are wrong."
            )
        parts.append(_parse(text, words))
        found += words
    if found > wanted:
        raise FormatError(
            f"has {found} values where {wanted} were declared ({'x'.join(map(str, shape))} grid)."
        )
    return np.concatenate(parts)


def write_numbers(fd: TextIO, values: np.ndarray, per_line: int) -> None:
    """Write ``values`` in order; nine digits, so that float32 comes back bit for bit."""
    flat = np.ascontiguousarray(values).ravel()
    step = per_line * _BLOCK
    for start in range(0, len(flat), step):
        part = flat[start : start + step]
        rows, rest = divmod(len(part), per_line)
        pattern = (" %.8E" * per_line + "\n") * rows + (" %.8E" * rest + "\n" if rest else "")
        fd.write(pattern % tuple(part.tolist()))


def _take(lines: Iterator[str], wanted: int) -> tuple[str, int]:
    taken: list[str] = []
    words = 0
    for line in lines:
        taken.append(line)
        words += len(line.split())
        if words >= wanted or len(taken) == _BLOCK:
            break
    return " ".join(taken), words


def _parse(text: str, words: int) -> np.ndarray:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)  # how NumPy reports bad text
            numbers = np.fromstring(text, dtype=np.float64, sep=" ")
    except (ValueError, DeprecationWarning):
        numbers = np.empty(0)
    if len(numbers) != words:
        bad = next((word for word in text.split() if not _is_number(word)), "")
        raise FormatError(f"{bad[:40]!r} stands where a number should.")
    return numbers.astype(np.float32)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return "_" not in word
