"""card.json of a domain pack."""

import json
from contextlib import suppress

from ase import Atoms

from ase_elf.domains import Domain
from ase_elf.errors import ElfError
from ase_elf.ruler import load_ruler
from fuzz.target import Target


def make():
    card = {
        "name": "x", "elements": ["H"], "bonds": {"H-H": 1.0}, "spacing": 0.1,
        "trained_range": {"r_s_bohr": [1.0, 2.0]},
        "weights": {"file": "w.safetensors", "sha256": "0" * 64},
    }  # fmt: skip
    stray = card | {"weights": {"file": "../../etc/passwd", "sha256": ""}}
    both = card | {"large_cells": {"weights": card["weights"]}}
    ruler = {"pair": "H-H", "file": "ruler.safetensors", "sha256": "0" * 64}
    return [json.dumps(one).encode() for one in (card, stray, both, ruler, ruler | {"file": "/etc/x"})]


def read(path):
    for name in ("potential.json", "ruler-h-h.json"):
        path.with_name(name).write_bytes(path.read_bytes())
    pack = Domain(path.parent)
    for use in (_describe, Domain.load, Domain.load_potential, _rulers):
        with suppress(ElfError):
            use(pack)


def _describe(pack):
    atoms = Atoms("H", cell=[2.0] * 3, pbc=True)
    pack.check(atoms)
    str(pack.name), pack.elements, pack.bonds, pack.spacing, pack.outside(atoms)


def _rulers(pack):
    for pair in pack.ruler_cards:
        load_ruler(pack, pair)


TARGET = Target(
    "card", "card.json", make, read, multiple=500,
    tokens=(b'"name"', b'"elements"', b'"bonds"', b'"spacing"', b'"trained_range"', b'"weights"',
            b'"large_cells"', b'"file"', b'"sha256"', b'"../x"', b"NaN", b"1e999", b"null", b"[]", b"{}", b"[[[["),
    instrument=("ase_elf.domains", "ase_elf.model", "ase_elf.ruler"),
)  # fmt: skip
