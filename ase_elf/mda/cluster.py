"""DistributedBackend: MDAnalysis analyses on the workers of a dask.distributed Client."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from MDAnalysis.analysis.backends import BackendBase

from ase_elf.errors import InputError

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["DistributedBackend"]


class DistributedBackend(BackendBase):
    """Runs the parts of an analysis on a cluster.

    ``backend="dask"`` of MDAnalysis starts processes on this machine, whatever client there
    is. With this backend parts go to the workers of the client: a ``LocalCluster``, a
    ``SLURMCluster`` of dask-jobqueue, or any other.

    Parameters
    ----------
    client : distributed.Client
    n_workers : int, optional
        Parts into which a run is split unless ``n_parts`` says otherwise; by default the
        number of workers there are now.

    Raises
    ------
    InputError
        If there is no client, or it has no workers yet.

    Notes
    -----
    Run it as ::

        backend = DistributedBackend(client)
        analysis.run(backend=backend, n_parts=4 * backend.n_workers, unsupported_backend=True)

    More parts than workers balance the load, and less is lost with a worker: Dask sends the
    parts of one that died to the others. Each part pickles the universe but no weights,
    which every worker process loads once; trajectory and package must be readable there.
    Give each GPU one worker process of one thread.
    """

    def __init__(self, client: Client, n_workers: int | None = None) -> None:
        if not hasattr(client, "map") or not hasattr(client, "gather"):
            raise InputError(f"{client!r} is no dask.distributed Client; give Client(...).")
        self.client = client
        n_workers = n_workers or len(client.nthreads())
        if not n_workers:
            raise InputError(
                "the client has no workers yet; wait for them with client.wait_for_workers(n), "
                "or say how many there will be (n_workers)."
            )
        super().__init__(n_workers)

    def apply(self, func: Callable, computations: list) -> list[Any]:
        """``[func(x) for x in computations]``, on the workers, in order."""
        # Not pure: the same part of the same file may be another one tomorrow.
        futures = self.client.map(func, computations, pure=False)
        try:
            return self.client.gather(futures)
        except BaseException:
            self.client.cancel(futures)
            raise
