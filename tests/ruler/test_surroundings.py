"""Where a ruler was not fitted its reading is marked, and has no deviation."""

import csv
import json
import warnings

import numpy as np
import pytest
from ase import Atoms
from ase.io import read
from click.testing import CliRunner
from places import ROOT

from ase_elf import ELFCalculator, ELFGrid, examples
from ase_elf.analysis.bond_frames import not_covered
from ase_elf.cli import main
from ase_elf.dataset import LabelStore
from ase_elf.domains import Domain, domain_for, get_domain
from ase_elf.errors import DomainError, ElfWarning, FormatError, InputError
from ase_elf.ruler import measure_bonds
from ase_elf.ruler.bonds import read_bonds
from ase_elf.ruler.surroundings import BONDS, Element, Surroundings, are_strange, load_surroundings
from ase_elf.ruler.survey import BondSurvey

gold = get_domain("gold-thiolate")

from ase_elf_gold_thiolate.ligands import KINDS, exchanged, methyls  # noqa: E402 - found through get_domain


@pytest.fixture(scope="module")
def au25():
    return examples.au25()


@pytest.fixture(scope="module")
def benzyl(au25):
    """One benzyl among 17 methyls, and the sulfur that holds it."""
    found = (exchanged(au25, "benzyl", n) for n in range(18))
    return next(made for made in found if made is not None)


def of_atom(table, atom):
    return (table["i"] == atom) | (table["j"] == atom)


def test_bonds_of_the_trained_ligand_are_inside(au25):
    table = measure_bonds(au25, ELFCalculator())
    assert len(table) == 36 and not table["outside"].any()
    assert np.isfinite(table["deviation"]).all() and np.isfinite(table["uncertainty"]).all()


def test_held_out_compounds_are_inside():
    for label in LabelStore(ROOT / "plugins" / "gold_thiolate" / "labels"):
        table = measure_bonds(label.atoms, ELFCalculator())
        assert table["outside"].mean() <= 0.1


@pytest.mark.parametrize("kind", ["SH", "ethyl", "phenyl", "benzyl"])
def test_bonds_of_another_ligand_are_marked_and_the_others_are_not(au25, kind):
    marked = []
    for n in (0, 5, 11):
        if (made := exchanged(au25, kind, n)) is None:
            continue
        atoms, sulfur = made
        i, j = np.array([(sulfur, g) for g in golds_of(atoms, sulfur)]).T
        marked += are_strange(gold, ("Au", "S"), atoms, i, j).tolist()
        far = next(s for s, _, _ in methyls(atoms) if atoms.get_distance(s, sulfur) > 8)
        assert not are_strange(gold, ("Au", "S"), atoms, np.array([far]), np.array(golds_of(atoms, far)[:1]))
    assert len(marked) >= 2 and np.mean(marked) >= 0.8


@pytest.mark.parametrize("kind", KINDS)
def test_no_bond_at_a_ligand_or_metal_that_was_never_seen_has_a_deviation(au25, kind):
    """A reading there is marked, or there is none, whatever the ELF is from; contacts are named."""
    calculator, found = ELFCalculator(), 0
    # Where the shell of Au25 has no room, as for a cage, a ring of four has.
    base = read(ROOT / "examples" / "gold-ring.extxyz", 0) if kind == "adamantyl" else au25
    places = range(0, 25 if kind in ("silver", "thiophene", "phosphine") else len(methyls(base)), 9)
    for made in (exchanged(base, kind, n) for n in (places if base is au25 else range(4))):
        if made is None:
            continue
        atoms, binding = made
        with warnings.catch_warnings(action="ignore"):
            # Of elements that the pack does not know the ELF is somebody else's.
            rows, _ = read_bonds(*constant_elf(atoms) if kind in UNREAD else (atoms, calculator))
        near = [binding, *np.flatnonzero((atoms.get_distances(binding, range(len(atoms))) < 2.95)
                                         & np.isin(atoms.symbols, ("Au", "Ag")))]  # fmt: skip
        mine = np.isin(rows["i"], near) | np.isin(rows["j"], near)
        own = (rows["i"] == binding) | (rows["j"] == binding)
        judged = mine if kind in ("silver", "selenolate", "phosphine") else own
        assert np.isnan(rows["deviation"][judged]).all() and np.isnan(rows["uncertainty"][judged]).all()
        named = not_covered(atoms, rows)
        assert named["Au-Au"] > (50 if base is au25 else 0)
        if kind in UNREAD:
            assert named[UNREAD[kind]] > 0
        found += 1
    assert found


UNREAD = {"phosphine": "Au-P", "selenolate": "Au-Se", "silver": "Ag-Au"}
"""Contacts that come with it, and have no ruler."""


def test_adamantane_has_the_geometry_of_its_textbook():
    ring = read(ROOT / "examples" / "gold-ring.extxyz", 0)
    made = next(m for m in (exchanged(ring, "adamantyl", n) for n in range(4)) if m is not None)
    cage = made[0][-25:]
    assert cage.get_chemical_formula() == "C10H15"
    apart = cage.get_all_distances()
    carbon, hydrogen = apart[:10, :10], apart[:10, 10:]
    assert np.sort(carbon[np.triu_indices(10, 1)])[:12] == pytest.approx(1.54, abs=1e-6)
    assert np.sort(carbon[np.triu_indices(10, 1)])[12] > 2.4
    assert (
        hydrogen.min(0) == pytest.approx(1.10, abs=1e-6)
        and (hydrogen < 1.2).sum(1).tolist() == [0] + [1] * 3 + [2] * 6
    )
    assert cage.get_all_distances()[10:, 10:][np.triu_indices(15, 1)].min() > 1.7


def golds_of(atoms, sulfur):
    golds = atoms.symbols.indices()["Au"]
    return golds[atoms.get_distances(sulfur, golds) < 2.95].tolist()


def test_one_benzyl_among_methyls_has_no_deviation(benzyl):
    atoms, sulfur = benzyl
    with pytest.warns(ElfWarning):  # the pack says, too, that it never saw this
        table = measure_bonds(atoms, ELFCalculator())
    mine = of_atom(table, sulfur)
    assert mine.sum() == 2 and table["outside"][mine].all()
    assert table["outside"].sum() < 10  # those elsewhere in the cluster are read as ever
    assert np.isfinite(table["ruler_length"][mine]).all()
    assert np.isnan(table["deviation"][mine]).all() and np.isnan(table["uncertainty"][mine]).all()


def test_thiophene_beside_gold_is_marked(au25):
    made = (exchanged(au25, "thiophene", n) for n in range(25))
    atoms, sulfur = next(one for one in made if one is not None)
    with pytest.warns(ElfWarning, match="outside"):
        table = measure_bonds(atoms, ELFCalculator())
    mine = of_atom(table, sulfur)
    assert mine.any() and table["outside"][mine].all() and np.isnan(table["deviation"][mine]).all()
    few = Atoms("Au", [[0, 0, 0]])
    made, sulfur = exchanged(few, "thiophene", 0)
    with pytest.warns(ElfWarning):
        assert measure_bonds(made, ELFCalculator())["outside"].all()


def constant_elf(atoms):
    """Any ELF: that of a calculation of one's own, of elements no pack knows together."""
    boxed = atoms.copy()
    boxed.center(vacuum=4.0)
    boxed.pbc = True
    return boxed, ELFGrid(np.full((24, 24, 24), 0.4, np.float32), boxed)


@pytest.mark.parametrize("kind", ["selenolate", "phosphine"])
def test_elements_the_pack_does_not_know_mark_what_is_near_them(au25, kind):
    made = (exchanged(au25, kind, n) for n in range(18))
    atoms, foreign = next(one for one in made if one is not None)
    with pytest.raises((InputError, DomainError)):
        ELFCalculator(domain="gold-thiolate").get_elf(atoms, points=[[0, 0, 0]])
    boxed, grid = constant_elf(atoms)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ElfWarning)  # where more than a tenth are marked
        table = measure_bonds(boxed, grid)
    apart = np.minimum(*(boxed.get_distances(foreign, table[end], mic=True) for end in "ij"))
    pairs = [{boxed.symbols[i], boxed.symbols[j]} for i, j in zip(table["i"], table["j"], strict=True)]
    near = np.array([pair == {"Au", "S"} for pair in pairs]) & (apart < 3.5)
    assert table["outside"][near].all() and near.any()


def test_a_foreign_atom_far_away_marks_nothing(au25):
    far = au25.copy() + Atoms("Na", [au25.positions.max(0) + 9.0])
    boxed, grid = constant_elf(far)
    assert not measure_bonds(boxed, grid)["outside"].any()


def test_a_bond_of_a_length_that_was_never_fitted_is_marked():
    atoms = Atoms("H2", [[0, 0, 0], [0.45, 0, 0]], cell=[2.2] * 3, pbc=True)
    grid = ELFGrid(np.full((12, 12, 12), 0.5, np.float32), atoms)
    table = measure_bonds(atoms, grid)
    assert table["outside"].all() and np.isnan(table["ruler_length"]).all()


def test_a_reading_off_an_extrapolated_elf_is_marked():
    atoms = read(ROOT / "examples" / "dense-hydrogen.extxyz", index=0)
    grid = ELFCalculator().get_elf(atoms)
    inside = measure_bonds(atoms, grid)
    assert inside["outside"].mean() <= 0.1
    assert grid.info["out_of_domain"] == []
    atoms.set_cell(atoms.cell * 0.8, scale_atoms=True)
    for elf in (ELFCalculator().get_elf, lambda atoms: ELFCalculator()):
        with pytest.warns(ElfWarning, match="H64"):
            table = measure_bonds(atoms, elf(atoms))
        assert table["outside"].all() and np.isnan(table["deviation"]).all()


def test_hydrogen_far_from_any_other_is_marked():
    atoms = Atoms("H2", [[0, 0, 0], [0, 0, 0.75]], cell=[6.0] * 3, pbc=True)
    hydrogen = get_domain("dense-hydrogen")
    assert are_strange(hydrogen, ("H", "H"), atoms, np.array([0]), np.array([1])).all()


# -- Counted where bonds are summed up -------------------------------------------------------


def test_a_survey_counts_them_and_keeps_them_out_of_means(benzyl):
    survey = BondSurvey(modes=False)
    atoms, _sulfur = benzyl
    with pytest.warns(ElfWarning):
        rows = survey.add(atoms, ELFCalculator())
    outside = sum(entry["outside"] for entry in survey.by_label().values())
    read_ = sum(entry["read"] for entry in survey.by_label().values())
    assert outside == rows["outside"].sum() >= 2 and read_ + outside == 36
    assert set(rows["image_type"][rows["outside"]]) == {""}


def test_the_command_says_how_many_and_writes_the_mark(benzyl, tmp_path):
    benzyl[0].write(tmp_path / "benzyl.xyz")
    command = ["ruler", str(tmp_path / "benzyl.xyz"), "--no-modes", "-o", str(tmp_path / "out")]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    assert "none that the ruler was fitted to" in result.output
    with (tmp_path / "out" / "bonds.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    marked = [row for row in rows if row["outside"] == "True"]
    assert len(marked) >= 2 and all(row["deviation"] == "nan" for row in marked)
    record = json.loads((tmp_path / "out" / "bonds.json").read_text())
    assert sum(entry["outside"] for entry in record["labels"].values()) == len(marked)


def test_elements_that_are_known_only_with_others_say_so():
    with pytest.raises(DomainError, match=r"gold-thiolate: Au, S, C, H \(needs Au and S\)"):
        domain_for(["C", "U"])
    result = CliRunner().invoke(main, ["info"])
    assert "Au S C H (needs Au and S)" in result.output
    assert get_domain("dense-hydrogen").coverage == "H"


# -- The statistics ----------------------------------------------------------------------


def training(n, shift=0.0, seed=0):
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(n):
        atoms = Atoms("H4", [[0, 0, 0], [0, 0, 0.7], [5, 0, 0], [5, 0, 0.7]])
        readings = rng.normal(size=(4, 3)) + shift
        found.append((atoms, readings, np.array([0, 2]), np.array([1, 3])))
    return found


def test_of_compounds_left_out_so_many_bonds_are_inside():
    known = Surroundings.of(training(300), [f"{n % 10}" for n in range(300)])
    far = np.concatenate([known.distances(*one) for one in training(500, seed=1)])
    assert np.mean(far < 1) == pytest.approx(BONDS, abs=0.03)
    strange = np.concatenate([known.distances(*one) for one in training(50, shift=4.0)])
    assert strange.min() > 1
    with pytest.raises(InputError, match="two at least"):
        Surroundings.of(training(5), ["one"] * 5)


def test_atoms_bonded_to_the_ends_count_and_others_do_not():
    known = Surroundings.of(training(300), [f"{n % 10}" for n in range(300)])
    atoms, readings, i, j = training(1)[0]
    readings[0] = 40.0
    assert (known.distances(atoms, readings, i, j) > 1).tolist() == [True, False]
    chain = Atoms("H3", [[0, 0, 0], [0, 0, 0.7], [0, 0, 1.45]])
    strange = np.array([[0.0] * 3, [0.0] * 3, [40.0] * 3])
    assert known.distances(chain, strange, np.array([0]), np.array([1])) > 1
    assert (
        known.distances(Atoms("HHe", chain.positions[:2]), strange[:2], np.array([0]), np.array([1]))
        == np.inf
    )


def test_what_was_saved_comes_back_and_damage_is_refused(tmp_path):
    known = Surroundings.of(training(30), [f"{n % 3}" for n in range(30)])
    path = tmp_path / "s.safetensors"
    known.save(path)
    again = Surroundings.load(path)
    for one in training(3, seed=5):
        np.testing.assert_allclose(again.distances(*one), known.distances(*one), rtol=1e-4)
    for data in (b"", path.read_bytes()[:-40], b"nothing of that kind"):
        path.write_bytes(data)
        with pytest.raises(FormatError, match="s.safetensors"):
            Surroundings.load(path)
    broken = Surroundings({1: Element(np.zeros(2), np.full((2, 2), np.nan), 1.0)}, 1.0)
    broken.save(path)
    with pytest.raises(FormatError, match="not finite"):
        Surroundings.load(path)


def test_surroundings_of_other_weights_are_not_used():
    pack = Domain(gold.folder)
    pack.__dict__["card"] = json.loads(json.dumps(gold.card))
    assert load_surroundings(pack, ("Au", "S")) is not None
    pack.card["weights"]["sha256"] = "0" * 64
    assert load_surroundings(pack, ("Au", "S")) is None


@pytest.mark.parametrize("length", [2.68, 2.75, 2.9, 2.99])
def test_stretched_bonds_of_gold_are_marked_and_not_read(length):
    atoms = read(ROOT / "examples" / "gold-ring.extxyz", 0)
    table = measure_bonds(atoms, ELFCalculator())
    i, j = int(table["i"][0]), int(table["j"][0])
    way = atoms.positions[j] - atoms.positions[i]
    moved = [j, *np.flatnonzero(atoms.get_distances(j, range(len(atoms))) < 2.0)]  # sulfur with its methyl
    carbon = next(k for k in moved if atoms.symbols[k] == "C")
    moved += np.flatnonzero(atoms.get_distances(carbon, range(len(atoms))) < 1.3).tolist()
    atoms.positions[sorted(set(moved))] += way * (length / np.linalg.norm(way) - 1)
    table = measure_bonds(atoms, ELFCalculator())
    (mine,) = np.flatnonzero((table["i"] == i) & (table["j"] == j))
    assert table["length"][mine] == pytest.approx(length) and table["outside"][mine]
    assert np.isnan(table["ruler_length"][mine]) and np.isnan(table["deviation"][mine])
