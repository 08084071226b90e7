"""Labels: shards of a store with all that they may hold, files of a plain folder, snapshots."""

import io
import zipfile
import zlib
from contextlib import suppress
from dataclasses import replace

import numpy as np

from ase_elf.dataset.manifest import row_of
from ase_elf.dataset.shard import StoredLabel, decode, encode
from ase_elf.dataset.source import read_label
from ase_elf.errors import ElfError
from ase_elf.report.snapshots import Snapshot
from ase_elf.ruler import BondSet, ImageSpec
from fuzz.sound import CELL, grid, label
from fuzz.target import Target


def make():
    integers = np.full((2, 3, 2), 7, np.uint16)
    plain = {"cell": np.array(CELL), "pos": np.zeros((2, 3)), "elf": integers}
    snapshot = {
        "frame": 0, "time_fs": 0.0, "numbers": np.array([1]), "positions": np.zeros((1, 3)),
        "cell": np.eye(3), "values": np.zeros((2, 2, 2), np.uint8), "passes": np.zeros((1, 3)),
        "pass_values": np.ones(1),
    }  # fmt: skip
    return [
        encode([label("a")]),
        encode([label("a"), label("b", points=True)]),
        _archive(plain),
        _archive(plain | {"energy_ry": -1.0, "kpts": np.array([2, 2, 2])}, np.savez_compressed),
        encode([label("a", places=True)]),
        encode([replace(label("b"), refines="a"), label("c", places=True)]),
        encode(StoredLabel.of_bonds(_bonds())),
        _archive(snapshot, np.savez_compressed),
        _archive({"elf": np.array([print], dtype=object)}),  # a pickle
        _declared((10**12,)),
        _bomb(),
    ]


def _bonds():
    text = np.array(["a"])
    images = np.full((1, 1, 4, 4), 7, np.uint8)
    return BondSet(("H", "H"), ImageSpec(4, 1.0), images, np.ones(1), text, text, text, text)


def _archive(arrays, save=np.savez):
    made = io.BytesIO()
    save(made, **arrays)
    return made.getvalue()


def _declared(shape):
    """An array that says it is larger than it is."""
    header = f"{{'descr': '<u2', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("elf.npy", b"\x93NUMPY\x01\x00\x76\x00" + header.encode())
    return made.getvalue()


def _bomb():
    """A label whose ELF, deflated twice, would unfold to 400 MB."""
    packed = np.frombuffer(zlib.compress(zlib.compress(bytes(400_000_000), 9), 9), np.uint8)
    arrays = dict(np.load(io.BytesIO(encode([label("a")]))))
    return _archive(arrays | {"0.elf": packed}, np.savez_compressed)


def read(path):
    for reader in (_shard, read_label, Snapshot.read):
        with suppress(ElfError):
            reader(path)


def _shard(path):
    for stored in decode(path.read_bytes(), source=str(path)):
        uses = (stored.label, lambda: stored.label(grid().atoms), lambda: stored.refine(label("a")), stored.bonds,
                lambda: row_of(stored, "a", "b"))  # fmt: skip
        for use in uses:
            with suppress(ElfError):
                use()


TARGET = Target(
    "labels", "a.npz", make, read, multiple=20_000,
    tokens=(b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06", b"PK\x06\x06", b"\x93NUMPY\x01\x00",
            b"'descr': '<u2'", b"'|O'", b"'<f8'", b"'shape': (999999999,)", b"'<U999999999'",
            b"fortran_order", b"\xff\xff\xff\xff", b"\x08\x00", b"\x0c\x00", b"\x0e\x00"),
    instrument=("ase_elf.formats", "ase_elf.dataset", "ase_elf.ruler.bond_set",
                "ase_elf.ruler.image", "ase_elf.report.snapshots",
                "zipfile", "numpy.lib.format"),
)  # fmt: skip
