"""Journal of `analyze`: as it is, and with the checksum of every line put right."""

import numpy as np

from ase_elf.journal import Journal, _checksum
from ase_elf.statistics import FrameResult
from fuzz.target import Target


def make():
    bonds = {name: [0.5] for name in ("length", "elf_mid", "elf_min")}
    frame = FrameResult(
        frame=0, time_fs=float("nan"), volume=1.0, scalars={"elf_phi": 0.5}, outside=("far",),
        bonds={"i": [0], "j": [1], **bonds, "mutual": [True]}, rdf_counts=np.ones((1, 2), int),
        composition={"H": 2}, cluster_sizes=np.array([2]), degrees=np.array([1, 1]),
        largest_fraction=np.ones(2), elf_histogram=np.ones(2) / 2, orientation=np.ones((2, 2)),
        geometry=7,
    )  # fmt: skip
    record = frame.to_json().encode()
    line = _checksum(record) + b" " + record + b"\n"
    return [line, line + line, line + line[:40]]


def read(path):
    list(Journal(path))
    mended = path.with_name("mended.jsonl")
    records = [line.partition(b" ")[2] for line in path.read_bytes().split(b"\n")]
    mended.write_bytes(b"".join(_checksum(r) + b" " + r + b"\n" for r in records))
    list(Journal(mended))


TARGET = Target(
    "journal", "journal.jsonl", make, read, multiple=500,
    tokens=(b'"frame":', b'"bonds":{', b'"orientation":', b"NaN", b"Infinity", b"null", b"[]", b"{}",
            b"1e999", b"99999999999999999999", b'"\\ud800"', b"[[[[", b"true"),
)  # fmt: skip
