"""Fits to many kinds of structure at once: joined steps, balanced draws, elements left out, regions that are scored."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from ase.build import bulk
from small_fits import ARCH, analytic_label, pools, recipe

from ase_elf.dataset.label import Label
from ase_elf.errors import InputError
from ase_elf.model import FieldNetwork
from ase_elf.reference import Provenance
from ase_elf.training.config import TrainConfig
from ase_elf.training.critical import CriticalPlaces
from ase_elf.training.evaluate import compare
from ase_elf.training.fit import Fit, drawing, losses, objective, shares
from ase_elf.training.region import Region
from ase_elf.training.run import training_labels
from ase_elf.training.samples import together


def test_structures_that_go_through_the_network_together_teach_what_they_do_one_by_one():
    network = FieldNetwork(ARCH)
    some = pools(range(3))
    # One of another size, so that tables are padded.
    some[1] = replace(some[1], index=torch.nn.functional.pad(some[1].index, (0, 3)),
                      vectors=torch.nn.functional.pad(some[1].vectors, (0, 3), value=2 * ARCH.cutoff))  # fmt: skip
    curvatures = torch.tensor([[1.0, 2.0, 3.0]] * 2)
    for k in (1, 2):  # The first one's critical points are not known.
        places = {name: getattr(some[k], name) for name in ("label", "index", "vectors", "orbitals")}
        some[k] = replace(some[k], critical=CriticalPlaces(**places, curvatures=curvatures))
    batch = [(pool, torch.arange(k, k + 50)) for k, pool in enumerate(some)]
    peaks = [pool.some_critical(2, np.random.default_rng(0)) for pool in some]
    for (pool, rows), chosen in zip(batch, peaks, strict=True):
        told = pool.critical.of_some(chosen, "cpu") if pool.critical else None
        parts = losses(network, pool.atoms("cpu"), pool.rows(rows), pool.target[rows], pool.highest, told)
        # The mean over critical points is one over those structures whose are known.
        parts = (*parts[:3], parts[3] * len(batch) / 2)
        (objective(*parts) / len(batch)).backward()
    apart = [parameter.grad.clone() for parameter in network.parameters()]
    network.zero_grad()
    objective(*losses(network, *together(batch, peaks, ARCH.cutoff))).backward()
    for alone, joined in zip(apart, network.parameters(), strict=True):
        torch.testing.assert_close(joined.grad, alone, rtol=1e-4, atol=1e-6)


def test_rare_kinds_are_drawn_more_often_where_kinds_are_balanced(tmp_path):
    assert shares(["a", "b"], 0.0) is None
    weights = shares(["a"] * 9 + ["b"], 1.0)
    assert weights[:9].sum() == pytest.approx(0.5) and weights.sum() == pytest.approx(1)
    train = pools(range(8))
    train[0] = replace(train[0], label=replace(train[0].label, kind="rare"))
    fit = Fit(tmp_path, replace(recipe(10), structures=1, balance=1.0), ARCH, train, [])
    drawn = Counter(pool.label.kind for step in range(200) for pool, _ in fit.batch(step))
    assert 70 < drawn["rare"] < 130
    with pytest.raises(InputError, match="balance = 2"):
        shares(["a"], 2)


def test_points_that_are_not_scored_are_drawn_as_often_as_the_recipe_says(tmp_path):
    (pool,) = pools([0])
    scored = torch.arange(len(pool.target)) % 2 == 0
    fit = Fit(
        tmp_path, replace(recipe(10), unscored=0.1, points=4000), ARCH, [replace(pool, scored=scored)], []
    )
    ((_, rows),) = fit.batch(0)
    assert float((~scored[rows]).float().mean()) == pytest.approx(0.1 / 1.1, abs=0.02)
    assert drawing(np.array([False, True]), 0.0).tolist() == [0.0]
    for scored, unscored in ((np.array([True]), -1.0), (np.array([False]), 0.0)):
        with pytest.raises(InputError, match=r"unscored = .*; a positive number"):
            drawing(scored, unscored)


def test_a_sigma_that_is_far_too_small_does_not_stop_the_rest(tmp_path):
    steepness = []
    for name, bias in (("usual", 0.0), ("sure", -9.0)):
        fit = Fit(tmp_path / name, recipe(10), ARCH, pools(range(2)), [])
        with torch.no_grad():
            fit.network.log_error[-1].bias += bias
        fit.advance()
        steepness.append(float(fit.network.value[0].weight.grad.norm()))
    assert steepness[1] == pytest.approx(steepness[0], rel=1e-4)


def crystal_label() -> Label:
    atoms = bulk("LiH", "rocksalt", a=4.0, cubic=True)
    values = 0.98 * np.random.default_rng(0).random((10, 10, 10)).astype(np.float32)
    density = np.full(values.shape, 0.1)
    density[:, :, 5:] = 1e-6
    return Label("x", "x", atoms, Provenance("code", "1", "PBE"), values, density=density)


def test_cores_and_vacuum_are_left_out_of_scores():
    label = crystal_label()
    inside = Region(core=0.7, density=1e-3).of(label)
    assert inside.shape == label.values.shape and inside.any()
    assert not inside[:, :, 5:].any()
    lithium = [
        tuple(np.rint(a.scaled_position * 10).astype(int) % 10) for a in label.atoms if a.symbol == "Li"
    ]
    hydrogen = [
        tuple(np.rint(a.scaled_position * 10).astype(int) % 10) for a in label.atoms if a.symbol == "H"
    ]
    assert not any(inside[place] for place in lithium)
    assert all(inside[place] for place in hydrogen if place[2] < 5)
    assert Region().of(label).all()
    some = replace(label, values=label.values[inside], points=np.argwhere(inside) * 0.4, density=None)
    assert Region(core=0.7, density=1e-3).of(some).all()


def test_errors_where_nothing_is_scored_do_not_count():
    from ase_elf.model import Prediction

    label, region = crystal_label(), Region(core=0.7)
    wrong = np.where(region.of(label), label.values + 0.01, 0.0).astype(np.float32)
    found = compare(label, Prediction(wrong, np.full(wrong.shape, 0.02)), region=region)
    assert found.rmse == pytest.approx(0.01, rel=1e-3) and found.coverage == 1
    assert compare(label, Prediction(wrong)).rmse > 0.1
    with pytest.raises(InputError, match="no point that is to be scored"):
        empty = replace(label, density=np.zeros(label.values.shape))
        compare(empty, Prediction(wrong), region=Region(density=1e-3))
    with pytest.raises(InputError, match="numbers from 0"):
        Region(core=-1)


def test_structures_with_elements_to_be_left_out_are_not_trained_on(monkeypatch, tmp_path):
    text = "labels: [x]\noutput: run\narchitecture: {elements: [1, 3]}\n"
    labels = [analytic_label(0), replace(crystal_label(), split="train")]
    monkeypatch.setattr("ase_elf.dataset.source.LabelSource.read", lambda self, *splits: labels)
    for without, count in (("[]", 2), ("[Li]", 1), ("[H]", 0)):
        (tmp_path / "train.yaml").write_text(f"{text}without: {without}\n")
        settings = TrainConfig.read(tmp_path / "train.yaml")
        if count:
            assert len(training_labels(settings)) == count
        else:
            with pytest.raises(InputError, match="every training label holds one of without: H"):
                training_labels(settings)


def test_a_configuration_with_the_key_before_0_3_is_read_with_a_warning(tmp_path):
    path = tmp_path / "train.yaml"
    path.write_text("labels: [x]\noutput: run\narchitecture: {elements: [1, 3]}\nfamiliar: [hydride]\n")
    with pytest.warns(DeprecationWarning, match="'novelty_kinds' since 0.3"):
        assert TrainConfig.read(path).novelty_kinds == ("hydride",)
