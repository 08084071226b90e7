"""What CP2K reads and writes: its input, its data files, and the orbitals in a Molden file."""

from __future__ import annotations

import hashlib
import os
import re
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase.units import Bohr, Hartree

from ase_elf.errors import EngineError, FormatError, InputError


def render(sections: dict, indent: int = 0) -> str:
    """CP2K input from nested dicts.

    A key with a dict is a section (``"KIND H"`` opens ``&KIND H``), any other value a
    keyword; a list repeats the keyword.

    Examples
    --------
    >>> print(render({"SCF": {"MAX_SCF": 10, "PRINT ON": {}}}))
    &SCF
      MAX_SCF 10
      &PRINT ON
      &END PRINT
    &END SCF
    """
    lines = []
    pad = " " * indent
    for key, value in sections.items():
        if isinstance(value, dict):
            inside = render(value, indent + 2)
            lines += [f"{pad}&{key}", *([inside] if inside else []), f"{pad}&END {key.split()[0]}"]
        else:
            values = value if isinstance(value, list) else [value]
            lines += [f"{pad}{key} {each}" for each in values]
    return "\n".join(lines)


def data_folder() -> Path:
    """Folder of CP2K's basis sets and pseudopotentials.

    Raises
    ------
    EngineError
        It is neither named by CP2K_DATA_DIR nor at the usual places.
    """
    candidates = [os.environ.get("CP2K_DATA_DIR"), "/usr/share/cp2k", "/usr/local/share/cp2k/data"]
    for candidate in candidates:
        if candidate and (Path(candidate) / "GTH_POTENTIALS").is_file():
            return Path(candidate)
    raise EngineError(
        "CP2K's data files (GTH_POTENTIALS, BASIS_MOLOPT) were not found. Install them (Debian: "
        "cp2k-data), or set the environment variable CP2K_DATA_DIR."
    )


@dataclass(frozen=True)
class DataEntry:
    """One element's entry in a CP2K data file: its full name and its numbers."""

    name: str
    text: str

    @property
    def digest(self) -> str:
        """SHA-256 of the numbers."""
        return hashlib.sha256(" ".join(self.text.split()).encode()).hexdigest()

    @property
    def electrons(self) -> int:
        """Valence electrons, for a pseudopotential: its first line counts them per shell."""
        return sum(int(n) for n in self.text.splitlines()[0].split())


def find_entry(path: Path, symbol: str, name: str) -> DataEntry:
    """The entry of ``symbol`` that carries ``name`` as its name or one of its aliases.

    Raises
    ------
    InputError
        There is none; the message lists what the file has for the element.
    """
    has = []
    lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
    for number, line in enumerate(lines):
        words = line.split()
        if not words or words[0] != symbol:
            continue
        if name in words[1:]:
            body = []
            for following in lines[number + 1 :]:
                if following.strip() and following.split()[0][0].isalpha():
                    break
                body.append(following)
            return DataEntry(words[1], "\n".join(body).strip())
        has.append(words[1])
    raise InputError(f"{path.name} has no {name!r} for {symbol}; it has {', '.join(has) or 'nothing'}.")


@dataclass(frozen=True)
class RunSummary:
    """The end of a run: ``energy`` eV, ``forces`` (n, 3) eV/Å or None, steps of the SCF."""

    energy: float
    forces: np.ndarray | None
    steps: int


def read_log(log: str) -> RunSummary:
    """Read CP2K's output.

    Raises
    ------
    EngineError
        The run stopped early or did not converge.
    """
    if "SCF run NOT converged" in log:
        raise EngineError(
            "the self-consistency of CP2K did not converge. A further attempt mixes more "
            "carefully and takes more steps."
        )
    energy = re.search(r"ENERGY\| Total FORCE_EVAL.*?:\s+(-?\d+\.\d+)", log)
    steps = re.search(r"SCF run converged in\s+(\d+) steps", log)
    if energy is None or steps is None or "PROGRAM ENDED AT" not in log:
        reason = re.search(r"\[ABORT\][\s\S]*?\n\s*\*{20,}", log)
        text = reason[0] if reason else "\n".join(log.strip().splitlines()[-12:])
        raise EngineError(f"CP2K stopped before the end. It wrote:\n{text}")
    _, _, block = log.partition("ATOMIC FORCES in")
    forces = None
    if block:
        rows = re.findall(r"^\s+\d+\s+\d+\s+\w+((?:\s+-?\d+\.\d+(?:E[+-]\d+)?){3})\s*$", block, re.MULTILINE)
        forces = np.array([row.split() for row in rows], float) * Hartree / Bohr
    return RunSummary(float(energy[1]) * Hartree, forces, int(steps[1]))


def read_orbitals(path: Path, n_electrons: int):
    """Orbitals in a Molden file, checked: orthonormal, and with all the electrons.

    Returns
    -------
    mole : pyscf.gto.Mole
    coefficients : ndarray, shape (n_basis, n_orbitals)
    occupations : ndarray, shape (n_orbitals,)

    Raises
    ------
    FormatError
        The file is cut off or malformed.
    """
    from pyscf.tools import molden

    try:
        complete = _with_every_function(path)
        with warnings.catch_warnings():
            # Written without a symmetry label per orbital, which is no concern here.
            warnings.simplefilter("ignore")
            mole, _, coefficients, occupations, _, _ = molden.load(str(complete), verbose=0)
        overlap = coefficients.T @ mole.intor("int1e_ovlp") @ coefficients
    except (OSError, ValueError, IndexError, KeyError, RuntimeError, TypeError) as error:
        raise FormatError(f"{path} holds no orbitals, or was cut off ({error}); run CP2K again.") from error
    worst = np.abs(overlap - np.eye(len(overlap))).max()
    counted = occupations.sum()
    if worst > 5e-3 or abs(counted - n_electrons) > 1e-3:
        raise FormatError(
            f"the orbitals in {path} are not those of {n_electrons} electrons: they hold "
            f"{counted:.3f}, and deviate from orthonormal by {worst:.1e}. Either the file was "
            "cut off, or the molecule is spread over periodic images (give it whole)."
        )
    return mole, coefficients, occupations


def _with_every_function(path: Path) -> Path:
    """A copy of a Molden file that names the last basis function, if only to say it is 0.

    CP2K leaves out coefficients that vanish; PySCF (2.14) takes the largest index it finds
    for the size of the basis.
    """
    text = path.read_text()
    if not text.endswith("\n"):
        raise ValueError("the last line has no end")
    basis = text.partition("[GTO]")[2].partition("[5D")[0]
    shells = re.findall(r"^\s+([spdfgh])\s+\d+\s", basis, re.MULTILINE)
    size = sum(2 * "spdfgh".index(shell) + 1 for shell in shells)
    complete = path.with_name("complete.molden")
    last = int(text.rsplit("\n", 2)[-2].split()[0])
    complete.write_text(text if last == size else f"{text}{size:6d}  0.0\n")
    return complete
