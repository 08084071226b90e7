"""Building label sets: what is finished is kept, whatever happens."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.geometry import find_mic
from ase.io import write
from click.testing import CliRunner
from label_sets import ENGINE, config_for, make_label, structures
from places import TESTS

from ase_elf.cli.dataset import command as dataset_command
from ase_elf.dataset import BuildConfig, Label, LabelStore
from ase_elf.dataset.builder import build
from ase_elf.dataset.config import ClusterChoice, PointChoice
from ase_elf.dataset.job import Failure, job_id
from ase_elf.dataset.label import Critical
from ase_elf.dataset.packing import pack, unpack
from ase_elf.dataset.points import points_near
from ase_elf.dataset.shard import decode, encode
from ase_elf.errors import EngineError, FormatError, InputError, OutputError
from ase_elf.reference import Provenance, get_engine
from ase_elf.storage.quantization import coarse, restored
from ase_elf.training.config import TrainConfig


def decoded(data):
    """The only label of a shard."""
    (stored,) = decode(data, source="memory")
    return stored.label()


@pytest.mark.parametrize("shape", [(1,), (7,), (3, 4, 5), (8, 8, 8), (3, 2, 5, 4)])
def test_packing_loses_nothing(shape):
    stored = np.random.default_rng(0).integers(0, 65536, shape).astype(np.uint16)
    assert np.array_equal(unpack(pack(stored), shape), stored)


def test_packing_shrinks_a_smooth_field():
    x = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    smooth = 0.5 + 0.4 * np.sin(x)[:, None, None] * np.cos(x)[:, None] * np.sin(x + 1)
    stored = coarse(smooth)
    assert pack(stored).nbytes < 0.7 * stored.nbytes


def test_quantisation_is_off_by_half_a_step_at_most():
    values = np.random.default_rng(0).random(1000)
    # Half of 1/65535, and the rounding of float32.
    assert np.abs(restored(coarse(values)) - values).max() <= 0.5 / 65535 + 6e-8


def test_a_label_is_exact_near_1():
    ends = 10.0 ** -np.random.default_rng(0).uniform(2.2, 7, 500)
    values = np.concatenate([1 - ends, [1, 0]]).astype(np.float32)
    label = make_label(values=values, points=np.zeros((len(values), 3)))
    back = decoded(encode([label]))
    assert np.abs(back.values - values).max() < 1.2e-7  # a bit of float32 near 1
    flat = decoded(encode([replace(label, values=np.full(3, 0.5), points=np.zeros((3, 3)))]))
    assert flat.values == pytest.approx([0.5] * 3, abs=8e-6)


@pytest.mark.parametrize(("steps", "parts"), [
    (np.zeros(3, np.uint8), None),
    (np.zeros(3, np.uint16), np.zeros(3, np.uint8)),
    (np.zeros(3, np.uint16), np.zeros(2, np.int8)),
])  # fmt: skip
def test_whole_numbers_of_another_kind_are_refused(steps, parts):
    with pytest.raises(FormatError, match=r"expected (uint16|int8)"):
        restored(steps, parts)


def test_a_label_is_read_back_as_it_was_written():
    label = make_label(forces=np.ones((2, 3)), energy=-3.5, split="test")
    label.atoms.info["charge"] = -1
    back = decoded(encode([label]))
    assert np.abs(back.values - label.values).max() < 1e-5
    assert back.atoms == label.atoms and back.atoms.info == {"charge": -1}
    assert back.provenance == label.provenance
    assert (back.energy, back.split, back.name) == (-3.5, "test", "one")
    assert back.grid.shape == (4, 5, 6)


def test_equal_labels_make_equal_bytes():
    assert encode([make_label()]) == encode([make_label()])


@pytest.mark.parametrize("keep", [0, 10, 300, 800])
def test_a_shard_cut_off_is_refused(keep):
    with pytest.raises(FormatError, match="memory is no label shard"):
        decode(encode([make_label()])[:keep], source="memory")


def test_build_labels_every_structure_and_then_finds_them(tmp_path):
    config = config_for(tmp_path, structures(3))
    seen = []
    summary = build(config, report=lambda outcome, done, total: seen.append((done, total)))
    assert (summary.built, summary.present, summary.failed) == (3, 0, 0)
    assert seen == [(1, 3), (2, 3), (3, 3)]
    again = build(config)
    assert (again.built, again.present, again.failed) == (0, 3, 0)
    store = LabelStore(tmp_path / "labels")
    store.verify()
    assert [len(label.atoms) for label in store] == [2, 3, 4]
    assert {label.split for label in store} == {"train"}


def test_a_charge_of_numpy_is_a_charge(tmp_path):
    frames = structures(2)
    for atoms, charge in zip(frames, (1, np.int64(1)), strict=True):
        atoms.info["charge"] = charge
    config = config_for(tmp_path, frames)
    build(config)
    # As ASE reads it from extended XYZ, and so do labels of structures in a file.
    assert [label.atoms.info["charge"] for label in LabelStore(config.output)] == [1, 1]


@pytest.mark.ci
def test_two_workers_make_the_same_labels_as_one(tmp_path):
    frames = structures(2)
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    build(config_for(tmp_path / "one", frames))
    build(config_for(tmp_path / "two", frames, workers=2))
    one, two = (LabelStore(tmp_path / name / "labels").rows for name in ("one", "two"))
    assert {k: r["sha256"] for k, r in one.items()} == {k: r["sha256"] for k, r in two.items()}


def test_build_is_silent(tmp_path, capfd):
    build(config_for(tmp_path, structures(1)))
    assert capfd.readouterr() == ("", "")


def test_a_failed_scf_is_tried_with_safer_mixing(tmp_path):
    build(config_for(tmp_path, structures(1), options={"converges_at": 2}))
    (label,) = LabelStore(tmp_path / "labels")
    assert label.provenance.attempt == 2


@pytest.mark.ci
def test_a_structure_that_never_converges_is_recorded_and_left_alone(tmp_path):
    config = config_for(tmp_path, structures(2), options={"converges_at": 9})
    assert build(config).failed == 2
    failures = LabelStore(tmp_path / "labels").failures
    assert [len(record["problems"]) for record in failures.values()] == [3, 3]
    seen = []
    assert build(config, report=lambda *args: seen.append(args)).failed == 2
    assert not seen
    build(config, retry_failed=True, report=lambda *args: seen.append(args))
    assert len(seen) == 2 and isinstance(seen[0][0], Failure)


@pytest.mark.ci
def test_a_refused_structure_is_not_tried_again(tmp_path):
    options = {"trouble": "refused", "trouble_with": 3}
    config = config_for(tmp_path, structures(3), options=options)
    assert build(config).built == 2
    (record,) = LabelStore(tmp_path / "labels").failures.values()
    assert record["problems"] == ["not this structure."]


def test_a_killed_job_takes_no_other_along(tmp_path):
    options = {"trouble": "killed", "trouble_with": 3}
    summary = build(config_for(tmp_path, structures(3), options=options))
    assert (summary.built, summary.failed) == (2, 1)
    (record,) = LabelStore(tmp_path / "labels").failures.values()
    assert "was killed" in record["problems"][0]


def test_a_missing_program_is_found_before_anything_is_computed(tmp_path):
    with pytest.raises(EngineError, match="not found"):
        build(config_for(tmp_path, structures(1), options={"missing": True}))
    assert not (tmp_path / "labels").exists()


@pytest.mark.ci
@pytest.mark.parametrize(
    ("trouble", "message"), [("disk", "disk is full"), ("write", "No space left on device")]
)
def test_a_full_disk_stops_the_build_and_keeps_what_is_finished(tmp_path, trouble, message):
    frames = structures(3)
    options = {"trouble": trouble, "trouble_with": 4}
    with pytest.raises(OutputError, match=message):
        build(config_for(tmp_path, frames, options=options))
    store = LabelStore(tmp_path / "labels")
    assert len(store) == 2 and not store.failures


def test_a_write_the_system_refuses_leaves_no_partial_file(tmp_path):
    store = LabelStore(tmp_path, create=True)
    store.append([make_label()])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # As on a full disk, the system takes part of the data and then refuses.
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    try:
        with pytest.raises(OutputError, match="Everything finished so far is kept"):
            store.append([make_label(id="b2", shape=(20, 20, 20))])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert len(list((tmp_path / "shards").iterdir())) == 1
    assert list(LabelStore(tmp_path).rows) == ["a1"]


def test_a_killed_build_goes_on_where_it_stopped(tmp_path):
    frames = structures(4)
    config_for(tmp_path, frames)
    script = (
        "import sys; sys.path[:0] = sys.argv[1:3]\n"
        "if __name__ == '__main__':\n"
        "    from pathlib import Path\n"
        "    from label_sets import config_for, structures\n"
        "    from ase_elf.dataset.builder import build\n"
        "    build(config_for(Path(sys.argv[3]), structures(4), options={'seconds': 0.2}))\n"
    )
    (tmp_path / "run.py").write_text(script)
    words = [sys.executable, str(tmp_path / "run.py"), str(TESTS.parent), str(TESTS), str(tmp_path)]
    process = subprocess.Popen(words)
    manifest = tmp_path / "labels" / "manifest.csv"
    deadline = time.monotonic() + 120
    while not (manifest.is_file() and manifest.read_bytes().count(b"\n") >= 2):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    finished = set(LabelStore(tmp_path / "labels").rows)
    assert len(finished) >= 1
    summary = build(config_for(tmp_path, frames, options={"seconds": 0.0}))
    assert summary.present == len(finished) and summary.built == 4 - len(finished)
    LabelStore(tmp_path / "labels").verify()


def test_what_a_killed_writer_left_is_removed(tmp_path):
    LabelStore(tmp_path, create=True).append([make_label()])
    names = ("batches.yaml", "manifest.csv", "failures.jsonl", "shards/0123456789abcdef.npz")
    for name in names:
        (tmp_path / f"{name}.partial-123").write_bytes(b"torn")
    assert len(LabelStore(tmp_path)) == 1  # a reader leaves them to their writer
    assert len(list(tmp_path.rglob("*.partial-*"))) == len(names)
    assert len(LabelStore(tmp_path, create=True)) == 1
    assert not list(tmp_path.rglob("*.partial-*"))


def test_a_manifest_row_cut_off_is_made_again_from_the_shard(tmp_path):
    build(config_for(tmp_path, structures(2)))
    manifest = tmp_path / "labels" / "manifest.csv"
    whole = manifest.read_bytes()
    manifest.write_bytes(whole[:-40])
    assert len(LabelStore(tmp_path / "labels")) == 1
    assert len(LabelStore(tmp_path / "labels", create=True)) == 2
    assert manifest.read_bytes() == whole


def test_an_altered_shard_is_found(tmp_path):
    build(config_for(tmp_path, structures(1)))
    (shard,) = (tmp_path / "labels" / "shards").iterdir()
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    with pytest.raises(FormatError, match="does not match its digest"):
        LabelStore(tmp_path / "labels").verify()


def test_a_second_build_of_the_same_folder_is_refused(tmp_path):
    import fcntl

    config = config_for(tmp_path, structures(1))
    build(config)
    with (tmp_path / "labels" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(OutputError, match="another build"):
            build(config)


def test_labels_of_two_recipes_are_not_mixed(tmp_path):
    frames = structures(1)
    build(config_for(tmp_path, frames))
    with pytest.raises(InputError, match="another recipe"):
        build(config_for(tmp_path, frames, options={"width": 0.6}))


def test_equal_structures_are_labelled_once(tmp_path):
    frames = structures(1)
    assert build(config_for(tmp_path, [*frames, *frames])).built == 1


def test_options_that_only_say_how_to_run_are_no_part_of_a_label():
    (atoms,) = structures(1)
    slow, fast = get_engine(ENGINE, seconds=1.0), get_engine(ENGINE)
    assert job_id(atoms, slow, None) == job_id(atoms, fast, None)
    assert job_id(atoms, get_engine(ENGINE, width=0.6), None) != job_id(atoms, fast, None)


def test_chosen_points_are_points_of_the_grid(tmp_path):
    frames = structures(1)
    (tmp_path / "full").mkdir()
    build(config_for(tmp_path / "full", frames))
    points = {"count": 50, "within": 0.9}
    build(config_for(tmp_path, frames, points=points, density=True))
    (full,), (some,) = LabelStore(tmp_path / "full/labels"), LabelStore(tmp_path / "labels")
    assert some.values.shape == (50,) and some.density.shape == (50,)
    index = np.round(some.points @ np.linalg.inv(full.atoms.cell) * full.grid.shape).astype(int)
    assert np.array_equal(full.values[tuple(index.T)], some.values)
    vectors = (some.points[:, None] - full.atoms.positions).reshape(-1, 3)
    distances = find_mic(vectors, full.atoms.cell)[1].reshape(50, -1)
    assert distances.min(axis=1).max() <= 0.9


def test_points_near_a_molecule_are_uniform_over_the_union_of_balls():
    atoms = Atoms("H2", [(0, 0, 0), (0, 0, 1.0)])
    points = points_near(atoms, PointChoice(20000, within=1.5), key="0" * 24)
    distances = np.linalg.norm(points[:, None] - atoms.positions, axis=-1)
    assert distances.min(axis=1).max() <= 1.5
    # Two balls of radius R at distance d share π(4R + d)(2R − d)²/12 (spherical caps).
    radius, apart = 1.5, 1.0
    lens = np.pi * (4 * radius + apart) * (2 * radius - apart) ** 2 / 12
    expected = lens / (2 * 4 / 3 * np.pi * radius**3 - lens)
    # Binomial: 20,000 draws give a standard deviation of 0.0035.
    assert (distances.max(axis=1) <= 1.5).mean() == pytest.approx(expected, abs=0.014)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"wokers": 2}, "did you mean 'workers'"),
        ({"workers": 0}, "at least 1"),
        ({"workers": True}, "workers"),
        ({"structures": []}, "a list of files"),
        ({"structures": [{"path": "x", "splt": "train"}]}, "did you mean 'split'"),
        ({"structures": [{"path": "x", "split": "trian"}]}, "'train', 'validation', 'test'"),
        ({"points": {"seed": 1}}, "count"),
        ({"points": {"count": 0}}, "at least one"),
        ({"points": {"count": 1, "seed": -1}}, "seed is -1"),
        ({"points": {"count": 1, "within": 0}}, "must be positive"),
        ({"cluster": {"kind": "local", "workers": 0}}, "at least one"),
        ({"cluster": {"kind": "pbs"}}, "'slurm'"),
        ({"cluster": {"kind": "scheduler"}}, "address"),
    ],
)
def test_a_configuration_with_an_error_says_which(tmp_path, changes, message):
    loaded = {"structures": ["frames.extxyz"], "engine": ENGINE, "output": "labels", **changes}
    with pytest.raises(InputError, match=message):
        BuildConfig.from_dict(loaded, folder=tmp_path)


def test_paths_in_options_start_at_the_configuration(tmp_path):
    path = tmp_path / "build.yaml"
    path.write_text(
        "structures: [frames.extxyz]\nengine: espresso\noutput: labels\n"
        "options: {recipe: hydrogen-fluid, pseudopotentials: {H: upf/H.UPF, O: /x/O.UPF}}\n"
    )
    found = BuildConfig.read(path).options["pseudopotentials"]
    assert found == {"H": str(tmp_path / "upf" / "H.UPF"), "O": "/x/O.UPF"}


def test_a_configuration_file_that_is_no_mapping_is_refused(tmp_path):
    path = tmp_path / "config.yaml"
    for text in ("- a\n- b\n", "a: [\n", ""):
        path.write_text(text)
        with pytest.raises(FormatError):
            BuildConfig.read(path)


def test_a_missing_or_broken_structure_file_is_named(tmp_path):
    config = config_for(tmp_path, structures(2))
    (tmp_path / "frames.extxyz").write_text("2\nLattice=\n")
    with pytest.raises(FormatError, match="frames.extxyz"):
        build(config)
    (tmp_path / "frames.extxyz").unlink()
    with pytest.raises(InputError, match="does not exist"):
        build(config)


@pytest.mark.parametrize("index", ["7", "2:", "H", "1:x", ""])
def test_an_index_that_selects_nothing_is_refused(tmp_path, index):
    config = config_for(tmp_path, structures(2))
    source = replace(config.structures[0], index=index)
    with pytest.raises(InputError, match=f"index '{index}' selects no structure .* which has 2"):
        build(replace(config, structures=(source,)))


@pytest.mark.parametrize(
    ("index", "numbers"), [(":", [0, 1, 2]), ("-1", [2]), ("::2", [0, 2]), ("-2:", [1, 2]), ("::-2", [2, 0])]
)
def test_an_index_selects_as_that_of_ase_does(tmp_path, index, numbers):
    images = structures(3)
    source = replace(config_for(tmp_path, images).structures[0], index=index)
    found = [atoms for _, atoms in source.read()]
    assert len(found) == len(numbers)
    for atoms, number in zip(found, numbers, strict=True):
        np.testing.assert_allclose(atoms.positions, images[number].positions, atol=1e-7)


# dask-jobqueue's cluster cannot be finalised before it is complete.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_options_a_cluster_does_not_take_are_named(tmp_path):
    pytest.importorskip("dask_jobqueue")
    choice = ClusterChoice("slurm", options={"cores": 1, "memory": "1GB", "foo": 1})
    with pytest.raises(InputError, match="foo"):
        build(replace(config_for(tmp_path, structures(1)), cluster=choice))


def test_a_folder_that_is_no_store_is_refused(tmp_path):
    with pytest.raises(InputError, match="no label store"):
        LabelStore(tmp_path)


def test_an_engine_option_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(InputError, match="did you mean 'width'"):
        build(config_for(tmp_path, structures(1), options={"widht": 1}))


def test_the_command_builds_and_tells_what_failed(tmp_path):
    from click.testing import CliRunner

    from ase_elf.cli.dataset import command

    config_for(tmp_path, structures(2))
    settings = {
        "structures": ["frames.extxyz"],
        "engine": ENGINE,
        "output": "labels",
        "options": {"trouble": "refused", "trouble_with": 3},
    }
    (tmp_path / "build.yaml").write_text(json.dumps(settings))
    result = CliRunner().invoke(command, ["build", str(tmp_path / "build.yaml")])
    assert result.exit_code == 0, result.output
    assert "1 labelled, 0 were there already, 1 without a label" in result.output
    assert "not this structure" in result.output


def test_labels_at_places_of_a_mesh_keep_density_and_critical_points():
    rng = np.random.default_rng(3)
    atoms = Atoms(
        "LiH", positions=[(0, 0, 0), (1.1, 1.0, 1.2)], cell=[[3, 0, 0], [1, 3, 0], [0.5, 1, 4]], pbc=True
    )
    mesh = (11, 13, 17)
    places = np.sort(rng.choice(np.prod(mesh), 500, replace=False))
    points = np.stack(np.unravel_index(places, mesh), -1) / mesh @ atoms.cell.array
    curved = np.array([np.diag([-1.0, -2.0, -3.0]), [[2, 0.5, 0], [0.5, -1, 0], [0, 0, -1.5]]])
    label = Label(
        id="a", name="b", atoms=atoms, provenance=Provenance(code="c", version="d", functional="e"),
        values=rng.random(500).astype(np.float32), points=points, mesh=mesh,
        density=np.exp(rng.uniform(-18, 9, 500)), critical=Critical(points[:2], curved),
    )  # fmt: skip
    read = decoded(data := encode([label]))
    assert encode([read]) == data
    assert read.mesh == mesh
    np.testing.assert_allclose(read.points, points, atol=1e-12)
    np.testing.assert_allclose(read.density, label.density, rtol=3e-4)
    np.testing.assert_allclose(read.critical.positions, points[:2], atol=1e-6)
    np.testing.assert_allclose(read.critical.hessians, curved, atol=1e-6)
    with pytest.raises(InputError, match="not on its mesh"):
        encode([replace(label, points=points + 0.01)])


def test_one_command_adds_labels_to_a_training_set(tmp_path):
    write(tmp_path / "some.extxyz", structures(3))
    command = ["add", str(tmp_path / "store"), str(tmp_path / "some.extxyz"), "--engine", ENGINE]
    for more, count in ((["--index", "0:2"], 2), (["--split", "test", "--kind", "crystal"], 3)):
        done = CliRunner().invoke(dataset_command, [*command, *more, "--no-progress"], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        assert len(LabelStore(tmp_path / "store")) == count
    labels = list(LabelStore(tmp_path / "store"))
    assert sorted((label.split, label.kind) for label in labels) == [
        ("test", "crystal"),
        ("train", ""),
        ("train", ""),
    ]
    assert all(label.points is None and label.batch == ENGINE for label in labels)
    assert TrainConfig.read(trained_on(tmp_path)).labels[0].read("train")


def trained_on(folder):
    path = folder / "train.yaml"
    path.write_text("labels: [store]\noutput: run\narchitecture: {elements: [1]}\n")
    return path
