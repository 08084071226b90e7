"""Reading NumPy ``.npz`` archives from anywhere: no pickles, no size believed unread.

``numpy.load`` allocates what an array's header declares before it looks whether that much
data follows. Here the header is compared with the member it stands in, and the member with
the file, first. Writing is left to NumPy.
"""

from __future__ import annotations

import math
import re
import zipfile
import zlib
from typing import BinaryIO

import numpy as np

from ase_elf.errors import FormatError

DEFLATE_LIMIT = 1032
"""Most bytes that one byte of deflated data can unfold to (https://zlib.net/zlib_tech.html)."""

_SLACK = 64
"""Bytes beyond ``DEFLATE_LIMIT``: the checksum and headers of very short streams."""

_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '([<>|][biufSU]\d{1,9})', "
    rb"'fortran_order': (True|False), 'shape': \(([\d, ]{0,200})\), \} *\n",
    re.DOTALL,
)
"""How NumPy begins an array of numbers or text; one of objects would be a pickle."""


def read_arrays(stream: BinaryIO, *, stored: bool = False) -> dict[str, np.ndarray]:
    """Arrays of an archive by name.

    Parameters
    ----------
    stream : binary file
        Open for reading, seekable.
    stored : bool
        Refuse compressed members: for archives of data that is compressed already.

    Returns
    -------
    dict of str to ndarray
        At most ``DEFLATE_LIMIT`` times as large as the file together.

    Raises
    ------
    FormatError
        If the archive is damaged, holds anything but plain arrays, or declares more than it
        contains.
    """
    kinds = (zipfile.ZIP_STORED,) if stored else (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    try:
        size = stream.seek(0, 2)
        with zipfile.ZipFile(stream) as archive:
            members = archive.infolist()
            # Members that share their data would unfold to any size.
            if sum(member.compress_size for member in members) > size:
                raise FormatError("its members are larger than the file.")
            for member in members:
                if member.compress_type not in kinds or member.flag_bits & 1:
                    raise FormatError(f"{member.filename[:80]!r} is packed in an unknown way.")
                if member.file_size > DEFLATE_LIMIT * member.compress_size + _SLACK:
                    raise FormatError(f"{member.filename[:80]!r} declares more than it contains.")
            return {m.filename.removesuffix(".npy"): _array(archive.read(m)) for m in members}
    except FormatError:
        raise
    except (
        EOFError, IndexError, KeyError, NotImplementedError, OSError, OverflowError, RuntimeError,
        UnicodeError, ValueError, zipfile.BadZipFile, zlib.error,
    ) as error:  # fmt: skip
        raise FormatError(f"no sound archive of arrays ({str(error)[:200]}).") from error


def inflate(packed: bytes, size: int) -> bytes:
    """Exactly ``size`` deflated bytes; :class:`FormatError` before more are made."""
    if not 0 <= size <= DEFLATE_LIMIT * len(packed) + _SLACK:
        raise FormatError(f"{len(packed)} bytes cannot hold {size}.")
    stream = zlib.decompressobj()
    try:
        data = stream.decompress(packed, size + 1)
    except zlib.error as error:
        raise FormatError(f"deflated data is damaged ({error}).") from error
    if len(data) != size or not stream.eof:
        raise FormatError(f"deflated data is cut off, or is not the {size} bytes declared.")
    return data


def _array(data: bytes) -> np.ndarray:
    header = _HEADER.match(data)
    if header is None:
        raise FormatError("holds something that is no array of numbers or text.")
    dtype = np.dtype(header[1].decode())
    shape = tuple(int(n) for n in header[3].decode().split(",") if n.strip())
    if math.prod(shape) * dtype.itemsize != len(data) - header.end():
        raise FormatError(f"an array of shape {shape} and type {dtype} has {len(data) - header.end()} bytes.")
    array = np.frombuffer(data, dtype, offset=header.end()) if dtype.itemsize else np.empty(0)
    return array.reshape(shape, order="F" if header[2] == b"True" else "C").copy(order="C")
