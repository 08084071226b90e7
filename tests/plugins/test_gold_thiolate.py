"""The gold-thiolate pack: bond types, field model and ruler on what they were not fitted to."""

import json

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.io import read
from click.testing import CliRunner
from places import ROOT

from ase_elf import ELFCalculator, examples
from ase_elf.cli import main
from ase_elf.dataset.store import LabelStore
from ase_elf.domains import domain_for, get_domain
from ase_elf.errors import InputError
from ase_elf.ruler import load_ruler, measure_bonds
from ase_elf.ruler.bond_set import BondSet
from ase_elf.training.evaluate import score_label
from ase_elf.training.ruler import RulerConfig, class_numbers, divide, gather, macro_f1

PACK = ROOT / "plugins" / "gold_thiolate"


@pytest.fixture(scope="module")
def au25():
    """[Au25(SCH3)18]-: a core of 13 in six staples S-Au-S-Au-S."""
    return examples.au25()


@pytest.fixture(scope="module")
def ring():
    return read(ROOT / "examples" / "gold-ring.extxyz", index=0)


@pytest.fixture
def fragment():
    """CH3S-Au-SCH3, small enough for grids."""
    atoms = Atoms("AuS2", [[0, 0, 0], [2.33, 0, 0], [-2.33, 0, 0]])
    for side in (1, -1):
        methyl = molecule("CH3SH")
        carbon, sulfur = (methyl.symbols.indices()[s][0] for s in "CS")
        methyl.positions -= methyl.positions[sulfur]
        methyl.rotate(methyl.positions[carbon], (0.25 * side, side, 0))
        methyl.translate((2.33 * side, 0, 0))
        near_carbon = methyl.get_distances(carbon, range(len(methyl))) < 1.3
        atoms += methyl[near_carbon]
    return atoms


@pytest.fixture(scope="module")
def labels():
    """DFT labels of a ring of seven, a composition that was not trained on."""
    return list(LabelStore(PACK / "labels").select("test"))


@pytest.fixture(scope="module")
def ruler():
    return load_ruler(get_domain("gold-thiolate"), ("Au", "S"))


@pytest.fixture(scope="module")
def parts():
    config = RulerConfig.read(PACK / "ruler.yaml")
    return config, divide(gather(config), config)


def test_au25_has_twelve_bonds_of_each_kind(au25):
    table = measure_bonds(au25, ELFCalculator())
    kinds, counts = np.unique(table["label"], return_counts=True)
    assert dict(zip(kinds, counts, strict=True)) == {"bridging": 12, "core": 12, "terminal": 12}
    assert np.isfinite(table["ruler_length"]).all()


def test_every_bond_of_a_ring_is_a_ring_bond(ring):
    table = measure_bonds(ring, ELFCalculator())
    assert set(table["label"]) == {"ring"} and len(table) == 8


def test_types_of_drawn_motifs():
    bond_types = get_domain("gold-thiolate").bond_types

    def types(symbols, positions, pairs):
        atoms = Atoms(symbols, positions)
        i, j = np.array(pairs).T
        return bond_types(
            atoms,
            i,
            j,
            atoms.get_distances(i, j)
            if len(set(i)) == 1
            else np.linalg.norm(atoms.positions[i] - atoms.positions[j], axis=1),
        ).tolist()

    # A staple gold between two sulfurs, one of which holds on to a core gold.
    staple = [[0, 0, 0], [2.35, 0, 0], [-2.35, 0, 0], [2.35, 2.43, 0]]
    assert types("AuS2Au", staple, [(0, 1), (0, 2), (3, 1)]) == ["terminal", "bridging", "core"]
    # Three gold on one sulfur; and one that is too far to be bonded.
    crowd = [[0, 0, 0], [2.4, 0, 0], [0, 2.4, 0], [0, 0, 2.4], [0, 0, -2.9]]
    assert types("SAu4", crowd, [(0, 1), (4, 0)]) == ["mu3", "elongated"]
    assert types("CH", [[0, 0, 0], [1.1, 0, 0]], [(0, 1)]) == [""]


def test_turning_and_renumbering_a_cluster_changes_no_reading(ring):
    calculator = ELFCalculator()
    before = measure_bonds(ring, calculator)
    turned = ring.copy()
    turned.rotate(63, (1, 2, -0.5))
    turned.translate((100.0, -3.0, 2.0))
    after = measure_bonds(turned, calculator)
    np.testing.assert_allclose(after["ruler_length"], before["ruler_length"], atol=2e-4)
    order = np.random.default_rng(0).permutation(len(ring))
    mixed = measure_bonds(ring[order], calculator)
    np.testing.assert_allclose(np.sort(mixed["ruler_length"]), np.sort(before["ruler_length"]), atol=2e-4)


def test_a_box_with_vacuum_changes_nothing_and_one_without_does(ring):
    calculator = ELFCalculator()
    alone = measure_bonds(ring, calculator)["ruler_length"]
    boxed = ring.copy()
    boxed.center(vacuum=4.0)
    boxed.pbc = True
    together = measure_bonds(boxed, calculator)["ruler_length"]
    np.testing.assert_allclose(together, alone, atol=2e-4)


def test_a_grid_of_a_cluster_lies_in_a_box_with_vacuum_enough(fragment):
    calculator = ELFCalculator()
    tight = fragment.copy()
    tight.center(vacuum=0.5)
    grid = calculator.get_elf(tight, shape=(16, 16, 16))
    assert grid.info["boxed"] == [True, True, True]
    for cluster, box in ((tight, grid.atoms), (fragment, calculator.domain_of(fragment).boxed(fragment))):
        extent = np.ptp(cluster.positions, axis=0)
        assert (box.cell.lengths() - extent > 6.9).all()
        assert box.positions == pytest.approx(cluster.positions)


def test_a_reading_from_a_grid_is_that_from_points(fragment):
    calculator = ELFCalculator()
    fragment.center(vacuum=3.5)
    fragment.pbc = True
    at_points = measure_bonds(fragment, calculator)["ruler_length"]
    grid = calculator.get_elf(fragment, spacing=0.2)
    np.testing.assert_allclose(measure_bonds(fragment, grid)["ruler_length"], at_points, atol=0.01)
    # Far from every atom the ELF is zero by training.
    assert grid.values[0, 0, 0] < 0.1 < grid.values.max()


def test_only_gold_and_sulfur_together_are_its_chemistry():
    assert domain_for(["Au", "S", "C", "H"]).name == "gold-thiolate"
    assert domain_for(["H"]).name == "dense-hydrogen"
    assert domain_for(["C", "H"]).name == "many-elements"
    with pytest.raises(InputError, match="holds no Au"):
        ELFCalculator(domain="gold-thiolate").get_elf(molecule("CH3SH"), points=[[0, 0, 0]])


def test_the_field_model_on_a_composition_it_never_saw(labels):
    model = get_domain("gold-thiolate").load()
    for label in labels:
        score = score_label(model, label)
        assert score.mae < 0.02 and score.r2 > 0.98, label.name


def test_the_ruler_on_compositions_it_never_saw(ruler, parts):
    config, divided = parts
    test = divided.test
    length, uncertainty = ruler.read(test.shown(ruler.spec))
    error = np.abs(length - test.length)
    assert error.mean() < 0.012
    assert 0.5 < (error < uncertainty).mean() < 0.85
    # Reading nothing, the median length, is several times worse.
    assert error.mean() < 0.4 * np.abs(test.length - np.median(divided.train.length)).mean()
    truth = class_numbers(test.type, config.types)
    known = truth >= 0
    told = ruler.classify(test[known].shown(ruler.type_spec)).argmax(1)
    assert macro_f1(truth[known], told) > 0.9


def test_no_composition_is_on_both_sides(parts):
    _, divided = parts
    groups = [set(getattr(divided, name).group) for name in ("train", "validation", "test")]
    assert not groups[0] & groups[1] and not groups[0] & groups[2] and not groups[1] & groups[2]
    assert len(set().union(*groups)) >= 15


def test_reading_predicted_elf_is_reading_elf(labels, ruler):
    """The images of DFT that belong to the committed labels, against predicted ones."""
    images = BondSet.joined(LabelStore(PACK / "labels").images({"batch": "bonds"}))
    calculator = ELFCalculator()
    for label in labels:
        mine = images[images.structure == label.name]
        table = measure_bonds(label.atoms, calculator)
        from_dft, _ = ruler.read(mine.shown(ruler.spec))
        order = np.argsort(mine.length)
        predicted = table["ruler_length"][np.argsort(table["length"])]
        assert np.abs(predicted - from_dft[order]).mean() < 0.03


def test_the_command_on_a_cluster(tmp_path):
    command = ["ruler", str(examples.path("au25")), "--json"]
    command += ["-o", str(tmp_path / "out")]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    assert {k: v["bonds"] for k, v in record["labels"].items()} == {
        "bridging": 12, "core": 12, "terminal": 12,
    }  # fmt: skip
    for name in ("bridging", "core", "terminal"):
        assert (tmp_path / "out" / f"bond-{name}.png").stat().st_size > 5000
    coloured = read(tmp_path / "out" / "structure.extxyz")
    assert coloured.arrays["n_bonds"].sum() == 72


def test_analyze_gives_clusters_a_box_and_bonds_a_type(tmp_path, fragment):
    fragment.write(tmp_path / "fragment.extxyz")
    # A coarse grid: what is tested is the way through, not the numbers.
    command = ["analyze", str(tmp_path / "fragment.extxyz"), "--trajectory", "--rulers"]
    command += ["--spacing", "0.5", "--no-report", "-o", str(tmp_path / "out")]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    header, *rows = (tmp_path / "out" / "bonds.csv").read_text().splitlines()
    assert len(rows) == 2
    first = dict(zip(header.split(","), rows[0].split(","), strict=True))
    assert first["label"] == "bridging" and 2.0 < float(first["ruler_length"]) < 3.0
