"""Frames of the binary store: HDF5, also with links, sizes and types it never has."""

import io
import json

import h5py
import numpy as np

from ase_elf.formats.store import LAYOUT, read_frame, write_frame
from fuzz.sound import CELL, grid, written
from fuzz.target import Target


def _file(**changes) -> bytes:
    """A frame made by hand; ``changes`` maps a data set to what makes it instead."""
    made = io.BytesIO()
    with h5py.File(made, "w", libver=changes.pop("libver", None)) as file:
        file.attrs["layout"] = np.bytes_(LAYOUT)
        file["info"] = np.frombuffer(changes.pop("info", '{"note": 1}').encode(), np.uint8)
        for name, data in {
            "elf": np.full((2, 3, 2), 7, np.uint16),
            "cell": np.array(CELL),
            "positions": np.zeros((1, 3)),
            "numbers": np.array([1], np.int32),
            "pbc": np.array([True] * 3),
        }.items():
            if name in changes:
                changes[name](file, name)
            else:
                file[name] = data
        if isinstance(file.get("elf", getlink=True), h5py.HardLink) and "scale" not in changes:
            file["elf"].attrs["scale"] = 1 / 65535
    return made.getvalue()


def _linked(link):
    def make(file, name):
        file[name] = link

    return make


def _data(**options):
    return lambda file, name: file.create_dataset(name, **options)


def _virtual(file, name):
    layout = h5py.VirtualLayout((2, 3, 2), np.uint16)
    layout[...] = h5py.VirtualSource("/etc/hostname", "elf", (2, 3, 2))
    file.create_virtual_dataset(name, layout)


def make():
    external = [("/etc/hostname", 0, 24)]
    values = np.full((2, 3, 2), 7, np.uint16)
    return [
        written("f.h5", lambda path: write_frame(path, grid())),
        written("f.h5", lambda path: write_frame(path, grid(sigma=True), frame=3)),
        _file(),
        _file(libver="latest"),
        _file(elf=_linked(h5py.ExternalLink("/etc/hostname", "/elf"))),
        _file(cell=_linked(h5py.SoftLink("/positions"))),
        _file(elf=_virtual),
        _file(elf=_data(shape=(2, 3, 2), dtype=np.uint16, external=external)),
        _file(elf=_data(data=values, chunks=(1, 3, 2), compression="lzf", fletcher32=True)),
        _file(elf=_data(data=values, chunks=(2, 3, 2), compression="gzip", maxshape=(None,) * 3)),
        _file(elf=_data(shape=(1000, 1000, 1000), dtype=np.uint16, chunks=(1000, 1000, 1000))),
        _file(elf=_data(shape=(10**6, 10**6, 10**3), dtype=np.uint16, chunks=(64, 64, 64))),
        _file(numbers=_data(data=["H"], dtype=h5py.string_dtype())),
        _file(positions=_data(data=np.zeros(1, [("x", "f8", (3,))]))),
        _file(pbc=_data(data=np.array([1, 0, 1], np.float32))),
        _file(info=json.dumps(["no", "mapping"])),
    ]


TARGET = Target(
    "store", "frame-000000000.h5", make, read_frame, multiple=8000,
    tokens=(b"TREE", b"SNOD", b"HEAP", b"OHDR", b"FRHP", b"BTHD", b"\x89HDF\r\n\x1a\n",
            b"\xff" * 8, b"deflate", b"shuffle", LAYOUT.encode(), b"/etc/hostname"),
    instrument=("ase_elf.formats",),
)  # fmt: skip
