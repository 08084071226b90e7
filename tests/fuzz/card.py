"""card.json of a domain pack."""

import json

from ase import Atoms

from ase_elf.domains import Domain
from fuzz.target import Target


def make():
    card = {
        "name": "x", "elements": ["H"], "bonds": {"H-H": 1.0}, "spacing": 0.1,
        "trained_range": {"r_s_bohr": [1.0, 2.0]},
        "weights": {"file": "w.safetensors", "sha256": "0" * 64},
    }  # fmt: skip
    stray = card | {"weights": {"file": "../../etc/passwd", "sha256": ""}}
    return [json.dumps(card).encode(), json.dumps(stray).encode()]


def read(path):
    pack = Domain(path.parent)
    atoms = Atoms("H", cell=[2.0] * 3, pbc=True)
    pack.check(atoms)
    str(pack.name), pack.elements, pack.bonds, pack.spacing, pack.outside(atoms)
    pack.load(device="cpu")


TARGET = Target(
    "card", "card.json", make, read, multiple=500,
    tokens=(b'"name"', b'"elements"', b'"bonds"', b'"spacing"', b'"trained_range"', b'"weights"',
            b'"file"', b'"sha256"', b'"../x"', b"NaN", b"1e999", b"null", b"[]", b"{}", b"[[[["),
)  # fmt: skip
