"""Where jobs run: local processes, one per job, or a Dask cluster."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

from ase_elf.dataset.config import ClusterChoice
from ase_elf.errors import EngineError, InputError
from ase_elf.reference.program import end_with_parent


class JobProcesses(Executor):
    """Runs every call in a fresh process, so that one that is killed takes no other along.

    A pool of long-lived processes would not do: when one of its workers dies, every job in
    the pool is lost.

    Parameters
    ----------
    workers : int
        Processes at the same time.
    """

    def __init__(self, workers: int) -> None:
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="ase-elf-job")

    def submit(self, function: Callable, /, *args: object) -> Future:
        """Schedule ``function(*args)``, both of which must be picklable."""
        return self._threads.submit(_in_process, function, *args)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._threads.shutdown(wait, cancel_futures=cancel_futures)


def _in_process(function: Callable, *args: object) -> object:
    # "spawn": forking a process that runs threads, as ours does, can deadlock.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        1, mp_context=context, initializer=end_with_parent, initargs=(os.getpid(),)
    ) as pool:
        try:
            return pool.submit(function, *args).result()
        except BrokenProcessPool as error:
            raise EngineError("the process of this job was killed (out of memory, or by hand).") from error


def died_with_worker(error: Exception) -> bool:
    """Whether this is how Dask says that a job took its workers along."""
    distributed = sys.modules.get("distributed")
    return distributed is not None and isinstance(error, distributed.KilledWorker)


@contextmanager
def executor(workers: int, cluster: ClusterChoice | None) -> Iterator[Executor]:
    """Something with ``submit``, and its end.

    Raises
    ------
    EngineError
        Dask is wanted and not installed, or its scheduler does not answer.
    """
    if cluster is None:
        pool = JobProcesses(workers)
        try:
            yield pool
        finally:
            # Nothing new is started; what runs now is short compared with what is lost.
            pool.shutdown(cancel_futures=True)
        return
    with _dask_client(cluster) as client:
        yield client.get_executor(pure=False)


@contextmanager
def _dask_client(cluster: ClusterChoice) -> Iterator:
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise EngineError(
            "a Dask cluster is asked for, but Dask is not installed: pip install 'ase-elf[cluster]'."
        ) from error
    if cluster.kind == "scheduler":
        try:
            client = Client(cluster.address, timeout=20)
        except OSError as error:
            raise EngineError(f"no Dask scheduler answers at {cluster.address}: {error}.") from error
        with client:
            yield client
        return
    if cluster.kind == "slurm":
        try:
            from dask_jobqueue import SLURMCluster
        except ImportError as error:
            raise EngineError(
                "a Slurm cluster is asked for, but dask-jobqueue is not installed: "
                "pip install 'ase-elf[cluster]'."
            ) from error

        kind, settings = SLURMCluster, cluster.options
    else:
        fixed = {"threads_per_worker": 1, "dashboard_address": None}
        kind, settings = LocalCluster, {"n_workers": cluster.workers, **fixed, **cluster.options}
    try:
        made = kind(**settings)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"cluster: {kind.__name__} does not take the options {cluster.options}: {error}."
        ) from error
    if cluster.kind == "slurm":
        made.scale(jobs=cluster.workers)
    with made, Client(made) as client:
        yield client
