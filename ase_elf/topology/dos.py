"""Hydrogen's share of the density of states at the Fermi level, from projected DOS files."""

from __future__ import annotations

import glob
import os
import re
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TextIO

import numpy as np

from ase_elf.errors import FormatError, InputError, remedy
from ase_elf.formats.numbers import number
from ase_elf.formats.opening import open_text, packed_or_not, unpacked
from ase_elf.formats.species import element_of
from ase_elf.topology.networking import HYDROGEN

__all__ = ["INSULATOR", "hydrogen_share"]

INSULATOR = 1e-3
"""States per eV and atom; less than this at the Fermi level is smearing, not a metal."""


def hydrogen_share(
    path: str | os.PathLike[str], symbols: list[str], *, fermi: float | None = None
) -> float | None:
    """H_DOS: projected DOS on hydrogen over that on all atoms, at the Fermi level.

    Parameters
    ----------
    path : path-like
        A VASP ``DOSCAR`` or ``vaspout.h5`` (``LORBIT`` 10 or 11), or the prefix of the files
        that Quantum ESPRESSO's ``projwfc.x`` writes: ``path.pdos_tot`` and
        ``path.pdos_atm#...``; also packed with gzip, bzip2 or xz.
    symbols : list of str
        Elements in the order of the atoms in the calculation.
    fermi : float, optional
        Fermi energy in eV. A ``DOSCAR`` holds its own; ``projwfc.x`` does not write it.

    Returns
    -------
    float or None
        Linearly interpolated between the energies in the file; None for an insulator.

    Raises
    ------
    FormatError
        For files that are truncated or hold no projections.
    InputError
        If the atoms do not fit, or the Fermi energy is missing or outside the file.
    """
    path = Path(path)
    total_file = packed_or_not(path.with_name(path.name + ".pdos_tot"))
    if total_file is not None:
        if fermi is None:
            raise InputError(
                f"{total_file.name} does not say where the Fermi level is; give it in eV "
                f"({remedy('fermi=', '--fermi')}), from the output of the nscf run."
            )
        hydrogen, total = _from_projwfc(path, total_file, fermi)
    elif path.is_file():
        hydrogen, total = _of_vasp(path, symbols, fermi)
    else:
        raise InputError(
            f"neither {path} (a DOSCAR) nor {path}.pdos_tot (projwfc.x) exists; give one of them."
        )
    return None if total < INSULATOR * len(symbols) else float(hydrogen / total)


def _of_vasp(path: Path, symbols: list[str], fermi: float | None) -> tuple[float, float]:
    """States at the Fermi level on hydrogen, and on all atoms."""
    from ase_elf.formats import vasp_h5

    with unpacked(path) as plain:
        if vasp_h5.is_of_vasp(plain):
            try:
                energies, on_atoms, own_fermi = vasp_h5.read_dos(plain)
            except FormatError as error:
                raise FormatError(f"{path}: {error}") from error
        else:
            energies, on_atoms, own_fermi = _from_doscar(path)
    if len(on_atoms) != len(symbols):
        raise InputError(
            f"{path} has projections on {len(on_atoms)} atoms, the structure {len(symbols)} atoms."
        )
    at = own_fermi if fermi is None else fermi
    each = [_at(energies, dos, at, path) for dos in on_atoms]
    on_hydrogen = sum(x for x, symbol in zip(each, symbols, strict=True) if symbol == HYDROGEN)
    return on_hydrogen, sum(each)


def _from_doscar(path: Path) -> tuple[np.ndarray, np.ndarray, float]:
    """Energies, states on each atom, and the Fermi level."""
    with open_text(path) as file:
        try:
            n_atoms = int(next(file).split()[0])
            for _ in range(4):
                next(file)
            header = next(file).split()
            points, fermi = int(header[2]), number(header[3])
            _block(file, points)
            blocks = []
            for line in file:
                if line.strip():
                    blocks.append(_block(file, points))
        except (StopIteration, ValueError, IndexError) as error:
            raise FormatError(f"{path} is no complete DOSCAR: {error!r}.") from error
    if not blocks:
        raise FormatError(f"{path} holds no projected DOS; run VASP with LORBIT = 10 or 11.")
    if len(blocks) != n_atoms:
        raise FormatError(f"{path} has projections on {len(blocks)} of {n_atoms} atoms.")
    return blocks[0][:, 0], np.array([block[:, 1:].sum(axis=1) for block in blocks]), fermi


def _block(file: TextIO, points: int) -> np.ndarray:
    """The next ``points`` lines as numbers."""
    rows = [line.split() for line in islice(file, points)]
    if len(rows) < points:
        raise ValueError(f"a block ends after {len(rows)} of {points} energies")
    return np.array([[number(word) for word in row] for row in rows])


def _from_projwfc(prefix: Path, total_file: Path, fermi: float) -> tuple[float, float]:
    total = _table(total_file)
    # energy, dos (one column per spin), then the sum of projections (one per spin)
    spins = (total.shape[1] - 1) // 2
    summed = _at(total[:, 0], total[:, 1 + spins :].sum(axis=1), fermi, total_file)
    on_hydrogen = 0.0
    for path in sorted(prefix.parent.glob(f"{glob.escape(prefix.name)}.pdos_atm#*")):
        match = re.search(r"pdos_atm#\d+\(([^)]+)\)", path.name)
        if match and _element(match[1]) == HYDROGEN:
            table = _table(path)
            on_hydrogen += _at(table[:, 0], table[:, 1 : 1 + spins].sum(axis=1), fermi, path)
    return on_hydrogen, summed


def _element(label: str) -> str | None:
    with suppress(FormatError):
        return element_of(label)
    return None


def _table(path: Path) -> np.ndarray:
    try:
        with open_text(path) as file:
            rows = [line.split() for line in file if line.strip() and line.lstrip()[0] != "#"]
        table = np.array([[number(word) for word in row] for row in rows], ndmin=2)
    except ValueError as error:
        raise FormatError(f"{path} is no table of projwfc.x: {error}.") from error
    if table.shape[0] < 2 or table.shape[1] < 2:
        raise FormatError(f"{path} holds {table.shape[0]} energies; is it complete?")
    return table


def _at(energies: np.ndarray, dos: np.ndarray, fermi: float, path: Path) -> float:
    if not energies[0] <= fermi <= energies[-1]:
        raise InputError(
            f"the Fermi level {fermi} eV is outside the energies of {path} "
            f"({energies[0]} to {energies[-1]} eV)."
        )
    return float(np.interp(fermi, energies, dos))
