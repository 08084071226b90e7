"""The distance of a structure from what was trained on."""

import json
import math
import shutil

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import make_supercell
from scipy.stats import chi2
from small_fits import analytic_label

from ase_elf import ELFCalculator
from ase_elf.domains import Domain
from ase_elf.errors import ElfWarning, FormatError, InputError
from ase_elf.model import Architecture, FieldModel, FieldNetwork
from ase_elf.model.novelty import ATOMS, Novelty
from ase_elf.testing import molecular_fluid
from ase_elf.training.pack import write_pack


def normal(n, d=5, seed=0):
    turn = torch.from_numpy(np.random.default_rng(7).normal(size=(d, d)))
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(n, d))) @ turn + 3


def test_distance_is_the_mahalanobis_quantile_in_units_of_the_training_structures():
    known = Novelty.of([normal(2000, seed=s) for s in range(5)])
    bare = Novelty(known.mean, known.whiten, torch.ones(()))
    expected = math.sqrt(chi2(5).ppf(ATOMS) / 5)
    assert bare.distance(normal(20_000, seed=9)) == pytest.approx(expected, rel=0.02)
    assert known.distance(normal(20_000, seed=9)) == pytest.approx(1, rel=0.05)
    assert known.distance(normal(50, seed=9) + 4) > 1.3


def test_a_reading_that_never_varied_does_not_break_the_metric():
    readings = [torch.cat([normal(40, seed=s), torch.ones(40, 1)], dim=1) for s in range(3)]
    assert math.isfinite(Novelty.of(readings).distance(readings[0]))
    with pytest.raises(InputError, match="1 atoms"):
        Novelty.of([normal(1)])


def test_what_was_saved_comes_back(tmp_path):
    known = Novelty.of([normal(30, seed=s) for s in range(3)])
    known.save(tmp_path / "f.safetensors")
    again = Novelty.load(tmp_path / "f.safetensors")
    expected = known.distance(normal(9, seed=4))
    assert again.distance(normal(9, seed=4)) == pytest.approx(expected, rel=1e-12)
    (tmp_path / "f.safetensors").write_bytes(b"nothing of that kind")
    with pytest.raises(FormatError, match="f.safetensors"):
        Novelty.load(tmp_path / "f.safetensors")


ARCH = Architecture((1,), n_radial=4, channels=(6, 4, 2), point_channels=(6, 4, 2), n_updates=1,
                    hidden=8, cutoff=5.0)  # fmt: skip


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pack")
    (folder / "card.yaml").write_text("name: toy\nelements: [H]\nbonds: {H-H: 1.2}\nspacing: 0.4\n")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = FieldNetwork(ARCH).requires_grad_(False).eval()
    train = [analytic_label(seed) for seed in range(4)]
    write_pack(folder, network, train=train, recipe={}, scores=[])
    return Domain(folder)


def test_predictions_on_grids_and_points_bring_the_same_distance(pack):
    model = pack.load(device="cpu")
    structures = [analytic_label(seed).atoms for seed in (0, 50)]
    found = [p.distance for p in model.predict(structures, [(6, 6, 6)] * 2)]
    alone = [model.predict_points(atoms, np.zeros((1, 3))).distance for atoms in structures]
    assert found == pytest.approx(alone, rel=1e-4)
    assert 0 < found[0] <= 1.001
    assert FieldModel(model.network).predict(structures[:1], [(6, 6, 6)])[0].distance is None


def test_distance_does_not_depend_on_how_a_structure_is_written_down(pack):
    model = pack.load(device="cpu", dtype="float64")
    atoms = analytic_label(7).atoms
    expected = model.novelty.distance(model.invariants(atoms))
    moved = atoms.copy()
    moved.positions += [0.4, -1.0, 7.0]
    turned = atoms.copy()
    turned.rotate(50, (1, 2, 3), rotate_cell=True)
    for other in (moved, turned, atoms[[3, 1, 0, 2, 5, 4]]):
        assert model.novelty.distance(model.invariants(other)) == pytest.approx(expected, rel=1e-6)
    # Copies of the cell change a quantile only by how it interpolates between atoms.
    double = model.invariants(make_supercell(atoms, np.diag([2, 1, 1])))
    torch.testing.assert_close(double[:6], model.invariants(atoms), rtol=0, atol=1e-8)


def test_strange_surroundings_are_said_though_density_and_distances_are_ordinary(pack):
    # All atoms on one plane, at the density and shortest distance of the training structures.
    cell = analytic_label(0).atoms.cell
    flat = Atoms("H6", cell=cell, pbc=True, scaled_positions=[
        (x / 3, y / 2, 0) for x in range(3) for y in range(2)])  # fmt: skip
    calc = ELFCalculator(domain=pack, device="cpu")
    inside = {name: [0.0, 9.0] for name in pack.card["trained_range"]}
    pack.card["trained_range"].update(inside)
    with pytest.warns(ElfWarning, match="times as far"):
        grid = calc.get_elf(flat, shape=(6, 6, 6))
    assert grid.info["domain_distance"] > 1
    assert sum("times as far" in reason for reason in grid.info["out_of_domain"]) == 1


def test_readings_of_other_weights_are_not_used(pack):
    card = json.loads(json.dumps(pack.card))
    card["novelty"]["weights"] = "0" * 64
    other = Domain(pack.folder)
    other.__dict__["card"] = card
    assert other.load(device="cpu").novelty is None


def test_a_card_with_the_key_before_0_3_is_read_with_a_warning(pack, tmp_path):
    folder = shutil.copytree(pack.folder, tmp_path / "older")
    card = json.loads((folder / "card.json").read_text())
    card["familiarity"] = card.pop("novelty")
    (folder / "novelty.safetensors").rename(folder / "familiarity.safetensors")
    card["familiarity"]["file"] = "familiarity.safetensors"
    (folder / "card.json").write_text(json.dumps(card))
    atoms = analytic_label(7).atoms
    with pytest.warns(DeprecationWarning, match="'novelty' since 0.3"):
        assert Domain(folder).distance(atoms) == pytest.approx(pack.distance(atoms), rel=1e-6)


def test_the_class_has_its_name_before_0_3_with_a_warning():
    import ase_elf.model.novelty as module

    with pytest.warns(DeprecationWarning, match="Novelty since 0.3"):
        assert module.Familiarity is Novelty
    with pytest.raises(AttributeError, match="Unknown"):
        _ = module.Unknown


def test_a_pack_without_readings_predicts_without_a_distance():
    from ase_elf.testing import GaussianDomain

    grid = ELFCalculator(domain=GaussianDomain()).get_elf(molecular_fluid(8, 1, length=3.6)[0])
    assert grid.info["domain_distance"] is None
