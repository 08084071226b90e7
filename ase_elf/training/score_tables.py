"""Scores of many structures as tables: by group, by wavelength, by distance.

A group is a kind of structure. Worst values stand beside means, since a mean hides the
structure that fails.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ase_elf.topology.critical import KINDS
from ase_elf.training.error_bars import BINS, rank_correlation
from ase_elf.training.evaluate import Score
from ase_elf.training.matching import total
from ase_elf.training.residual import DISTANCES, SHELL

__all__ = [
    "ALL",
    "COVERAGE",
    "calibration_table",
    "correlation_table",
    "grouped",
    "power_table",
    "summary",
    "tables",
]

ALL = "all"
"""The group that holds every structure."""

COVERAGE = (0.60, 0.75)
"""Where the coverage of one σ should lie: 0.683 for Gaussian errors."""


def grouped(scores: Sequence[Score]) -> dict[str, list[Score]]:
    """Scores by kind, and, where there are several kinds, all of them."""
    groups: dict[str, list[Score]] = {}
    for score in scores:
        groups.setdefault(score.kind or "unknown", []).append(score)
    groups = dict(sorted(groups.items()))
    return groups if len(groups) == 1 else {**groups, ALL: list(scores)}


def summary(scores: Sequence[Score]) -> dict[str, float]:
    """One group as numbers: a row of the table of groups. NaN where nothing was measured.

    Parameters
    ----------
    scores : sequence of Score
        At least one.
    """
    phi = np.abs([score.phi_error for score in scores])
    row = {
        "structures": len(scores),
        "r2_mean": _mean(s.r2 for s in scores),
        "r2_worst": min(s.r2 for s in scores),
        "mae_mean": _mean(s.mae for s in scores),
        "mae_worst": max(s.mae for s in scores),
        "rmse_mean": _mean(s.rmse for s in scores),
        "rmse_worst": max(s.rmse for s in scores),
        "bias_mean": _mean(s.bias for s in scores),
        "histogram_mean": _mean(s.histogram for s in scores),
        "phi_error_mean": _mean(phi),
        "phi_error_worst": _worst(phi),
        "phi_within_uncertainty": _mean(
            abs(s.phi_error) <= s.phi_uncertainty for s in scores if math.isfinite(s.phi_error)
        ),
    }
    row["distance_error_spearman"] = rank_correlation([s.distance for s in scores], [s.rmse for s in scores])
    return row | _of_bars(scores) | _of_spectra(scores) | _of_topology(scores)


def _of_bars(scores: Sequence[Score]) -> dict[str, float]:
    bars = [score.bars for score in scores if score.bars]
    low, high = COVERAGE
    return {
        "coverage_mean": _mean(b.coverage for b in bars),
        "coverage_lowest": min((b.coverage for b in bars), default=math.nan),
        "coverage_highest": max((b.coverage for b in bars), default=math.nan),
        "coverage_within_60_75": _mean(low <= b.coverage <= high for b in bars),
        "likelihood_gain_mean": _mean(b.likelihood_gain for b in bars),
        "likelihood_gain_lowest": min((b.likelihood_gain for b in bars), default=math.nan),
        "spearman_mean": _mean(b.spearman for b in bars),
        "spearman_lowest": min((b.spearman for b in bars), default=math.nan),
    }


def _of_spectra(scores: Sequence[Score]) -> dict[str, float]:
    spectra = [score.spectrum for score in scores if score.spectrum]
    names = ("correlation_length", "long_power", "long_fraction")
    return {f"{name}_mean": _mean(getattr(s, name) for s in spectra) for name in names}


def _of_topology(scores: Sequence[Score]) -> dict[str, float]:
    examined = [score for score in scores if score.matches]
    if not examined:
        return {}
    row = {}
    for kind in KINDS:
        match = total(score.matches[kind] for score in examined)
        row |= {
            f"{kind}_{name}": getattr(match, name)
            for name in ("reference", "recall", "precision", "displacement")
        }
        # Missing even where the other side is taken down to far lower persistence.
        row[f"{kind}_recall_any"] = _ratio(match.found, match.reference)
        row[f"{kind}_precision_any"] = _ratio(match.confirmed, match.predicted)
    f1 = [score.f1 for score in examined]
    lowest = min((value for value in f1 if math.isfinite(value)), default=math.nan)
    return row | {"f1_mean": _mean(f1), "f1_worst": lowest}


def power_table(scores: Sequence[Score]) -> list[dict[str, float]]:
    """S(k) of a group: rows with k (1/Å) and the mean spectral density (ELF² Å³).

    Each structure counts by the number of its waves in a shell, so that a small crystal
    with one wave there does not outweigh a fluid with fifty.
    """
    spectra = [score.spectrum for score in scores if score.spectrum]
    length = max((len(s.power) for s in spectra), default=0)
    power, waves = np.zeros(length), np.zeros(length)
    for s in spectra:
        power[: len(s.power)] += s.volume * s.power
        waves[: len(s.power)] += s.waves
    return [
        {"k": SHELL * (i + 0.5), "S": power[i] / waves[i], "waves": int(waves[i])}
        for i in np.flatnonzero(waves)
    ]


def correlation_table(scores: Sequence[Score]) -> list[dict[str, float]]:
    """C(r)/C(0) of a group: rows with r (Å) and the mean over its structures."""
    found = [s.spectrum.correlation for s in scores if s.spectrum]
    found = [c for c in found if np.isfinite(c).all()]
    if not found:
        return []
    mean = np.mean(found, axis=0)
    return [{"r": r, "C": c} for r, c in zip(DISTANCES.tolist(), mean.tolist(), strict=True)]


def calibration_table(scores: Sequence[Score]) -> list[dict[str, float]]:
    """Tenths of the points of each structure by σ: root mean square σ and error of a group."""
    steps = [s.bars.steps for s in scores if s.bars and np.isfinite(s.bars.steps).all()]
    if not steps:
        return []
    sigma, error = np.sqrt(np.mean(np.square(steps), axis=0))
    return [{"tenth": i + 1, "sigma": float(sigma[i]), "error": float(error[i])} for i in range(BINS)]


def tables(scores: Sequence[Score]) -> dict[str, list[dict]]:
    """Everything measured, as tables by name; every row holds plain numbers and text."""
    groups = grouped(scores)
    parts = {"spectrum": power_table, "correlation": correlation_table,
             "calibration": calibration_table}  # fmt: skip
    found = {
        "structures": [score.row() for score in scores],
        "groups": [{"group": name, **summary(members)} for name, members in groups.items()],
    }
    for name, table in parts.items():
        found[name] = [{"group": group, **row} for group, members in groups.items() for row in table(members)]
    return found


def _mean(values) -> float:
    """Of those that are numbers."""
    values = np.array(list(values), dtype=float)
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else math.nan


def _worst(values: np.ndarray) -> float:
    values = values[np.isfinite(values)]
    return float(values.max()) if len(values) else math.nan


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
