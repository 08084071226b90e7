"""Files and folders that one process writes to."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from ase_elf.errors import OutputError


def take(file: IO[Any]) -> bool:
    """Whether an open file is now locked by this process, until it is closed or the process ends.

    False where another one holds it; an :class:`OSError` on a file system without locks.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def locked(folder: Path, what: str) -> Iterator[None]:
    """Keep other processes that ask for the same out of ``folder``, which is made.

    The lock goes with the process that holds it, however that ends.

    Parameters
    ----------
    folder : Path
    what : str
        What writes there, for the message: "build", "training".

    Raises
    ------
    OutputError
        Another process holds it, or the folder is not writable.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    except OSError as error:
        raise OutputError(f"cannot write to {folder}: {error.strerror}.") from error
    with lock:
        if not take(lock):
            raise OutputError(
                f"another {what} is writing to {folder}; wait for it, or choose another folder."
            )
        yield
