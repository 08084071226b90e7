"""measure_bonds: which pairs, which image, and the ELF along them."""

import csv

import numpy as np
import pytest
from ase import Atoms

from ase_elf import ELFCalculator, ELFGrid
from ase_elf.errors import InputError
from ase_elf.ruler import BondTable, measure_bonds
from ase_elf.ruler.table import COLUMNS
from ase_elf.testing import GaussianDomain

HH = {("H", "H"): 1.0}


class QuietDomain(GaussianDomain):
    def __init__(self, elements=("H",)):
        super().__init__(elements)
        self.card["trained_range"] = {}


@pytest.fixture
def atoms():
    """A molecule inside, one across the cell boundary of a skew cell, and a lone atom."""
    cell = np.array([[3.0, 0.2, -0.1], [1.1, 2.8, 0.3], [-0.7, 0.9, 3.3]])
    inside = np.array([[1.0, 1.0, 1.0], [1.0, 1.0, 1.74]])
    across = np.array([[0.1, 0.05, 0.4], [-0.6, 0.05, 0.4]])
    atoms = Atoms("H5", [*inside, *across, [2.0, 2.5, 2.6]], cell=cell, pbc=True)
    atoms.wrap()
    return atoms


def test_each_bond_is_listed_once_with_its_image(atoms):
    table = measure_bonds(atoms, ELFCalculator(domain=QuietDomain()))
    assert isinstance(table, BondTable)
    assert list(zip(table["i"], table["j"], strict=True)) == [(0, 1), (2, 3)]
    np.testing.assert_allclose(table["length"], [0.74, 0.7])
    shifts = np.stack([table["S1"], table["S2"], table["S3"]], axis=1)
    ends = atoms.positions[table["j"]] + shifts @ atoms.cell.array
    np.testing.assert_allclose(np.linalg.norm(ends - atoms.positions[table["i"]], axis=1), table["length"])
    assert shifts[0].tolist() == [0, 0, 0] and shifts[1].any()
    assert table["label"].tolist() == ["H-H", "H-H"]


def test_the_elf_along_a_bond_is_that_of_the_field(atoms):
    calc = ELFCalculator(domain=QuietDomain())
    grid = calc.get_elf(atoms, spacing=0.12)
    table = measure_bonds(atoms, grid, cutoffs=HH)
    line = np.array([1.0, 1.0, 1.0]) + np.linspace(0, 1, 201)[:, None] * [0, 0, 0.74]
    truth = calc.get_elf(atoms, points=line)
    # 0.12 Å against Gaussians of 0.3 Å: the interpolation is good to 1e-3
    assert table["elf_mid"][0] == pytest.approx(truth[100], abs=2e-3)
    assert table["elf_min"][0] == pytest.approx(truth.min(), abs=2e-3)
    assert table["elf_max"][0] == pytest.approx(truth.max(), abs=2e-3)


def test_without_a_ruler_nothing_is_claimed_about_lengths(atoms):
    table = measure_bonds(atoms, ELFCalculator(domain=QuietDomain()))
    for name in ("ruler_length", "deviation", "uncertainty"):
        assert np.isnan(table[name]).all()


def test_an_atom_bonds_to_its_own_image_once():
    atoms = Atoms("H", cell=[0.9, 3, 3], pbc=True)
    table = measure_bonds(atoms, ELFCalculator(domain=QuietDomain()))
    assert (table["i"].tolist(), table["j"].tolist()) == ([0], [0])
    assert (table["S1"].tolist(), table["length"].tolist()) == ([1], [0.9])


def test_translation_and_permutation_change_no_bond(atoms):
    calc = ELFCalculator(domain=QuietDomain())
    before = measure_bonds(atoms, calc.get_elf(atoms, spacing=0.15), cutoffs=HH)
    moved = atoms[[4, 1, 3, 0, 2]]
    moved.translate([0.3, -1.0, 2.2])
    after = measure_bonds(moved, calc.get_elf(moved, spacing=0.15), cutoffs=HH)
    for name in ("length", "elf_mid"):
        # the grid lies elsewhere in the field: interpolation error
        np.testing.assert_allclose(np.sort(after[name]), np.sort(before[name]), atol=5e-3)


def test_cutoffs_choose_the_pairs_and_labels_name_the_elements():
    atoms = Atoms("OHH", [(2, 2, 2), (2, 2, 2.9), (2, 2.85, 1.7)], cell=[4, 4, 4], pbc=True)
    grid = ELFCalculator(domain=QuietDomain(("H", "O"))).get_elf(atoms, spacing=0.25)
    table = measure_bonds(atoms, grid, cutoffs={("O", "H"): 1.1})
    assert table["label"].tolist() == ["H-O", "H-O"]
    assert len(measure_bonds(atoms, grid, cutoffs={("H", "H"): 0.8})) == 0
    assert repr(measure_bonds(atoms, grid, cutoffs={})) == "BondTable(0 bonds)"


def test_the_grid_of_another_structure_is_refused(atoms):
    grid = ELFCalculator(domain=QuietDomain()).get_elf(atoms)
    wrapped = atoms.copy()
    wrapped.positions += atoms.cell[1]
    assert len(measure_bonds(wrapped, grid, cutoffs=HH)) == 2
    displaced, strained, other = atoms.copy(), atoms.copy(), atoms.copy()
    displaced.positions[3] += 0.1
    strained.set_cell(atoms.cell * 1.01)
    other.symbols[0] = "He"
    for wrong, message in [
        (displaced, "atom 3 is 0.173"),
        (strained, "cells"),
        (other, "H5|HeH4"),
    ]:
        with pytest.raises(InputError, match=message):
            measure_bonds(wrong, grid, cutoffs=HH)
    with pytest.raises(InputError, match="ELFGrid or an ELFCalculator"):
        measure_bonds(atoms, np.zeros((3, 3, 3)))


def test_a_grid_without_pack_needs_cutoffs_or_a_known_chemistry():
    atoms = Atoms("Og2", [(0, 0, 0), (0, 0, 2)], cell=[4, 4, 4], pbc=True)
    grid = ELFGrid(np.random.default_rng(0).random((8, 8, 8)), atoms)
    assert len(measure_bonds(atoms, grid, cutoffs={("Og", "Og"): 1.5})) == 0
    with pytest.raises(LookupError, match="covers Og"):
        measure_bonds(atoms, grid)


def test_the_table_writes_csv_and_plain_dictionaries(atoms, tmp_path):
    table = measure_bonds(atoms, ELFCalculator(domain=QuietDomain()))
    table.to_csv(tmp_path / "bonds.csv")
    with open(tmp_path / "bonds.csv", newline="") as fd:
        rows = list(csv.DictReader(fd))
    assert list(rows[0]) == list(table.columns) == list(COLUMNS.names)
    assert float(rows[1]["elf_mid"]) == table["elf_mid"][1]
    assert rows[0]["label"] == "H-H"
    columns = table.to_dict()
    assert columns["j"] == [1, 3] and type(columns["length"][0]) is float
    assert next(iter(table))["i"] == 0
    with pytest.raises(KeyError, match="no column 'ruler'"):
        table["ruler"]
    with pytest.raises(ValueError):
        table["length"][0] = 1.0
    with pytest.raises(InputError, match="columns"):
        BondTable(np.zeros(3))
