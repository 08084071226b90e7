"""Opening files that may be packed: gzip, bzip2 and xz are known by their first bytes."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, BinaryIO, TextIO

from ase_elf.errors import FormatError
from ase_elf.storage.unpacking import Room

PACKED = {".gz": b"\x1f\x8b", ".bz2": b"BZh", ".xz": b"\xfd7zXZ\x00"}
"""Suffixes of packed files and how such files begin."""

_OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}

_OTHERS = {"zip": b"PK\x03\x04", "zstd": b"\x28\xb5\x2f\xfd", "compress": b"\x1f\x9d",
           "7z": b"7z\xbc\xaf", "lz4": b"\x04\x22\x4d\x18", "lzip": b"LZIP"}  # fmt: skip

_DAMAGE = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)


def packing(path: str | Path) -> str | None:
    """The suffix that says how a file is packed, by its content; None for one that is not.

    Raises
    ------
    FormatError
        If it is packed in a way that is not read here.
    """
    with Path(path).open("rb") as file:
        return _packing_of(file.read(6), path)


def _packing_of(head: bytes, path: str | Path) -> str | None:
    for name, start in _OTHERS.items():
        if head.startswith(start):
            raise FormatError(
                f"{path} is packed with {name}; read are plain files and those of gzip, bzip2 and "
                "xz. Unpack it first."
            )
    return next((suffix for suffix, start in PACKED.items() if head.startswith(start)), None)


def bare_name(path: str | Path) -> str:
    """The name of a file without the suffix of its packing."""
    path = Path(path)
    return path.stem if path.suffix.lower() in PACKED else path.name


def packed_or_not(path: str | Path) -> Path | None:
    """The file, or one of the same name with a suffix of packing, if there is any."""
    path = Path(path)
    names = (path, *(path.with_name(path.name + suffix) for suffix in PACKED))
    return next((name for name in names if name.is_file()), None)


@contextmanager
def open_binary(path: str | Path) -> Iterator[BinaryIO]:
    """The unpacked bytes of a file; :class:`FormatError` where a packed one is damaged."""
    suffix = None
    try:
        with Path(path).open("rb") as raw:
            suffix = _packing_of(raw.read(6), path)
            raw.seek(0)
            if suffix is None:
                yield raw
                return
            with _OPENERS[suffix](raw, "rb") as file:
                yield file
    except _DAMAGE as error:
        raise FormatError(f"{path}: the packed file is cut short or damaged ({error}).") from error
    except OSError as error:
        if suffix == ".bz2" and "Invalid data" in str(error):
            raise FormatError(f"{path}: the packed file is damaged ({error}).") from error
        raise


@contextmanager
def open_text(path: str | Path) -> Iterator[TextIO]:
    """The unpacked text of a file, whatever ends its lines; what is no UTF-8 is marked."""
    with (
        open_binary(path) as file,
        TextIOWrapper(file, encoding="utf-8", errors="replace") as text,
    ):
        yield text


@contextmanager
def unpacked(path: str | Path) -> Iterator[Path]:
    """A file that is not packed: ``path`` itself or a temporary one, for readers that need one.

    Raises
    ------
    FormatError
        If a packed one is damaged, or unpacks to more than an honest file could.
    """
    if packing(path) is None:
        yield Path(path)
        return
    room = Room(path)
    with NamedTemporaryFile(suffix=Path(bare_name(path)).suffix) as temporary:
        with open_binary(path) as file:
            for piece in iter(partial(file.read, 2**16), b""):
                room.take(len(piece))
                temporary.write(piece)
        temporary.flush()
        yield Path(temporary.name)
