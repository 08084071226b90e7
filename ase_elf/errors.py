"""Errors of the whole package: one base, each also the builtin it specialises.

A message names the offending value, what is accepted, and the next step.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

__all__ = [
    "DomainError",
    "ElfError",
    "ElfWarning",
    "EngineError",
    "FormatError",
    "InputError",
    "OutputError",
    "at_command_line",
    "named",
    "refuse_unknown",
    "remedy",
    "unknown",
]


class ElfError(Exception):
    """Base of every error that ase_elf raises on purpose."""


class InputError(ElfError, ValueError):
    """A structure, grid or option that cannot be used as given."""


class FormatError(ElfError, ValueError):
    """A file that is truncated, malformed or of another kind than its name says."""


class DomainError(ElfError, LookupError):
    """No installed domain pack fits, or the one asked for does not exist."""


class EngineError(ElfError, RuntimeError):
    """A reference engine is missing, failed, or did not converge."""


class OutputError(ElfError, OSError):
    """Results cannot be written, or would mix with those of another run."""


class ElfWarning(UserWarning):
    """Something was usable but should be looked at (clipped values, out of domain)."""


def unknown(name: object, accepted: Iterable[str], what: str) -> str:
    """The message for a name that is not one of ``accepted``, with the one that was meant, if any is near."""
    accepted = list(accepted)
    close = difflib.get_close_matches(str(name), accepted, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{what} {name!r} is not known; {hint}accepted are {', '.join(accepted)}."


def refuse_unknown(given: Iterable[str], accepted: Iterable[str], what: str) -> None:
    """:class:`InputError` for the first of the ``given`` names that is not ``accepted``."""
    accepted = list(accepted)
    for name in given:
        if name not in accepted:
            raise InputError(unknown(name, accepted, what))


def named(error: BaseException) -> str:
    """What to say of an error in a warning: one that is not ours says little without its name."""
    return str(error) if isinstance(error, ElfError) else f"{type(error).__name__}: {error}"


_at_command_line = False


@contextmanager
def at_command_line() -> Iterator[None]:
    """Messages made inside speak to a user of the command, not of Python."""
    global _at_command_line
    before, _at_command_line = _at_command_line, True
    try:
        yield
    finally:
        _at_command_line = before


def remedy(python: str, command_line: str) -> str:
    """The advice that the reader of a message can follow: in Python, or at the command line."""
    return command_line if _at_command_line else python
