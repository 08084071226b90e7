"""One job of a build: one structure, computed to a label or to the reasons why not."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

import numpy as np
from ase import Atoms

from ase_elf.dataset.config import PointChoice
from ase_elf.dataset.images import ImageChoice
from ase_elf.dataset.label import Label
from ase_elf.dataset.points import points_near, subset_of_grid
from ase_elf.errors import EngineError, FormatError, InputError, OutputError
from ase_elf.reference import ReferenceEngine, ReferenceResult, get_engine
from ase_elf.reference.engine import bare, plain_charge


@dataclass(frozen=True)
class Job:
    """A structure to be labelled, and how; the engine by name, so that a job can be sent to a
    process or machine that has not loaded its plugin yet.
    """

    id: str
    name: str
    atoms: Atoms
    engine: str
    options: dict
    split: str = ""
    kind: str = ""
    batch: str = ""
    points: PointChoice | ImageChoice | None = None
    density: bool = False
    attempts: int = 3


@dataclass(frozen=True)
class Failure:
    """A structure without a label, and what each attempt ended with."""

    id: str
    name: str
    problems: tuple[str, ...]


def job_id(atoms: Atoms, engine: ReferenceEngine, points: PointChoice | ImageChoice | None) -> str:
    """Digest of what decides the numbers in a label: structure, recipe and points.

    Positions and cell are rounded to 1e-8 Å, so that a file read in again is recognised.
    """
    recipe = {
        "engine": engine.name,
        "options": engine.options(),
        "points": None if points is None else asdict(points),
        "charge": plain_charge(atoms),
    }
    digest = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode())
    for array in (atoms.numbers, atoms.pbc):
        digest.update(np.asarray(array, "<i4").tobytes())
    for array in (atoms.cell.array, atoms.positions):
        digest.update((np.round(array, 8) + 0.0).astype("<f8").tobytes())
    return digest.hexdigest()[:24]


def run_job(job: Job) -> Label | Failure:
    """Compute one label, with safer mixing after every attempt that failed.

    Raises
    ------
    OutputError
        The disk is full: that is no fault of the structure, and the build has to stop.
    """
    engine = get_engine(job.engine, **job.options)
    problems = []
    for attempt in range(job.attempts):
        try:
            return _compute(job, engine, attempt)
        except InputError as error:
            # The structure itself is refused; another attempt would be as well.
            problems.append(str(error))
            break
        except (EngineError, FormatError) as error:
            problems.append(str(error))
        except OutputError:
            raise
        except OSError as error:
            raise OutputError(
                f"cannot write the files of {job.name!r}: {error.strerror or error}. Everything "
                "finished so far is kept; make room, or set TMPDIR to another disk."
            ) from error
    return Failure(job.id, job.name, tuple(problems))


def _compute(job: Job, engine: ReferenceEngine, attempt: int) -> Label:
    # An engine that works on a grid is exact only there, so points are chosen from its grid;
    # one that evaluates orbitals is exact anywhere, and cheaper at a few points.
    points = None
    if job.points is not None and not engine.gives_grid:
        points = _points(job)
    result = engine.compute(job.atoms, points=points, attempt=attempt)
    if isinstance(job.points, PointChoice) and engine.gives_grid:
        points, values, density = subset_of_grid(result.grid, result.density, job.points, key=job.id)
    else:
        values, density = _values(result), result.density
    return Label(
        id=job.id,
        name=job.name,
        atoms=bare(job.atoms),
        provenance=result.provenance,
        values=values,
        points=points,
        density=density if job.density else None,
        energy=result.energy,
        forces=result.forces,
        split=job.split,
        kind=job.kind,
        batch=job.batch,
    )


def _points(job: Job) -> np.ndarray:
    if isinstance(job.points, PointChoice):
        return points_near(job.atoms, job.points, key=job.id)
    points = job.points.points(job.atoms)
    if not len(points):
        raise InputError(f"the structure has no {job.points.pair} bond shorter than {job.points.cutoff} Å.")
    return points


def _values(result: ReferenceResult) -> np.ndarray:
    return result.grid.values if result.values is None else result.values
