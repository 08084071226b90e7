"""Whether the last line of a text was cut short, as by a writer that was killed."""

from __future__ import annotations

import re

_FRACTION = re.compile(r"[-+]?(\d*)\.(\S*)")
_EXPONENT = re.compile(r"[eEdD](?:[-+]?\d?)?$")
"""An exponent of less than the two digits that every program writes."""

_FEW = 3
"""Rows below which a column does not show its format."""


def is_cut_short(rows: list[str]) -> bool:
    """Whether the last of the rows of a table ends within a number or word.

    Programs end every line, so only a last row without an end of line is looked at. It counts
    as complete where it has as many columns as the others and as many digits in the last one.

    Parameters
    ----------
    rows : list of str
        The rows of one frame, with their ends of line.
    """
    if not rows or rows[-1].endswith(("\n", "\r")):
        return False
    *others, last = [row.split() for row in rows]
    if not last or any(len(row) > len(last) for row in others):
        return True
    token = last[-1]
    column = [row[-1] for row in others if row]
    if len(column) < _FEW:  # too few to tell how many digits are written: all numbers are looked at
        column += [word for row in [*others, last[:-1]] for word in row if "." in word]
    if _FRACTION.match(token):
        return _lacks_digits(token, column)
    if any("." in word for word in column):
        return True  # a number cut before its point
    return not token[-1].isdigit() and any(word != token and word.startswith(token) for word in column)


def _lacks_digits(token: str, column: list[str]) -> bool:
    """Whether a number has fewer digits than the others: after the point where all have as many
    there, else in all, since formats like C's %g keep the significant ones.
    """
    found = [match for match in map(_FRACTION.match, column) if match]
    if not found:
        return False
    if _EXPONENT.search(token):
        return True
    decimals = {len(match[2]) for match in found}
    mine = _FRACTION.match(token)
    own = len(mine[2]) if mine else 0
    if own >= max(decimals):
        return False
    if len(decimals) == 1:
        return True
    return _significant(token) < max(map(_significant, column))


def _significant(token: str) -> int:
    mantissa = re.split("[eEdD]", token)[0]
    return len(mantissa.replace(".", "").lstrip("-+0"))
