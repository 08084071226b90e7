"""ELFCAR, one and two spin blocks, old and new headers."""

from ase_elf import read_elf, write_elf
from fuzz.sound import grid, written
from fuzz.target import Target


def make():
    one = written("ELFCAR", lambda path: write_elf(path, grid()))
    two = written("ELFCAR", lambda path: write_elf(path, grid(), spin_down=grid()))
    lines = one.split(b"\n")
    selective = [*lines[:7], b"Selective dynamics", b"Cartesian", *lines[8:]]
    old = [*lines[:5], *lines[6:]]  # VASP 4 does not name the elements
    return [one, two, b"\n".join(selective), b"\n".join(old)]


TARGET = Target(
    "elfcar", "ELFCAR", make, lambda path: read_elf(path, format="elfcar"), multiple=200,
    tokens=(b"Direct", b"Cartesian", b"Selective", b"999999999999", b"-1", b"nan", b"1e400", b"2 3 2",
            b"T F T", b"H O", b"!", b"\n\n"),
    instrument=("ase_elf.formats", "ase.io.vasp"),
)  # fmt: skip
