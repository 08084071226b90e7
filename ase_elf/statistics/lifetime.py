"""How long bonds live: survival and recurrence of bonded pairs along a trajectory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from ase_elf.errors import InputError, remedy
from ase_elf.statistics.accumulator import Accumulator
from ase_elf.statistics.blocking import Blocking
from ase_elf.statistics.exchange import PartnerChanges

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ase_elf.statistics.frame import FrameResult

SAMPLES_PER_PERIOD = 3.0
"""Frames per bond vibration below which breaking and vibrating cannot be told apart."""

STIFFEST = 35.9
"""eV/Å², stretching force constant of the stiffest two-electron bond (575 N/m, H2)."""

LASTING = 10.0
"""Vibrations a pair must survive to count as a lasting molecule."""

GROUPS = 16
"""Disjoint groups of pairs for the jackknife."""


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
        Changes of partner per atom and ps (:class:`PartnerChanges`), and sqrt(2/n) of it for
        n changes, since a change of partner seldom comes alone.
    exchanges : int
        Number of changes seen.
    too_short : bool
        Fewer than five lifetimes (the relaxation time 1/e of C, where known) of observation.
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

    def plot(self, ax: Axes | None = None) -> Axes:
        """C(t) and S(t) with error bands."""
        from ase_elf.report.plots import plot_lifetime

        return plot_lifetime(self, ax)


class BondLifetime(Accumulator):
    """Bond lifetime by continuous and intermittent correlation functions.

    Definition: h(t) = 1 when the pair is bonded at t: mutual nearest neighbors within the
    longest bond length. Intermittent C(t) = <h(0)h(t)>/<h>, continuous
    S(t) = <h(0)h(dt)...h(t)>/<h>, over all origins. The lifetime is the maximum-likelihood
    estimate for exponential survival with bonds alive at the end censored: bonded time at
    risk divided by breaks, relative error 1/sqrt(breaks). Errors of C and S: jackknife over
    16 disjoint groups of pairs.

    The share of bonded atoms is averaged over frames, its error found by blocking; times S(t)
    it is the share of atoms in molecules that last, the errors added in quadrature.

    Frames must resolve the vibration: a pair that leaves the bond length for half a period
    would count as broken or, seen too seldom, as never broken. Where there are fewer than
    three frames per shortest period, times are unknown or uneven, or bonds hardly outlive a
    frame, :meth:`result` says so instead of giving a number.

    Parameters
    ----------
    masses : mapping of str to float
        Mass (u) of each element that bonds; the lightest pair sets the period.
    max_lag : int
        Longest lag in frames; memory grows with it, not with the run.

    References
    ----------
    D. C. Rapaport, Mol. Phys. 50, 1151 (1983), doi:10.1080/00268978300102931; A. Luzar,
    D. Chandler, Nature 379, 55 (1996), doi:10.1038/379055a0; censored exponential:
    D. J. Bartholomew, J. Am. Stat. Assoc. 52, 350 (1957), doi:10.1080/01621459.1957.10501394.
    """

    def __init__(
        self, masses: Mapping[str, float], *, max_lag: int = 200, step: int = 1
    ) -> None:
        super().__init__(step=step)
        lightest = min(masses.values(), default=np.inf)
        self.period = vibration_period(lightest, lightest)
        self.max_lag = max_lag
        self.n = 0
        self.atoms = 0  # of elements that bond
        self.elements = frozenset(masses)
        self.bonded = Blocking(1)
        self.partners = PartnerChanges()
        self.breaks = 0
        self.exposure = 0
        self.times = np.full(4, np.nan)  # first, last, shortest and longest spacing
        self.span: tuple[int, int] | None = None
        # Origins, and pairs bonded again or still, by group of pairs and lag.
        self._origins = np.zeros((GROUPS, max_lag + 1), dtype=np.int64)
        self._again = np.zeros_like(self._origins)
        self._still = np.zeros_like(self._origins)
        # Bonded pairs of the first and of the last max_lag frames, as keys.
        self._head: list[np.ndarray] = []
        self._tail: list[np.ndarray] = []
        # For how many frames each pair of the last frame has been bonded.
        self._ages = np.zeros(0, dtype=np.int64)

    def update(self, frame: FrameResult) -> None:
        ordinal = self.ordinal(frame)
        if self.span and ordinal != self.span[1] + 1:
            raise InputError(
                f"frame number {ordinal} follows {self.span[1]}: bond lifetimes need every "
                "frame, in order."
            )
        self.span = (self.span[0] if self.span else ordinal, ordinal)
        self._clock(np.array([frame.time_fs, frame.time_fs, np.nan, np.nan]))
        keys = _keys(frame)
        self.atoms = sum(n for name, n in frame.composition.items() if name in self.elements)
        self.bonded.update(ordinal, np.array([2 * len(keys) / max(self.atoms, 1)]))
        self.partners.update(frame.molecules(), frame.n_atoms)
        self._correlate(keys)
        self._age(keys)
        self._remember([keys])
        self.n += 1

    def merge(self, other: Self) -> None:
        if other.span is None:
            return
        if self.span and other.span[0] != self.span[1] + 1:
            raise InputError(
                f"part {other.span} does not follow part {self.span}; merge neighboring "
                "parts in the order of their frames."
            )
        self._clock(other.times)
        self._cross(other)
        self.atoms = other.atoms
        self.bonded.merge(other.bonded)
        self.partners.merge(other.partners)
        self._origins += other._origins
        self._again += other._again
        self._still += other._still
        self.breaks += other.breaks
        self.exposure += other.exposure
        self._ages = self._merged_ages(other)
        self._remember(other._tail, head=other._head)
        self.span = (self.span[0] if self.span else other.span[0], other.span[1])
        self.n += other.n

    def _clock(self, times: np.ndarray) -> None:
        """Follow first and last time and the extremes of the spacing."""
        if self.n == 0:
            self.times = times.copy()
            return
        between = times[0] - self.times[1]
        spacings = np.array([*self.times[2:], *times[2:], between])
        if np.isnan(between):
            spacings = np.array([-np.inf, np.inf])  # one unknown time spoils the series
        low, high = np.nanmin(spacings), np.nanmax(spacings)
        self.times = np.array([self.times[0], times[1], low, high])

    def _correlate(self, keys: np.ndarray) -> None:
        """Count origins and recurrences that end in the frame ``keys``."""
        lags = np.arange(len(self._tail), 0, -1)
        pasts = [*self._tail, keys]
        lags = np.append(lags, 0)
        lengths = [len(past) for past in pasts]
        past, lag = np.concatenate(pasts), np.repeat(lags, lengths)
        _count(self._origins, past, lag)
        again = np.isin(past, keys)
        _count(self._again, past[again], lag[again])

    def _age(self, keys: np.ndarray) -> None:
        """Follow survival into the frame ``keys``."""
        last = self._tail[-1] if self._tail else np.zeros(0, dtype=np.int64)
        alive = np.isin(last, keys)
        self.exposure += len(last)
        self.breaks += int((~alive).sum())
        ages = np.ones(len(keys), dtype=np.int64)
        ages[np.searchsorted(keys, last[alive])] += self._ages[alive]
        self._ages = ages
        self._survive(keys, np.zeros(len(keys), dtype=np.int64), ages)

    def _survive(self, keys: np.ndarray, first: np.ndarray, count: np.ndarray) -> None:
        """Add survivals of ``keys`` over the lags first, ..., first + count - 1."""
        group = keys % GROUPS
        edges = np.zeros((GROUPS, self.max_lag + 2), dtype=np.int64)
        np.add.at(edges, (group, np.minimum(first, self.max_lag + 1)), 1)
        np.add.at(edges, (group, np.minimum(first + count, self.max_lag + 1)), -1)
        self._still += np.cumsum(edges, axis=1)[:, :-1]

    def _remember(self, tail: list[np.ndarray], head: list[np.ndarray] | None = None) -> None:
        if len(self._head) < self.max_lag:
            self._head = (self._head + (tail if head is None else head))[: self.max_lag]
        self._tail = (self._tail + tail)[-self.max_lag :]

    def _cross(self, other: Self) -> None:
        """Correlations between the last frames here and the first ones of ``other``."""
        if not self._tail:
            return
        last, ages = self._tail[-1], self._ages
        self.exposure += len(last)
        self.breaks += int((~np.isin(last, other._head[0])).sum())
        for later, keys in enumerate(other._head):
            n = min(len(self._tail), self.max_lag - later)
            pasts = self._tail[len(self._tail) - n :]
            lag = np.repeat(np.arange(n, 0, -1) + later, [len(past) for past in pasts])
            past = np.concatenate([*pasts, np.zeros(0, dtype=np.int64)])
            _count(self._origins, past, lag)
            again = np.isin(past, keys)
            _count(self._again, past[again], lag[again])
            alive = np.isin(last, keys)
            last, ages = last[alive], ages[alive]
            self._survive(last, np.full(len(last), later + 1), ages)

    def _merged_ages(self, other: Self) -> np.ndarray:
        """Ages at the end of ``other``, counting what its bonds lived before it began."""
        ages = other._ages.copy()
        whole = ages == other.n
        if self._tail and whole.any():
            keys = other._tail[-1]
            before = np.isin(keys, self._tail[-1]) & whole
            ages[before] += self._ages[np.searchsorted(self._tail[-1], keys[before])]
        return ages

    def refusal(self) -> str:
        """Why no lifetime can be given, or an empty string."""
        if self.n < 2:
            return "a lifetime needs at least two frames."
        low, high = self.times[2:]
        if not np.isfinite([low, high]).all():
            how = remedy("timestep= of Trajectory (fs) or dt= of a Universe (ps)", "--timestep (fs)")
            return f"the times of the frames are unknown; give the spacing of stored frames with {how}."
        if low <= 0:
            return (
                "frames are not later than those before them, as where a run was restarted; "
                "analyse a part in which times increase."
            )
        if high - low > 0.01 * high:
            return (
                f"frames are not evenly spaced ({low:.3g} to {high:.3g} fs); analyse a part "
                "with constant spacing."
            )
        if high * SAMPLES_PER_PERIOD > self.period:
            return (
                f"frames {high:.3g} fs apart do not resolve the bond vibration (shortest "
                f"period {self.period:.1f} fs); store a frame every "
                f"{self.period / SAMPLES_PER_PERIOD:.1f} fs or more often."
            )
        if self.breaks > 0.5 * self.exposure:
            return (
                f"more than half of all bonds are gone after one frame ({high:.3g} fs): the "
                "frames do not follow each other, or bonds do not last as long as a frame."
            )
        return ""

    def result(self) -> Lifetime:
        refused = self.refusal()
        spacing = float(self.times[3]) if np.isfinite(self.times[3]) else np.nan
        # Nothing of what depends on time is given where it was refused.
        lags = (self._origins.sum(0) > 0) & (not refused)
        lag_fs = np.arange(self.max_lag + 1)[lags] * spacing
        again, again_error = _jackknife(self._again[:, lags], self._origins[:, lags])
        still, still_error = _jackknife(self._still[:, lags], self._origins[:, lags])
        bonded = self.bonded.result()
        fraction = bonded.mean * still
        fraction_error = np.hypot(bonded.error * still, bonded.mean * still_error)
        lifetime = np.nan if refused else self.exposure * spacing / max(self.breaks, 1)
        recurrence = _crossing(lag_fs, again, 1 / np.e)
        lasting = LASTING * self.period
        observed = self.atoms * (self.n - 1) * spacing / 1000
        exchanged = self.partners.count / observed if not refused and observed else np.nan
        return Lifetime(
            refused=refused,
            spacing_fs=spacing,
            lag_fs=lag_fs,
            intermittent=again,
            intermittent_error=again_error,
            continuous=still,
            continuous_error=still_error,
            lifetime_fs=lifetime,
            lifetime_error_fs=lifetime / np.sqrt(self.breaks) if self.breaks else np.nan,
            recurrence_fs=recurrence,
            breaks=self.breaks,
            molecular_fraction=fraction,
            molecular_fraction_error=fraction_error,
            lasting_fs=lasting,
            lasting_fraction=_at(lag_fs, fraction, lasting),
            lasting_fraction_error=_at(lag_fs, fraction_error, lasting),
            exchange_rate=exchanged,
            exchange_rate_error=exchanged * np.sqrt(2 / max(self.partners.count, 1)),
            exchanges=self.partners.count,
            too_short=bool(refused or self._too_short(recurrence, lifetime, lag_fs)),
        )

    def _too_short(self, recurrence: float, lifetime: float, lag_fs: np.ndarray) -> bool:
        slowest = recurrence
        if not np.isfinite(recurrence):
            slowest = max(lifetime, lag_fs.max(initial=0.0))
        return self.n * float(self.times[3]) < 5 * slowest

    def state(self) -> dict[str, np.ndarray]:
        return {
            "scalars": np.array(
                [self.n, self.atoms, self.breaks, self.exposure, *(self.span or (0, -1))]
            ),
            "exchanges": np.array(self.partners.count),
            "partners": np.array([self.partners.first, self.partners.last]),
            **{f"bonded_{name}": array for name, array in self.bonded.state().items()},
            "times": self.times,
            "origins": self._origins,
            "again": self._again,
            "still": self._still,
            "ages": self._ages,
            **_pack("head", self._head),
            **_pack("tail", self._tail),
        }

    def load(self, state: dict[str, np.ndarray]) -> None:
        self.n, self.atoms, self.breaks, self.exposure, first, last = (
            int(x) for x in state["scalars"]
        )
        self.span = (first, last) if self.n else None
        self.partners = PartnerChanges()
        self.partners.count = int(state["exchanges"])
        self.partners.first, self.partners.last = np.array(state["partners"])
        prefix = "bonded_"
        self.bonded = Blocking.from_state(
            {k[len(prefix) :]: v for k, v in state.items() if k.startswith(prefix)}
        )
        self.times = np.array(state["times"])
        self._origins, self._again, self._still = (
            np.array(state[name]) for name in ("origins", "again", "still")
        )
        self._ages = np.array(state["ages"])
        self._head, self._tail = _unpack("head", state), _unpack("tail", state)


def _keys(frame: FrameResult) -> np.ndarray:
    """One sorted integer per bonded pair, the same in every frame of a run."""
    pairs = frame.molecules()
    return np.unique(pairs[:, 0] * frame.n_atoms + pairs[:, 1])


def _count(table: np.ndarray, keys: np.ndarray, lag: np.ndarray) -> None:
    flat = np.bincount(keys % GROUPS * table.shape[1] + lag, minlength=table.size)
    table += flat.reshape(table.shape)


def _jackknife(hits: np.ndarray, origins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ratio of sums over groups, and its delete-one-group error (B. Efron, 1982)."""
    total, base = hits.sum(0), origins.sum(0)
    used = origins.any(axis=1)
    n = int(used.sum())
    if n < 2:
        return total / base, np.full(len(base), np.nan)
    left = np.maximum(base - origins[used], 1)
    without = (total - hits[used]) / left
    return total / base, np.sqrt((n - 1) / n * ((without - without.mean(0)) ** 2).sum(0))


def _crossing(x: np.ndarray, y: np.ndarray, level: float) -> float:
    """Where y, falling, first crosses ``level``, linear between points; NaN if it does not."""
    below = np.flatnonzero(y < level)
    if not len(below) or below[0] == 0:
        return float("nan")
    k = below[0]
    return float(x[k - 1] + (y[k - 1] - level) / (y[k - 1] - y[k]) * (x[k] - x[k - 1]))


def _at(x: np.ndarray, y: np.ndarray, where: float) -> float:
    """y there, linear between points; NaN beyond them."""
    return float(np.interp(where, x, y)) if len(x) and where <= x[-1] else float("nan")


def _pack(name: str, frames: list[np.ndarray]) -> dict[str, np.ndarray]:
    flat = np.concatenate([*frames, np.zeros(0, dtype=np.int64)])
    return {name: flat, f"{name}_sizes": np.array([len(keys) for keys in frames], dtype=int)}


def _unpack(name: str, state: dict[str, np.ndarray]) -> list[np.ndarray]:
    sizes = state[f"{name}_sizes"]
    parts = np.split(np.asarray(state[name], dtype=np.int64), np.cumsum(sizes)[:-1])
    return parts if len(sizes) else []
