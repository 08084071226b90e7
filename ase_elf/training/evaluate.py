"""How good a model is on labels: one row per structure, on the full grid of the label.

R² is against the structure's own mean. Owns the measures; printing is the caller's.
"""

from __future__ import annotations

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
    """One structure, predicted against its reference.

    Parameters
    ----------
    name, kind, split : str
    r_s : float
        Wigner-Seitz radius per atom, bohr.
    r2 : float
        1 - mean squared error over the variance of the reference ELF on its grid.
    mae, rmse, bias : float
        Mean absolute, root mean square and mean error of the ELF.
    histogram : float
        Largest difference of the two cumulative ELF distributions (Kolmogorov-Smirnov).
    coverage : float
        Fraction of grid points whose error is below the predicted σ (0.683 if Gaussian).
    phi, phi_reference : float
        Networking value of prediction and reference.
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
    atoms, truth = label.atoms, label.grid.values
    started = time.perf_counter()
    prediction = model.predict([atoms], [truth.shape])[0]
    seconds = time.perf_counter() - started
    error = prediction.values.astype(float) - truth
    mean_square = float((error**2).mean())
    return Score(
        name=label.name,
        kind=label.kind,
        split=label.split,
        r_s=describe(atoms)["r_s_bohr"],
        r2=1 - mean_square / float(truth.astype(float).var()),
        mae=float(np.abs(error).mean()),
        rmse=mean_square**0.5,
        bias=float(error.mean()),
        histogram=_cumulative_distance(prediction.values, truth),
        coverage=float((np.abs(error) < prediction.sigma).mean()),
        phi=networking(ELFGrid(prediction.values, atoms)).phi,
        phi_reference=networking(ELFGrid(truth, atoms)).phi,
        seconds=seconds,
    )


def _cumulative_distance(a: np.ndarray, b: np.ndarray) -> float:
    edges = np.linspace(0, 1, 501)
    first, second = (np.histogram(v, edges)[0].cumsum() / v.size for v in (a, b))
    return float(np.abs(first - second).max())
