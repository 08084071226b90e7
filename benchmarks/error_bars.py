"""How often the statistics state an error bar, and how often it covers: the table in docs/statistics.md.

    python benchmarks/page.py error_bars     # some minutes

Series are autoregressive of first order with the correlation time tau (in frames) and the mean 0, n frames long.
``stated`` is the share of trials with an error, ``covers`` the share of those in which the mean lies within one
error of 0 (0.683 for a perfect one), ``ratio`` the mean stated error over the spread of the means of all trials.
"""

from __future__ import annotations

import argparse

import numpy as np
from scipy.signal import lfilter

from ase_elf.statistics import Blocking

TAUS = (2, 5, 20, 100)
SPANS = (3, 5, 10, 25, 50, 100, 400)
WHITE = (8, 12, 16, 25, 50, 100, 1000)


def autoregressive(n: int, tau: float, trials: int, seed: int) -> np.ndarray:
    """Series in equilibrium with variance 1, shape (n, trials); white noise for tau 0."""
    keep = np.exp(-1 / tau) if tau else 0.0
    noise = np.random.default_rng(seed).normal(size=(n, trials))
    noise[1:] *= np.sqrt(1 - keep**2)
    return lfilter([1.0], [1.0, -keep], noise, axis=0)


def study(series: np.ndarray) -> tuple[float, float, float]:
    """Share stated, share of those that cover, stated error over the spread of means."""
    blocks = Blocking(series.shape[1])
    for k, values in enumerate(series):
        blocks.update(k, values)
    found = blocks.result()
    stated = np.isfinite(found.error)
    if not stated.any():
        return 0.0, np.nan, np.nan
    mean, error = found.mean[stated], found.error[stated]
    return stated.mean(), np.mean(np.abs(mean) < error), error.mean() / found.mean.std()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=2000)
    trials = parser.parse_args().trials
    print(f"{trials} trials each\n\n  tau  n/tau       n  stated  covers  ratio")
    cases = [(0, n, n) for n in WHITE] + [(tau, span, span * tau) for tau in TAUS for span in SPANS]
    for tau, span, n in cases:
        stated, covers, ratio = study(autoregressive(n, tau, trials, seed=n + tau))
        shown = f"{span:5d}" if tau else "white"
        print(f"{tau:5d}  {shown}  {n:6d}  {stated:6.3f}  {covers:6.3f} {ratio:6.2f}".replace("nan", "  –"))


if __name__ == "__main__":
    main()
