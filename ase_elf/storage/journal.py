"""Journal: analysed frames on disk, one checked line each, safe against a kill at any time.

A line is the CRC-32 of its record in hexadecimal, a space, and the record as JSON. Whatever
follows the first damaged line is a torn write and is dropped.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Self

from ase_elf.errors import OutputError
from ase_elf.storage.locks import take


class Journal:
    """Append-only list of records in a file.

    Parameters
    ----------
    path : Path
        Created where it does not exist.
    kind : type
        Of the records: something with ``to_json`` and ``from_json``.

    Notes
    -----
    Opened for appending (``with journal:``) it is locked, so that two processes never write
    to one run; the lock ends with the process, however it ends.
    """

    def __init__(self, path: Path, kind: type[Any]) -> None:
        self.path = Path(path)
        self.kind = kind
        self._file: BinaryIO | None = None

    def __iter__(self) -> Iterator[Any]:
        """Records in order; only one is in memory at a time."""
        for line, _ in self._lines():
            yield self.kind.from_json(line)

    def last(self) -> Any:
        """The last record, None in an empty journal."""
        line = None
        for line, _ in self._lines():  # noqa: B007 - the last one is wanted
            pass
        return None if line is None else self.kind.from_json(line)

    def __len__(self) -> int:
        return sum(1 for _ in self._lines())

    def _lines(self) -> Iterator[tuple[bytes, int]]:
        """Sound records, each with the offset in the file at which it ends."""
        if not self.path.exists():
            return
        end = 0
        with self.path.open("rb") as stream:
            for line in stream:
                checksum, _, record = line.rstrip(b"\n").partition(b" ")
                if not line.endswith(b"\n") or checksum != _checksum(record):
                    return
                end += len(line)
                yield record, end

    def __enter__(self) -> Self:
        self._file = self.path.open("ab", buffering=0)  # or closing would try again
        free = False
        with suppress(OSError):  # a file system without locks cannot tell
            free = take(self._file)
        if not free:
            self._file.close()
            raise OutputError(
                f"another process is writing to {self.path.parent}; wait for it to end, or "
                "choose another output directory (-o)."
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @property
    def _open(self) -> BinaryIO:
        assert self._file is not None, "the journal is not open for writing"
        return self._file

    def keep(self, n: int) -> None:
        """Drop everything after the first ``n`` records, torn writes included."""
        ends = [0]
        for _, end in self._lines():
            if len(ends) > n:
                break
            ends.append(end)
        self._open.truncate(ends[-1])
        self._open.seek(0, os.SEEK_END)

    def append(self, records: Iterable[Any]) -> None:
        """Write the records of one batch in one go, and hand them to the system.

        Raises
        ------
        OutputError
            The disk is full. What was written of this batch is dropped on resuming.
        """
        lines = [record.to_json().encode() for record in records]
        left = memoryview(b"".join(_checksum(line) + b" " + line + b"\n" for line in lines))
        try:
            while left:
                left = left[self._open.write(left) :]
        except OSError as error:
            raise OutputError(
                f"cannot add to {self.path}: {error.strerror or error}. The frames before are "
                "kept; make room and start again to go on."
            ) from error


def _checksum(record: bytes) -> bytes:
    return b"%08x" % zlib.crc32(record)
