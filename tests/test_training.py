"""Training: a tiny model learns, an interrupted run ends where an undisturbed one does."""

import json
import re
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
from torch._dynamo.exc import TorchDynamoException

from ase_elf.dataset.label import Label
from ase_elf.errors import FormatError, InputError
from ase_elf.formats.rounding import coarse
from ase_elf.model import Architecture, FieldNetwork
from ase_elf.reference import Provenance
from ase_elf.topology import critical_points
from ase_elf.training.config import TrainConfig
from ase_elf.training.fit import Fit, Recipe, score
from ase_elf.training.labels import digest, read_label, read_labels
from ase_elf.model.orbitals import Orbitals
from ase_elf.training.pack import KEPT, shorten
from ase_elf.training.run import finish, prepare
from ase_elf.training.samples import Pool

ARCH = Architecture(
    (1,), n_radial=6, channels=(8, 4, 2), point_channels=(8, 4, 2), n_updates=1, hidden=16
)


def analytic_label(seed, split="train", shape=(12, 13, 14)):
    """A field that depends on positions the way an ELF does, but is known in closed form."""
    rng = np.random.default_rng(seed)
    cell = np.diag([6.0, 6.5, 7.0])
    positions = rng.random((6, 3)) @ cell
    grid = np.stack(np.meshgrid(*[np.arange(n) / n for n in shape], indexing="ij"), -1) @ cell
    density = np.zeros(shape)
    for shift in np.stack(np.meshgrid(*[[-1, 0, 1]] * 3), -1).reshape(-1, 3):
        for p in positions + shift @ cell:
            density += np.exp(-((grid - p) ** 2).sum(-1) / 2.0)
    atoms = Atoms("H6", positions * Bohr, cell=cell * Bohr, pbc=True)
    origin = Provenance(code="closed form", version="1", functional="none")
    values = 1 / (1 + np.exp(1 - 2 * density))
    return Label(f"s{seed}", f"s{seed}", atoms, origin, values, split=split, kind="fluid")


def pools(seeds, arch=ARCH):
    rng = np.random.default_rng(0)
    return [Pool.draw(analytic_label(s), arch, 600, rng) for s in seeds]


def recipe(steps):
    return Recipe(steps=steps, decay_steps=steps // 2, warmup_steps=5, rate=1e-2, structures=2,
                  points=64, pool=600, checkpoint_every=10)  # fmt: skip


def write_labels(folder, splits):
    """A folder of analytic labels: number k of the split that ``splits[k]`` names."""
    folder.mkdir()
    lines = ["file,kind,split"]
    for seed, split in enumerate(splits):
        label = analytic_label(seed, split)
        cell, positions = label.atoms.cell.array / Bohr, label.atoms.positions / Bohr
        np.savez(folder / label.name, cell=cell, pos=positions, elf=coarse(label.values))
        lines.append(f"{label.name}.npz,fluid,{split}")
    (folder / "split.csv").write_text("\n".join(lines) + "\n")
    return folder


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
        {"n_vectors": 2, "n_updates": 3, "hidden": 17, "point_channels": (8, 4, 3),
         "orbital_exponent": 0.3},
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


@pytest.mark.parametrize("kpts, mesh", [((1, 1, 1), None), ((3, 2, 2), (3, 2, 2))])
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
        assert torch.all((numbers - before[name]).abs() <= 2.0**-(KEPT + 1) * before[name].abs())
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


def test_processes_that_share_a_run_learn_what_one_learns(tmp_path, label_folder):
    recipe = "{steps: 6, decay_steps: 2, warmup_steps: 2, structures: 2, points: 64, pool: 600, checkpoint_every: 3}"
    shape = "{elements: [1], n_radial: 6, channels: [8, 4, 2], point_channels: [8, 4, 2], n_updates: 1, hidden: 16}"
    results = []
    for n in (1, 2, 3):  # the last of three has no structure to itself
        config = tmp_path / f"train-{n}.yaml"
        config.write_text(
            f"labels: [labels]\noutput: run-{n}\narchitecture: {shape}\nrecipe: {recipe}\n"
        )
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
    from ase_elf.dataset import LabelStore

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
        index, vectors, _, target = pool.rows(torch.arange(len(pool.target)))
        with torch.no_grad():
            c = network.coefficients(pool.species, pool.atom_index, pool.atom_vectors)
            z, log_sigma = network(network.read(index, vectors, c))
        below.append((torch.sigmoid(z) - target).abs() < log_sigma.exp())
    assert torch.cat(below).float().mean().item() == pytest.approx(ONE_SIGMA, abs=0.002)


def test_values_kept_without_their_geometry_come_back_with_it(tmp_path):
    from ase.io import write

    from ase_elf.training.borrowed import read_values, write_values

    label = replace(analytic_label(4), kind="random-crystal")
    write_values(tmp_path, label, 300, np.random.default_rng(0))
    owner = label.atoms.copy()
    owner.info["id"] = label.name
    write(tmp_path / "owner@work.extxyz", [analytic_label(5).atoms, owner])
    (joined,) = read_values(tmp_path, [tmp_path / "owner@work.extxyz"])
    index = np.rint(joined.points @ np.linalg.inv(owner.cell.array) * label.values.shape)
    expected = label.values[tuple(index.astype(int).T)]
    np.testing.assert_allclose(joined.values, expected, atol=1e-5)
    assert joined.kind == label.kind
    path = write_values(tmp_path, label, None, np.random.default_rng(0))
    (whole,) = read_values(tmp_path, [tmp_path / "owner@work.extxyz"])
    np.testing.assert_allclose(whole.values, label.values, atol=1e-5)
    assert whole.points is None
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(FormatError, match=re.escape(f"{path} is not a file of ELF values")):
        read_values(tmp_path, [tmp_path / "owner@work.extxyz"])
    write(tmp_path / "other.extxyz", analytic_label(5).atoms)
    with pytest.raises(InputError, match="no geometry called 's4'"):
        read_values(tmp_path, [tmp_path / "other.extxyz"])


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
    plain, compiled = (
        Fit(tmp_path / str(compile), replace(recipe(3), compile=compile), ARCH, pools((1, 2)), [])
        for compile in (False, True)
    )
    for fit in (plain, compiled):
        fit.run()
    for a, b in zip(plain.network.parameters(), compiled.network.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


def test_displacement_of_a_saddle_is_what_the_fields_say():
    # z = x² - y²/2 - z² around the saddle; an error that is linear moves it by H⁻¹ times its slope.
    from ase_elf.training.agreement import REACH
    from ase_elf.training.saddles import STEP, displacement

    hessian = torch.diag(torch.tensor([2.0, -1.0, -2.0]))
    slope = torch.tensor([0.02, -0.05, 0.1])
    around = torch.cat([torch.eye(3), -torch.eye(3)]) * STEP
    (found,) = displacement(around @ slope + 0.3, torch.linalg.inv(hessian)[None])
    moved = -torch.linalg.solve(hessian, slope)
    assert float(found) == pytest.approx(float(torch.sqrt(1 + moved @ moved / REACH**2) - 1), rel=1e-4)
    (far,) = displacement(1e3 * around @ slope, torch.linalg.inv(hessian)[None])
    assert float(far) == pytest.approx(1e3 * float(moved.norm()) / REACH, rel=0.01)


def fine_label(seed):
    """The same field as :func:`analytic_label`, on a grid whose saddles can be found."""
    return analytic_label(seed, shape=(20, 22, 24))


def test_places_around_saddles_are_places_of_the_label():
    from ase_elf.training.saddles import AROUND, Saddles

    label = fine_label(0)
    found = Saddles.of(label, ARCH)
    n = len(found.inverse)
    assert n > 3 and len(found.target) == AROUND * n
    # The gradient of the label vanishes at a saddle: central differences are small.
    plus, minus = found.target.view(n, 2, 3).unbind(1)
    assert float((plus - minus).abs().max()) < 2e-3
    some, inverse = found.of_some(torch.tensor([2, 0]), "cpu")
    assert torch.equal(some[3][:AROUND], found.target[2 * AROUND : 3 * AROUND])
    assert torch.equal(inverse, found.inverse[[2, 0]])
    assert len(found.some(2, np.random.default_rng(0))) == 2
    assert len(found.some(99, np.random.default_rng(0))) == n


def test_labels_that_do_not_say_where_saddles_are_have_none():
    from ase_elf.training.saddles import Saddles

    assert Saddles.of(analytic_label(0), ARCH) is None  # 0.27 Å between grid points
    label = fine_label(0)
    points = label.atoms.positions
    assert Saddles.of(replace(label, values=np.full(len(points), 0.5), points=points), ARCH) is None


def test_a_fit_that_is_told_of_saddles_puts_them_where_they_are(tmp_path):
    from ase_elf.training.saddles import Saddles, displacement

    labels = [fine_label(s) for s in range(3)]
    rng = np.random.default_rng(0)
    plain = [Pool.draw(label, ARCH, 600, rng) for label in labels]
    told = [replace(pool, saddles=Saddles.of(pool.label, ARCH)) for pool in plain]
    away = {}
    for name, train in (("plain", plain), ("told", told)):
        fit = Fit(tmp_path / name, replace(recipe(150), saddles=8), ARCH, train, [])
        fit.run()
        away[name] = 0.0
        for pool in told:
            found = pool.saddles
            rows, inverse = found.of_some(torch.arange(len(found.inverse)), "cpu")
            c = fit.result.coefficients(*pool.atoms("cpu"))
            with torch.no_grad():
                z = fit.result.value(fit.result.seen(fit.result.read(*rows[:2], c), rows[2]))[:, 0]
            away[name] += float(displacement(torch.sigmoid(z) - rows[3], inverse).mean())
    assert away["told"] < 0.7 * away["plain"]
    assert "astray" in fit.advance()


def test_rows_of_places_with_different_numbers_of_neighbours_read_the_same_together():
    from ase_elf.training.fit import both
    from ase_elf.training.saddles import Saddles

    (pool,) = pools([0])
    first, second = pool.rows(torch.arange(5)), Saddles.of(fine_label(0), ARCH).rows(torch.arange(7))
    assert first[0].shape[1] != second[0].shape[1]
    network = FieldNetwork(ARCH)
    c = network.coefficients(*pool.atoms("cpu"))
    apart = torch.cat([network.read(*rows[:2], c) for rows in (first, second)])
    joined = both(first, second, ARCH.cutoff)
    torch.testing.assert_close(network.read(*joined[:2], c), apart)
    assert torch.equal(joined[3], torch.cat([first[3], second[3]]))


def test_saddles_of_a_sheared_cell_are_found_as_far_away_as_they_are():
    from ase_elf.training.agreement import REACH
    from ase_elf.grid import ELFGrid
    from ase_elf.topology.field import SplineField
    from ase_elf.training.saddles import AROUND, Saddles, displacement

    cell = np.array([[3.2, 0, 0], [1.1, 3.0, 0], [-0.7, 0.9, 3.4]])
    shape = (26, 26, 28)
    turns = np.stack(np.meshgrid(*[np.arange(n) / n for n in shape], indexing="ij"), -1)

    def elf(fractional):
        return (np.cos(2 * np.pi * fractional) @ [1.0, 0.8, 0.6] + 2.4) / 4.9

    atoms = Atoms("H", cell=cell, pbc=True)
    origin = Provenance(code="closed form", version="1", functional="none")
    label = Label("s", "s", atoms, origin, elf(turns), split="train", kind="fluid")
    found = Saddles.of(label, ARCH)
    assert len(found.inverse) == 3
    moved = np.array([0.01, -0.02, 0.015])
    shifted = SplineField.of(ELFGrid(elf(turns - moved @ np.linalg.inv(cell)), atoms))
    field = SplineField.of(label.grid)
    # Places are where the label has them: looked up again in the field that is moved.
    saddles = critical_points(label.grid, persistence=0.01).of_kind("bond").positions
    around = np.concatenate([np.eye(3), -np.eye(3)]) * 0.05
    u = field.voxel_of((saddles[:, None] + around).reshape(-1, 3))
    error = torch.from_numpy(shifted.value(u) - field.value(u)).float()
    assert len(error) == AROUND * 3
    expected = np.sqrt(1 + moved @ moved / REACH**2) - 1
    np.testing.assert_allclose(displacement(error, found.inverse), expected, rtol=0.05)


def test_less_than_no_saddles_are_refused(tmp_path, label_folder):
    path = tmp_path / "train.yaml"
    path.write_text("labels: [labels]\noutput: run\narchitecture: {elements: [1]}\nrecipe: {saddles: -1}\n")
    with pytest.raises(InputError, match="recipe.saddles = -1"):
        prepare(TrainConfig.read(path))
