"""Long runs of numbers in text files, read without believing how many there should be."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterable, Iterator
from typing import TextIO

import numpy as np

from ase_elf.errors import FormatError

_BLOCK = 4096
"""Lines formatted or parsed at once, so that text never doubles the memory of a grid."""

_OTHER_LETTER = re.compile(r"(?<=[\d.])[dDqQ](?=[+-]?\d)")
_NO_LETTER = re.compile(r"(?<=[\d.])(?=[+-]\d{3}(?!\d))")


class Lines:
    """Lines of a file that know their number, for messages.

    Parameters
    ----------
    lines : iterable of str
    comment : str, optional
        What follows it in a line is dropped, and then blank lines are too.
    """

    def __init__(self, lines: Iterable[str], comment: str | None = None) -> None:
        numbered = enumerate(lines, 1)
        self.numbered = numbered if comment is None else _without(numbered, comment)
        """Iterator of (number, line); who takes from it directly keeps ``number`` up to date."""
        self.number = 0

    def __iter__(self) -> Lines:
        return self

    def __next__(self) -> str:
        self.number, line = next(self.numbered)
        return line


def _without(numbered: Iterable[tuple[int, str]], comment: str) -> Iterator[tuple[int, str]]:
    for place, line in numbered:
        if kept := line.split(comment)[0].strip():
            yield place, kept + "\n" * line.endswith("\n")


def number(word: str) -> float:
    """A number as Fortran writes it: ``9.0D-01`` and ``0.33004-101`` are read too.

    Raises
    ------
    ValueError
        If it is none.
    """
    if "_" in word:
        raise ValueError(f"{word[:40]!r} is no number")
    try:
        return float(word)
    except ValueError:
        return float(_with_letters(word))


def _with_letters(text: str) -> str:
    """``text`` with an E in numbers that have another letter, or lost it to a wide exponent."""
    return _NO_LETTER.sub("E", _OTHER_LETTER.sub("E", text))


def read_shape(words: list[str]) -> tuple[int, int, int]:
    """Three positive grid sizes, or :class:`FormatError`."""
    try:
        shape = tuple(int(word) for word in words)
    except ValueError as error:
        raise FormatError(f"expected three grid sizes, found {' '.join(words)!r}.") from error
    if len(shape) != 3 or min(shape) < 1:
        raise FormatError(f"expected three positive grid sizes, found {' '.join(words)!r}.")
    return shape


def read_numbers(lines: Lines, shape: tuple[int, ...]) -> np.ndarray:
    """ndarray, shape (prod(shape),), float32: the next numbers, to the end of a line.

    Memory grows with what is there, not with what ``shape`` asks for.

    Parameters
    ----------
    lines : Lines
    shape : tuple of int

    Raises
    ------
    FormatError
        If there are fewer or more of them, or something that is no number.
    """
    wanted = math.prod(shape)
    parts: list[np.ndarray] = []
    found = 0
    size = f"{'x'.join(map(str, shape))} grid"
    while found < wanted:
        taken, places, words = _take(lines, wanted - found)
        if not words:
            raise FormatError(
                f"ends after {found} of {wanted} values ({size}): "
                "the file is truncated, or its grid sizes are wrong."
            )
        parts.append(_parse(taken, places, words, found, wanted))
        found += words
    if found > wanted:
        raise FormatError(f"has {found} values where {wanted} were declared ({size}).")
    if _is_cut(taken):
        raise FormatError(
            f"ends within the last of {wanted} values, {taken[-1].split()[-1]!r}: the file is truncated."
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


def _take(lines: Lines, wanted: int) -> tuple[list[str], list[int], int]:
    """Lines that hold the next values, at most ``_BLOCK``, their numbers, and how many words they have."""
    taken: list[str] = []
    places: list[int] = []
    words = 0
    for place, line in lines.numbered:
        taken.append(line)
        places.append(place)
        words += len(line.split())
        if words >= wanted or len(taken) == _BLOCK:
            break
    lines.number = places[-1] if places else lines.number
    return taken, places, words


def _parse(taken: list[str], places: list[int], n_words: int, before: int, wanted: int) -> np.ndarray:
    text = " ".join(taken)
    numbers = _floats(text)
    if len(numbers) != n_words:
        numbers = _floats(_with_letters(text))
    with np.errstate(over="ignore"):
        single = numbers.astype(np.float32)
    if len(numbers) != n_words or not np.isfinite(single).all():
        _complain(taken, places, before, wanted)
    return single


def _floats(text: str) -> np.ndarray:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)  # how NumPy reports bad text
            return np.fromstring(text, dtype=np.float64, sep=" ")
    except (ValueError, DeprecationWarning):
        return np.empty(0)


def _complain(taken: list[str], places: list[int], before: int, wanted: int) -> None:
    """Raise :class:`FormatError` that says what stands where no number should."""
    for line, place in zip(taken, places, strict=True):
        for word in line.split():
            before += 1
            if not _is_usable(word):
                where = f"value {before} of {wanted}, line {place}"
                kind = " (asterisks are what Fortran writes of a number too wide for its field)"
                raise FormatError(
                    f"{word[:40]!r} stands where a number should, {where}{kind if '**' in word else ''}."
                )
    raise FormatError("something that is no number stands among the values.")


def _is_usable(word: str) -> bool:
    try:
        return bool(abs(number(word)) <= np.finfo(np.float32).max)
    except ValueError:
        return False


def _is_cut(taken: list[str]) -> bool:
    """Whether the last number lacks digits, as where the writer was killed.

    Such a file has no end of line there, and its numbers otherwise are as wide as each other.
    """
    if taken[-1].endswith("\n") or taken[-1] != taken[-1].rstrip():
        return False
    *others, last = " ".join(taken[-100:]).split()
    return len(last) < min((len(word) for word in others), default=0)
