"""Extended XYZ, by the streaming reader of `analyze` and the one for MDAnalysis."""

from contextlib import suppress

from ase_elf.errors import ElfError
from ase_elf.mda.extxyz import EXTXYZParser, EXTXYZReader
from ase_elf.structures.trajectory import Trajectory
from fuzz.target import Target

HEAD = b'Lattice="3 0 0 0 3 0 0 0 3" Properties=species:S:1:pos:R:3'


def make():
    plain = b"2\n" + HEAD + b' pbc="T T T" time=1.0\nH 0 0 0\nH 0 0 0.7\n'
    rich = (
        b"1\n" + HEAD + b':momenta:R:3:forces:R:3:Z:I:1:move_mask:L:1 energy=-1 stress="1 0 0 0 1 0 0 0 1" '
        b"charge=0 name='a b' list=[1,2] _JSON {}\nH 0 0 0 0 0 0 0 0 0 1 T\n"
    )  # fmt: skip
    return [plain, plain + plain, rich, b"1\n\nH 0 0 0\n"]


def read(path):
    for reader in (_stream, _universe, lambda path: EXTXYZParser(str(path)).parse()):
        with suppress(ElfError):
            reader(path)


def _stream(path):
    trajectory = Trajectory(path, timestep=1.0)
    trajectory.count()
    for frame in trajectory:
        assert frame.atoms is not None


def _universe(path):
    with EXTXYZReader(str(path)) as reader:
        for step in reader:
            assert step.positions.shape[1] == 3


TARGET = Target(
    "extxyz", "run.extxyz", make, read, multiple=500,
    tokens=(b"Lattice=", b"Properties=", b"species:S:1:pos:R:3", b":x:R:999999999", b":I:1", b":L:1",
            b"energy=", b"stress=", b"virial=", b"time=", b"dt=", b"pbc=", b"nan", b"1e400", b"_JSON ",
            b'"', b"{", b"}", b"[", b"]", b"-1", b"99999999999", b"\n", b"REF_energy", b"magmoms:R:1",
            b"Tv=", b"%PBC", b"VEC1"),
    instrument=("ase_elf.structures.trajectory", "ase_elf.mda", "ase.io.extxyz"),
)  # fmt: skip
