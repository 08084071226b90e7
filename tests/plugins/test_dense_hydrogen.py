"""The shipped hydrogen pack: symmetries, accuracy on our own labels, honest limits."""

import json

import numpy as np
import pytest
from ase.build import make_supercell
from ase.geometry import get_distances
from ase.io import read
from places import ROOT
from scipy.spatial.transform import Rotation

from ase_elf import ELFCalculator, ELFGrid
from ase_elf.dataset import read_labels
from ase_elf.dataset.label import digest
from ase_elf.domains import Domain, describe, domain_for, get_domain
from ase_elf.errors import DomainError, FormatError, InputError
from ase_elf.model import orbitals
from ase_elf.topology import critical_points, networking
from ase_elf.training.config import TrainConfig
from ase_elf.training.matching import PERSISTENCE, match_critical_points
from ase_elf.training.run import training_labels

LABELS = ROOT / "plugins" / "dense_hydrogen" / "labels"
OWN = read_labels(LABELS, "test")


@pytest.fixture(scope="module")
def domain():
    return get_domain("dense-hydrogen")


@pytest.fixture(scope="module")
def fluid():
    return read(ROOT / "examples" / "dense-hydrogen.extxyz", index=0)


@pytest.fixture(scope="module")
def double(domain):
    return domain.load(device="cpu", dtype="float64")


POINTS = np.random.default_rng(2).normal(scale=3, size=(30, 3))


def test_hydrogen_is_found_from_the_elements(domain):
    assert domain_for(["H", "H"]).name == domain.name
    with pytest.raises(DomainError, match="U"):
        domain_for(["H", "U"])


@pytest.mark.parametrize("move", ["translate", "rotate", "permute", "repeat"])
def test_prediction_does_not_depend_on_how_a_structure_is_written_down(double, fluid, move):
    expected = double.predict_points(fluid, POINTS).values
    other, points = fluid.copy(), POINTS
    if move == "translate":
        other.positions += [0.7, -3.1, 12.9]
        points = POINTS + [0.7, -3.1, 12.9]
    elif move == "rotate":
        turn = Rotation.from_euler("xyz", [1.0, 0.2, -2.5]).as_matrix()
        other.set_cell(fluid.cell.array @ turn.T)
        other.positions = fluid.positions @ turn.T
        points = POINTS @ turn.T
    elif move == "permute":
        other = fluid[np.random.default_rng(0).permutation(len(fluid))]
    else:
        other = make_supercell(fluid, [[1, 1, 0], [0, 1, 0], [0, 0, 1]])
    found = double.predict_points(other, points).values
    np.testing.assert_allclose(found, expected, atol=3e-6)  # single precision of the answer


def test_grid_agrees_with_direct_evaluation(domain, fluid):
    model = domain.load(device="cpu")
    shape = (48, 48, 48)
    index = np.random.default_rng(3).integers(0, 48, (400, 3))
    on_grid = model.predict([fluid], [shape])[0].values[tuple(index.T)]
    direct = model.predict_points(fluid, index / 48 @ fluid.cell.array).values
    assert np.sqrt(np.mean((on_grid - direct) ** 2)) < 0.002


@pytest.mark.parametrize("label", OWN, ids=lambda label: label.name)
def test_accuracy_on_structures_of_our_own_that_were_not_trained_on(domain, label):
    truth = label.grid.values
    found = domain.load(device="cpu").predict([label.atoms], [truth.shape])[0]
    error = found.values - truth
    r2 = 1 - (error**2).mean() / truth.var()
    assert r2 > {"hot-fluid": 0.995}.get(label.kind, 0.998)
    phi, reference = (networking(ELFGrid(v, label.atoms)).phi for v in (found.values, truth))
    # φ moves no more than the worst error of the ELF, and in practice far less.
    assert abs(phi - reference) <= np.abs(error).max()
    assert abs(phi - reference) < (0.03 if label.kind == "hot-fluid" else 0.02)


@pytest.mark.parametrize("name", [
    "molecular-1.85-1000-11-5", pytest.param("molecular-2.15-600-11-5", marks=pytest.mark.ci),
])  # fmt: skip
def test_attractors_of_molecules_are_at_their_nuclei_and_bonds_between_where_dft_has_them(domain, name):
    (label,) = (label for label in OWN if label.name == name)
    found = domain.load(device="cpu").predict([label.atoms], [label.values.shape])[0]
    grid = ELFGrid(found.values, label.atoms)
    attractors = critical_points(grid, persistence=PERSISTENCE).of_kind("attractor").positions
    _, distances = get_distances(attractors, label.atoms.positions, cell=label.atoms.cell, pbc=True)
    assert (distances.min(1) < 0.2).mean() > 0.95
    match = match_critical_points(label.grid, grid)["bond"]
    assert min(match.recall, match.precision) > (0.9 if describe(label.atoms)["r_s_bohr"] < 2.0 else 0.7)


def test_own_test_labels_are_not_among_those_trained_on(domain):
    assert len(OWN) >= 6
    assert domain.card["training"]["label_digest"] != digest(OWN)


def test_density_outside_the_trained_range_is_said(domain, fluid):
    assert domain.outside(fluid) == []
    squeezed = fluid.copy()
    squeezed.set_cell(fluid.cell * 0.7, scale_atoms=True)
    assert any("r_s_bohr" in reason for reason in domain.outside(squeezed))


@pytest.mark.parametrize(
    ("key", "value"),
    [("spacing", 1e-300), ("spacing", None), ("native_spacing", "fine"), ("native_spacing", -1),
     ("native_spacing", float("nan")), ("must_hold", 5), ("must_hold", ["Xx"])],
)  # fmt: skip
def test_cards_that_would_fail_at_the_first_prediction_are_refused(domain, tmp_path, key, value):
    (tmp_path / "card.json").write_text(json.dumps({**domain.card, key: value}))
    with pytest.raises(FormatError, match="is not a card of a domain pack"):
        _ = Domain(tmp_path).card


def test_surroundings_that_were_not_trained_on_are_said(domain, fluid):
    model = domain.load(device="cpu")
    assert model.predict([fluid], [(8, 8, 8)])[0].distance < 1
    # All atoms on one plane: density and shortest distance are ordinary.
    plane = fluid.copy()
    plane.set_scaled_positions(np.stack(np.indices((8, 8, 1)), -1).reshape(-1, 3) / 8)
    distance = model.predict([plane], [(8, 8, 8)])[0].distance
    (reason,) = domain.outside(plane, distance)
    assert distance > 1 and f"{distance:.2f} times as far" in reason


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda a: a.set_cell(None), "no three-dimensional cell"),
        (lambda a: a.set_pbc([True, True, False]), "not periodic"),
        (lambda a: a.positions.__setitem__((3, 1), np.nan), r"NaN or infinity \(atoms \[3\]\)"),
        (lambda a: a.positions.__setitem__(1, a.positions[0] + 0.1), "apart, less than 0.3"),
        (lambda a: a.set_cell([1e-4, 1e4, 1e4]), "0.0001 Å thick, less than 0.3"),
        (lambda a: a.set_cell([1, 1000, 1000]), r"1 Å thick .* at most 150 times"),
        (lambda a: a.symbols.__setitem__(5, "He"), "element He is not known"),
        (lambda a: a.__delitem__(range(len(a))), "holds no atoms"),
    ],
)
def test_unusable_structures_are_refused_with_the_reason(domain, fluid, spoil, message):
    broken = fluid.copy()
    spoil(broken)
    with pytest.raises(InputError, match=message):
        domain.check(broken)


def test_a_large_cell_is_predicted_by_weights_without_orbitals(domain, fluid, monkeypatch):
    found = {}
    for most in (64, 63):
        monkeypatch.setattr(orbitals, "MOST", most)
        found[most] = ELFCalculator(domain=domain.name, device="cpu").get_elf(fluid, shape=(20, 20, 20))
    assert found[64].info["weights"] == domain.card["weights"]["sha256"]
    assert found[63].info["weights"] == domain.card["large_cells"]["weights"]["sha256"]
    assert 0.005 < np.sqrt(np.mean((found[64].values - found[63].values) ** 2)) < 0.02


@pytest.mark.parametrize("part", [{}, {"weights": {"file": "../x", "sha256": "0" * 64}}, 3, None])
def test_a_damaged_part_for_large_cells_is_refused(domain, tmp_path, part):
    (tmp_path / "card.json").write_text(json.dumps(domain.card | {"large_cells": part}))
    with pytest.raises(FormatError, match="not a card of a domain pack"):
        assert Domain(tmp_path).name


def test_what_is_committed_is_enough_to_train_on_and_holds_no_test_structure():
    labels = training_labels(TrainConfig.read(LABELS.parent / "own.yaml"))
    assert len(labels) == 15
    density = [describe(label.atoms)["r_s_bohr"] for label in labels]
    assert min(density) < 1.2 and max(density) > 2.1
    assert not {label.name for label in labels} & {label.name for label in OWN}
    for label in labels:
        for other in OWN:
            if len(label.atoms) == len(other.atoms):
                fractional = label.atoms.get_scaled_positions() - other.atoms.get_scaled_positions()
                assert np.abs(fractional - np.round(fractional)).mean() > 0.05
