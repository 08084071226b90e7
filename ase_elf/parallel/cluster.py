"""Dask clusters: which one is meant, and a client of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ase_elf.errors import EngineError, InputError

if TYPE_CHECKING:
    from distributed import Client


@dataclass(frozen=True)
class ClusterChoice:
    """Where jobs run if not in local processes.

    Parameters
    ----------
    kind : str
        "local" (a Dask LocalCluster), "slurm" (dask-jobqueue), or "scheduler" (running).
    workers : int
        Workers of a local cluster, or Slurm jobs to ask for.
    address : str, optional
        Of a running Dask scheduler.
    options : dict
        Given to dask_jobqueue.SLURMCluster: queue, cores, memory, walltime, and so on.
    """

    kind: str
    workers: int = 1
    address: str | None = None
    options: dict = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in ("local", "slurm", "scheduler"):
            raise InputError(f"cluster kind {self.kind!r} is none of 'local', 'slurm', 'scheduler'.")
        if self.workers < 1:
            raise InputError(f"cluster: workers is {self.workers}; at least one is needed.")
        if self.kind == "scheduler" and not self.address:
            raise InputError("cluster kind 'scheduler' needs its `address`, tcp://host:8786.")


def connect(address: str) -> Client:
    """A client of the Dask scheduler that runs at ``address``, ``tcp://host:8786``.

    Raises
    ------
    EngineError
        Dask is not installed, or no scheduler answers.
    """
    client = _distributed().Client
    try:
        return client(address, timeout=20)
    except (OSError, ValueError) as error:
        raise EngineError(f"no Dask scheduler answers at {address}: {error}.") from error


@contextmanager
def client_of(cluster: ClusterChoice) -> Iterator[Client]:
    """A client of a cluster, started here unless it runs already, and its end.

    Raises
    ------
    EngineError
        Dask is not installed, or no scheduler answers.
    InputError
        The cluster does not take its options.
    """
    if cluster.kind == "scheduler":
        with connect(cluster.address) as client:
            yield client
        return
    distributed = _distributed()
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
        kind = distributed.LocalCluster
        settings = {"n_workers": cluster.workers, **fixed, **cluster.options}
    try:
        made = kind(**settings)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"cluster: {kind.__name__} does not take the options {cluster.options}: {error}."
        ) from error
    if cluster.kind == "slurm":
        made.scale(jobs=cluster.workers)
    with made, distributed.Client(made) as client:
        yield client


def died_with_worker(error: Exception) -> bool:
    """Whether this is how Dask says that a job took its workers along."""
    distributed = sys.modules.get("distributed")
    return distributed is not None and isinstance(error, distributed.KilledWorker)


def _distributed():
    try:
        import distributed
    except ImportError as error:
        raise EngineError(
            "a Dask cluster is asked for, but Dask is not installed: pip install 'ase-elf[cluster]'."
        ) from error
    return distributed
