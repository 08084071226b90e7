"""Where jobs run: local processes, one per job, or a Dask cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

from ase_elf.errors import EngineError
from ase_elf.parallel.cluster import ClusterChoice, client_of
from ase_elf.parallel.processes import process_pool


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
    with process_pool(1) as pool:
        try:
            return pool.submit(function, *args).result()
        except BrokenProcessPool as error:
            raise EngineError("the process of this job was killed (out of memory, or by hand).") from error


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
    with client_of(cluster) as client:
        yield client.get_executor(pure=False)
