"""A reference engine without DFT: an analytic field, and every way a real one fails."""

from __future__ import annotations

import errno
import os
import signal
import time
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from ase.geometry import find_mic

from ase_elf.errors import EngineError, InputError, OutputError
from ase_elf.reference import Provenance, ReferenceEngine
from ase_elf.reference.engine import check_atoms, finish, grid_points


@dataclass(frozen=True)
class StandIn(ReferenceEngine):
    """ELF = logistic of a sum of Gaussians; the fields say how a computation goes wrong."""

    name: ClassVar[str] = "stand-in"
    running: ClassVar[tuple[str, ...]] = ("seconds", "missing")

    width: float = 0.5
    spacing: float = 0.4
    converges_at: int = 0
    seconds: float = 0.0
    missing: bool = False
    trouble: str = ""
    trouble_with: int = 0

    def version(self):
        if self.missing:
            raise EngineError("program 'stand-in' was not found on the PATH.")
        return "1"

    def compute(self, atoms, *, points=None, directory=None, attempt=0):
        check_atoms(atoms)
        time.sleep(self.seconds)
        if len(atoms) == self.trouble_with:
            if self.trouble == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.trouble == "disk":
                raise OutputError("the disk is full.")
            if self.trouble == "write":
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if self.trouble == "refused":
                raise InputError("not this structure.")
        if attempt < self.converges_at:
            raise EngineError(f"attempt {attempt} did not converge.")
        xyz, shape = (points, None) if points is not None else grid_points(atoms, self.spacing)
        vectors = (xyz[:, None] - atoms.positions[None]).reshape(-1, 3)
        distances = find_mic(vectors, atoms.cell)[1].reshape(len(xyz), -1)
        field = np.exp(-((distances / self.width) ** 2)).sum(axis=1)
        elf = 1 / (1 + np.exp(-3 * (field - 0.5)))
        provenance = Provenance("stand-in", "1", "none", attempt=attempt)
        forces = np.zeros((len(atoms), 3))
        return finish(atoms, provenance, elf, field, points=points, shape=shape, energy=-1.0, forces=forces)
