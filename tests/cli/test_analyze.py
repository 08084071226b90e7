"""The main job from the command line: outputs, resuming, refusals, exit codes."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from ase.io import read, write
from command import call
from large_cells import LargeCells
from places import TESTS
from stand_in_cli import stand_in

from ase_elf.analysis.settings import AnalysisSettings
from ase_elf.errors import OutputError
from ase_elf.runs.trajectory import (
    AnalysisRun,
    OtherRun,
    _Started,
    pack_digest,
    quantities,
    read_provenance,
    write_config,
)
from ase_elf.structures.trajectory import Trajectory
from ase_elf.testing import GaussianDomain, molecular_fluid

SCRIPT = TESTS / "stand_in_cli.py"
pytestmark = pytest.mark.usefixtures("stand_in_pack")
LEFT_OUT = {"run.log"}  # holds times of day


@pytest.fixture(scope="module")
def trajectory(tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "fluid.extxyz"
    write(path, molecular_fluid(8, 10, dt=2.0, length=3.6))
    return path


def contents(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file() and path.name not in LEFT_OUT
    }


def table(path):
    return list(csv.DictReader(path.read_text().splitlines()))


@pytest.fixture(scope="module")
def done(trajectory, tmp_path_factory):
    """One undisturbed run, in batches of 4."""
    out = tmp_path_factory.mktemp("done") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ase_elf.domains.domain_for", stand_in)
        call("analyze", trajectory, "-o", out, "--batch", 4)
    return out


def test_all_files_are_written_and_agree(done):
    summary = json.loads((done / "summary.json").read_text())
    rows = table(done / "frames.csv")
    assert summary["status"] == "complete" and summary["frames"] == len(rows) == 10
    assert list(rows[0])[:6] == [
        "frame", "time_fs", "elf_phi", "elf_phi1", "elf_phi2", "elf_phi_star",
    ]  # fmt: skip
    assert [row["time_fs"] for row in rows] == [f"{2 * k}" for k in range(10)]
    for name in ("elf_phi", "elf_molecular_fraction_domain", "elf_bond_length_mean"):
        mean = np.mean([float(row[name]) for row in rows])
        assert summary["averages"][name]["mean"] == pytest.approx(mean, rel=1e-5)
    bonds = table(done / "bonds.csv")
    assert {row["frame"] for row in bonds} == {str(k) for k in range(10)}
    assert {row["pair"] for row in bonds} == {"H-H"}
    assert (done / "report.html").stat().st_size < 20e6
    assert len(list((done / "plots").glob("*.png"))) == len(list((done / "plots").glob("*.svg")))
    assert summary["averages"]["elf_phi"]["too_short"]
    assert summary["averages"]["elf_phi"]["error"] is None


def test_a_run_that_is_complete_is_not_repeated(trajectory, done):
    before = contents(done)
    log = (done / "run.log").read_text()
    call("analyze", trajectory, "-o", done, "--batch", 4, "--no-report")
    assert contents(done) == before
    assert " 0 frames in" in (done / "run.log").read_text()[len(log) :]


@pytest.mark.parametrize("keep", [0.35, 0.999])
def test_a_journal_torn_anywhere_leads_to_the_same_bytes(trajectory, done, tmp_path, keep):
    out = tmp_path / "out"
    out.mkdir()
    (out / "config.yaml").write_bytes((done / "config.yaml").read_bytes())
    journal = (done / "journal.jsonl").read_bytes()
    (out / "journal.jsonl").write_bytes(journal[: int(keep * len(journal))])
    (out / "snapshots").mkdir()
    for path in (done / "snapshots").glob("*.npz"):
        (out / "snapshots" / path.name).write_bytes(path.read_bytes())
    call("analyze", trajectory, "-o", out, "--batch", 4, "--no-report")
    same = contents(done)
    assert (out / "summary.json").exists()
    assert all(content == same[name] for name, content in contents(out).items())


def test_a_directory_that_a_killed_run_was_about_to_take_is_taken(trajectory, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "config.yaml.part").write_text("trajec")
    call("analyze", trajectory, "-o", out, "--stop", 1, "--no-report")
    assert (out / "frames.csv").is_file() and not list(out.glob("*.part"))


def test_a_directory_that_another_run_has_just_taken_is_refused(tmp_path):
    write_config(tmp_path, {}, {"start": 0})
    with pytest.raises(OutputError, match="another run has just begun"):
        write_config(tmp_path, {}, {"start": 1})
    assert read_provenance(tmp_path)["identity"] == {"start": 0}


@pytest.mark.ci  # a process of its own; what is continued gives the same bytes is tested below as well
def test_sigkill_and_again_gives_the_same_bytes(trajectory, done, tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, SCRIPT, "analyze", trajectory, "-o", out, "--batch", "4"]
    env = {**os.environ, "STAND_IN_DELAY": "0.6", "PYTHONPATH": str(SCRIPT.parents[1])}
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not (out / "journal.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1.0)  # two of the three batches
    process.send_signal(signal.SIGKILL)
    process.wait()
    call("analyze", trajectory, "-o", out, "--batch", 4)
    assert contents(out) == contents(done)


def test_a_trajectory_that_grew_is_continued(trajectory, done, tmp_path):
    images = read(trajectory, ":")
    path, out = tmp_path / "fluid.extxyz", tmp_path / "out"
    write(path, images[:6])
    call("analyze", path, "-o", out, "--batch", 4, "--no-report")
    write(path, images)
    call("analyze", path, "-o", out, "--batch", 4, "--no-report")
    same = contents(done)
    for name, content in contents(out).items():
        assert content == same[name], name


def test_a_directory_of_another_run_is_refused(trajectory, done, tmp_path):
    before = contents(done)
    output = call("analyze", trajectory, "-o", done, "--isovalue", 0.7, "--batch", 4, code=1)
    assert "isovalue 0.8 there, 0.7 now" in output and "-o" in output
    other = tmp_path / "fluid.extxyz"
    images = read(trajectory, ":")
    images[9].positions[0] += 0.01  # same beginning, another end
    write(other, images)
    assert "was replaced" in call("analyze", other, "-o", done, "--batch", 4, code=1)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    assert "not empty" in call("analyze", trajectory, "-o", tmp_path / "mine", code=1)
    assert contents(done) == before


def test_a_truncated_trajectory_keeps_what_is_whole_and_fails(trajectory, tmp_path):
    path, out = tmp_path / "cut.extxyz", tmp_path / "out"
    path.write_bytes(trajectory.read_bytes()[:-400])
    for _ in range(2):  # started again it says the same
        output = call("analyze", path, "-o", out, "--batch", 4, "--no-report", code=1)
        assert "ends within frame 9" in output
        summary = json.loads((out / "summary.json").read_text())
        assert summary["status"] == "stopped" and summary["frames"] == 9
        assert "frame 9" in summary["warnings"][0]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda a: a.positions.__setitem__((0, 0), np.nan), "NaN"),
        (lambda a: a.positions.__setitem__(1, a.positions[0] + 0.1), "atoms overlap"),
        (lambda a: a.set_cell(None), "no three-dimensional cell"),
        (lambda a: a.set_pbc([True, True, False]), "not periodic"),
        (lambda a: a.symbols.__setitem__(0, "Xe"), "element Xe"),
    ],
)
def test_structures_that_cannot_be_used(tmp_path, spoil, message):
    images = molecular_fluid(8, 1, length=3.6)
    spoil(images[0])
    write(tmp_path / "bad.traj", images)
    assert message in call("analyze", tmp_path / "bad.traj", "-o", tmp_path / "out", code=1)


def test_empty_and_unknown_files(tmp_path):
    (tmp_path / "a.extxyz").touch()
    assert "empty" in call("analyze", tmp_path / "a.extxyz", code=1)
    assert "does not exist" in call("analyze", tmp_path / "nowhere", code=2)


def test_config_file_environment_and_command_line_in_this_order(trajectory, tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text("isovalue: 0.70\nr-max: 3.1\nstop: 2\nbatch: 2\n")
    out = tmp_path / "out"
    call(
        "analyze", trajectory, "-o", out, "--config", config, "--batch", 1, "--no-report",
        env={"ASE_ELF_ISOVALUE": "0.75"},
    )  # fmt: skip
    import yaml

    resolved = yaml.safe_load((out / "config.yaml").read_text())
    assert (resolved["isovalue"], resolved["r_max"], resolved["batch"]) == (0.75, 3.1, 1)
    sources = resolved["provenance"]["sources"]
    assert sources["isovalue"] == "environment" and sources["r_max"] == "file"
    assert sources["batch"] == "command line" and sources["step"] == "default"
    # What was written can be used again.
    call("analyze", trajectory, "-o", out, "--config", out / "config.yaml", "--no-report")


def test_unknown_keys_of_a_configuration_suggest_the_near_miss(trajectory, tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text("isovalu: 0.7\n")
    output = call("analyze", trajectory, "--config", config, code=2)
    assert "isovalu" in output and "did you mean 'isovalue'?" in output
    config.write_text("[")
    assert "not YAML" in call("analyze", trajectory, "--config", config, code=2)


def test_merged_parts_are_one_run(trajectory, done, tmp_path):
    call("analyze", trajectory, "-o", tmp_path / "b", "--start", 7, "--batch", 4, "--no-report")
    call("analyze", trajectory, "-o", tmp_path / "a", "--stop", 7, "--batch", 4, "--no-report")
    call("merge", tmp_path / "b", tmp_path / "a", "-o", tmp_path / "all")
    for name in ("frames.csv", "bonds.csv", "journal.jsonl"):
        assert (tmp_path / "all" / name).read_bytes() == (done / name).read_bytes()
    one, merged = (json.loads((folder / "summary.json").read_text()) for folder in (done, tmp_path / "all"))
    assert one == merged
    output = call("merge", tmp_path / "b", tmp_path / "b", "-o", tmp_path / "x", code=1)
    assert "overlap" in output
    call("analyze", trajectory, "-o", tmp_path / "c", "--start", 8, "--batch", 4, "--no-report")
    output = call("merge", tmp_path / "a", tmp_path / "c", "-o", tmp_path / "x", code=1)
    assert "leave a gap" in output and "frame 7" in output
    config = tmp_path / "a" / "config.yaml"
    config.write_text(config.read_text().replace(quantities(), "0badcafe"))
    output = call("merge", tmp_path / "a", "-o", tmp_path / "y", code=1)
    assert "other quantities of a frame" in output


def changed(value):
    """A setting unlike ``value``, of its kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return value * 1.01
    if isinstance(value, dict):
        return {key: changed(each) for key, each in value.items()}
    if isinstance(value, tuple):
        return tuple(changed(each) for each in value)
    return value + "x"


TYPICAL = {
    "shape": (12, 12, 12),
    "timestep": 1.0,
    "stop": 5,
    "topology": "a.gro",
    "elements": ("H",),
    "cell": (5.0, 5.0, 5.0),
}
"""Values of settings whose default is None."""


def test_every_setting_is_in_the_identity_of_a_run(trajectory, tmp_path):
    def identity(source, settings=None):
        started = _Started(AnalysisRun(source, domain, tmp_path))
        started.settings = settings or started.settings
        return started.identity()

    domain = GaussianDomain()
    source = Trajectory(trajectory)
    settings = AnalysisSettings.for_atoms(next(iter(source)).atoms, domain)
    before = identity(source)
    assert yaml.safe_load(yaml.safe_dump(before)) == before
    for f in fields(settings):
        value = getattr(settings, f.name)
        other = replace(settings, **{f.name: changed(TYPICAL[f.name] if value is None else value)})
        assert f.name == "elements" or identity(source, other)[f.name] != before[f.name], f.name
    for f in fields(source):
        value = getattr(source, f.name)
        if f.name == "path":
            continue
        if value is None and f.name not in TYPICAL:
            continue  # others test what they add
        other = replace(source, **{f.name: TYPICAL[f.name] if value is None else changed(value)})
        started = _Started(AnalysisRun(source, domain, tmp_path))
        started.run = replace(started.run, trajectory=other)
        assert started.identity()[f.name] != before[f.name], f.name
    assert {"r_bin", "n_elf", "max_lag", "isovalue", "rulers"} < set(before)


@pytest.mark.parametrize(
    "chosen", [{"r_bin": 0.05}, {"n_elf": 20}, {"max_lag": 7}, {"bonds": {("H", "H"): 0.9}}]
)
def test_a_run_is_not_resumed_with_other_settings(trajectory, done, tmp_path, chosen):
    out = tmp_path / "out"
    shutil.copytree(done, out)
    with pytest.raises(OtherRun, match=f"{next(iter(chosen))} "):
        AnalysisRun(Trajectory(trajectory), GaussianDomain(), out, chosen=chosen, batch=4).execute()


def test_the_identity_of_a_run_knows_all_weights_of_its_pack(tmp_path):
    class OtherWeights(LargeCells):
        sha256 = "2" * 64

    assert len({pack_digest(pack) for pack in (GaussianDomain(), LargeCells(), OtherWeights())}) == 3


def test_a_run_of_large_cells_states_the_weights_for_large_cells(trajectory, tmp_path):
    class EverySecond(LargeCells):
        every = 2

    out = tmp_path / "out"
    AnalysisRun(Trajectory(trajectory, stop=4), EverySecond(), out, batch=2).execute()
    summary = json.loads((out / "summary.json").read_text())
    assert summary["weights_sha256"] == {"5" * 64: 2, "0" * 64: 2}
    assert "5" * 64 in (out / "report.html").read_text()
    one = AnalysisRun(Trajectory(trajectory, stop=4), EverySecond(), tmp_path / "one", batch=1, report=False)
    one.execute()
    assert json.loads((tmp_path / "one" / "summary.json").read_text())["weights_sha256"] == "5" * 64


def test_overwrite_starts_over_and_deletes_only_what_a_run_wrote(trajectory, done, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(done, out)
    (out / "notes.txt").write_text("mine")
    refused = call("analyze", trajectory, "-o", out, "--isovalue", 0.7, "--batch", 4, code=1)
    assert "isovalue 0.8 there, 0.7 now" in refused and "--overwrite" in refused
    with pytest.raises(OutputError, match=r"r_bin 0.02 there, 0.05 now.*overwrite=True") as caught:
        source = Trajectory(trajectory)
        AnalysisRun(source, GaussianDomain(), out, chosen={"r_bin": 0.05}, batch=4).execute()
    assert "--" not in str(caught.value)
    call("analyze", trajectory, "-o", out, "--isovalue", 0.7, "--batch", 4, "--stop", 3, "--no-report",
         "--overwrite")  # fmt: skip
    summary = json.loads((out / "summary.json").read_text())
    assert summary["isovalue"] == 0.7 and summary["frames"] == 3
    assert (out / "notes.txt").read_text() == "mine"
    assert "overwrite" not in (out / "config.yaml").read_text()
    call(
        "analyze", trajectory, "-o", out, "--isovalue", 0.7, "--batch", 4, "--stop", 3, "--no-report"
    )  # goes on


def test_nothing_ranked_is_said_and_no_ranking_is_promised(tmp_path):
    (tmp_path / "many").mkdir()
    for k in range(2):
        (tmp_path / "many" / f"{k}.cif").write_text("no structure")
    output = call("analyze", tmp_path / "many", "-o", tmp_path / "out", "--no-report", code=1)
    assert "ranking in" not in output
    assert "nothing could be analysed" in output and str(tmp_path / "out" / "screening.csv") in output


_OPENED: list[str] | None = None


def _note_opened(event, arguments):
    if _OPENED is not None and event == "open" and isinstance(arguments[0], str | bytes | os.PathLike):
        _OPENED.append(os.path.abspath(os.fsdecode(arguments[0])))


def test_the_trajectory_is_opened_once_for_its_frames(trajectory, tmp_path, monkeypatch):
    """And once for the first bytes, twice for the format, which are all that is asked of them."""
    global _OPENED
    sys.addaudithook(_note_opened)
    passes = []
    texts = Trajectory._texts
    monkeypatch.setattr(Trajectory, "_texts", lambda self: passes.append(self.start) or texts(self))
    _OPENED = []
    try:
        call("analyze", trajectory, "--no-report", "-o", tmp_path / "out")
    finally:
        opened, _OPENED = _OPENED, None
    assert passes == [0]
    assert opened.count(str(trajectory)) <= 5
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["frames"] == 10
