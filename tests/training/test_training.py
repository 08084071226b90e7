"""Training: a tiny model learns, an interrupted run ends where an undisturbed one does."""

import json
import shutil
import subprocess
import sys
import zlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.units import Bohr
from small_fits import ARCH, analytic_label, pools, recipe, write_labels
from torch._dynamo.exc import TorchDynamoException

from ase_elf.dataset import LabelStore, read_labels
from ase_elf.dataset.label import Label, digest
from ase_elf.dataset.source import read_label
from ase_elf.errors import FormatError, InputError
from ase_elf.model import FieldNetwork
from ase_elf.model.orbitals import Orbitals
from ase_elf.reference import Provenance
from ase_elf.storage.quantization import coarse
from ase_elf.training.config import TrainConfig
from ase_elf.training.fit import Fit, score
from ase_elf.training.pack import KEPT, shorten
from ase_elf.training.run import finish, prepare
from ase_elf.training.samples import Pool


@pytest.fixture
def label_folder(tmp_path):
    return write_labels(tmp_path / "labels", ("train", "train", "validation", "test"))


def test_a_tiny_network_learns_and_generalises(tmp_path):
    fit = Fit(tmp_path, recipe(150), ARCH, pools(range(6)), pools([90]))
    fit.run()
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert log[-1]["step"] == 150
    assert log[-1]["worst_r2"] > 0.9


def test_interrupted_run_ends_with_the_weights_of_an_undisturbed_one(tmp_path):
    train, none = pools(range(3)), []
    whole = Fit(tmp_path / "whole", recipe(40), ARCH, train, none)
    whole.run()
    first = Fit(tmp_path / "parts", recipe(40), ARCH, train, none)
    while first.step < 20:
        first.advance()
    first.save()
    first.advance()  # lost, as after a kill
    second = Fit(tmp_path / "parts", recipe(40), ARCH, train, none)
    assert second.step == 20
    second.run()
    for run in (lambda fit: fit.network, lambda fit: fit.result):
        for a, b in zip(run(whole).parameters(), run(second).parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_the_result_is_a_mean_over_the_last_steps(tmp_path):
    fit = Fit(tmp_path, replace(recipe(40), average_over=4), ARCH, pools(range(3)), [])
    weights = []
    while fit.step < 40:
        fit.advance()
        weights.append(fit.network.species.detach().clone())
    assert not torch.equal(fit.result.species, fit.network.species)
    expected = weights[0]
    for count, now in enumerate(weights[1:], start=1):
        expected = torch.lerp(expected, now, max(1 / 4, 10 / (10 + count)))
    torch.testing.assert_close(fit.result.species, expected)
    last = Fit(tmp_path / "last", replace(recipe(3), average_over=1), ARCH, pools([0]), [])
    last.run()
    torch.testing.assert_close(last.result.species, last.network.species, rtol=0, atol=0)


@pytest.mark.parametrize(
    "more",
    [
        {"n_vectors": 2},
        {"n_updates": 3},
        {"hidden": 24},
        {"point_channels": (8, 7, 4)},
        {"orbital_exponent": 0.3},
        {"n_vectors": 2, "n_updates": 3, "hidden": 17, "point_channels": (8, 4, 3), "orbital_exponent": 0.3},
    ],
)
def test_a_fit_starts_where_smaller_weights_ended(tmp_path, more):
    first = Fit(tmp_path / "first", recipe(60), ARCH, pools(range(3)), pools([90]))
    first.run()
    expected = score(first.network, first.validation)["s90"]["rmse"]
    grown = replace(ARCH, **more)
    train, validation = pools(range(3), grown), pools([90], grown)
    second = Fit(tmp_path / "second", recipe(60), grown, train, validation, first.network)
    assert score(second.network, second.validation)["s90"]["rmse"] == pytest.approx(expected, rel=1e-5)
    was = {name: value.clone() for name, value in second.network.state_dict().items()}
    for _ in range(3):
        second.advance()
    assert {n for n, v in second.network.state_dict().items() if torch.equal(v, was[n])} <= {
        n for n in was if n.endswith(("shift", "scale"))
    }


def test_what_was_learned_of_orbitals_is_kept(tmp_path):
    with_them = replace(ARCH, orbital_exponent=0.3)
    train, validation = pools(range(3), with_them), pools([90], with_them)
    first = Fit(tmp_path / "first", recipe(60), with_them, train, validation)
    first.run()
    expected = score(first.network, validation)["s90"]["rmse"]
    second = Fit(
        tmp_path / "second", recipe(30), replace(with_them, point_channels=(8, 7, 4)), train, validation,
        first.network,
    )  # fmt: skip
    assert score(second.network, validation)["s90"]["rmse"] == pytest.approx(expected, rel=1e-5)
    with pytest.raises(InputError, match="orbital_exponent may differ"):
        Fit(tmp_path / "third", recipe(3), replace(ARCH, orbital_exponent=0.4), train, [], first.network)


@pytest.mark.parametrize(("kpts", "mesh"), [((1, 1, 1), None), ((3, 2, 2), (3, 2, 2))])
def test_orbitals_of_a_label_are_made_on_its_mesh(kpts, mesh):
    label = analytic_label(0)
    label = replace(label, provenance=replace(label.provenance, kpts=kpts))
    arch = replace(ARCH, orbital_exponent=0.3)
    drawn = Pool.draw(label, arch, 50, np.random.default_rng(0))
    chosen = np.random.default_rng(0).choice(label.values.size, 50, replace=False)
    cell, positions = label.atoms.cell.array / Bohr, label.atoms.positions / Bohr
    points = np.stack(np.unravel_index(chosen, label.values.shape), -1) / label.values.shape @ cell
    expected = Orbitals.of(0.3, cell, positions, mesh=mesh).at(points).T
    torch.testing.assert_close(drawn.orbitals, expected)


def test_vectors_learned_before_are_kept_when_more_are_added(tmp_path):
    few = replace(ARCH, channels=(8, 4, 4), point_channels=(8, 4, 4), n_vectors=2)
    first = Fit(tmp_path / "first", recipe(30), few, pools(range(3)), pools([90]))
    first.run()
    expected = score(first.network, first.validation)
    second = Fit(
        tmp_path / "second", recipe(30), replace(few, n_vectors=4), first.train, first.validation,
        first.network,
    )  # fmt: skip
    assert score(second.network, second.validation)["s90"]["rmse"] == pytest.approx(
        expected["s90"]["rmse"], rel=1e-5
    )


def test_weights_of_another_shape_cannot_start_a_fit(tmp_path):
    for other in ({"hidden": 24}, {"cutoff": 5.0}, {"point_channels": (8, 4)}):
        with pytest.raises(InputError, match="only hidden, n_updates, .* may differ, and be smaller"):
            Fit(tmp_path, recipe(10), ARCH, pools([0]), [], FieldNetwork(replace(ARCH, **other)))


def test_random_state_of_the_caller_is_left_alone(tmp_path):
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    Fit(tmp_path, recipe(10), ARCH, pools([0]), [])
    torch.testing.assert_close(torch.rand(4), expected)


def test_short_parameters_are_close_and_compress():
    network = FieldNetwork(ARCH)
    before = {name: numbers.clone() for name, numbers in network.state_dict().items()}
    shorten(network)
    for name, numbers in network.state_dict().items():
        assert torch.all((numbers - before[name]).abs() <= 2.0 ** -(KEPT + 1) * before[name].abs())
    short, long = (
        len(zlib.compress(b"".join(n.numpy().tobytes() for n in state.values()), 9))
        for state in (network.state_dict(), before)
    )
    assert short < 0.7 * long
    again = {name: numbers.clone() for name, numbers in network.state_dict().items()}
    shorten(network)
    assert all(torch.equal(numbers, again[name]) for name, numbers in network.state_dict().items())


def test_configuration_to_domain_pack(tmp_path, label_folder):
    pack = tmp_path / "pack"
    pack.mkdir()
    (pack / "card.yaml").write_text("name: toy\nelements: [H]\nbonds: {H-H: 1.2}\nspacing: 0.2\n")
    (tmp_path / "train.yaml").write_text(
        """
labels: [labels]
output: run
pack: pack
architecture: {elements: [1], n_radial: 6, channels: [8, 4, 2], point_channels: [8, 4, 2],
               n_updates: 1, hidden: 16}
recipe: {steps: 20, decay_steps: 10, warmup_steps: 5, structures: 2, points: 64, pool: 600}
"""
    )
    settings = TrainConfig.read(tmp_path / "train.yaml")
    fit = prepare(settings)
    fit.run()
    card = finish(settings, fit)
    from ase_elf.domains import Domain

    domain = Domain(pack)
    assert domain.card == json.loads(json.dumps(card))
    assert {row["split"] for row in card["accuracy"]} == {"validation", "test"}
    assert card["training"]["label_digest"] == digest(read_labels(label_folder, "train"))
    atoms = analytic_label(5).atoms
    assert domain.load(device="cpu").predict([atoms], [(8, 8, 8)])[0].values.shape == (8, 8, 8)


@pytest.mark.ci  # seven processes that load PyTorch
def test_processes_that_share_a_run_learn_what_one_learns(tmp_path, label_folder):
    recipe = "{steps: 6, decay_steps: 2, warmup_steps: 2, structures: 2, points: 64, pool: 600, checkpoint_every: 3}"
    shape = "{elements: [1], n_radial: 6, channels: [8, 4, 2], point_channels: [8, 4, 2], n_updates: 1, hidden: 16}"
    results = []
    for n in (1, 2, 3):  # the last of three has no structure to itself
        config = tmp_path / f"train-{n}.yaml"
        config.write_text(f"labels: [labels]\noutput: run-{n}\narchitecture: {shape}\nrecipe: {recipe}\n")
        call = ["-c", "from ase_elf.cli import main; main()", "train", str(config), "--device", "cpu"]
        if n > 1:
            program = tmp_path / "train.py"
            program.write_text("from ase_elf.cli import main\nmain()\n")
            call = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={n}",
                    str(program), *call[2:]]  # fmt: skip
        done = subprocess.run([sys.executable, *call], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("6 steps done") == 1
        lines = (tmp_path / f"run-{n}" / "log.jsonl").read_text().splitlines()
        assert [json.loads(line)["step"] for line in lines] == [3, 6]
        state = torch.load(tmp_path / f"run-{n}" / "checkpoint.pt", weights_only=True)
        results.append((state["network"], json.loads(lines[-1])["train"]))
    for state, losses in results[1:]:
        assert losses == pytest.approx(results[0][1], rel=1e-4)
        for name, value in state.items():
            torch.testing.assert_close(value, results[0][0][name], rtol=1e-3, atol=1e-5)


def test_unknown_key_in_a_configuration_names_the_near_miss(tmp_path):
    path = tmp_path / "train.yaml"
    path.write_text("labels: [x]\noutput: y\narchitecture: {elements: [1], chanels: [4]}\n")
    with pytest.raises(InputError, match="chanels.*'channels'"):
        TrainConfig.read(path)


def test_broken_label_files_are_named(tmp_path, label_folder):
    path = label_folder / "s0.npz"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(FormatError, match="s0.npz"):
        read_label(path)
    path.unlink()
    with pytest.raises(InputError, match="names s0.npz"):
        read_labels(label_folder, "train")
    (label_folder / "split.csv").unlink()
    with pytest.raises(InputError, match="no split.csv"):
        read_labels(label_folder)


def test_labels_of_a_store_train_like_those_of_a_folder(tmp_path, label_folder):
    store = LabelStore(tmp_path / "store", create=True)
    for label in read_labels(label_folder):
        store.append([label])
    a, b = read_labels(tmp_path / "store", "train"), read_labels(label_folder, "train")
    assert digest(a) == digest(b)


def test_labels_at_chosen_points_can_be_trained_on(tmp_path):
    whole = analytic_label(0)
    index = np.random.default_rng(1).integers(0, whole.values.shape, (500, 3))
    points = (index / whole.values.shape) @ whole.atoms.cell.array
    some = Label("p", "p", whole.atoms, whole.provenance, whole.values[tuple(index.T)], points=points)
    pool = Pool.draw(some, ARCH, 600, np.random.default_rng(0))
    assert len(pool.target) == 500
    fit = Fit(tmp_path, recipe(10), ARCH, [pool], [])
    fit.run()
    assert fit.step == 10


def test_calibrated_error_covers_what_it_should(tmp_path):
    from ase_elf.training.calibration import ONE_SIGMA, calibrate

    fit = Fit(tmp_path, recipe(30), ARCH, pools(range(3)), [])
    fit.run()
    network, unseen = fit.network, pools([50, 51])
    calibrate(network, unseen)
    below = []
    for pool in unseen:
        index, vectors, _ = pool.rows(torch.arange(len(pool.target)))
        with torch.no_grad():
            c = network.coefficients(pool.species, pool.atom_index, pool.atom_vectors)
            z, log_sigma = network(network.output_invariants(index, vectors, c))
        below.append((torch.sigmoid(z) - pool.target).abs() < log_sigma.exp())
    assert torch.cat(below).float().mean().item() == pytest.approx(ONE_SIGMA, abs=0.002)


def test_a_label_at_points_says_where_the_critical_points_of_its_grid_are(tmp_path):
    from ase_elf.training.critical import CriticalPlaces, critical_of

    label = fine_label(0)
    near = np.sort(np.argsort(label.values.ravel())[-40:])
    points = np.stack(np.unravel_index(near, label.values.shape), -1) / label.values.shape
    some = replace(
        label, values=label.values.ravel()[near], points=points @ label.atoms.cell.array, mesh=label.values.shape,
        critical=critical_of(label),
    )  # fmt: skip
    store = LabelStore(tmp_path, create=True)
    store.append([some])
    (back,) = store
    told, grid = CriticalPlaces.of(back, ARCH), CriticalPlaces.of(label, ARCH)
    torch.testing.assert_close(told.curvatures, grid.curvatures, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(told.vectors, grid.vectors, rtol=1e-3, atol=1e-3)


def test_what_cannot_be_compiled_says_what_to_do(tmp_path, monkeypatch):
    def fails(*arguments):
        raise TorchDynamoException("no such header")

    monkeypatch.setattr(torch, "compile", lambda function, dynamic: fails)
    monkeypatch.setattr("ase_elf.training.fit.FUSED_SINCE", "2.0")
    fit = Fit(tmp_path, replace(recipe(3), compile=True), ARCH, pools((1, 2)), [])
    with pytest.raises(InputError, match="no such header.*compile: false.*cache"):
        fit.run()


def test_a_torch_that_compiles_wrongly_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "__version__", torch.torch_version.TorchVersion("2.11.0+cu130"))
    with pytest.raises(InputError, match="torch 2.11.0.*wrong gradients.*2.12 or newer.*compile: false"):
        Fit(tmp_path, replace(recipe(3), compile=True), ARCH, pools((1, 2)), [])
    Fit(tmp_path, recipe(3), ARCH, pools((1, 2)), [])


@pytest.mark.long
@pytest.mark.skipif(torch.__version__ < "2.12", reason="torch.compile of torch 2.11 is wrong")
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.filterwarnings("ignore:.*torch:DeprecationWarning", "ignore:.*torch:FutureWarning")
def test_a_compiled_step_learns_what_a_plain_one_learns(tmp_path):
    from ase_elf.training.critical import CriticalPlaces

    plain, compiled = (
        Fit(tmp_path / str(wanted), replace(recipe(3), compile=wanted, critical_points=4), ARCH, train, [])
        for wanted in (False, True)
        for train in [
            [replace(pools((1,))[0], critical=CriticalPlaces.of(fine_label(1), ARCH)), *pools((2,))]
        ]
    )
    for fit in (plain, compiled):
        fit.run()
    for a, b in zip(plain.network.parameters(), compiled.network.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


def test_the_critical_point_loss_is_what_the_field_says():
    # x² - y²/2 - z² around the saddle, and a slope: it is H⁻¹ times the slope away.
    from ase_elf.training.critical import CURVATURE, STEP, critical_point_loss
    from ase_elf.training.matching import REACH

    curvatures = torch.tensor([-2.0, -1.0, 2.0])
    slope = torch.tensor([0.02, -0.05, 0.1])
    places = torch.cat([torch.zeros(1, 3), torch.eye(3) * STEP, -torch.eye(3) * STEP])
    curved = (places**2 @ curvatures) / 2
    (there,) = critical_point_loss(curved + 0.3, curvatures[None])
    assert float(there) == pytest.approx(0, abs=1e-4)
    (found,) = critical_point_loss(curved + places @ slope + 0.3, curvatures[None])
    moved = slope / curvatures
    assert float(found) == pytest.approx(float(torch.sqrt(1 + moved @ moved / REACH**2) - 1), rel=1e-2)
    (far,) = critical_point_loss(curved + 1e3 * places @ slope, curvatures[None])
    assert float(far) == pytest.approx(1e3 * float(moved.norm()) / REACH, rel=0.01)
    # A flatter field has the same gradient of 0 there, and a slope moves its saddle farther.
    (flat,) = critical_point_loss(curved / 2, curvatures[None])
    assert float(flat) == pytest.approx((1 + 3 * 0.25 / CURVATURE**2) ** 0.5 - 1, rel=1e-3)


def fine_label(seed):
    """The same field as :func:`analytic_label`, on a grid whose critical points can be found."""
    return analytic_label(seed, shape=(20, 22, 24))


def test_places_around_critical_points_are_places_of_the_label():
    from ase_elf.topology.field import SplineField
    from ase_elf.training.critical import AROUND, CriticalPlaces, critical_of

    label = fine_label(0)
    critical = critical_of(label)
    found = CriticalPlaces.of(label, ARCH)
    n = len(found.curvatures)
    assert n == len(critical.positions) > 3 and len(found.index) == AROUND * n
    field = SplineField.of(label.grid)
    value, slope, hessian = field.hessian(field.voxel_of(critical.positions))
    assert np.abs(slope).max() < 1e-6
    # Those of z = logit(ELF): by the chain rule, where the gradient is 0.
    turn = field.to_cartesian
    of_z = turn @ hessian @ turn.T / (value * (1 - value))[:, None, None]
    np.testing.assert_allclose(critical.hessians, of_z, rtol=1e-6)
    np.testing.assert_allclose(found.curvatures, np.linalg.eigvalsh(of_z), rtol=1e-4)
    signs = (np.linalg.eigvalsh(critical.hessians) < 0).sum(1)
    assert set(signs) == {2, 3}  # Directions in which it is a maximum: of bonds, and of attractors.
    some = torch.tensor([2, 0])
    index, vectors, orbitals, curvatures = found.of_some(some, "cpu")
    assert torch.equal(curvatures, found.curvatures[some])
    assert len(index) == vectors.shape[1] == len(orbitals) == 2 * AROUND
    assert len(found.some(2, np.random.default_rng(0))) == 2
    assert len(found.some(99, np.random.default_rng(0))) == n


def test_labels_that_do_not_say_where_critical_points_are_have_none():
    from ase_elf.training.critical import CriticalPlaces

    assert CriticalPlaces.of(analytic_label(0), ARCH) is None  # 0.27 Å between grid points
    label = fine_label(0)
    points = label.atoms.positions
    assert CriticalPlaces.of(replace(label, values=np.full(len(points), 0.5), points=points), ARCH) is None


SHEARED = np.array([[3.2, 0, 0], [1.1, 3.0, 0], [-0.7, 0.9, 3.4]])


def wave_label(moved=(0.0, 0.0, 0.0), height=1.0):
    """Three waves in a sheared cell: an attractor and three bonds; 1 - height at the lowest, 1 at the highest."""
    shape = (26, 26, 28)
    turns = np.stack(np.meshgrid(*[np.arange(n) / n for n in shape], indexing="ij"), -1)
    turns = turns - np.array(moved) @ np.linalg.inv(SHEARED)
    elf = (np.cos(2 * np.pi * turns) @ [1.0, 0.8, 0.6] + 2.4) / 4.9
    origin = Provenance(code="closed form", version="1", functional="none")
    atoms = Atoms("H", cell=SHEARED, pbc=True)
    return Label("s", "s", atoms, origin, 1 - height * (1 - elf), split="train", kind="fluid")


def test_critical_points_that_digits_do_not_place_are_left_out():
    from ase_elf.storage.quantization import fine, restored
    from ase_elf.training.critical import critical_of

    label = wave_label(height=1e-4)
    steps = coarse(label.values)
    assert critical_of(replace(label, values=restored(steps))) is None
    assert len(critical_of(replace(label, values=restored(steps, fine(label.values)))).positions) == 4
    assert len(critical_of(wave_label()).positions) == 4


def test_a_fit_that_is_told_of_critical_points_puts_them_where_they_are(tmp_path):
    from ase_elf.training.critical import CriticalPlaces, critical_point_loss

    labels = [fine_label(s) for s in range(3)]
    rng = np.random.default_rng(0)
    plain = [Pool.draw(label, ARCH, 600, rng) for label in labels]
    told = [replace(pool, critical=CriticalPlaces.of(pool.label, ARCH)) for pool in plain]
    away = {}
    for name, train in (("plain", plain), ("told", told)):
        fit = Fit(tmp_path / name, replace(recipe(150), critical_points=8), ARCH, train, [])
        fit.run()
        assert ("critical_point_loss" in fit.advance()) == (name == "told")
        away[name] = 0.0
        for pool in told:
            found = pool.critical
            *rows, curvatures = found.of_some(torch.arange(len(found.curvatures)), "cpu")
            c = fit.result.coefficients(*pool.atoms("cpu"))
            with torch.no_grad():
                z = fit.result.value(fit.result.inputs(fit.result.output_invariants(*rows[:2], c), rows[2]))[
                    :, 0
                ]
            away[name] += float(critical_point_loss(z, curvatures).mean())
    assert away["told"] < 0.7 * away["plain"]


def test_critical_points_of_a_sheared_cell_are_found_as_far_away_as_they_are():
    from ase_elf.topology.field import SplineField
    from ase_elf.training.critical import AROUND, CriticalPlaces, critical_of, critical_point_loss, places_of
    from ase_elf.training.matching import REACH

    moved = np.array([0.01, -0.02, 0.015])
    label, shifted = wave_label(height=0.9), SplineField.of(wave_label(moved, height=0.9).grid)
    found = CriticalPlaces.of(label, ARCH)
    places, curvatures = places_of(critical_of(label))
    assert places.shape == (4, AROUND, 3)
    np.testing.assert_allclose(found.curvatures, curvatures, rtol=1e-5)
    seen = torch.logit(torch.from_numpy(shifted.value(shifted.voxel_of(places.reshape(-1, 3))))).float()
    # Curvatures belong to the axes that places are on: what a field has at its own points is not critical_point_loss.
    own = SplineField.of(label.grid)
    itself = torch.logit(torch.from_numpy(own.value(own.voxel_of(places.reshape(-1, 3))))).float()
    assert float(critical_point_loss(itself, found.curvatures).max()) < 0.01
    expected = np.sqrt(1 + moved @ moved / REACH**2) - 1
    np.testing.assert_allclose(critical_point_loss(seen, found.curvatures), expected, rtol=0.1)


def test_a_label_that_is_one_to_the_last_digit_says_nothing_of_its_attractor():
    from ase_elf.training.critical import CriticalPlaces

    label = wave_label(height=0.9)
    full = replace(label, values=(label.values / label.values.max()).astype(np.float32))
    assert (CriticalPlaces.of(full, ARCH).curvatures < 0).all(1).sum() == 0
    assert (CriticalPlaces.of(label, ARCH).curvatures < 0).all(1).sum() == 1


def test_z_is_compared_as_far_as_the_digits_of_a_label_reach():
    from ase_elf.storage.quantization import fine, restored
    from ase_elf.training.fit import losses
    from ase_elf.training.samples import HIGHEST

    label = analytic_label(0)
    near = np.geomspace(1e-6, 5e-3, 30)
    np.put(label.values, np.arange(30), 1 - near)
    steps = coarse(label.values)
    rng = np.random.default_rng(0)
    exact = Pool.draw(replace(label, values=restored(steps, fine(label.values))), ARCH, 10**6, rng)
    short = Pool.draw(replace(label, values=restored(steps)), ARCH, 10**6, rng)
    bare = Pool.draw(replace(label, values=np.full((3, 3, 3), 0.5)), ARCH, 5, rng)
    assert float(exact.highest) == HIGHEST
    for pool in (short, bare):
        assert float(pool.highest) == pytest.approx(np.log(65535 / 2), rel=1e-4)
    network = FieldNetwork(ARCH)
    torch.nn.init.constant_(network.value[-1].bias, 13.0)
    torch.nn.init.zeros_(network.value[-1].weight)
    rows = torch.arange(20)
    ones = torch.ones(20)
    parts = [
        losses(network, pool.atoms("cpu"), pool.rows(rows), ones, pool.highest)[1].item()
        for pool in (short, exact)
    ]
    assert parts[0] == 0  # 13 is as good as any other z where 10.4 is all that digits tell.
    assert parts[1] == pytest.approx((HIGHEST - 13) ** 2, rel=1e-4)


def test_less_than_no_critical_points_are_refused(tmp_path, label_folder):
    path = tmp_path / "train.yaml"
    path.write_text(
        "labels: [labels]\noutput: run\narchitecture: {elements: [1]}\nrecipe: {critical_points: -1}\n"
    )
    with pytest.raises(InputError, match="recipe.critical_points = -1"):
        prepare(TrainConfig.read(path))
