"""What format a file of structures is in."""

from __future__ import annotations

import zlib
from itertools import islice
from lzma import LZMAError
from pathlib import Path

from ase_elf.errors import FormatError, remedy
from ase_elf.structures.readers.universe import SUFFIXES
from ase_elf.structures.readers.vaspout import is_vaspout
from ase_elf.structures.splitting import is_configuration

UNIVERSE, VASPOUT = "universe", "vaspout"
"""Formats that ASE has no name for: whatever MDAnalysis reads, and VASP's HDF5."""

UNPACKING = (EOFError, OSError, zlib.error, LZMAError)
"""What compressed files that were cut or damaged raise."""


def format_of(path: Path, *, topology: bool = False) -> str:
    """ASE's name of the format of a file, or one of those above.

    Parameters
    ----------
    path : Path
    topology : bool
        Whether the atoms are named in a file beside it, which MDAnalysis reads.

    Raises
    ------
    FormatError
        If the file is empty, damaged at its beginning, or of no known format.
    """
    from ase.io.formats import UnknownFileTypeError, ioformats

    if topology or path.suffix.lower() in SUFFIXES:
        return UNIVERSE
    if path.is_file() and path.stat().st_size == 0:
        raise FormatError(f"{str(path)!r} is empty.")
    if is_vaspout(path):
        return VASPOUT
    if path.is_file() and (found := _by_content(path)):
        return found
    try:
        name = _by_name_or_content(path)
        if name in ioformats:  # an unknown suffix comes back as its own format
            return name
        raise UnknownFileTypeError(name)
    except UnknownFileTypeError as error:
        raise FormatError(
            f"{str(path)!r} is of no format that ASE knows. Give a topology file "
            f"({remedy('topology=', '--topology')}) to read it with MDAnalysis, or convert it to extended XYZ."
        ) from error
    except Exception as error:  # damaged content confuses the detection
        raise FormatError(f"cannot read {str(path)!r}: {reason(error)}") from error


def _by_name_or_content(path: Path) -> str:
    from ase.io.formats import filetype, ioformats

    try:
        return filetype(str(path))
    except UNPACKING:  # an archive that was cut, whose first frames may be whole
        name = filetype(str(path), read=False)
        if name not in ioformats:
            raise
        return name


def _by_content(path: Path) -> str | None:
    """Formats whose files have any name, or whose first lines vary more than ASE expects."""
    from ase.io.formats import open_with_compression

    lines: list[str] = []
    try:
        with open_with_compression(str(path), "r") as stream:
            for line in islice(iter(lambda: stream.readline(4096), ""), 30):
                lines.append(line[:200])
    except (*UNPACKING, UnicodeDecodeError):
        pass  # binary, or damaged: said when it is read
    if lines and lines[0].startswith("ITEM:"):
        return "lammps-dump-text"
    if any(is_configuration(line) for line in lines[5:9]):
        return "vasp-xdatcar"
    if any(line.split()[1:] == ["atoms"] for line in lines) and any("xlo xhi" in line for line in lines):
        return "lammps-data"
    return None


def reason(error: BaseException) -> str:
    """What to say of an error of another package."""
    text = str(error).strip().rstrip(".")
    if isinstance(error, EOFError):
        return text or "the file ends too early"
    if not text or isinstance(error, KeyError | StopIteration | AttributeError | IndexError | TypeError):
        return f"it is damaged, or not as its format demands ({type(error).__name__}{f': {text}' if text else ''})"
    return text
