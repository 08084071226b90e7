"""How good a model is on labels: one :class:`Score` per structure, on the grid of its label.

R² is against the structure's own mean. What is measured in other ways than point by point
is in :mod:`~ase_elf.training.residual`, :mod:`~ase_elf.training.error_bars` and
:mod:`~ase_elf.training.matching`; averages over structures are in
:mod:`~ase_elf.training.score_tables`. Printing is the caller's.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ase_elf.dataset.label import Label
from ase_elf.errors import InputError
from ase_elf.geometry.checks import describe
from ase_elf.grid import ELFGrid
from ase_elf.model import Prediction
from ase_elf.topology import Networking, networking
from ase_elf.training.error_bars import ErrorBars, error_bars
from ase_elf.training.matching import Match, connectivity, match_critical_points, total
from ase_elf.training.region import EVERYWHERE, Region
from ase_elf.training.residual import Spectrum, spectrum

__all__ = ["JOINT", "Predictor", "Score", "compare", "compare_grids", "score_label"]

JOINT = 50
"""Bins of ELF values in :attr:`Score.joint`."""


class Predictor(Protocol):
    """What can be evaluated: a :class:`~ase_elf.model.FieldModel`, or anything like it."""

    def predict(self, structures: list, shapes: list[tuple[int, int, int]]) -> list[Prediction]: ...

    def predict_points(self, atoms: object, xyz: np.ndarray) -> Prediction: ...


@dataclass(frozen=True)
class Score:
    """One structure, predicted against its reference, on its grid or at its points.

    Parameters
    ----------
    name, kind, split : str
    r_s : float
        Wigner-Seitz radius per atom, bohr; NaN of a molecule.
    r2 : float
        1 - mean squared error over the variance of the reference ELF on its grid.
    mae, rmse, bias, max_error : float
        Mean absolute, root mean square, mean (the wave k = 0) and largest absolute error of
        the ELF. No threshold of the ELF, such as φ, can be off by more than the largest.
    histogram : float
        Wasserstein-1 distance of the two distributions of ELF values: by how much values
        have to be moved, on average, to make one the other. At most ``mae``.
    phi, phi_reference, phi_uncertainty : float
        Networking value of prediction and reference, and the error the prediction states
        for it (:attr:`ase_elf.topology.Networking.uncertainty`); NaN where the label is no
        grid.
    distance : float
        Of the structure from those trained on (:attr:`ase_elf.model.Prediction.distance`);
        NaN where the model does not know.
    seconds : float
        Wall time of the prediction, structure in, grid out.
    bars : ErrorBars or None
        σ against errors, of a model that predicts one.
    spectrum : Spectrum or None
        The residual by wavelength, where the label is a grid.
    matches : dict of Match, or None
        Critical points by kind, where they were asked for and the label is a grid.
    connectivity : dict of float, or None
        F1 of the edges of the bond graphs by isovalue, likewise.
    joint : ndarray, shape (JOINT, JOINT), float64, or None
        Part of the points with the reference in bin i and the prediction in bin j of [0, 1].
    """

    name: str
    kind: str
    split: str
    r_s: float
    r2: float
    mae: float
    rmse: float
    bias: float
    max_error: float
    histogram: float
    phi: float
    phi_reference: float
    phi_uncertainty: float
    distance: float
    seconds: float
    bars: ErrorBars | None = None
    spectrum: Spectrum | None = None
    matches: dict[str, Match] | None = None
    connectivity: dict[float, float] | None = None
    joint: np.ndarray | None = None

    @property
    def phi_error(self) -> float:
        """Predicted minus reference φ; in magnitude at most ``max_error``."""
        return self.phi - self.phi_reference

    @property
    def coverage(self) -> float:
        """Fraction of points whose error is below the predicted σ (0.683 if Gaussian)."""
        return self.bars.coverage if self.bars else math.nan

    @property
    def f1(self) -> float:
        """Mean over isovalues of the agreement of the bond graphs; NaN where not asked for."""
        found = list((self.connectivity or {}).values())
        return float(np.mean(found)) if found else math.nan

    def row(self) -> dict[str, str | float]:
        """All of it that is one number, by name: a row of a table."""
        plain = ("name", "kind", "split", "r_s", "r2", "mae", "rmse", "bias", "max_error",
                 "histogram", "phi", "phi_reference", "phi_error", "phi_uncertainty",
                 "distance", "seconds")  # fmt: skip
        row = {name: getattr(self, name) for name in plain}
        if self.bars:
            names = ("coverage", "coverage_2", "likelihood_gain", "spearman")
            row |= {name: getattr(self.bars, name) for name in names}
        if self.spectrum:
            names = ("correlation_length", "long_power", "long_fraction")
            row |= {name: getattr(self.spectrum, name) for name in names}
        for kind, match in (self.matches or {}).items():
            row |= {
                f"{kind}_{name}": getattr(match, name) for name in ("recall", "precision", "displacement")
            }
        if self.connectivity is not None:
            row["f1"] = self.f1
        return row

    @property
    def all_points(self) -> Match | None:
        """Critical points of all kinds together."""
        return total(self.matches.values()) if self.matches else None


def score_label(
    model: Predictor, label: Label, *, topology: bool = False, region: Region = EVERYWHERE
) -> Score:
    """Predict one label on its own grid and compare.

    Parameters
    ----------
    model : Predictor
    label : Label
    topology : bool
        Also match critical points and bond graphs, about three seconds for a grid of 72³.
    region : Region
        Where values are compared; topology, φ and the spectrum are of whole grids.
    """
    return compare(label, *_timed(model, label), topology=topology, region=region)


def compare(
    label: Label,
    prediction: Prediction,
    seconds: float = math.nan,
    *,
    topology: bool = False,
    region: Region = EVERYWHERE,
) -> Score:
    """:func:`score_label` of a prediction that is already there, at the points of the label.

    Raises
    ------
    InputError
        No point of the label lies in the region.
    """
    inside = region.of(label)
    if not inside.any():
        raise InputError(f"label {label.name!r} holds no point that is to be scored ({region}).")
    sigma = None if prediction.sigma is None else prediction.sigma[inside]
    score = {
        "name": label.name,
        "kind": label.kind,
        "split": label.split,
        "r_s": describe(label.atoms).get("r_s_bohr", math.nan),
        **_of_values(label.values[inside], prediction.values[inside], sigma),
        "distance": math.nan if prediction.distance is None else prediction.distance,
        "seconds": seconds,
    }
    if label.points is not None:
        return Score(**score, phi=math.nan, phi_reference=math.nan, phi_uncertainty=math.nan)
    predicted = ELFGrid(prediction.values, label.atoms, sigma=prediction.sigma)
    return Score(**score, **_of_grids(label.grid, predicted, topology=topology))


def compare_grids(reference: ELFGrid, other: ELFGrid) -> Score:
    """:func:`compare` of two grids of one shape on the same atoms, topology included."""
    return Score(
        name=str(reference.atoms.symbols),
        kind="",
        split="",
        r_s=describe(reference.atoms).get("r_s_bohr", math.nan),
        distance=math.nan,
        seconds=math.nan,
        **_of_values(reference.values, other.values, other.sigma),
        **_of_grids(reference, other, topology=True),
    )


def _of_values(truth: np.ndarray, found: np.ndarray, sigma: np.ndarray | None) -> dict[str, Any]:
    """What is compared point by point."""
    truth, found = truth.astype(float), found.astype(float)
    error = found - truth
    mean_square = float((error**2).mean())
    return {
        "r2": 1 - mean_square / float(truth.var()),
        "mae": float(np.abs(error).mean()),
        "rmse": mean_square**0.5,
        "bias": float(error.mean()),
        "max_error": float(np.abs(error).max()),
        "histogram": _distance(found, truth),
        "joint": _joint(truth, found),
        "bars": None if sigma is None else error_bars(error, sigma),
    }


def _of_grids(reference: ELFGrid, predicted: ELFGrid, *, topology: bool) -> dict[str, Any]:
    """What is compared of whole grids."""
    grids = reference, predicted
    nets = [networking(grid) for grid in grids]
    found = {"spectrum": spectrum(predicted.values.astype(float) - reference.values, reference.cell)}
    if topology:
        found |= {"matches": match_critical_points(*grids), "connectivity": connectivity(*nets)}
    return found | _phi(*nets)


def _timed(model: Predictor, label: Label) -> tuple[Prediction, float]:
    started = time.perf_counter()
    if label.points is None:
        prediction = model.predict([label.atoms], [label.values.shape])[0]
    else:
        prediction = model.predict_points(label.atoms, label.points)
    return prediction, time.perf_counter() - started


def _phi(reference: Networking, predicted: Networking) -> dict[str, float]:
    return {
        "phi": predicted.phi,
        "phi_reference": reference.phi,
        "phi_uncertainty": predicted.uncertainty,
    }


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    """Wasserstein-1 of equally many equally likely values: the sorted ones, one by one."""
    return float(np.abs(np.sort(a, axis=None) - np.sort(b, axis=None)).mean())


def _joint(reference: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    row, column = (
        np.minimum((np.clip(values, 0, 1) * JOINT).astype(int), JOINT - 1).ravel()
        for values in (reference, predicted)
    )
    counts = np.bincount(row * JOINT + column, minlength=JOINT * JOINT)
    return counts.reshape(JOINT, JOINT) / reference.size
