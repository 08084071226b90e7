"""build: geometries in, labels out; safe to kill at any moment, and goes on where it stopped."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import as_completed
from dataclasses import dataclass

from ase_elf.dataset.config import BuildConfig
from ase_elf.dataset.job import Failure, Job, job_id, run_job
from ase_elf.dataset.label import Label
from ase_elf.dataset.store import LabelStore
from ase_elf.errors import EngineError
from ase_elf.parallel.cluster import died_with_worker
from ase_elf.parallel.jobs import executor
from ase_elf.reference import ReferenceEngine, get_engine
from ase_elf.storage.locks import locked

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class BuildSummary:
    """How a build went: structures labelled now, found done already, and without a label."""

    built: int
    present: int
    failed: int


def build(
    config: BuildConfig,
    *,
    retry_failed: bool = False,
    report: Callable[[Label | Failure, int, int], None] | None = None,
) -> BuildSummary:
    """Label the structures that ``config`` names, with the engine it names.

    Structures that are labelled in the output folder already are left out, so a build that
    was interrupted goes on when started again. Each structure is one job in its own process.

    Parameters
    ----------
    config : BuildConfig
    retry_failed : bool
        Try again what an earlier build recorded as failed.
    report : callable, optional
        Called after each structure with the label or failure, the number of structures
        finished in this build, and the number to do.

    Raises
    ------
    EngineError
        The program is missing: found before anything is computed.
    InputError
        A structure file or pseudopotential is missing, or the folder holds another recipe.
    OutputError
        The disk is full, or another build writes to the same folder.
    """
    engine = get_engine(config.engine, **config.options)
    jobs = list(_jobs(config, engine))
    engine.check({symbol for job in jobs for symbol in job.atoms.symbols})
    with locked(config.output, "build"):
        store = LabelStore(config.output, create=True)
        store.set_batch(config.batch, {"engine": engine.name, "options": engine.options()})
        failed = set() if retry_failed else set(store.failures)
        todo = [job for job in jobs if job.id not in store and job.id not in failed]
        counts = {Label: 0, Failure: 0}
        with executor(config.workers, config.cluster) as pool:
            for outcome in _outcomes(pool, todo):
                if isinstance(outcome, Label):
                    store.append([outcome])
                else:
                    store.fail(outcome.id, outcome.name, list(outcome.problems))
                counts[type(outcome)] += 1
                if report is not None:
                    report(outcome, sum(counts.values()), len(todo))
    return BuildSummary(
        built=counts[Label],
        present=sum(job.id in store for job in jobs) - counts[Label],
        failed=sum(job.id not in store for job in jobs),
    )


def _jobs(config: BuildConfig, engine: ReferenceEngine) -> Iterator[Job]:
    """One job per different structure, in the order of the files."""
    seen = set()
    for source in config.structures:
        for name, atoms in source.read():
            identity = job_id(atoms, engine, config.points or config.images)
            if identity in seen:
                logger.info("%s is the same structure as an earlier one; left out", name)
                continue
            seen.add(identity)
            yield Job(
                id=identity,
                name=name,
                atoms=atoms,
                engine=config.engine,
                options=config.options,
                split=source.split,
                kind=source.kind,
                batch=config.batch,
                points=config.points or config.images,
                density=config.density,
                attempts=config.attempts,
            )


def _outcomes(pool, jobs: Iterable[Job]) -> Iterator[Label | Failure]:
    """Labels and failures as they come; a job whose process died is a failure as well."""
    waiting = {pool.submit(run_job, job): job for job in jobs}
    for future in as_completed(waiting):
        job = waiting.pop(future)
        try:
            yield future.result()
        except EngineError as error:
            yield Failure(job.id, job.name, (str(error),))
        except Exception as error:
            if not died_with_worker(error):
                raise
            yield Failure(job.id, job.name, (f"the Dask worker was killed by this job: {error}.",))
