"""The shipped pack for many elements: accuracy on compounds it was not trained on, error bars, flags, limits."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, make_supercell, molecule
from ase_elf_many_elements.splits import HEADLINE, HELD_OUT, reduced_formula
from places import ROOT
from scipy.spatial.transform import Rotation

from ase_elf import ELFCalculator
from ase_elf.dataset import LabelStore
from ase_elf.dataset.label import digest
from ase_elf.domains import domain_for, get_domain
from ase_elf.errors import DomainError, ElfWarning, InputError
from ase_elf.grid import cartesian
from ase_elf.model.neighbors import nearest_core
from ase_elf.prediction import Predictor
from ase_elf.training.config import TrainConfig
from ase_elf.training.evaluate import score_label
from ase_elf.training.kept_features import MADE_ANEW, KeptFeatures
from ase_elf.training.region import Region
from ase_elf.training.run import training_labels

FOLDER = ROOT / "plugins" / "many_elements"
REGION = Region(core=0.7, density=1e-3)


@pytest.fixture(scope="module")
def domain():
    return get_domain("many-elements")


@pytest.fixture(scope="module")
def model(domain):
    return domain.load(device="cpu")


@pytest.fixture(scope="module")
def scores(model):
    """Every seventh held-out label, at points outside cores."""
    store = LabelStore(FOLDER / "labels")
    held_out = [label for label in store.select("test") if label.points is not None]
    return [score_label(model, label, region=REGION) for label in held_out[::7]]


@pytest.mark.parametrize(
    "formula", ["LaH10", "H3S", "CaH6", "YH6", "LiH", "NaH", "MgH2", "Si", "NaCl", "Au", "C6H6"]
)
def test_a_pack_is_found_for_hydrides_crystals_and_molecules(formula):
    assert domain_for(Atoms(formula).symbols).name == "many-elements"


def test_pure_hydrogen_and_gold_thiolates_keep_their_packs():
    assert domain_for(["H"]).name == "dense-hydrogen"
    assert domain_for(["Au", "S", "C", "H"]).name == "gold-thiolate"
    with pytest.raises(DomainError, match="Xe"):
        domain_for(["La", "Xe"])


def test_hydrides_that_were_not_trained_on_are_described(scores):
    r2 = np.array([score.r2 for score in scores if score.kind == "hydride"])
    assert len(r2) >= 6
    assert np.median(r2) > 0.99 and r2.min() > 0.94


def test_error_bars_hold_on_compounds_that_were_not_trained_on(scores):
    known = [score.coverage for score in scores if score.kind in ("hydride", "distorted", "crystal")]
    assert 0.5 < np.mean(known) < 0.85


def test_few_held_out_compounds_are_flagged(scores):
    assert np.mean([score.distance > 1 for score in scores if score.kind == "hydride"]) <= 0.2


def test_a_structure_unlike_any_trained_on_is_flagged(domain, model):
    strange = bulk("NaCl", "rocksalt", a=2.4)
    prediction = model.predict_points(strange, cartesian(strange.cell.array, (4, 4, 4)).reshape(-1, 3))
    assert domain.outside(strange, prediction.distance)


def test_simple_metals_are_flagged_for_an_elf_that_varies_less_than_it_is_known(domain):
    some = [bulk("Cu"), bulk("LiH", "rocksalt", a=4.0)]
    with pytest.warns(ElfWarning, match="Cu lies outside .* describes well: its error bars are large"):
        metal, hydride = Predictor(domain, "cpu").on_grids(some, [(16, 16, 16)] * 2)
    assert "error bars are large" in metal.info["out_of_domain"][-1]
    assert not hydride.info["out_of_domain"]


def test_the_pair_of_elements_that_is_unlike_training_is_named(domain):
    squeezed = bulk("NaCl", "rocksalt", a=2.4)
    (pair, farthest), *_ = domain.pair_distances(squeezed).items()
    assert pair in ("Cl-Cl", "Cl-Na", "Na-Na") and farthest > 1
    usual = domain.pair_distances(bulk("LiH", "rocksalt", a=4.0))
    assert set(usual) == {"H-Li", "Li-Li"} and max(usual.values()) < 1


def test_molecules_come_with_a_warning(domain, model):
    water = domain.boxed(molecule("H2O"))
    prediction = model.predict_points(water, water.positions + [0, 0, 0.5])
    assert np.isfinite(prediction.values).all()
    assert domain.outside(water, prediction.distance)


@pytest.mark.parametrize("move", ["translate", "rotate", "permute", "repeat"])
def test_prediction_does_not_depend_on_how_a_structure_is_written_down(domain, move):
    model = domain.load(device="cpu", dtype="float64")
    atoms = bulk("LiH", "rocksalt", a=4.0)
    atoms.positions += np.random.default_rng(1).normal(0, 0.05, (2, 3))
    points = np.random.default_rng(2).normal(scale=2, size=(20, 3))
    expected = model.predict_points(atoms, points).values
    other = atoms.copy()
    if move == "translate":
        other.positions += [0.7, -3.1, 12.9]
        points = points + [0.7, -3.1, 12.9]
    elif move == "rotate":
        turn = Rotation.from_euler("xyz", [1.0, 0.2, -2.5]).as_matrix()
        other.set_cell(atoms.cell.array @ turn.T)
        other.positions = atoms.positions @ turn.T
        points = points @ turn.T
    elif move == "permute":
        other = atoms[[1, 0]]
    else:
        other = make_supercell(atoms, [[1, 1, 0], [0, 1, 0], [0, 0, 1]])
    found = model.predict_points(other, points).values
    np.testing.assert_allclose(found, expected, atol=0.01)  # wave vectors of the orbitals differ a little


def test_grid_agrees_with_direct_evaluation_outside_cores(model):
    atoms = bulk("LiH", "rocksalt", a=4.0)
    shape = (24, 24, 24)
    grid = model.predict([atoms], [shape])[0].values.ravel()
    points = cartesian(atoms.cell.array, shape).reshape(-1, 3)
    some = np.random.default_rng(3).choice(len(points), 500, replace=False)
    some = some[nearest_core(atoms, points[some], 0.7) > 0.7]
    direct = model.predict_points(atoms, points[some]).values
    assert np.sqrt(np.mean((grid[some] - direct) ** 2)) < 0.005


def test_the_calculator_answers_with_pack_and_error_bars():
    grid = ELFCalculator(device="cpu").get_elf(bulk("LiH", "rocksalt", a=4.0), shape=(16, 16, 16))
    assert grid.info["domain"] == "many-elements"
    assert grid.sigma.shape == (16, 16, 16) and 0 <= grid.values.min() <= grid.values.max() <= 1


def test_an_element_without_labels_is_refused(domain):
    with pytest.raises(InputError, match="element Fe is not known"):
        domain.check(bulk("Fe"))


def test_what_is_committed_is_what_was_trained_on(domain):
    labels = training_labels(TrainConfig.read(FOLDER / "train.yaml"))
    trained = domain.card["training"]
    assert len(labels) >= trained["labels"] > 500
    if len(labels) == trained["labels"]:
        assert digest(labels) == trained["label_digest"]
    assert not {reduced_formula(label.atoms) for label in labels} & HELD_OUT
    assert set(domain.elements) <= {symbol for label in labels for symbol in label.atoms.symbols}


def test_features_are_kept_for_the_same_points_in_any_order(tmp_path, monkeypatch):
    atoms, points = bulk("LiH", "rocksalt", a=4.0), np.random.default_rng(0).random((7, 3))
    groups = ("one-shot",)
    kept = KeptFeatures(tmp_path / "features")
    made = kept(atoms, points, groups)
    np.testing.assert_allclose(made, MADE_ANEW(atoms, points, groups), atol=1e-5)
    monkeypatch.setattr("ase_elf.training.kept_features.chosen_features", None)
    np.testing.assert_array_equal(kept(atoms, points[::-1], groups), made.flip(0))
    with pytest.raises(TypeError):  # other points are not there
        kept(atoms, points + 0.1, groups)


def test_the_fit_without_the_headline_elements_sees_none_of_them():
    labels = training_labels(TrainConfig.read(FOLDER / "unseen.yaml"))
    assert len(labels) > 400
    assert not {symbol for label in labels for symbol in label.atoms.symbols} & HEADLINE
