"""Hydrogen's share of the density of states at the Fermi level, from projected DOS files."""

from __future__ import annotations

import glob
import os
import re
from itertools import islice
from pathlib import Path
from typing import TextIO

import numpy as np

from ase_elf.errors import FormatError, InputError
from ase_elf.topology.networking import HYDROGEN

INSULATOR = 1e-3
"""States per eV and atom; less than this at the Fermi level is smearing, not a metal."""


def hydrogen_share(
    path: str | os.PathLike, symbols: list[str], *, fermi: float | None = None
) -> float | None:
    """H_DOS: projected DOS on hydrogen over that on all atoms, at the Fermi level.

    Parameters
    ----------
    path : path-like
        A VASP ``DOSCAR`` (``LORBIT`` 10 or 11), or the prefix of the files that Quantum
        ESPRESSO's ``projwfc.x`` writes: ``path.pdos_tot`` and ``path.pdos_atm#...``.
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
    total_file = path.with_name(path.name + ".pdos_tot")
    if total_file.is_file():
        if fermi is None:
            raise InputError(
                f"{total_file.name} does not say where the Fermi level is; give it in eV "
                "(fermi=, or --fermi), from the output of the nscf run."
            )
        hydrogen, total = _from_projwfc(path, total_file, fermi)
    elif path.is_file():
        hydrogen, total = _from_doscar(path, symbols, fermi)
    else:
        raise InputError(
            f"neither {path} (a DOSCAR) nor {total_file} (projwfc.x) exists; give one of them."
        )
    return None if total < INSULATOR * len(symbols) else float(hydrogen / total)


def _from_doscar(path: Path, symbols: list[str], fermi: float | None) -> tuple[float, float]:
    with path.open() as file:
        try:
            n_atoms = int(next(file).split()[0])
            for _ in range(4):
                next(file)
            header = next(file).split()
            points, own_fermi = int(header[2]), float(header[3])
            _block(file, points)
            blocks = []
            for line in file:
                if line.strip():
                    blocks.append(_block(file, points))
        except (StopIteration, ValueError, IndexError) as error:
            raise FormatError(f"{path} is no complete DOSCAR: {error!r}.") from error
    if not blocks:
        raise FormatError(f"{path} holds no projected DOS; run VASP with LORBIT = 10 or 11.")
    if not len(blocks) == n_atoms == len(symbols):
        raise InputError(
            f"{path} has projections on {len(blocks)} atoms, the structure {len(symbols)} atoms."
        )
    at = own_fermi if fermi is None else fermi
    each = [_at(block[:, 0], block[:, 1:].sum(axis=1), at, path) for block in blocks]
    on_hydrogen = sum(x for x, symbol in zip(each, symbols, strict=True) if symbol == HYDROGEN)
    return on_hydrogen, sum(each)


def _block(file: TextIO, points: int) -> np.ndarray:
    """The next ``points`` lines as numbers."""
    rows = [line.split() for line in islice(file, points)]
    if len(rows) < points:
        raise ValueError(f"a block ends after {len(rows)} of {points} energies")
    return np.array(rows, float)


def _from_projwfc(prefix: Path, total_file: Path, fermi: float) -> tuple[float, float]:
    total = _table(total_file)
    # energy, dos (one column per spin), then the sum of projections (one per spin)
    spins = (total.shape[1] - 1) // 2
    summed = _at(total[:, 0], total[:, 1 + spins :].sum(axis=1), fermi, total_file)
    on_hydrogen = 0.0
    for path in sorted(prefix.parent.glob(f"{glob.escape(prefix.name)}.pdos_atm#*")):
        match = re.search(r"pdos_atm#\d+\(([A-Za-z]+)\d*\)", path.name)
        if match and match[1].capitalize() == HYDROGEN:
            table = _table(path)
            on_hydrogen += _at(table[:, 0], table[:, 1 : 1 + spins].sum(axis=1), fermi, path)
    return on_hydrogen, summed


def _table(path: Path) -> np.ndarray:
    try:
        table = np.loadtxt(path, ndmin=2)
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
