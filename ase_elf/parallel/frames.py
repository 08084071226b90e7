"""Workers: batches of frames analysed in other processes, results in the order of the frames.

The batches are those of a run in one process, so what a worker computes is what that run
would have computed. A batch whose worker was killed is computed again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ase_elf.errors import ElfError, EngineError, InputError
from ase_elf.parallel.cluster import connect, died_with_worker
from ase_elf.parallel.processes import CONTEXT, process_pool

ATTEMPTS = 3
"""How often a batch may lose its worker: once is bad luck, three times is the batch."""


@dataclass
class Workers:
    """Processes on this machine that take calls in turn.

    Parameters
    ----------
    n : int
    devices : tuple of str
        One after the other is given to the processes, as ``device`` of their calls. Empty
        leaves the choice to the model.
    """

    n: int
    devices: tuple[str, ...] = ()
    _pool: Executor | None = field(default=None, init=False, repr=False)

    def submit(self, function: Callable, /, *args: Any) -> Future:
        """Schedule ``function(*args, device)``, which must be picklable."""
        if self._pool is None:
            devices = CONTEXT.SimpleQueue()
            for number in range(self.n):
                devices.put(self.devices[number % len(self.devices)] if self.devices else None)
            self._pool = process_pool(self.n, _begin, self.n, devices)
        return self._pool.submit(_on_own_device, function, *args)

    def renew(self) -> None:
        """Start afresh after a process died, which leaves the others useless too."""
        self.close()

    def close(self) -> None:
        """End the processes; calls not yet begun are dropped."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None


@dataclass
class ClusterWorkers:
    """The workers of a Dask scheduler, which replaces lost ones by itself.

    Parameters
    ----------
    address : str
        Of the scheduler, ``tcp://host:8786``.
    device : str, optional
        The same for all; give each GPU a worker of one thread.
    """

    address: str
    device: str | None = None

    def __post_init__(self) -> None:
        self._client = connect(self.address)
        self._pool = self._client.get_executor(pure=False)

    @property
    def n(self) -> int:
        return max(1, sum(self._client.nthreads().values()))

    def submit(self, function: Callable, /, *args: Any) -> Future:
        """Schedule ``function(*args, device)``, which must be picklable."""
        return self._pool.submit(function, *args, self.device)

    def renew(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Leave the cluster; what it has not begun for us is dropped."""
        self._pool.shutdown(wait=False)
        self._client.close()


@contextmanager
def workers(count: int | str, device: str | None) -> Iterator[Workers | ClusterWorkers]:
    """Processes for a run, and their end.

    Parameters
    ----------
    count : int or str
        Processes on this machine, or the address of a Dask scheduler.
    device : str, optional
        Devices separated by commas; with several, process k takes the k-th in turn.

    Raises
    ------
    InputError
        For a count below 1.
    EngineError
        When no scheduler answers.
    """
    if isinstance(count, str):
        team: Workers | ClusterWorkers = ClusterWorkers(count, device)
    else:
        if count < 1:
            raise InputError(f"workers = {count}; at least 1 is needed.")
        team = Workers(count, tuple(device.split(",")) if device else ())
    try:
        yield team
    finally:
        team.close()


def in_order(team: Workers | ClusterWorkers, function: Callable, calls: Iterable[tuple]) -> Iterator[Any]:
    """``function(*call, device)`` for every call, results in order.

    At most two calls per worker are under way, so memory does not grow with their number.
    What ``calls`` raises is raised after the results of the calls before.

    Raises
    ------
    EngineError
        When a call lost its worker ``ATTEMPTS`` times.
    """
    calls = iter(calls)
    pending: deque[tuple[tuple, Future]] = deque()
    ended: BaseException | None = None
    lost = 0
    while True:
        while ended is None and len(pending) < 2 * team.n:
            try:
                call = next(calls)
            except (StopIteration, ElfError) as error:
                ended = error
            else:
                pending.append((call, team.submit(function, *call)))
        if not pending:
            break
        try:
            result = pending[0][1].result()
        except Exception as error:
            if not isinstance(error, BrokenProcessPool) and not died_with_worker(error):
                raise
            lost += 1
            if lost == ATTEMPTS:
                raise EngineError(
                    f"{ATTEMPTS} processes in a row were killed over the same frames, most "
                    "likely for memory; use fewer workers, a smaller batch or a coarser grid."
                ) from error
            team.renew()
            pending = deque(
                (call, future if _succeeded(future) else team.submit(function, *call))
                for call, future in pending
            )
            continue
        pending.popleft()
        lost = 0
        yield result
    if isinstance(ended, ElfError):
        raise ended


def _succeeded(future: Future) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


_device: str | None = None
"""Of this worker process."""


def _begin(n_workers: int, devices: Any) -> None:
    """In a new worker: its device, and its share of the threads."""
    import torch

    global _device
    _device = devices.get()
    # The process is ours alone. All workers with all threads would hold each other up.
    torch.set_num_threads(max(1, torch.get_num_threads() // n_workers))


def _on_own_device(function: Callable, /, *args: Any) -> Any:
    return function(*args, _device)
