"""Which domain pack describes a structure."""

import json

import pytest

from ase_elf import domains
from ase_elf.domains import Domain
from ase_elf.errors import DomainError

WEIGHTS = {"file": "none.safetensors", "sha256": "0" * 64}


def pack(folder, name, elements, **more):
    """A pack of a card alone."""
    folder = folder / name
    folder.mkdir()
    card = {"name": name, "elements": elements, "bonds": {}, "spacing": 0.2, "trained_range": {}}
    (folder / "card.json").write_text(json.dumps(card | {"weights": WEIGHTS} | more))
    return Domain(folder)


@pytest.fixture
def packs(tmp_path, monkeypatch):
    found = [
        pack(tmp_path, "fluid", ["H"]),
        pack(tmp_path, "thiolate", ["Au", "S", "H"], isolated=True, must_hold=["Au", "S"]),
        pack(tmp_path, "many", ["H", "S", "Au", "Pt"], isolated=True, slabs=True),
    ]
    monkeypatch.setattr("ase_elf.domains.discovery.installed", lambda: {p.name: p for p in found})


@pytest.mark.parametrize(
    ("symbols", "pbc", "name"),
    [
        ("H", "TTT", "fluid"),
        ("H", "FFF", "many"),
        ("H", "TTF", "many"),
        (["H", "S"], "TTT", "many"),
        (["Au", "S"], "FFF", "thiolate"),
        (["Au", "S"], "TTF", "many"),
        (["Au"], "TTT", "many"),
        (["Pt"], "TTF", "many"),
    ],
)
def test_the_most_specific_pack_that_takes_the_structure_is_chosen(packs, symbols, pbc, name):
    assert domains.domain_for(symbols, [flag == "T" for flag in pbc]).name == name


def test_what_no_pack_covers_is_refused_with_the_command_that_computes_it(packs):
    with pytest.raises(DomainError, match=r"covers Xe.*engine='cp2k'"):
        domains.domain_for(["Xe"])


def test_a_card_may_leave_the_lengths_of_bonds_to_covalent_radii(tmp_path):
    hydride = pack(tmp_path, "hydride", ["H", "La"], bonds="covalent")
    assert hydride.bonds["H", "La"] == pytest.approx(1.25 * (0.31 + 2.07))
    assert set(hydride.bonds) == {("H", "H"), ("H", "La"), ("La", "La")}
