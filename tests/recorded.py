"""What the shipped weights gave when they were last looked at.

    python tests/recorded.py          # after new weights: writes it down anew, in recorded.json

Double precision, CPU, first frame of the example of each pack.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import date

import numpy as np
from ase.io import read
from places import ROOT, TESTS

from ase_elf import ELFCalculator
from ase_elf.domains import Domain, get_domain
from ase_elf.ruler import measure_bonds

FILE = TESTS / "recorded.json"

EXAMPLES = {"dense-hydrogen": "dense-hydrogen.extxyz", "gold-thiolate": "gold-ring.extxyz"}
"""Packs, and files with structures of theirs in ``examples``."""

SHAPE = (24, 24, 24)


def example(name: str):
    return read(ROOT / "examples" / EXAMPLES[name], index=0)


def points(atoms) -> np.ndarray:
    """Beside the first atoms, and between the first and the others."""
    first = atoms.positions[:3] + [0.4, -0.2, 0.3]
    return np.concatenate([first, 0.7 * atoms.positions[:1] + 0.3 * atoms.positions[1:4]])


def digests(domain: Domain) -> dict[str, str]:
    """SHA-256 of every file of weights of a pack, by what it is for."""
    found = {"field": domain.card["weights"]["sha256"]}
    found |= {"-".join(pair): card["sha256"] for pair, card in domain.ruler_cards.items()}
    if _has_potential(domain):
        found["potential"] = domain.potential_card["sha256"]
    return found


def measured(name: str) -> dict[str, object]:
    """The numbers of one pack: ELF, its mean on a grid, what its ruler reads, energy and force."""
    atoms, domain = example(name), get_domain(name)
    calc = ELFCalculator(domain=name, dtype="float64", device="cpu")
    found: dict[str, object] = {"at_points": _rounded(calc.get_elf(atoms, points=points(atoms)))}
    if atoms.pbc.all():
        grid = calc.get_elf(atoms, shape=SHAPE)
        found["means"] = _rounded([grid.values.mean(dtype=float), grid.sigma.mean(dtype=float)])
    lengths = measure_bonds(atoms, calc)["ruler_length"]
    found["ruler"] = _rounded([np.nanmean(lengths), np.nanmin(lengths), np.nanmax(lengths)])
    if _has_potential(domain):
        from ase_elf.potential import Potential

        atoms.calc = Potential(domain=name, dtype="float64", device="cpu")
        found["energy"] = _rounded([atoms.get_potential_energy(), np.abs(atoms.get_forces()).max()])
    return found


def _has_potential(domain: Domain) -> bool:
    return (domain.folder / "potential.json").is_file()


def _rounded(values: Iterable[float]) -> list[float]:
    return [round(float(value), 10) for value in values]


def main() -> None:
    numbers = {
        name: {"date": date.today().isoformat(), "digests": digests(get_domain(name)), **measured(name)}
        for name in EXAMPLES
    }
    FILE.write_text(json.dumps(numbers, indent=1) + "\n")


if __name__ == "__main__":
    main()
