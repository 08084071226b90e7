"""Room: how much memory the text of a file may take, so that a packed one cannot ask for all."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO, AnyStr

from ase_elf.errors import FormatError

BASE, PER_BYTE = 2**22, 1000
"""Bytes that may be taken, and how many more for every byte of the file. Honest frames shrink
by less when they are packed; unpacked ones never take as much."""

LINE = 60
"""Bytes a line takes in memory beside its characters."""


class Room:
    """What is left of the memory that one piece of a file may take.

    Parameters
    ----------
    path : str or Path
    piece : str
        What of the file is held at once, for the error, such as "a frame of ".
    """

    def __init__(self, path: str | Path, piece: str = "") -> None:
        self.path, self.piece = path, piece
        self.whole = BASE + PER_BYTE * Path(path).stat().st_size
        self.left = self.whole

    def take(self, size: int) -> None:
        """Raise :class:`FormatError` where less than ``size`` bytes are left."""
        self.left -= size
        if self.left < 0:
            raise FormatError(
                f"{self.piece}{str(self.path)!r} unpacks to more than {PER_BYTE} times the size of "
                "the file. If it is meant to, unpack the file first."
            )

    def lines(self, stream: IO[AnyStr]) -> Iterator[AnyStr]:
        """Lines of a file that is open, as long as there is room for them."""
        while line := stream.readline(self.whole):
            self.take(len(line) + LINE)
            yield line

    def empty(self) -> None:
        """The next piece has all of it."""
        self.left = self.whole


def check_packed(path: str | Path) -> None:
    """Raise :class:`FormatError` where a reader that takes in the whole file would take too much."""
    from ase.io.formats import get_compression, open_with_compression

    if get_compression(str(path))[1] is None:
        return
    room = Room(path)
    with open_with_compression(str(path), "rb") as stream:
        for piece in iter(partial(stream.read, 2**16), b""):
            room.take(len(piece))
