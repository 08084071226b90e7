"""A run in several processes: the same bytes, whatever happens to the processes."""

import os
import signal
from pathlib import Path

import pytest
from ase.io import write
from click.testing import CliRunner

from ase_elf.cli import main
from ase_elf.errors import ElfError, EngineError, InputError
from ase_elf.formats.collection import Collection
from ase_elf.parallel.frames import Workers, in_order, workers
from ase_elf.runs.screening import Screener, ScreeningRun
from ase_elf.runs.trajectory import AnalysisRun
from ase_elf.structures.trajectory import Trajectory
from ase_elf.testing import GaussianDomain, GaussianModel, molecular_fluid

LEFT_OUT = {"run.log"}  # holds times of day


class FragileModel(GaussianModel):
    """Kills its process while there is a file that says so, and removes it unless told not to."""

    def __init__(self, bomb, again):
        self.bomb, self.again = bomb, again

    def predict(self, structures, shapes, *, sigma=True):
        if self.bomb.exists():
            if not self.again:
                self.bomb.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().predict(structures, shapes, sigma=sigma)


class FragileDomain(GaussianDomain):
    def __init__(self, bomb, again=False):
        super().__init__()
        object.__setattr__(self, "_bomb", (bomb, again))  # the base is frozen

    def load(self, device=None, dtype="float32"):
        return FragileModel(*self._bomb)


def device_of(number, device):
    return number, device


@pytest.fixture(scope="module")
def trajectory(tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "fluid.extxyz"
    write(path, molecular_fluid(8, 11, dt=2.0, length=3.6))
    return path


def analyzed(trajectory, out, domain=None, **how):
    run = AnalysisRun(Trajectory(trajectory), domain or GaussianDomain(), out, batch=2, **how)
    done = []
    run.execute(done.append)
    assert done == sorted(done)
    return {
        path.relative_to(out): path.read_bytes()
        for path in sorted(Path(out).rglob("*"))
        if path.is_file() and path.name not in LEFT_OUT
    }


@pytest.fixture(scope="module")
def serial(trajectory, tmp_path_factory):
    return analyzed(trajectory, tmp_path_factory.mktemp("serial") / "out")


def test_two_processes_write_the_bytes_of_one(trajectory, serial, tmp_path):
    assert analyzed(trajectory, tmp_path / "out", workers=2) == serial


def test_a_killed_process_costs_time_and_nothing_else(trajectory, serial, tmp_path):
    bomb = tmp_path / "bomb"
    bomb.touch()
    found = analyzed(trajectory, tmp_path / "out", FragileDomain(bomb), workers=2)
    assert not bomb.exists() and found == serial


@pytest.mark.ci
def test_frames_that_kill_every_process_stop_the_run_and_it_can_go_on(trajectory, serial, tmp_path):
    bomb = tmp_path / "bomb"
    bomb.touch()
    with pytest.raises(EngineError, match="3 processes .* fewer workers"):
        analyzed(trajectory, tmp_path / "out", FragileDomain(bomb, again=True), workers=1)
    bomb.unlink()
    assert analyzed(trajectory, tmp_path / "out", workers=2) == serial


@pytest.mark.ci
def test_frames_before_a_damaged_one_are_kept(trajectory, tmp_path):
    torn = tmp_path / "torn.extxyz"
    torn.write_bytes(trajectory.read_bytes()[:-300])
    results = []
    for name, how in (("serial", {}), ("workers", {"workers": 2})):
        with pytest.raises(ElfError, match="frame 10"):
            analyzed(torn, tmp_path / name, **how)
        results.append((tmp_path / name / "journal.jsonl").read_bytes())
    assert results[0] == results[1] and results[0].count(b"\n") == 10


def test_a_screening_in_two_processes_writes_the_bytes_of_one(tmp_path):
    (tmp_path / "in").mkdir()
    for n, atoms in enumerate(molecular_fluid(2, 4, dt=5.0, length=2.9)):
        write(tmp_path / "in" / f"{n}.cif", atoms)
    for name, how in (("one", {}), ("two", {"workers": 2})):
        screener = Screener(domain="dense-hydrogen", spacing=0.3)
        run = ScreeningRun(
            Collection(tmp_path / "in"), tmp_path / name, screener, batch=1, report=False, **how
        )
        assert all(row.error is None for row in run.execute())
    one, two = (
        [(tmp_path / name / file).read_bytes() for file in ("screening.csv", "screening.json")]
        for name in ("one", "two")
    )
    assert one == two


def test_each_process_has_its_own_device():
    with workers(2, "cuda:0,cuda:1") as team:
        assert team.devices == ("cuda:0", "cuda:1")
        found = list(in_order(team, device_of, ((n,) for n in range(12))))
    assert [number for number, _ in found] == list(range(12))
    assert {device for _, device in found} <= {"cuda:0", "cuda:1"}
    with pytest.raises(InputError, match="workers = 0"), workers(0, None):
        pass


def test_no_more_is_read_ahead_than_is_worked_on():
    read = []

    def calls():
        for n in range(40):
            read.append(n)
            yield (n,)

    team = Workers(1)
    try:
        found = in_order(team, device_of, calls())
        for n in range(5):
            assert next(found) == (n, None)
            assert len(read) <= n + 3
    finally:
        team.close()


@pytest.mark.ci
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # sockets of distributed, on its way out
def test_a_dask_cluster_writes_the_bytes_of_one_process(trajectory, serial, tmp_path):
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, processes=True
    ) as cluster:
        found = analyzed(trajectory, tmp_path / "out", workers=cluster.scheduler_address)
    assert found == serial


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # sockets of distributed, on its way out
@pytest.mark.ci  # starts a cluster
def test_a_killed_dask_worker_costs_time_and_nothing_else(trajectory, serial, tmp_path):
    distributed = pytest.importorskip("distributed")
    bomb = tmp_path / "bomb"
    bomb.touch()
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, processes=True
    ) as cluster:
        address = cluster.scheduler_address
        found = analyzed(trajectory, tmp_path / "out", FragileDomain(bomb), workers=address)
    assert not bomb.exists() and found == serial


def test_a_wrong_number_of_workers_is_named(trajectory, tmp_path):
    for value in ("0", "many"):
        arguments = ["analyze", str(trajectory), "-o", str(tmp_path / "x"), "--workers", value]
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 2 and f"'{value}' is neither a number" in result.output


def test_a_scheduler_that_is_not_there_is_named():
    pytest.importorskip("distributed")
    with pytest.raises(EngineError, match="answers at nowhere://x"), workers("nowhere://x", None):
        pass
