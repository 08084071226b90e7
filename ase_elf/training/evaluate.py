"""How good a model is on labels: one row per structure, on the full grid of the label.

R² is against the structure's own mean. Owns the measures; printing is the caller's.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np

from ase_elf.dataset.label import Label
from ase_elf.domains import describe
from ase_elf.grid import ELFGrid
from ase_elf.model import FieldModel
from ase_elf.topology import networking


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
    mae, rmse, bias : float
        Mean absolute, root mean square and mean error of the ELF.
    histogram : float
        Largest difference of the two cumulative ELF distributions (Kolmogorov-Smirnov).
    coverage : float
        Fraction of grid points whose error is below the predicted σ (0.683 if Gaussian).
    phi, phi_reference : float
        Networking value of prediction and reference; NaN where the label is no grid.
    seconds : float
        Wall time of the prediction, structure in, grid out.
    """

    name: str
    kind: str
    split: str
    r_s: float
    r2: float
    mae: float
    rmse: float
    bias: float
    histogram: float
    coverage: float
    phi: float
    phi_reference: float
    seconds: float

    @property
    def phi_error(self) -> float:
        return self.phi - self.phi_reference


def score_label(model: FieldModel, label: Label) -> Score:
    """Predict one label on its own grid and compare."""
    atoms, truth = label.atoms, label.values
    started = time.perf_counter()
    if label.points is None:
        prediction = model.predict([atoms], [truth.shape])[0]
    else:
        prediction = model.predict_points(atoms, label.points)
    seconds = time.perf_counter() - started
    error = prediction.values.astype(float) - truth
    mean_square = float((error**2).mean())
    return Score(
        name=label.name,
        kind=label.kind,
        split=label.split,
        r_s=describe(atoms).get("r_s_bohr", math.nan),
        r2=1 - mean_square / float(truth.astype(float).var()),
        mae=float(np.abs(error).mean()),
        rmse=mean_square**0.5,
        bias=float(error.mean()),
        histogram=_cumulative_distance(prediction.values, truth),
        coverage=float((np.abs(error) < prediction.sigma).mean()),
        phi=_phi(prediction.values, label),
        phi_reference=_phi(truth, label),
        seconds=seconds,
    )


def _phi(values: np.ndarray, label: Label) -> float:
    """The networking value, which takes a grid; NaN of points."""
    return math.nan if label.points is not None else networking(ELFGrid(values, label.atoms)).phi


def _cumulative_distance(a: np.ndarray, b: np.ndarray) -> float:
    edges = np.linspace(0, 1, 501)
    first, second = (np.histogram(v, edges)[0].cumsum() / v.size for v in (a, b))
    return float(np.abs(first - second).max())
