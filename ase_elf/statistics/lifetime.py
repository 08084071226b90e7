"""How long bonds live: survival and recurrence of bonded pairs along a trajectory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ase_elf.errors import InputError, remedy
from ase_elf.statistics.accumulator import Accumulator
from ase_elf.statistics.blocking import SAME, Blocks, Estimate, estimate, ratio_estimate
from ase_elf.statistics.exchange import PartnerChanges

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ase_elf.statistics.frame import FrameResult

__all__ = [
    "LASTING",
    "RELAXATIONS",
    "SAMPLES_PER_PERIOD",
    "STIFFEST",
    "BondLifetime",
    "Lifetime",
    "vibration_period",
]

SAMPLES_PER_PERIOD = 3.0
"""Frames per bond vibration below which breaking and vibrating cannot be told apart."""

STIFFEST = 35.9
"""eV/Å², stretching force constant of the stiffest two-electron bond (575 N/m, H2)."""

LASTING = 10.0
"""Vibrations a pair must survive to count as a lasting molecule."""

RELAXATIONS = 5.0
"""Relaxation times of the bonds that a run must span for the error of their lifetime."""


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


class BondLifetime(Accumulator):
    """Bond lifetime by continuous and intermittent correlation functions.

    Definition: h(t) = 1 when the pair is bonded at t: mutual nearest neighbors within the
    longest bond length. Intermittent C(t) = <h(0)h(t)>/<h>, continuous
    S(t) = <h(0)h(dt)...h(t)>/<h>, over all origins. The lifetime is the maximum-likelihood
    estimate for exponential survival with bonds alive at the end censored: bonded time at
    risk divided by breaks. The share of bonded atoms times S(t) is the share of atoms in
    molecules that last.

    Error: all events are counted in the frame in which they end, and the error of their ratios
    is that of correlated frames, which covers pairs that break together, such as all of them
    in a hot moment, as well as one that breaks twice. Bonded share and S(t) go into one series
    before its error is taken, because they rise and fall together. The relative error of the
    lifetime is at least 1/sqrt(breaks).

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

    def __init__(self, masses: Mapping[str, float], *, max_lag: int = 200, step: int = 1) -> None:
        super().__init__(step=step)
        lightest = min(masses.values(), default=np.inf)
        self.period = vibration_period(lightest, lightest)
        self.max_lag = max_lag
        self.n = 0
        self.atoms = 0  # of elements that bond
        self.elements = frozenset(masses)
        # Of every frame: for each lag origins, pairs bonded again, pairs bonded still; then
        # pairs at risk, breaks, share of atoms bonded, changes of partner.
        self.events = Blocks(3 * (max_lag + 1) + 4)
        self.partners = PartnerChanges()
        self.times = np.full(4, np.nan)  # first, last, shortest and longest spacing
        self.span: tuple[int, int] | None = None
        # Bonded pairs of the first and of the last max_lag frames, as keys.
        self._head: list[np.ndarray] = []
        self._tail: list[np.ndarray] = []
        # For how many frames each pair of the last frame has been bonded.
        self._ages = np.zeros(0, dtype=np.int64)

    def update(self, frame: FrameResult) -> None:
        ordinal = self.ordinal(frame)
        if self.span and ordinal != self.span[1] + 1:
            raise InputError(
                f"frame number {ordinal} follows {self.span[1]}: bond lifetimes need every frame, in order."
            )
        self.span = (self.span[0] if self.span else ordinal, ordinal)
        self._clock(np.array([frame.time_fs, frame.time_fs, np.nan, np.nan]))
        keys = _keys(frame)
        self.atoms = sum(n for name, n in frame.composition.items() if name in self.elements)
        changes = self.partners.update(frame.molecules(), frame.n_atoms)
        at_risk, breaks, still = self._age(keys)
        bonded = 2 * len(keys) / max(self.atoms, 1)
        correlated = self._correlate(keys, self._tail, 1)
        correlated[:, 0] += len(keys)
        self.events.update(ordinal, np.concatenate([*correlated, still, [at_risk, breaks, bonded, changes]]))
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
        self.events.merge(other.events)
        self._cross(other)
        self.atoms = other.atoms
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

    def _correlate(self, keys: np.ndarray, pasts: list[np.ndarray], lag: int) -> np.ndarray:
        """Origins and recurrences that end in a frame, by lag.

        Parameters
        ----------
        keys : ndarray
            Pairs of that frame.
        pasts : list of ndarray
            Pairs of frames before it, of which the last one lies ``lag`` frames back.

        Returns
        -------
        ndarray, shape (2, max_lag + 1)
        """
        n = min(len(pasts), max(0, self.max_lag - lag + 1))
        pasts = pasts[len(pasts) - n :]
        lags = np.repeat(np.arange(n, 0, -1) + lag - 1, [len(past) for past in pasts])
        past = np.concatenate([*pasts, np.zeros(0, dtype=np.int64)])
        bins = self.max_lag + 1
        again = lags[np.isin(past, keys)]
        return np.stack([np.bincount(lags, minlength=bins), np.bincount(again, minlength=bins)])

    def _age(self, keys: np.ndarray) -> tuple[int, int, np.ndarray]:
        """Follow survival into the frame ``keys``: pairs at risk, breaks, survivors by lag."""
        last = self._tail[-1] if self._tail else np.zeros(0, dtype=np.int64)
        alive = np.isin(last, keys)
        ages = np.ones(len(keys), dtype=np.int64)
        ages[np.searchsorted(keys, last[alive])] += self._ages[alive]
        self._ages = ages
        return len(last), int((~alive).sum()), self._survivors(0, ages)

    def _survivors(self, first: int, count: np.ndarray) -> np.ndarray:
        """ndarray, shape (max_lag + 1,): pairs that survived the lags first, ..., first + count - 1."""
        edges = np.zeros(self.max_lag + 2)
        edges[min(first, self.max_lag + 1)] += len(count)
        np.subtract.at(edges, np.minimum(first + count, self.max_lag + 1), 1)
        return np.cumsum(edges)[:-1]

    def _remember(self, tail: list[np.ndarray], head: list[np.ndarray] | None = None) -> None:
        if len(self._head) < self.max_lag:
            self._head = (self._head + (tail if head is None else head))[: self.max_lag]
        self._tail = (self._tail + tail)[-self.max_lag :]

    def _cross(self, other: Self) -> None:
        """Correlations between the last frames here and the first ones of ``other``."""
        assert other.span is not None
        first = other.span[0]
        for frame in self.partners.merge(other.partners):
            self._add(first + int(frame), changes=1)
        if not self._tail:
            return
        last, ages = self._tail[-1], self._ages
        self._add(first, at_risk=len(last), breaks=int((~np.isin(last, other._head[0])).sum()))
        for later, keys in enumerate(other._head):
            correlated = self._correlate(keys, self._tail, later + 1)
            alive = np.isin(last, keys)
            last, ages = last[alive], ages[alive]
            self._add(first + later, correlated, self._survivors(later + 1, ages))

    def _add(
        self,
        ordinal: int,
        correlated: np.ndarray | None = None,
        still: np.ndarray | None = None,
        *,
        at_risk: int = 0,
        breaks: int = 0,
        changes: int = 0,
    ) -> None:
        """Add events to a frame that was seen."""
        lags = self.max_lag + 1
        correlated = np.zeros((2, lags)) if correlated is None else correlated
        still = np.zeros(lags) if still is None else still
        self.events.add(ordinal, np.concatenate([*correlated, still, [at_risk, breaks, 0, changes]]))

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
        at_risk, breaks = self.events.total[-4:-2]
        if breaks > 0.5 * at_risk:
            return (
                f"more than half of all bonds are gone after one frame ({high:.3g} fs): the "
                "frames do not follow each other, or bonds do not last as long as a frame."
            )
        return ""

    def result(self) -> Lifetime:
        refused = self.refusal()
        spacing = float(self.times[3]) if np.isfinite(self.times[3]) else np.nan
        total, blocks = self.events.total, self.events.complete()
        bins = self.max_lag + 1
        # Nothing of what depends on time is given where it was refused.
        lags = (total[:bins] > 0) & (not refused)
        origins, again, still = (part[lags] for part in np.split(total[: 3 * bins], 3))
        blocked = [part[:, lags] for part in np.split(blocks[:, : 3 * bins], 3, axis=1)]
        lag_fs = np.arange(bins)[lags] * spacing
        intermittent = self._share(again, origins, blocked[1], blocked[0])
        continuous = self._share(still, origins, blocked[2], blocked[0])
        fraction, fraction_error = self._lasting(continuous.mean, origins, blocked, blocks[:, -2])
        lifetime, lifetime_error, breaks = self._lifetime(refused, spacing)
        recurrence = _crossing(lag_fs, intermittent.mean, 1 / np.e)
        too_short = bool(refused or self._too_short(recurrence, lifetime, lag_fs))
        lasting = LASTING * self.period
        rate, rate_error = self._exchange(refused, spacing)
        return Lifetime(
            refused=refused,
            spacing_fs=spacing,
            lag_fs=lag_fs,
            intermittent=intermittent.mean,
            intermittent_error=intermittent.error,
            continuous=continuous.mean,
            continuous_error=continuous.error,
            lifetime_fs=lifetime,
            lifetime_error_fs=np.nan if too_short else lifetime_error,
            recurrence_fs=recurrence,
            breaks=breaks,
            molecular_fraction=fraction,
            molecular_fraction_error=fraction_error,
            lasting_fs=lasting,
            lasting_fraction=_at(lag_fs, fraction, lasting),
            lasting_fraction_error=_at(lag_fs, fraction_error, lasting),
            exchange_rate=rate,
            exchange_rate_error=rate_error,
            exchanges=self.partners.count,
            too_short=too_short or bool(breaks and np.isnan(lifetime_error)),
        )

    def _share(self, hits: np.ndarray, origins: np.ndarray, a: np.ndarray, b: np.ndarray) -> Estimate:
        """Share of the origins that are hits, by lag; exact at lag 0, where it is 1."""
        found = ratio_estimate(hits / origins, a, b, origins / max(self.n, 1), self.events)
        found.error[:1] = 0.0
        return found

    def _lasting(
        self, still: np.ndarray, origins: np.ndarray, blocks: list[np.ndarray], bonded: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Share of atoms in pairs that stay bonded, by lag, and its error.

        ``blocks`` are those of origins, recurrences and survivors, ``bonded`` of the share of
        atoms that are bonded.
        """
        mean = self.events.total[-2] / max(self.n, 1)
        per_frame = origins / max(self.n, 1)
        pairs = (blocks[2] - still * blocks[0]) / per_frame
        series = still * (bonded - mean)[:, None] + mean * pairs
        found = estimate(series, self.n / 2**self.events.level, weights=blocks[0])
        varies = np.abs(series).max(0, initial=0.0) > SAME
        return mean * still, np.where(found.enough & varies, np.sqrt(found.variance), np.nan)

    def _lifetime(self, refused: str, spacing: float) -> tuple[float, float, int]:
        """Bonded time per break, its error, and the number of breaks."""
        at_risk, breaks = self.events.total[-4:-2]
        if refused or not at_risk:
            return np.nan, np.nan, int(breaks)
        lifetime = float(at_risk * spacing / max(breaks, 1))
        blocks = self.events.complete()
        rate = ratio_estimate(
            np.array([breaks / at_risk]), blocks[:, -3:-2], blocks[:, -4:-3],
            np.array([at_risk / self.n]), self.events,
        )  # fmt: skip
        relative = float(rate.error[0]) * at_risk / max(breaks, 1)
        return lifetime, lifetime * max(relative, 1 / np.sqrt(max(breaks, 1))), int(breaks)

    def _exchange(self, refused: str, spacing: float) -> tuple[float, float]:
        """Changes of partner per atom and ps, and its error."""
        count, atoms = self.partners.count, self.atoms * (self.n - 1)
        if refused or not atoms:
            return np.nan, np.nan
        rate = count / (atoms * spacing / 1000)
        found = estimate(self.events.complete()[:, -1:], self.n / 2**self.events.level)
        if not count or not found.enough[0]:
            return rate, np.nan
        relative = float(np.sqrt(found.variance[0])) * self.n / count
        return rate, rate * max(relative, np.sqrt(2 / count))

    def _too_short(self, recurrence: float, lifetime: float, lag_fs: np.ndarray) -> bool:
        slowest = recurrence
        if not np.isfinite(recurrence):
            slowest = max(lifetime, lag_fs.max(initial=0.0))
        return self.n * float(self.times[3]) < RELAXATIONS * slowest

    def state(self) -> dict[str, np.ndarray]:
        partners = self.partners
        return {
            "scalars": np.array([self.n, self.atoms, *(self.span or (0, -1))]),
            "exchanges": np.array([partners.count, partners.n]),
            "partners": np.array([partners.first, partners.last, partners.since]),
            **{f"events_{name}": array for name, array in self.events.state().items()},
            "times": self.times,
            "ages": self._ages,
            **_pack("head", self._head),
            **_pack("tail", self._tail),
        }

    def load(self, state: dict[str, np.ndarray]) -> None:
        self.n, self.atoms, first, last = (int(x) for x in state["scalars"])
        self.span = (first, last) if self.n else None
        self.partners = PartnerChanges()
        self.partners.count, self.partners.n = (int(x) for x in state["exchanges"])
        self.partners.first, self.partners.last, self.partners.since = np.array(state["partners"])
        prefix = "events_"
        self.events = Blocks.from_state(
            {k[len(prefix) :]: v for k, v in state.items() if k.startswith(prefix)}
        )
        self.times = np.array(state["times"])
        self._ages = np.array(state["ages"])
        self._head, self._tail = _unpack("head", state), _unpack("tail", state)


def _keys(frame: FrameResult) -> np.ndarray:
    """One sorted integer per bonded pair, the same in every frame of a run."""
    pairs = frame.molecules()
    return np.unique(pairs[:, 0] * frame.n_atoms + pairs[:, 1])


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
