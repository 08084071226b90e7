"""Building on a Dask cluster makes the labels that local processes make."""

import warnings

import pytest
from ase import Atoms
from label_sets import config_for, structures

from ase_elf.dataset import LabelStore
from ase_elf.dataset.builder import build
from ase_elf.errors import EngineError


@pytest.mark.ci  # starts a cluster
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_dask_cluster_makes_the_same_labels_as_local_processes(tmp_path):
    pytest.importorskip("distributed", reason="Dask is not installed (ase-elf[cluster])")
    frames = structures(3)
    (tmp_path / "local").mkdir()
    build(config_for(tmp_path / "local", frames))
    with warnings.catch_warnings():
        # Dask's own start-up and shut-down warn of things that are no concern here.
        warnings.simplefilter("ignore")
        summary = build(config_for(tmp_path, frames, cluster={"kind": "local", "workers": 1}))
    assert summary.built == 3
    one, two = LabelStore(tmp_path / "labels"), LabelStore(tmp_path / "local" / "labels")
    assert {k: r["sha256"] for k, r in one.rows.items()} == {k: r["sha256"] for k, r in two.rows.items()}


@pytest.mark.ci
def test_a_scheduler_that_does_not_answer_is_an_error(tmp_path):
    pytest.importorskip("distributed", reason="Dask is not installed (ase-elf[cluster])")
    cluster = {"kind": "scheduler", "address": "tcp://127.0.0.1:9"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(EngineError, match="no Dask scheduler answers"):
            build(config_for(tmp_path, structures(1), cluster=cluster))


def test_a_job_that_kills_its_dask_worker_is_a_failure_of_that_job(tmp_path):
    from concurrent.futures import Future
    from types import SimpleNamespace

    from distributed import KilledWorker

    from ase_elf.dataset.builder import _outcomes
    from ase_elf.dataset.job import Job

    class Pool:
        def submit(self, function, job):
            future = Future()
            future.set_exception(KilledWorker("job", SimpleNamespace(address="tcp://worker"), 3))
            return future

    job = Job(id="a1", name="one", atoms=Atoms("H"), engine="none", options={})
    (outcome,) = _outcomes(Pool(), [job])
    assert outcome.name == "one" and "killed" in outcome.problems[0]
