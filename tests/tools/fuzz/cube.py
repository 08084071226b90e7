"""Cube files: bohr and Å, labelled fields, an origin, a repeated end plane."""

from ase_elf import read_elf, write_elf
from fuzz.sound import grid, written
from fuzz.target import Target


def make():
    plain = written("a.cube", lambda path: write_elf(path, grid()))
    lines = plain.split(b"\n")
    moved = [*lines[:2], b"    2 0.5 0.25 0.125 1", *lines[3:]]
    labelled = [*lines[:2], b"   -2 0 0 0", *lines[3:8], b"1 7", *lines[8:]]
    castep = [b"made by castep2cube", *lines[1:]]
    angstrom = [*lines[:3], *(b"  -" + line.lstrip() for line in lines[3:6]), *lines[6:]]
    return [plain, *(b"\n".join(one) for one in (moved, labelled, castep, angstrom))]


TARGET = Target(
    "cube", "a.cube", make, lambda path: read_elf(path, format="cube"), multiple=200,
    tokens=(b"castep2cube", b"999999999999", b"-1", b"nan", b"1e400", b"0", b"119", b"\n", b"1e-320"),
    instrument=("ase_elf.formats",),
)  # fmt: skip
