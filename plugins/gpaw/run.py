"""A GPAW restart file (.gpw, written with mode='all') as a reference result."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.units import Bohr

from ase_elf.errors import EngineError, InputError
from ase_elf.grid import ELFGrid
from ase_elf.reference import Provenance, ReferenceResult
from ase_elf.reference.program import find_program, run_program, working_directory


def read_run(
    path: str | os.PathLike, *, command: str = "gpaw python", timeout: float | None = 600
) -> ReferenceResult:
    """ELF, energy and forces of a finished GPAW run.

    GPAW computes the ELF from the orbitals in the file, by its own Python; it can do so for
    its finite-difference mode only. It is that of the
    smooth pseudo density: inside the augmentation spheres it is not the all-electron one.

    Parameters
    ----------
    path : path-like
        Written with ``calc.write(path, mode="all")``.
    command : str
        How to start the Python that has GPAW.
    timeout : float, optional
        Seconds.

    Raises
    ------
    InputError
        The file does not exist, or the cell is not periodic in all directions.
    EngineError
        GPAW is missing, or cannot make an ELF of the file.
    """
    path = Path(path).resolve()
    if not path.is_file():
        raise InputError(f"the GPAW file {path} does not exist.")
    words = find_program(command, package="GPAW (Debian: gpaw gpaw-data)")
    with working_directory(None) as folder:
        script = Path(__file__).with_name("extract.py").resolve()
        log = run_program(
            [*words, str(script), str(path), "out.npz"],
            directory=folder,
            output="log",
            timeout=timeout,
            environment={"OMP_NUM_THREADS": "1"},
        )
        if not (folder / "out.npz").is_file():
            raise EngineError(
                f"GPAW could not make an ELF of {path}; was it written with mode='all', by a "
                f"finite-difference run? It wrote:\n{log.strip()[-1000:]}"
            )
        with np.load(folder / "out.npz") as archive:
            arrays = {key: archive[key] for key in archive.files}
    return _result(arrays, path)


def _result(arrays: dict[str, np.ndarray], path: Path) -> ReferenceResult:
    if not arrays["pbc"].all():
        raise InputError(
            f"{path} is not periodic in all directions (pbc = {arrays['pbc'].tolist()}), so its "
            "grid lacks the planes on the boundary. Run GPAW with pbc=True and vacuum."
        )
    text = json.loads(arrays["text"].tobytes())
    provenance = Provenance(
        code="GPAW",
        version=text["version"],
        functional=text["functional"],
        pseudopotentials=text["setups"],
        basis=text["mode"],
        # GPAW counts its plane-wave cutoff in hartree.
        cutoff_ry=None if text["cutoff"] is None else 2 * text["cutoff"],
        kpts=tuple(text["kpts"]),
        smearing=text["smearing"],
        scf_steps=text["steps"],
        notes=("ELF of the pseudo density",),
    )
    atoms = Atoms(arrays["numbers"], positions=arrays["positions"], cell=arrays["cell"], pbc=True)
    elf = np.nan_to_num(np.clip(arrays["elf"], 0, 1))
    forces = arrays["forces"]
    energy = float(arrays["energy"])
    return ReferenceResult(
        provenance=provenance,
        grid=ELFGrid(elf, atoms, {"provenance": provenance.as_dict(), "file": str(path)}),
        density=arrays["density"] / Bohr**3,
        energy=None if math.isnan(energy) else energy,
        forces=None if np.isnan(forces).any() else forces,
    )
