"""What is known of the life of bonds, and how often a bond vibrates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["STIFFEST", "Lifetime", "vibration_period"]

STIFFEST = 35.9
"""eV/Å², stretching force constant of the stiffest two-electron bond (575 N/m, H2)."""


def vibration_period(mass_a: float, mass_b: float) -> float:
    """Shortest plausible period of a bond vibration, in fs, from the two masses (u).

    2π sqrt(μ/k) with the force constant :data:`STIFFEST`; 7.6 fs for two protons. Softer
    bonds vibrate slower, so spacing that resolves this period resolves the bond.
    """
    from ase.units import fs

    reduced = mass_a * mass_b / (mass_a + mass_b)
    return float(2 * np.pi * np.sqrt(reduced / STIFFEST) / fs)


@dataclass(frozen=True, eq=False)
class Lifetime:
    """Bond lifetimes, or the reason why they cannot be given.

    Parameters
    ----------
    refused : str
        Why there is no result; empty when there is one. All else is empty or NaN then.
    spacing_fs : float
        Distance of frames.
    lag_fs : ndarray, shape (n_lags,), fs
    intermittent, intermittent_error : ndarray, shape (n_lags,)
        C(t): probability that a pair bonded at 0 is bonded at t, whatever in between.
    continuous, continuous_error : ndarray, shape (n_lags,)
        S(t): probability that it stayed bonded in every frame up to t.
    lifetime_fs, lifetime_error_fs : float
        Mean time to the first break: observed bond time divided by observed breaks. A lower
        bound when nothing broke (``breaks`` 0).
    recurrence_fs : float
        Time at which C(t) has fallen to 1/e; NaN when it does not within the lags.
    breaks : int
        Number of breaks seen.
    molecular_fraction, molecular_fraction_error : ndarray, shape (n_lags,)
        Share of atoms in pairs that stay bonded for t: the share that is bonded times S(t).
    lasting_fs : float
        Ten periods of the shortest plausible vibration, after which a pair is no chance
        encounter.
    lasting_fraction, lasting_fraction_error : float
        The share of atoms in pairs that stay bonded so long; NaN beyond the longest lag.
    exchange_rate, exchange_rate_error : float
        Changes of partner per atom and ps (:class:`PartnerChanges`).
    exchanges : int
        Number of changes seen.
    too_short : bool
        Fewer than five lifetimes (the relaxation time 1/e of C, where known) of observation, or
        breaks correlated over too much of the run: ``lifetime_error_fs`` is NaN.

    Notes
    -----
    Every error is that of correlated frames (:mod:`ase_elf.statistics.blocking`) and NaN where
    the run is too short to tell it, or nothing varied.
    """

    refused: str
    spacing_fs: float
    lag_fs: np.ndarray
    intermittent: np.ndarray
    intermittent_error: np.ndarray
    continuous: np.ndarray
    continuous_error: np.ndarray
    lifetime_fs: float
    lifetime_error_fs: float
    recurrence_fs: float
    breaks: int
    molecular_fraction: np.ndarray
    molecular_fraction_error: np.ndarray
    lasting_fs: float
    lasting_fraction: float
    lasting_fraction_error: float
    exchange_rate: float
    exchange_rate_error: float
    exchanges: int
    too_short: bool

    def plot(self, ax: Axes | None = None, **draw: Any) -> Axes:
        """C(t) and S(t) with error bands, or the reason why there are none."""
        from ase_elf.plotting.curves import plot_curves, plot_message

        if self.refused:
            return plot_message(self.refused, ax, **draw)
        curves = {
            "bonded again, C(t)": (self.intermittent, self.intermittent_error),
            "still bonded, S(t)": (self.continuous, self.continuous_error),
        }
        return plot_curves(
            self.lag_fs, curves, ax, x_label="t / fs", y_label="probability", y_limits=(0, 1.03), **draw
        )
