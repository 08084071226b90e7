"""Journal of `analyze` and of a screening: as it is, and with the checksum of every line put right."""

from contextlib import suppress

import numpy as np

from ase_elf.analysis.screening import Screened
from ase_elf.errors import ElfError
from ase_elf.statistics import FrameResult
from ase_elf.statistics.frame import BOND_FIELDS
from ase_elf.storage.journal import Journal, _checksum
from fuzz.target import Target


def make():
    bonds = {name: [0.5] for name in BOND_FIELDS} | {"i": [0], "j": [1], "mutual": [True]}
    frame = FrameResult(
        frame=0, time_fs=float("nan"), volume=1.0, scalars={"elf_phi": 0.5}, outside=("far",),
        bonds=bonds, rdf_counts=np.ones((1, 2), int),
        resolved_counts=np.ones((1, 2, 2), int),
        composition={"H": 2}, cluster_sizes=np.array([2]), degrees=np.array([1, 1]),
        largest_fraction=np.ones(2), elf_histogram=np.ones(2) / 2, orientation=np.ones((2, 2)),
        geometry=7,
    )  # fmt: skip
    record = frame.to_json().encode()
    line = _checksum(record) + b" " + record + b"\n"
    row = Screened("a", "H2", 2, "x", {"elf_phi": 0.5, "elf_phi_star": float("nan")}).to_json().encode()
    return [line, line + line, line + line[:40], _checksum(row) + b" " + row + b"\n"]


def read(path):
    for kind in (FrameResult, Screened):
        with suppress(ElfError):
            _rows(path, kind)


def _rows(path, kind):
    list(Journal(path, kind))
    mended = path.with_name("mended.jsonl")
    records = [line.partition(b" ")[2] for line in path.read_bytes().split(b"\n")]
    mended.write_bytes(b"".join(_checksum(r) + b" " + r + b"\n" for r in records))
    list(Journal(mended, kind))


TARGET = Target(
    "journal", "journal.jsonl", make, read, multiple=500,
    tokens=(b'"frame":', b'"bonds":{', b'"orientation":', b"NaN", b"Infinity", b"null", b"[]", b"{}",
            b"1e999", b"99999999999999999999", b'"\\ud800"', b"[[[[", b"true"),
    instrument=("ase_elf.storage.journal", "ase_elf.analysis.screening", "ase_elf.statistics.frame"),
)  # fmt: skip
