"""Stand-ins for tests of code that needs a domain pack, without weights and in milliseconds."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
from ase import Atoms
from scipy.special import expit

from ase_elf.domains import Domain
from ase_elf.geometry.pairs import by_name, pairs_among
from ase_elf.model import Prediction

__all__ = ["WIDTH", "GaussianDomain", "GaussianModel", "molecular_fluid"]

WIDTH = 0.3
"""Å. Standard deviation of the Gaussians of :class:`GaussianModel`."""


class GaussianModel:
    """A field model in closed form: logit(ELF) = 6 s − 2, s a sum of Gaussians at the atoms.

    Exactly periodic, smooth, and bound like molecules: two atoms 0.75 Å apart share an ELF
    above 0.9, atoms 1.5 Å apart hardly see each other. 0.98 at a lone nucleus, 0.12 far
    from all.
    """

    def predict(
        self, structures: list[Atoms], shapes: list[tuple[int, int, int]], *, sigma: bool = True
    ) -> list[Prediction]:
        """See :meth:`ase_elf.model.FieldModel.predict`; sigma is 0.01 everywhere."""
        return [self._on_grid(a, s, sigma) for a, s in zip(structures, shapes, strict=True)]

    def predict_points(self, atoms: Atoms, xyz: np.ndarray, *, sigma: bool = True) -> Prediction:
        """See :meth:`ase_elf.model.FieldModel.predict_points`."""
        fractional = np.linalg.solve(atoms.cell[:].T, np.atleast_2d(xyz).T).T
        images = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 3, indexing="ij"), -1).reshape(-1, 3)
        s = np.zeros(len(fractional))
        for home in atoms.get_scaled_positions():
            apart = ((fractional - home + 0.5) % 1 - 0.5)[:, None] + images
            s += np.exp(-((apart @ atoms.cell[:]) ** 2).sum(-1) / (2 * WIDTH**2)).sum(1)
        return _prediction(s, sigma)

    def _on_grid(self, atoms: Atoms, shape: tuple[int, int, int], sigma: bool) -> Prediction:
        """The Fourier series of the Gaussians, exact where the grid resolves them."""
        waves = [np.round(np.fft.fftfreq(n) * n) for n in shape]
        fractional = atoms.get_scaled_positions()
        phases = [np.exp(-2j * np.pi * np.outer(fractional[:, k], waves[k])) for k in range(3)]
        factor = np.einsum("na,nb,nc->abc", *phases, optimize=True)
        g = 2 * np.pi * np.stack(np.meshgrid(*waves, indexing="ij"), -1) @ atoms.cell.reciprocal()
        weight = (2 * np.pi * WIDTH**2) ** 1.5 * np.exp(-(WIDTH**2) * (g**2).sum(-1) / 2)
        s = np.fft.ifftn(factor * weight / atoms.get_volume()).real * np.prod(shape)
        return _prediction(s, sigma)


def _prediction(s: np.ndarray, sigma: bool) -> Prediction:
    values = expit(6 * s - 2).astype(np.float32)
    return Prediction(values, np.full_like(values, 0.01) if sigma else None)


class GaussianDomain(Domain):
    """A domain pack around :class:`GaussianModel`; has no files.

    Parameters
    ----------
    elements : tuple of str
        Any pair of them bonds up to 1 Å.
    """

    def __init__(self, elements: tuple[str, ...] = ("H",)) -> None:
        super().__init__(Path("stand-in"))
        object.__setattr__(self, "_elements", tuple(elements))  # the base is frozen

    @cached_property
    def card(self) -> dict:
        return {
            "name": "stand-in",
            "elements": list(self._elements),
            "bonds": by_name(dict.fromkeys(pairs_among(self._elements), 1.0)),
            "spacing": 0.2,
            "trained_range": {"r_s_bohr": [1.2, 1.8], "shortest_distance": [0.4, 2.0]},
            "weights": {"file": "none", "sha256": "0" * 64},
        }

    def load(self, device: str | None = None, dtype: str = "float32") -> GaussianModel:
        return GaussianModel()


def molecular_fluid(
    n_molecules: int, n_frames: int, *, dt: float = 1.0, seed: int = 0, length: float = 6.0
) -> list[Atoms]:
    """Scripted motion of diatomic molecules: a vibrating, slowly turning cubic arrangement.

    Parameters
    ----------
    n_molecules : int
        At most the cube it fits in: sites are filled in order.
    n_frames : int
    dt : float
        fs between frames.
    seed : int
    length : float
        Edge of the cubic cell in Å.

    Returns
    -------
    list of ase.Atoms
        With ``info["time_fs"]``.
    """
    rng = np.random.default_rng(seed)
    n = int(np.ceil(n_molecules ** (1 / 3) - 1e-9))
    sites = np.stack(np.meshgrid(*[np.arange(n)] * 3, indexing="ij"), -1).reshape(-1, 3)
    centers = (sites[:n_molecules] + 0.5) * length / n
    axes, turn = rng.normal(size=(2, n_molecules, 3))
    phase = rng.uniform(0, 2 * np.pi, n_molecules)
    frames = []
    for k in range(n_frames):
        direction = axes + 0.02 * k * dt * turn
        direction /= np.linalg.norm(direction, axis=1)[:, None]
        bond = 0.75 + 0.06 * np.sin(2 * np.pi * k * dt / 8 + phase)[:, None]
        middle = centers + 0.1 * np.sin(0.05 * k * dt + phase)[:, None]
        ends = np.stack([middle - bond / 2 * direction, middle + bond / 2 * direction], axis=1)
        atoms = Atoms(f"H{2 * n_molecules}", ends.reshape(-1, 3), cell=[length] * 3, pbc=True)
        atoms.info["time_fs"] = k * dt
        frames.append(atoms)
    return frames
