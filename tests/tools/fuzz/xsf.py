"""XSF: crystals and molecules with a general grid."""

from ase_elf import read_elf, write_elf
from fuzz.sound import grid, written
from fuzz.target import Target


def make():
    crystal = written("a.xsf", lambda path: write_elf(path, grid()))
    block = crystal[crystal.index(b"BEGIN_BLOCK") :]
    return [crystal, b"ATOMS\n1 0 0 0\nO 1 1 1\n" + block]


TARGET = Target(
    "xsf", "a.xsf", make, lambda path: read_elf(path, format="xsf"), multiple=200,
    tokens=(b"CRYSTAL", b"PRIMVEC", b"PRIMCOORD", b"CONVVEC", b"ATOMS", b"BEGIN_BLOCK_DATAGRID_3D",
            b"BEGIN_DATAGRID_3D_ELF", b"END_DATAGRID_3D", b"999999999999", b"-1", b"nan", b"#", b"\n"),
    instrument=("ase_elf.formats",),
)  # fmt: skip
