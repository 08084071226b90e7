"""What happens to a machine: full disks, lost rights, clocks that jump, two of everything."""

import os
import shutil
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest
from ase import Atoms, units
from ase.calculators.calculator import Calculator, all_changes
from ase.io import write
from ase.md.verlet import VelocityVerlet
from click.testing import CliRunner
from places import ROOT
from stand_in_cli import stand_in

from ase_elf import ELFCalculator, ELFGrid, write_elf
from ase_elf.analysis.recorder import NetworkObserver, Recorder
from ase_elf.cli import main
from ase_elf.errors import ElfWarning, OutputError
from ase_elf.formats.store import ELFStore
from ase_elf.observers import ELFObserver
from ase_elf.testing import GaussianDomain, molecular_fluid


@pytest.fixture
def disk(tmp_path):
    """Mount a file system of so many kB, and change it later: only root can."""
    mounted = []

    def mount(options):
        path = tmp_path / "disk"
        if path.is_dir():
            subprocess.run(["mount", "-o", f"remount,{options}", path], check=True)
            return path
        path.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", path]
        if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("only root can mount a small disk here")
        mounted.append(path)
        return path

    yield mount
    for path in mounted:
        subprocess.run(["umount", "-l", path], check=True)


def grid(n=32):
    return ELFGrid(np.random.default_rng(0).random((n, n, n)), Atoms("H", cell=np.eye(3), pbc=True))


@pytest.fixture
def stand_ins(monkeypatch):
    monkeypatch.setattr("ase_elf.domains.get_domain", stand_in)
    monkeypatch.setattr("ase_elf.domains.domain_for", stand_in)


def analyze(*words, code=0):
    done = CliRunner().invoke(main, ["analyze", *map(str, words), "--no-report"])
    assert done.exit_code == code and "should not happen" not in done.output, done.output
    return done.output


@pytest.mark.parametrize("name", ["ELFCAR", "a.cube", "a.xsf", "a.h5", "a.elfstore"])
def test_a_full_disk_is_named_and_what_was_there_stays(disk, name):
    folder = disk("size=120k")
    path = folder / name
    write_elf(path, grid(4))
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    with pytest.raises(OutputError, match="cannot write"):
        write_elf(path, grid(64))
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before


def test_analysis_on_a_full_disk_goes_on_when_there_is_room(disk, tmp_path, stand_ins):
    folder = disk("size=24k")
    write(tmp_path / "run.extxyz", molecular_fluid(8, 12, dt=2.0, length=3.6))
    message = analyze(tmp_path / "run.extxyz", "-o", folder / "out", "--batch", 2, code=1)
    assert "cannot" in message and "start again" in message
    disk("size=4m")
    analyze(tmp_path / "run.extxyz", "-o", folder / "out", "--batch", 2)
    analyze(tmp_path / "run.extxyz", "-o", tmp_path / "whole", "--batch", 2)
    for name in ("frames.csv", "bonds.csv", "summary.json", "journal.jsonl"):
        assert (folder / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_training_on_a_full_disk_keeps_its_checkpoint(disk):
    from small_fits import ARCH, pools, recipe

    from ase_elf.training.fit import Fit

    folder = disk("size=400k")
    fit = Fit(folder / "fit", recipe(40), ARCH, pools(range(2)), [])
    fit.save()
    before = fit.checkpoint.read_bytes()
    room = shutil.disk_usage(folder).free
    (folder / "ballast").write_bytes(bytes(room - room % 4096))
    with pytest.raises(OutputError, match="cannot"):
        fit.run()
    assert fit.checkpoint.read_bytes() == before
    (folder / "ballast").unlink()
    Fit(folder / "fit", recipe(40), ARCH, pools(range(2)), []).run()


def test_a_directory_that_cannot_be_written_is_named(disk, tmp_path, stand_ins):
    from label_sets import config_for, structures

    from ase_elf.dataset import build

    folder = disk("size=1m")
    config = config_for(folder, structures(1))
    disk("ro")
    write(tmp_path / "run.extxyz", molecular_fluid(1, 1, length=3.0))
    assert "cannot write" in analyze(tmp_path / "run.extxyz", "-o", folder / "out", code=1)
    for attempt in (lambda: write_elf(folder / "a.cube", grid(4)), lambda: build(config),
                    lambda: ELFStore(folder / "s").append(grid(4))):  # fmt: skip
        with pytest.raises(OutputError, match="cannot"):
            attempt()


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A trajectory, a folder of structures, an ELF file, and two analyses that follow each other."""
    folder = tmp_path_factory.mktemp("inputs")
    write(folder / "run.extxyz", molecular_fluid(2, 2, dt=2.0, length=3.0))
    (folder / "many").mkdir()
    write(folder / "many" / "one.extxyz", molecular_fluid(2, 1, length=3.0))
    write_elf(folder / "a.cube", grid(8))
    with pytest.MonkeyPatch.context() as patch:
        for name in ("get_domain", "domain_for"):
            patch.setattr(f"ase_elf.domains.{name}", stand_in)
        for k in (0, 1):
            analyze(folder / "run.extxyz", "-o", folder / f"part{k}", "--start", k, "--stop", k + 1)
    return folder


COMMANDS = {
    "analyze": ("run.extxyz", "-o", "out"),
    "screen": ("many", "-o", "out"),
    "merge": ("part0", "part1", "-o", "out"),
    "predict": ("run.extxyz", "-o", "new/a.cube"),
    "ruler": ("run.extxyz", "--stop", "1", "-o", "out"),
    "graph": ("a.cube", "--graph", "a.graphml"),
    "points": ("a.cube", "--points", "a.csv"),
}
"""Of every command what it reads and, last, what it writes."""


@pytest.mark.parametrize("how", ["full", "ro"])
@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_names_what_it_cannot_write(name, how, disk, inputs, stand_ins):
    folder = disk("size=8k")
    if how == "full":
        (folder / "ballast").write_bytes(bytes(shutil.disk_usage(folder).free))
    else:
        disk("ro")
    *words, output = COMMANDS[name]
    words = [inputs / word if (inputs / word).exists() else word for word in words]
    command = {"screen": "analyze", "graph": "topology", "points": "topology"}.get(name, name)
    done = CliRunner().invoke(main, [command, *map(str, words), str(folder / output)])
    message = done.output.partition("error: ")[2]
    assert done.exit_code == 1 and "should not happen" not in message, done.output
    assert message.startswith("cannot") and str(folder) in message and ".." not in message


def test_a_full_disk_under_the_store_of_an_observer_costs_the_run_nothing(disk, tmp_path):
    fluid = molecular_fluid(4, 1, length=3.0)[0]
    store = disk("size=200k") / "run.elfstore"
    observers = []

    def observe(atoms):
        observers.append(ELFObserver(atoms, store=store, shape=(24, 24, 24)))
        return observers[0]

    plain = run_md(fluid.copy(), Springs(), 12)
    with pytest.warns(ElfWarning, match="No space left"):
        seen = run_md(fluid.copy(), ELFCalculator(domain=GaussianDomain(), calculator=Springs()), 12, observe)
    assert np.array_equal(plain.positions, seen.positions)
    kept = list(ELFStore(store))
    assert 0 < len(kept) < 13 and len(kept) + observers[0].failures == 13
    assert all(one.values.shape == (24, 24, 24) for one in kept)


def test_two_analyses_of_one_directory_are_refused(tmp_path, stand_ins):
    from ase_elf.statistics import FrameResult
    from ase_elf.storage.journal import Journal

    write(tmp_path / "run.extxyz", molecular_fluid(1, 2, length=3.0))
    analyze(tmp_path / "run.extxyz", "-o", tmp_path / "out")
    with Journal(tmp_path / "out" / "journal.jsonl", FrameResult):
        message = analyze(tmp_path / "run.extxyz", "-o", tmp_path / "out", code=1)
    assert "another process is writing" in message


def test_two_trainings_of_one_folder_are_refused(tmp_path):
    from ase_elf.storage.locks import locked

    code = (
        "import sys, time; from ase_elf.storage.locks import locked\n"
        "with locked(sys.argv[1], 'training'): print('held', flush=True); time.sleep(60)"
    )
    root = ROOT
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=root
    )
    try:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(OutputError, match="another training"), locked(tmp_path, "training"):
            pass
    finally:
        other.kill()
        other.communicate()
    with locked(tmp_path, "training"):  # the lock went with the process
        pass


def test_a_damaged_checkpoint_is_named(tmp_path):
    from small_fits import ARCH, pools, recipe

    from ase_elf.errors import FormatError
    from ase_elf.training.fit import Fit

    fit = Fit(tmp_path, recipe(10), ARCH, pools([0]), [])
    fit.save()
    whole = fit.checkpoint.read_bytes()
    for damaged in (whole[:-100], b"", b"\x80\x04cos\nsystem\n"):
        fit.checkpoint.write_bytes(damaged)
        with warnings.catch_warnings(), pytest.raises(FormatError, match="checkpoint"):
            warnings.simplefilter("ignore")  # torch's, on pickles of unknown protocol
            Fit(tmp_path, recipe(10), ARCH, pools([0]), [])


@pytest.mark.parametrize(
    "damage",
    [{"optimiser": 5}, {"step": "3"}, {"step": 3.0}, {"mean": 5}, {"mean": {"rmse": "x"}}],
)
def test_a_checkpoint_that_holds_something_else_is_named(tmp_path, damage):
    import torch
    from small_fits import ARCH, pools, recipe

    from ase_elf.errors import FormatError
    from ase_elf.training.fit import Fit

    fit = Fit(tmp_path, recipe(10), ARCH, pools([0]), [])
    fit.save()
    torch.save(torch.load(fit.checkpoint, weights_only=True) | damage, fit.checkpoint)
    with pytest.raises(FormatError, match=r"checkpoint\.pt is damaged.*start over"):
        Fit(tmp_path, recipe(10), ARCH, pools([0]), [])


@pytest.mark.parametrize(
    "log", [b"\xff\xfe\x00\n", b"step 1\n", b"[1]\n", b'{"seconds": 1}\n', b'{"step": "1"}\n']
)
def test_a_damaged_log_of_a_training_is_named(tmp_path, log):
    from small_fits import ARCH, pools, recipe

    from ase_elf.errors import FormatError
    from ase_elf.training.fit import Fit

    (tmp_path / "log.jsonl").write_bytes(log)
    with pytest.raises(FormatError, match=r"log\.jsonl is damaged.*Remove it to go on"):
        Fit(tmp_path, recipe(10), ARCH, pools([0]), [])
    assert (tmp_path / "log.jsonl").read_bytes() == log


def test_a_clock_that_jumps_stops_nothing(tmp_path, stand_ins, monkeypatch):
    now = time.time
    jumps = iter(range(10**6))
    monkeypatch.setattr(time, "time", lambda: now() - 86_400 * next(jumps))
    write(tmp_path / "run.extxyz", molecular_fluid(1, 4, dt=2.0, length=3.0))
    analyze(tmp_path / "run.extxyz", "-o", tmp_path / "jumping", "--batch", 2)
    monkeypatch.undo()
    monkeypatch.setattr("ase_elf.domains.domain_for", stand_in)
    analyze(tmp_path / "run.extxyz", "-o", tmp_path / "steady", "--batch", 2)
    for name in ("frames.csv", "summary.json", "config.yaml"):
        assert (tmp_path / "jumping" / name).read_bytes() == (tmp_path / "steady" / name).read_bytes()


class Springs(Calculator):
    """Harmonic bonds to the first positions; the energy and forces become NaN at a step."""

    implemented_properties = ("energy", "forces")

    def __init__(self, nan_at=None):
        super().__init__()
        self.nan_at, self.calls, self.home = nan_at, 0, None

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.home = atoms.positions.copy() if self.home is None else self.home
        self.calls += 1
        off = atoms.positions - self.home
        worth = np.nan if self.calls == self.nan_at else 1.0
        self.results = {"energy": worth * (off**2).sum(), "forces": -2 * worth * off}


def run_md(atoms, calculator, steps, observe=None):
    atoms.calc = calculator
    atoms.set_velocities(np.full((len(atoms), 3), 1e-3))
    dynamics = VelocityVerlet(atoms, 0.5 * units.fs)
    if observe is not None:
        dynamics.insert_observer(observe(atoms))
    dynamics.run(steps)
    return atoms


def test_nan_from_the_wrapped_calculator_is_that_of_the_calculator(tmp_path):
    """It reaches the dynamics as it is; the observer names it and keeps what came before."""
    fluid = molecular_fluid(4, 1, length=3.0)[0]
    wrapped = ELFCalculator(domain=GaussianDomain(), calculator=Springs(nan_at=4))
    store = tmp_path / "run.elfstore"
    observer = []

    def observe(atoms):
        observer.append(ELFObserver(atoms, scalars=["elf_mean"], arrays=[], store=store, shape=(8,) * 3))
        return observer[0]

    with pytest.warns(ElfWarning, match="NaN"):
        last = run_md(fluid.copy(), wrapped, 10, observe)
    assert np.isnan(last.positions).all()  # as without observer
    assert len(ELFStore(store)) + observer[0].failures == 11 and 3 <= len(ELFStore(store)) < 11
    assert "elf_mean" not in last.info
    assert all(np.isfinite(one.values).all() for one in ELFStore(store))


class FailingDomain(GaussianDomain):
    """Its model has no memory left for anything, or something worse."""

    def __init__(self, error):
        super().__init__()
        self.__dict__["error"] = error

    def load(self, device=None, dtype="float32"):
        error = self.error

        class Model:
            def predict(self, *_, **__):
                raise error

        return Model()


FAILURES = (MemoryError("no room"), RuntimeError("CUDA error: unspecified launch failure"),
            np.linalg.LinAlgError("Eigenvalues did not converge"), OSError(5, "Input/output error"))  # fmt: skip


@pytest.mark.parametrize("every", [None, 1])
@pytest.mark.parametrize("pack", [GaussianDomain(), *map(FailingDomain, FAILURES)])
def test_an_observed_run_is_the_run_without_observer_even_where_the_model_fails(pack, every):
    fluid = molecular_fluid(4, 1, length=3.0)[0]
    plain = run_md(fluid.copy(), Springs(), 10)
    wrapped = ELFCalculator(domain=pack, calculator=Springs(), every=every)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ElfWarning)
        seen = run_md(fluid.copy(), wrapped, 10, lambda atoms: ELFObserver(atoms, shape=(8, 8, 8)))
    assert any("no ELF of" in str(one.message) for one in caught) == isinstance(pack, FailingDomain)
    assert np.array_equal(plain.positions, seen.positions)
    assert np.array_equal(plain.get_velocities(), seen.get_velocities())


@pytest.mark.parametrize(
    ("pack", "nan_at", "lost"),
    [(GaussianDomain(), None, 0), (GaussianDomain(), 3, 8), (FailingDomain(FAILURES[0]), None, 11)],
)
def test_a_recorded_run_is_the_run_without_recorder_even_where_that_fails(pack, nan_at, lost):
    fluid = molecular_fluid(4, 1, length=3.0)[0]
    plain, seen = fluid.copy(), fluid.copy()
    for atoms in (plain, seen):
        atoms.calc = Springs(nan_at=nan_at)
        atoms.set_velocities(np.full((len(atoms), 3), 1e-3))
    VelocityVerlet(plain, 0.5 * units.fs).run(10)
    dynamics = VelocityVerlet(seen, 0.5 * units.fs)
    recorder = Recorder.starting_with(seen, domain=pack, batch=1, shape=(8, 8, 8))
    observer = NetworkObserver(dynamics, recorder)
    dynamics.attach(observer)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ElfWarning)
        dynamics.run(10)
    assert np.array_equal(plain.positions, seen.positions, equal_nan=True)
    assert observer.failures == lost == sum("not in the statistics" in str(c.message) for c in caught)
    assert len(recorder) == 11 - lost


def test_running_out_of_device_memory_in_an_analysis_changes_no_byte(tmp_path, stand_ins, monkeypatch):
    from stand_in_cli import SlowModel

    write(tmp_path / "run.extxyz", molecular_fluid(2, 6, dt=2.0, length=3.6))
    analyze(tmp_path / "run.extxyz", "-o", tmp_path / "roomy", "--batch", 4)
    predict = SlowModel.predict

    def small(self, structures, shapes, *, sigma=True):
        if len(structures) > 1:
            raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return predict(self, structures, shapes, sigma=sigma)

    monkeypatch.setattr(SlowModel, "predict", small)
    analyze(tmp_path / "run.extxyz", "-o", tmp_path / "tight", "--batch", 4)
    for name in ("frames.csv", "bonds.csv", "journal.jsonl"):
        assert (tmp_path / "tight" / name).read_bytes() == (tmp_path / "roomy" / name).read_bytes()
