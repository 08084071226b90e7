"""Measures of accuracy, on residuals whose spectrum, matches and likelihood are known."""

import csv
import json
import math

import numpy as np
import pytest
import torch
from command import call
from fields import GYROID, INDEX2, TRICLINIC, gaussians
from stand_in_cli import stand_in

from ase_elf import ELFGrid
from ase_elf.dataset.label import Label
from ase_elf.model import Prediction
from ase_elf.reference import Provenance
from ase_elf.testing import GaussianModel, molecular_fluid
from ase_elf.topology import critical_points, networking
from ase_elf.training.error_bars import error_bars
from ase_elf.training.evaluate import compare, score_label
from ase_elf.training.matching import (
    KINDS,
    connectivity,
    match_critical_points,
    pair_up,
    total,
)
from ase_elf.training.residual import DISTANCES, LONG_WAVE, SHELL, spectrum
from ase_elf.training.score_tables import grouped, power_table, summary, tables

ORIGIN = Provenance(code="closed form", version="1", functional="none")
CELLS = {"cubic": np.eye(3) * 5.0, "triclinic": TRICLINIC,
         "sheared": np.array([[4.0, 0, 0], [7.3, 4.1, 0], [-2.2, 5.0, 4.3]])}  # fmt: skip


@pytest.fixture(params=CELLS)
def cell(request):
    return CELLS[request.param]


def wave(shape, indices, phase=0.4):
    """cos(G·r + phase) of the wave with these indices."""
    fractional = np.stack(np.meshgrid(*[np.arange(n) / n for n in shape], indexing="ij"), -1)
    return np.cos(2 * np.pi * fractional @ np.array(indices) + phase)


def length(cell, indices):
    return float(np.linalg.norm(2 * np.pi * np.linalg.inv(cell) @ np.array(indices)))


@pytest.mark.parametrize("shape", [(12, 14, 16), (9, 11, 15), (8, 9, 10)])
def test_power_of_all_waves_is_the_variance(cell, shape):
    residual = np.random.default_rng(0).normal(size=shape) + 0.3
    found = spectrum(residual, cell)
    assert found.variance == pytest.approx(residual.var(), rel=1e-12)
    assert found.waves.sum() == math.prod(shape) - 1
    assert found.volume == pytest.approx(abs(np.linalg.det(cell)))


@pytest.mark.parametrize("indices", [(1, 0, 0), (0, -2, 1), (1, 1, -1), (-2, 1, 3)])
def test_a_single_wave_is_found_at_its_length_in_any_cell(cell, indices):
    amplitude, k = 0.02, length(cell, indices)
    found = spectrum(0.1 + amplitude * wave((16, 18, 20), indices), cell)
    shell = np.flatnonzero(found.power > 1e-12)
    assert shell.tolist() == [int(k / SHELL)]
    assert found.variance == pytest.approx(amplitude**2 / 2)
    long = k < 2 * math.pi / LONG_WAVE
    assert found.long_fraction == pytest.approx(1.0 if long else 0.0, abs=1e-12)
    expected = np.sinc(k * DISTANCES / math.pi)
    np.testing.assert_allclose(found.correlation, expected, atol=5e-3)


def test_spectrum_does_not_depend_on_the_choice_of_cell_vectors():
    cell, shape = CELLS["triclinic"], (12, 12, 12)
    residual = sum(wave(shape, k, p) for p, k in enumerate([(1, 0, 0), (0, 1, 1), (2, -1, 0)]))
    # The second vector replaced by the sum of both: the same lattice, the same points.
    sheared = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1]]) @ cell
    i, j, k = np.indices(shape)
    a, b = (spectrum(residual, cell), spectrum(residual[(i + j) % 12, j, k], sheared))
    size = min(len(a.power), len(b.power))
    np.testing.assert_allclose(a.power[:size], b.power[:size], atol=1e-12)
    assert a.correlation_length == pytest.approx(b.correlation_length, rel=1e-6)


def test_density_of_power_does_not_depend_on_the_size_of_the_cell():
    cell = CELLS["cubic"]
    residual = np.random.default_rng(1).normal(size=(10, 10, 10))
    one, eight = spectrum(residual, cell), spectrum(np.tile(residual, (2, 2, 2)), 2 * cell)
    occupied = one.waves > 0
    np.testing.assert_allclose(eight.power[: len(one.power)].sum(), one.power.sum())
    np.testing.assert_allclose(
        (eight.volume * eight.power)[occupied].sum() / eight.volume,
        (one.volume * one.power)[occupied].sum() / one.volume,
    )
    assert eight.correlation_length == pytest.approx(one.correlation_length, rel=1e-9)


def test_correlation_length_of_smooth_noise_is_that_of_its_filter():
    n, side, width = 48, 16.0, 0.6
    noise = np.random.default_rng(2).normal(size=(n, n, n))
    k = 2 * np.pi * np.fft.fftfreq(n, side / n)
    k2 = k[:, None, None] ** 2 + k[:, None] ** 2 + k**2
    smooth = np.fft.ifftn(np.fft.fftn(noise) * np.exp(-k2 * width**2 / 2)).real
    # A Gaussian filter of width s correlates as exp(-r²/4s²), 1/e at r = 2s.
    found = spectrum(smooth, np.eye(3) * side)
    assert found.correlation_length == pytest.approx(2 * width, rel=0.1)
    assert found.long_fraction > 0.8


def test_no_residual_has_no_length_and_no_fraction():
    found = spectrum(np.full((6, 6, 6), 0.2), np.eye(3))
    assert found.variance == 0 and math.isnan(found.long_fraction)
    assert math.isnan(found.correlation_length)


# -- σ -----------------------------------------------------------------------------------


def test_true_error_bars_cover_what_they_should_and_beat_a_constant():
    rng = np.random.default_rng(3)
    sigma = rng.uniform(0.01, 0.1, 200_000)
    bars = error_bars(rng.normal(size=len(sigma)) * sigma, sigma)
    assert bars.coverage == pytest.approx(0.683, abs=0.005)
    assert bars.coverage_2 == pytest.approx(0.954, abs=0.005)
    expected = math.log(math.sqrt((sigma**2).mean())) - np.log(sigma).mean()
    assert bars.likelihood_gain == pytest.approx(expected, abs=0.01) and expected > 0
    assert bars.spearman > 0.3
    np.testing.assert_allclose(*bars.steps, rtol=0.05)


def test_error_bars_that_know_nothing_gain_nothing():
    rng = np.random.default_rng(4)
    error, random = rng.normal(size=50_000), rng.uniform(0.5, 2, 50_000)
    assert abs(error_bars(error, random).spearman) < 0.02
    assert error_bars(error, random).likelihood_gain < 0
    constant = error_bars(error, np.full(50_000, error.std()))
    assert constant.likelihood_gain == pytest.approx(0, abs=1e-4)
    assert math.isnan(constant.spearman)


# -- Critical points and bonds -----------------------------------------------------------


def test_points_pair_one_to_one_across_the_faces_of_the_cell(cell):
    rng = np.random.default_rng(5)
    points = rng.random((30, 3)) @ cell
    moved = points + rng.normal(scale=0.005, size=points.shape) + rng.integers(-2, 3, (30, 3)) @ cell
    order = rng.permutation(30)
    i, j, distance = pair_up(points, moved[order], cell, 0.05)
    assert len(i) == 30 and (order[j] == i).all() and distance.max() < 0.03


def test_as_many_points_pair_as_can():
    # The nearest partner of the first is wanted by the second, which has no other.
    first = np.array([[0.0, 0, 0], [0.06, 0, 0]])
    second = np.array([[0.03, 0, 0], [-0.04, 0, 0]])
    i, j, _ = pair_up(first, second, np.eye(3) * 5, 0.05)
    assert sorted(zip(i.tolist(), j.tolist(), strict=True)) == [(0, 1), (1, 0)]
    assert not len(pair_up(first, np.empty((0, 3)), np.eye(3), 0.05)[0])


@pytest.mark.parametrize("field", [INDEX2, GYROID], ids=["index2", "gyroid"])
def test_a_field_agrees_with_itself_and_with_a_slight_shift(field):
    cell = np.eye(3) * 4.0
    here = field.grid(24, cell)
    matches = match_critical_points(here, field.grid(24, cell, origin=(0.005, 0, 0)))
    assert [matches[kind].reference for kind in KINDS] == list(field.counts)
    everything = total(matches.values())
    assert everything.recall == everything.precision == 1
    assert everything.displacement == pytest.approx(0.02, rel=0.1)
    far = match_critical_points(here, field.grid(24, cell, origin=(0.03, 0, 0)))
    assert total(far.values()).matched == 0 and total(far.values()).recall == 0
    wider = match_critical_points(here, field.grid(24, cell, origin=(0.03, 0, 0)), reach=0.15)
    assert total(wider.values()).recall == 1


def test_points_that_do_not_count_still_confirm_those_that_do():
    cell = np.eye(3) * 4.0
    here, there = (gaussians(1, cell, width=0.6, seed=6).grid(24, cell, origin=(x, 0, 0)) for x in (0, 0.005))
    at = [critical_points(grid).of_kind("attractor").positions[0, 0] for grid in (here, there)]
    border = sum(at) / 2  # between the two maxima, 0.02 Å apart
    match = match_critical_points(here, there, where=lambda positions: positions[:, 0] > border)["attractor"]
    assert {match.reference, match.predicted} == {0, 1}
    assert match.matched == 0 and match.found + match.confirmed == 1


def test_points_that_one_field_lacks_count_against_recall_and_those_it_adds_against_precision():
    cell = np.eye(3) * 6.0
    fields = [gaussians(n, cell, width=0.6, seed=6).grid(32, cell) for n in (6, 3)]
    matches = match_critical_points(*fields)["attractor"]
    back = match_critical_points(*fields[::-1])["attractor"]
    assert matches.predicted < matches.reference
    assert matches.matched == back.matched
    assert matches.recall == back.precision and matches.precision == back.recall
    assert matches.found >= matches.matched


@pytest.mark.parametrize("origin", [(0, 0, 0), (0.01, -0.01, 0.005)])
def test_bond_graphs_agree_through_the_faces_of_the_cell(origin):
    cell = TRICLINIC
    truth = networking(INDEX2.grid(24, cell))
    told = networking(INDEX2.grid(24, cell, origin=origin))
    scores = connectivity(truth, told)
    assert scores and set(scores.values()) == {1.0}


def test_lost_bonds_lower_the_agreement_of_graphs():
    cell = np.eye(3) * 6.0
    many = gaussians(6, cell, width=0.6, seed=6).grid(32, cell)
    # Flattening the field cuts its bonds at high isovalues, and leaves the low ones.
    few = ELFGrid(many.values * 0.9, many.atoms)
    scores = connectivity(networking(many), networking(few))
    assert min(scores.values()) < 1
    assert all(0 <= value <= 1 for value in scores.values())


# -- Scores ------------------------------------------------------------------------------


def label_of(atoms, shape, kind="fluid", name="one"):
    values = GaussianModel().predict([atoms], [shape])[0].values
    return Label(name, name, atoms, ORIGIN, values, split="test", kind=kind)


@pytest.fixture(scope="module")
def label():
    return label_of(molecular_fluid(8, 1, length=3.6)[0], (24, 24, 24))


class Shaken:
    """The truth with a wave on it, and a σ that says so."""

    def __init__(self, amplitude, indices=(1, 0, 0)):
        self.amplitude, self.indices = amplitude, indices

    def predict(self, structures, shapes):
        (truth,) = GaussianModel().predict(structures, shapes)
        moved = truth.values + self.amplitude * wave(truth.values.shape, self.indices)
        sigma = np.full_like(truth.values, self.amplitude / math.sqrt(2))
        return [Prediction(np.clip(moved, 0, 1).astype(np.float32), sigma)]


def test_a_perfect_prediction_scores_perfectly(label):
    score = score_label(GaussianModel(), label, topology=True)
    assert score.r2 == 1 and score.mae == score.max_error == score.histogram == 0
    assert score.phi_error == 0 and score.f1 == 1
    assert score.all_points.recall == score.all_points.precision == 1
    assert score.joint.sum() == pytest.approx(1) and np.trace(score.joint) == pytest.approx(1)


def test_errors_of_a_known_wave(label):
    amplitude = 0.02
    score = score_label(Shaken(amplitude), label)
    assert score.rmse == pytest.approx(amplitude / math.sqrt(2), rel=0.1)  # some are clipped
    assert score.max_error == pytest.approx(amplitude, rel=0.02)
    assert 0 < score.histogram <= score.mae
    assert abs(score.phi_error) <= score.max_error
    assert score.spectrum.long_fraction > 0.9
    assert score.spectrum.variance + score.bias**2 == pytest.approx(score.rmse**2)
    assert score.matches is None and math.isnan(score.f1)


def test_histogram_distance_is_that_of_the_sorted_values(label):
    from scipy.stats import wasserstein_distance

    values = GaussianModel().predict([label.atoms], [(24, 24, 24)])[0].values
    shifted = Prediction(np.clip(values * 0.95 + 0.01, 0, 1))
    expected = wasserstein_distance(shifted.values.ravel(), label.values.ravel())
    assert compare(label, shifted).histogram == pytest.approx(expected, rel=1e-6)
    assert compare(label, shifted).bars is None


def test_labels_at_points_have_errors_but_no_spectrum(label):
    xyz = np.random.default_rng(7).random((50, 3)) * 3.6
    values = GaussianModel().predict_points(label.atoms, xyz).values
    some = Label("p", "p", label.atoms, ORIGIN, values, points=xyz)
    score = score_label(GaussianModel(), some, topology=True)
    assert score.r2 == 1 and score.spectrum is None and score.matches is None
    assert math.isnan(score.phi)


def test_groups_name_their_worst_member(label):
    others = [label_of(label.atoms, (24, 24, 24), "crystal", "two")]
    scores = [score_label(Shaken(0.01), label), score_label(Shaken(0.05), others[0], topology=True)]
    assert list(grouped(scores)) == ["crystal", "fluid", "all"]
    both = summary(scores)
    assert both["r2_worst"] == min(s.r2 for s in scores) < both["r2_mean"]
    assert both["phi_error_worst"] == max(abs(s.phi_error) for s in scores)
    assert both["bond_reference"] > 0 and both["structures"] == 2
    rows = power_table(scores)
    assert rows[0]["k"] > 0 and sum(row["waves"] for row in rows) == 2 * (24**3 - 1)
    found = tables(scores)
    assert {row["group"] for row in found["groups"]} == {"crystal", "fluid", "all"}
    assert all(found[name] for name in ("structures", "spectrum", "correlation", "calibration"))


# -- The command -------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path):
    from ase_elf.dataset import LabelStore

    store = LabelStore(tmp_path / "labels", create=True)
    for n, atoms in enumerate(molecular_fluid(8, 2, length=3.6)):
        store.append([label_of(atoms, (18, 18, 18), ("fluid", "crystal")[n], f"s{n}")])
    return tmp_path / "labels"


def test_the_command_writes_tables_figures_and_its_options(tmp_path, monkeypatch, store):
    monkeypatch.setattr("ase_elf.domains.domain_for", stand_in)
    folder = tmp_path / "out"
    said = call("evaluate", "--labels", store, "--critical-points", "-o", folder)
    assert "s0" in said and "max|ΔELF|" in said and "crystal" in said
    assert "attractor" in said
    for name in ("structures", "groups", "spectrum", "correlation", "calibration"):
        with (folder / f"{name}.csv").open() as file:
            assert list(csv.DictReader(file)), name
    drawn = {path.name for path in folder.glob("*.png")}
    assert drawn == {f"{name}.png" for name in ("against-density", "parity", "spectrum",
                     "correlation", "calibration", "critical-points")}  # fmt: skip
    assert json.loads((folder / "evaluation.json").read_text())["groups"]
    again = tmp_path / "again"
    call("evaluate", "--config", folder / "config.yaml", "--no-figures", "-o", again)
    assert not list(again.glob("*.png"))
    for path in folder.glob("*.csv"):
        if path.name != "structures.csv":  # that one holds seconds
            assert path.read_bytes() == (again / path.name).read_bytes(), path.name


def test_the_command_speaks_json(monkeypatch, store):
    monkeypatch.setattr("ase_elf.domains.domain_for", stand_in)
    found = json.loads(call("evaluate", "--labels", store, "--labels", store, "--json"))
    assert len(found["structures"]) == 4 and found["structures"][0]["r2"] == 1
    assert {row["group"] for row in found["groups"]} == {"fluid", "crystal", "all"}


def test_one_folder_in_a_configuration_is_one_folder(tmp_path, monkeypatch, store):
    monkeypatch.setattr("ase_elf.domains.domain_for", stand_in)
    (tmp_path / "options.yaml").write_text(f"labels: {store}\n")
    found = json.loads(call("evaluate", "--config", tmp_path / "options.yaml", "--json"))
    assert len(found["structures"]) == 2


def test_the_command_refuses_a_split_that_is_not_there(monkeypatch, store):
    monkeypatch.setattr("ase_elf.domains.domain_for", stand_in)
    assert "'validation'" in call("evaluate", "--labels", store, "--split", "validation", code=1)


def test_torch_state_is_left_alone(label, two_threads):
    before = torch.get_num_threads(), torch.get_default_dtype()
    score_label(GaussianModel(), label)
    assert (torch.get_num_threads(), torch.get_default_dtype()) == before
