"""Errors of the whole package: one base, each also the builtin it specialises.

A message names the offending value, what is accepted, and the next step.
"""

from __future__ import annotations


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


def named(error: BaseException) -> str:
    """What to say of an error in a warning: one that is not ours says little without its name."""
    return str(error) if isinstance(error, ElfError) else f"{type(error).__name__}: {error}"
