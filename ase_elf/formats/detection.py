"""Which format a file has, and whether it holds an ELF: by its content, when writing by its name."""

from __future__ import annotations

import itertools
import os
import re
from pathlib import Path

from ase_elf.errors import ElfError, FormatError, InputError
from ase_elf.formats.numbers import number
from ase_elf.formats.opening import bare_name, open_binary, open_text, unpacked

FORMATS = {
    "elfcar": "VASP ELFCAR (one or two spin blocks)",
    "cube": "Gaussian cube",
    "xsf": "XCrySDen structure with a 3D data grid",
    "vasp-h5": "VASP's HDF5 output (vaspout.h5, vaspwave.h5)",
    "hdf5": "one frame of the binary store",
    "store": "binary store: a directory of frames",
}
"""Names accepted as ``format=`` and what they are."""

_SUFFIXES = {
    ".cube": "cube",
    ".cub": "cube",
    ".xsf": "xsf",
    ".h5": "hdf5",
    ".hdf5": "hdf5",
    ".elfstore": "store",
}

_OTHER_GRIDS = ("CHG", "AECCAR", "LOCPOT", "POT", "PARCHG", "TAUCAR")
"""How names of VASP's files begin that look like an ELFCAR and hold something else."""


def detect(path: str | os.PathLike[str]) -> str:
    """Which of ``FORMATS`` a file is, by its first lines, packed or not.

    Raises
    ------
    FormatError
        If it is none of them.
    """
    path = Path(path)
    if path.is_dir():
        return "store"
    with open_binary(path) as fd:
        head = fd.read(4096)
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return _kind_of_hdf5(path)
    lines = head.decode("utf-8", errors="replace").splitlines()
    if _looks_like_xsf(lines):
        return "xsf"
    counts = [_numbers(line) for line in lines[:7]]
    # Atoms of an XYZ file that are named by numbers look like axes, but no five numbers follow.
    is_xyz = bool(lines) and lines[0].strip().isdigit() and counts[6:7] != [5]
    if len(counts) >= 6 and counts[2] in (4, 5) and counts[3:6] == [4, 4, 4] and not is_xyz:
        return "cube"
    if len(counts) >= 5 and counts[1] in (1, 3) and min(counts[2:5]) >= 3:
        return "elfcar"
    guess = kind_by_name(path)
    if guess and guess != "store" and head.strip():
        return guess  # its reader says what is wrong with it
    raise FormatError(
        f"{path}: {'empty' if not head.strip() else 'not a format known here'}; "
        f"readable are {', '.join(FORMATS.values())}."
    )


def holds_elf(path: str | os.PathLike[str]) -> bool:
    """Whether a file or directory holds an ELF, or at least a grid that may be one.

    False for structures without a grid (a POSCAR begins like an ELFCAR) and for grids that say
    by their name that they are something else (``CHGCAR``, ``LOCPOT``). No error is raised for what
    cannot be read.
    """
    path = Path(path)
    try:
        kind = detect(path)
        if kind == "store":
            names = [p.name for p in path.iterdir()]
            return any(re.fullmatch(r"frame-\d{9}\.h5", name) for name in names)
        if kind == "vasp-h5":
            from ase_elf.formats.vasp_h5 import has_elf

            with unpacked(path) as plain:
                return has_elf(plain)
        if kind == "xsf":
            with open_text(path) as fd:
                return any("DATAGRID_3D" in line.upper() for line in fd)
        return kind != "elfcar" or _has_grid(path)
    except (ElfError, OSError, RuntimeError, LookupError, ValueError):
        return False


def _has_grid(path: Path) -> bool:
    """Whether grid sizes follow the atoms of a file that begins as a POSCAR does."""
    name = bare_name(path).upper()
    if name.startswith(_OTHER_GRIDS):
        return False
    if "ELFCAR" in name:  # damaged or not, its reader says what is wrong with it
        return True
    with open_text(path) as fd:
        head = list(itertools.islice(fd, 8))
        counts = next((line.split() for line in head[5:7] if line.split()[:1] and
                       line.split()[0].isdigit()), [])  # fmt: skip
        n_atoms = sum(int(word) for word in itertools.takewhile(str.isdigit, counts))
        after = itertools.islice(itertools.chain(head, fd), n_atoms + 6, n_atoms + 14)
        return any(re.fullmatch(r"\s*\d+\s+\d+\s+\d+\s*", line) for line in after)


def known(name: str) -> str:
    """``name`` if it is one of ``FORMATS``, or :class:`InputError`."""
    if name not in FORMATS:
        raise InputError(f"format {name!r} is not known; accepted are {', '.join(FORMATS)}.")
    return name


def kind_by_name(path: Path) -> str | None:
    """The format that the name of a file says, if it says one."""
    name = bare_name(path)
    if "ELFCAR" in name:
        return "elfcar"
    return _SUFFIXES.get(Path(name).suffix.lower())


def _kind_of_hdf5(path: Path) -> str:
    """Whose HDF5 file it is; where it cannot be opened at all its name says it."""
    from ase_elf.formats.vasp_h5 import is_of_vasp

    with unpacked(path) as plain:
        named = bare_name(path).startswith(("vaspout", "vaspwave"))
        return "vasp-h5" if named or is_of_vasp(plain) else "hdf5"


def _looks_like_xsf(lines: list[str]) -> bool:
    words = [line.split("#")[0].split() for line in lines]
    first = next((word[0].upper() for word in words if word), "")
    starts = ("CRYSTAL", "SLAB", "POLYMER", "MOLECULE", "PRIMVEC", "ATOMS", "BEGIN_", "DIM-GROUP",
              "ANIMSTEPS")  # fmt: skip
    return first.startswith(starts)


def _numbers(line: str) -> int:
    """How many numbers a line starts with."""
    count = 0
    for word in line.split():
        try:
            number(word)
        except ValueError:
            break
        count += 1
    return count


__all__ = ["FORMATS", "detect", "holds_elf", "kind_by_name", "known"]
