"""Values for people, rounded by their error. Files for programs keep every digit."""

from __future__ import annotations

import math

DIGITS = 2
"""Significant digits of an error."""


def with_error(value: float, error: float, unit: str = "") -> str:
    """A value and its standard error: two digits of the error, the value to the same place.

    Parameters
    ----------
    value, error : float
        An error that is NaN, infinite or zero is none: the value is given alone, to four digits.
    unit : str
        Appended after a space.

    Examples
    --------
    >>> with_error(0.56583, 0.00712), with_error(1234.5, 67.8, "fs"), with_error(0.5, math.nan)
    ('0.5658 ± 0.0071', '1234 ± 68 fs', '0.5')
    """
    end = f" {unit}" if unit else ""
    if math.isnan(value):
        return "undefined"
    if not (math.isfinite(error) and error > 0):
        return f"{value:.4g}{end}"
    places = DIGITS - 1 - _exponent(error)
    if places < 0:  # whole tens, hundreds, ...: no digits that mean nothing
        value, error, places = round(value, places), round(error, places), 0
    return f"{value:.{places}f} ± {error:.{places}f}{end}"


def _exponent(error: float) -> int:
    """Power of ten of the first digit, after rounding: 0.0996 counts as 0.10."""
    return int(f"{error:.{DIGITS - 1}e}".split("e")[1])
