"""Critical temperature of hydride superconductors, estimated from the networking values.

Published regressions on calculated hydrides, given as printed: they know nothing of
phonons or of pressure beyond what ELF and density of states carry, and their spread is
tens of kelvin. Descriptors depend on code and pseudopotential at the level of 0.05, which
is about 15 K in the linear formula.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ase_elf.errors import InputError

__all__ = ["FITTED", "PURE_HYDROGEN", "SPREADS", "TcEstimate", "error_of_tc", "estimate_tc"]

PURE_HYDROGEN = 0.98
"""Hydrogen fraction above which every formula extrapolates: the fitted compounds have
0.76 on average, with a standard deviation of 0.14."""

FITTED = {
    "phi": (0.399, 0.147),
    "phi_star": (0.653, 0.215),
    "h_fraction": (0.760, 0.138),
    "h_dos": (0.441, 0.262),
}
"""Mean and standard deviation of each descriptor over the compounds behind the formulas."""

SPREADS = {"leastsq": 60.0, "SR5": 41.0}
"""K, root mean square error that the authors of a formula state; nothing is stated for the others."""

STEP = 1e-4
"""Of a descriptor, for slopes of the formulas."""

TCESTIME = "Novoa et al., Chem. Sci. 16, 57 (2025), doi 10.1039/d4sc04465g"
BELLI_2025 = "Belli et al., Ann. Phys. (Berlin) 537, e00280 (2025), doi 10.1002/andp.202500280"
BELLI_2021 = "Belli et al., Nat. Commun. 12, 5381 (2021), doi 10.1038/s41467-021-25687-0"


@dataclass(frozen=True)
class TcEstimate:
    """One published estimate.

    Parameters
    ----------
    name : str
        ``"leastsq"``, ``"SR2"``, ``"SR4"`` or ``"SR5"``.
    kelvin : float
    source : str
        Where the formula is from.
    spread : str
        What its authors say about its error.
    remarks : tuple of str
        Why it should not be trusted here, if there is a reason.
    """

    name: str
    kelvin: float
    source: str
    spread: str
    remarks: tuple[str, ...]

    @property
    def extrapolated(self) -> bool:
        """Whether a descriptor lies outside the range of the fit."""
        return bool(self.remarks)


def estimate_tc(phi: float, phi_star: float, h_fraction: float, h_dos: float | None) -> list[TcEstimate]:
    """Tc by the four published formulas.

    ======== ==============================================================
    leastsq  456.34 φ H_f H_DOS^(1/3) - 9.46
    SR2      442.3 (1 - (φ* - φ)) H_f^3 H_DOS^(1/2)
    SR4      574.7 φ (H_DOS H_f^3)^(1/2)
    SR5      422.2 (27/4) (φ*^2 - φ*^3) H_f^3 (φ H_DOS)^(1/3) + 5.5
    ======== ==============================================================

    Parameters
    ----------
    phi, phi_star : float
        Networking value and molecularity index, dimensionless.
    h_fraction : float
        Hydrogen atoms over all atoms.
    h_dos : float
        Hydrogen's share of the density of states at the Fermi level, 0 to 1; see
        :func:`ase_elf.topology.dos.hydrogen_share`.

    Returns
    -------
    list of TcEstimate

    Raises
    ------
    InputError
        Without a density of states at the Fermi level (an insulator does not
        superconduct), or for descriptors outside [0, 1].

    Examples
    --------
    >>> from ase_elf.topology import estimate_tc
    >>> for tc in estimate_tc(0.71, 0.71, 0.75, 0.489):
    ...     print(f"{tc.name:8s}{tc.kelvin:7.1f} K")
    leastsq   182.0 K
    SR2       130.5 K
    SR4       185.3 K
    SR5       129.0 K
    """
    if h_dos is None or h_dos <= 0:
        raise InputError(
            "no density of states at the Fermi level: an insulator has no critical "
            "temperature. If it is a metal, give hydrogen's share of the density of states."
        )
    given = {"phi": phi, "phi_star": phi_star, "h_fraction": h_fraction, "h_dos": h_dos}
    for name, value in given.items():
        if not 0 <= value <= 1:
            raise InputError(f"{name} = {value!r} must lie between 0 and 1.")
    remarks = _remarks(given)
    kelvin = _kelvin(**given)
    about = {
        "leastsq": (f"{TCESTIME}; form of {BELLI_2021}", "about 60 K"),
        "SR2": (TCESTIME, "not stated"),
        "SR4": (TCESTIME, "not stated"),
        "SR5": (f"{BELLI_2025}, eq. 2", "rmse 41 K over 244 hydrides, at most 108 K"),
    }
    return [TcEstimate(name, value, *about[name], remarks) for name, value in kelvin.items()]


def _kelvin(phi: float, phi_star: float, h_fraction: float, h_dos: float) -> dict[str, float]:
    cubed = h_fraction**3
    return {
        "leastsq": 456.34 * phi * h_fraction * h_dos ** (1 / 3) - 9.46,
        "SR2": 442.3 * (1 - (phi_star - phi)) * cubed * h_dos**0.5,
        "SR4": 574.7 * phi * (h_dos * cubed) ** 0.5,
        "SR5": 422.2 * 27 / 4 * (phi_star**2 - phi_star**3) * cubed * (phi * h_dos) ** (1 / 3) + 5.5,
    }


def error_of_tc(
    given: Mapping[str, float], errors: Mapping[str, float], *, clip: float = 1e-3
) -> dict[str, float]:
    """Standard error of the two estimates whose formulas state one, K.

    That of the formula and those of the descriptors, by their slopes, added in quadrature.

    Parameters
    ----------
    given : mapping of str to float
        ``phi``, ``phi_star``, ``h_fraction`` and ``h_dos``.
    errors : mapping of str to float
        Standard errors of some of them.
    clip : float
        Descriptors are kept this far from 0 and 1, where slopes diverge.

    Returns
    -------
    dict of str to float
        By the names in :data:`SPREADS`.
    """
    at = {name: min(max(value, clip), 1 - clip) for name, value in given.items()}
    squares = {name: spread**2 for name, spread in SPREADS.items()}
    for name, error in errors.items():
        low, high = (_kelvin(**at | {name: at[name] + step}) for step in (-STEP, STEP))
        for formula in squares:
            squares[formula] += (error * (high[formula] - low[formula]) / (2 * STEP)) ** 2
    return {name: square**0.5 for name, square in squares.items()}


def _remarks(given: dict[str, float]) -> tuple[str, ...]:
    remarks = []
    if given["h_fraction"] > PURE_HYDROGEN:
        remarks.append("pure hydrogen: extrapolation, the fits are to compounds only")
    for name, value in given.items():
        mean, deviation = FITTED[name]
        if abs(value - mean) > 2 * deviation:
            remarks.append(
                f"{name} = {value:.3f} is {abs(value - mean) / deviation:.1f} standard "
                f"deviations from the fitted compounds ({mean:.3f} ± {deviation:.3f})"
            )
    return tuple(remarks)
