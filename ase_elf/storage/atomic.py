"""Files that appear whole or not at all, and errors of writing that say what to do."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from ase_elf.errors import OutputError

take: Callable[[IO[Any]], bool] | None
try:
    from ase_elf.storage.locks import take
except ImportError:  # not a POSIX system
    take = None

PART = ".part"
"""Ends the name of a file that is being written; what is left of one is written over."""


@contextmanager
def writing_into(folder: Path, advice: str = "Make room, or see that it is writable.") -> Iterator[None]:
    """What cannot be written into ``folder`` is an :class:`OutputError` that names it."""
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write to {folder}: {error.strerror or error}. {advice}") from error


class Taken(OutputError):
    """Another process writes this very file, or has just written it."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place once written, and on disk.

    Within, no other process replaces ``path``, where the file system has locks: what is seen
    of it then stays true until this has taken its place.

    Raises
    ------
    Taken
        Another process is within.
    OutputError
        The disk is full or not writable. What was at ``path`` before is still there.
    """
    part = path.with_name(path.name + PART)
    try:
        with _locked(part, path):
            try:
                yield part
                with part.open("rb+") as fd:
                    os.fsync(fd.fileno())
                part.replace(path)
            except BaseException:
                with suppress(OSError):  # on a disk gone read-only nothing is left to be done
                    part.unlink(missing_ok=True)
                raise
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(
            f"cannot write {path}: {error.strerror or error}. What is finished is kept; make "
            "room, or see that the directory is writable, and start again."
        ) from error


@contextmanager
def _locked(part: Path, path: Path) -> Iterator[None]:
    """Keep ``part``, made where it is not there, from others that write ``path``.

    By a lock, not by a name of its own: it goes with its process, so that what a killed one
    left is in nobody's way and needs no cleaning up.
    """
    if take is None:
        yield
        return
    while True:
        with part.open("ab") as file:
            free = True
            with suppress(OSError):  # a file system without locks
                free = take(file)
            if not free:
                raise Taken(f"another process is writing {path}; wait for it, or choose another name.")
            mine = False  # where another process has renamed or removed it since it was opened
            with suppress(FileNotFoundError):
                mine = os.path.samefile(file.fileno(), part)  # noqa: PTH121 - of an open file
            if mine:
                yield
                return
