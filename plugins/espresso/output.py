"""Reading what pw.x and pp.x leave behind."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from ase.units import Bohr, Hartree

from ase_elf.errors import EngineError, FormatError


@dataclass(frozen=True)
class SCFSummary:
    """The end of a pw.x run: ``energy`` eV, ``forces`` (n, 3) eV/Å, ``error_ry`` Ry."""

    version: str
    functional: str
    energy: float
    forces: np.ndarray | None
    converged: bool
    steps: int
    error_ry: float


def read_summary(path: Path) -> SCFSummary:
    """Read ``data-file-schema.xml``, which pw.x writes last.

    Raises
    ------
    EngineError
        The file is absent or cut off: pw.x stopped early.
    """
    try:
        root = ElementTree.parse(path).getroot()
        output = root.find("output")
        scf = output.find("convergence_info/scf_conv")
        forces = output.find("forces")
        return SCFSummary(
            version=root.find("general_info/creator").attrib["VERSION"],
            functional=output.findtext("dft/functional").strip(),
            energy=float(output.findtext("total_energy/etot")) * Hartree,
            forces=None
            if forces is None
            else np.array(forces.text.split(), float).reshape(-1, 3) * Hartree / Bohr,
            converged=scf.findtext("convergence_achieved", "true").strip() == "true",
            steps=int(scf.findtext("n_scf_steps")),
            # The file counts in hartree, the log of the same run in Ry.
            error_ry=2 * float(scf.findtext("scf_error")),
        )
    except (OSError, ElementTree.ParseError, AttributeError, TypeError, ValueError) as error:
        raise EngineError(f"pw.x left no usable {path.name}: it stopped before the end ({error}).") from error


def read_plot(path: Path) -> np.ndarray:
    """The field in a pp.x ``filplot`` file, which keeps ten digits where a cube keeps six.

    Returns
    -------
    ndarray, shape (nx, ny, nz), float64
        In the grid convention of :class:`~ase_elf.grid.ELFGrid`.

    Raises
    ------
    FormatError
        The file is malformed or was cut off.
    """
    try:
        lines = path.read_text().splitlines()
        padded = [int(n) for n in lines[1].split()[:3]]
        shape = [int(n) for n in lines[1].split()[3:6]]
        n_atoms, n_types = (int(n) for n in lines[1].split()[6:8])
        ibrav = int(lines[2].split()[0])
        first = 3 + (3 if ibrav == 0 else 0) + 1 + n_types + n_atoms
        values = np.array(" ".join(lines[first:]).split(), dtype=float)
    except (OSError, IndexError, ValueError) as error:
        raise FormatError(
            f"{path} is no pp.x plot file, or was cut off ({error}); run pp.x again."
        ) from error
    if len(values) != np.prod(padded):
        raise FormatError(
            f"{path} holds {len(values)} values instead of {np.prod(padded)} "
            f"(grid {padded}): it was cut off in the middle; run pp.x again."
        )
    return values.reshape(padded, order="F")[tuple(slice(n) for n in shape)]


def parse_version(text: str) -> tuple[int, int]:
    """(major, minor) from a name such as "6.7MaX" or "7.3.1"."""
    match = re.match(r"v?\.?\s*(\d+)\.(\d+)", text.strip())
    if match is None:
        raise EngineError(f"cannot read a version from {text!r}.")
    return int(match[1]), int(match[2])


# Versions whose pp.x gives the spin-unpolarised ELF on the right scale, and those that
# evaluate the Pauli kinetic energy of one spin channel against the uniform gas of both.
RIGHT = ((5, 0), (6, 7))
MISSCALED = ((6, 8), (7, 5))


def known_scaling(version: tuple[int, int]) -> bool | None:
    """Whether this version's ELF has to be rescaled; None where it has to be measured."""
    if RIGHT[0] <= version <= RIGHT[1]:
        return False
    return True if MISSCALED[0] <= version <= MISSCALED[1] else None
