"""Critical temperature of a predicted hydride: what the published formulas need beside the ELF.

Hydrogen's share of the states at the Fermi level comes from one-shot bands
(:mod:`ase_elf.model.minimal_basis`), so that no DFT is needed.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from ase.data import atomic_numbers
from ase.geometry import get_distances

from ase_elf.analysis.quantities import TC, names_of
from ase_elf.errors import ElfError
from ase_elf.topology.beside import share_beside
from ase_elf.topology.tc import SPREADS, error_of_tc, estimate_tc

if TYPE_CHECKING:
    from pathlib import Path

    from ase import Atoms

    from ase_elf.topology import Networking

__all__ = ["H_DOS_ERROR", "one_shot_share", "tc_beside", "tc_by_bands"]

H_DOS_ERROR = 0.10
"""Standard error of the one-shot share of hydrogen. Beside self-consistent bands of 42 structures of 29 held-out
hydrides (``plugins/many_elements/fermi_levels.csv``) the rms error is 0.072, and 90 % are within 0.091. The bias there,
-0.018, is small beside it, and nothing is corrected."""

P_BLOCK = frozenset(
    "B C N O F Ne Al Si P S Cl Ar Ga Ge As Se Br Kr In Sn Sb Te I Xe Tl Pb Bi Po At Rn".split()
)

NEAR_CORE, CORE_ERROR = 1.0, 0.05
"""Å from a nucleus of the p block within which pseudopotentials decide φ, and how much they differ by."""


def one_shot_share(atoms: Atoms) -> tuple[float, float]:
    """Hydrogen's share of the states at the Fermi level, and the gap in eV.

    The share is NaN for an insulator.

    Raises
    ------
    InputError
        For elements without tabulated orbitals.
    """
    from ase_elf.model.minimal_basis import OccupiedOrbitals

    level = OccupiedOrbitals(atoms).fermi_level
    return level.hydrogen_share, level.gap


def tc_beside(path: Path, network: Networking) -> tuple[dict[str, float], tuple[str, ...]]:
    """Estimates of Tc from the density of states beside an ELF file, as of :func:`tc_by_bands`."""
    if not math.isfinite(network.phi_star):
        return {}, ()
    share, notes = share_beside(path, network.atoms)
    return ({}, notes) if share is None else _estimated(network, share, math.nan)


def tc_by_bands(network: Networking) -> tuple[dict[str, float], tuple[str, ...]]:
    """Estimates of Tc of a structure whose ELF was predicted.

    Parameters
    ----------
    network : Networking
        Of its ELF.

    Returns
    -------
    values : dict of str to float
        ``ase_elf.analysis.quantities.TC``; empty for what is no hydride, or has no Tc.
    notes : tuple of str
        Why there is no estimate, or why it should not be trusted.
    """
    atoms = network.atoms
    if not 0 < (atoms.numbers == 1).sum() < len(atoms) or not math.isfinite(network.phi_star):
        return {}, ()
    try:
        h_dos, gap = one_shot_share(atoms)
    except ElfError as error:
        return {}, (f"no Tc: {error}",)
    if math.isnan(h_dos):
        return {}, (f"no Tc: an insulator by one-shot bands (gap {gap:.1f} eV)",)
    return _estimated(network, h_dos, H_DOS_ERROR)


def _estimated(
    network: Networking, h_dos: float, h_dos_error: float
) -> tuple[dict[str, float], tuple[str, ...]]:
    """All estimates, with errors of those whose formula states one."""
    atoms = network.atoms
    fraction = float((atoms.numbers == 1).mean())
    given = {"phi": network.phi, "phi_star": network.phi_star, "h_fraction": fraction, "h_dos": h_dos}
    try:
        estimates = estimate_tc(**given)
    except ElfError as error:
        return {}, (f"no Tc: {error}",)
    notes = [f"Tc: {remark}" for remark in estimates[0].remarks]
    errors = {"h_dos": h_dos_error}
    for name, key in (("phi", "phi3"), ("phi_star", "phi_star")):
        errors[name] = network.uncertainties[key]
        place = network.decided_at(key)
        if place is not None and _in_a_core(atoms, place):
            errors[name] = math.hypot(errors[name], CORE_ERROR)
            notes.append(
                f"{name} is decided within {NEAR_CORE:g} Å of a p-block nucleus, where potentials differ "
                f"by {CORE_ERROR}"
            )
    totals = error_of_tc(given, {name: error for name, error in errors.items() if math.isfinite(error)})
    found = {"h_fraction": fraction, "h_dos": h_dos, "h_dos_error": h_dos_error}
    found |= {f"tc_{e.name.lower()}": e.kelvin for e in estimates}
    found |= {f"tc_{name.lower()}_error": totals[name] for name in SPREADS}
    return {name: found[name] for name in names_of(TC)}, tuple(notes)


def _in_a_core(atoms: Atoms, place: np.ndarray) -> bool:
    """Whether a place is near a nucleus of the p block."""
    heavy = np.isin(atoms.numbers, [atomic_numbers[symbol] for symbol in P_BLOCK])
    if not heavy.any():
        return False
    _, apart = get_distances(place, atoms.positions[heavy], cell=atoms.cell, pbc=atoms.pbc)
    return bool(apart.min() < NEAR_CORE)
