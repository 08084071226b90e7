"""Active learning: which frames of a trajectory are worth the price of a label."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Protocol

import numpy as np
from ase import Atoms

from ase_elf.dataset.fingerprint import distances, fingerprint
from ase_elf.errors import InputError

if TYPE_CHECKING:
    from ase_elf.model import Prediction

__all__ = ["PointModel", "ScoredFrame", "score_frames", "select_frames"]


class PointModel(Protocol):
    """What :func:`select_frames` needs of a field model."""

    def predict_points(self, atoms: Atoms, xyz: np.ndarray) -> Prediction: ...


@dataclass(frozen=True)
class ScoredFrame:
    """A frame and how unsure the model is of it.

    Parameters
    ----------
    index : int
        Position in the trajectory.
    atoms : ase.Atoms
    sigma : float
        Root mean square of the model's standard deviation of the ELF over the cell.
    fingerprint : ndarray
    """

    index: int
    atoms: Atoms
    sigma: float
    fingerprint: np.ndarray


def score_frames(
    frames: Iterable[Atoms], model: PointModel, *, n_points: int = 512, seed: int = 0
) -> Iterator[ScoredFrame]:
    """Score every frame at random points.

    Parameters
    ----------
    n_points : int
        Per frame. The mean over 512 independent points is good to a few percent, far better
        than frames have to be told apart, at a hundredth of the cost of a grid.

    Raises
    ------
    InputError
        The model states no uncertainty.
    """
    random = np.random.default_rng(seed)
    for index, atoms in enumerate(frames):
        points = random.random((n_points, 3)) @ atoms.cell.array
        sigma = model.predict_points(atoms, points).sigma
        if sigma is None:
            raise InputError(
                "this model states no uncertainty (Prediction.sigma is None), so there is "
                "nothing to choose by; use a pack with an ensemble of readings."
            )
        rms = float(np.sqrt(np.mean(np.square(sigma, dtype=float))))
        yield ScoredFrame(index, atoms, rms, fingerprint(atoms))


def select_frames(
    frames: Iterable[Atoms],
    model: PointModel,
    count: int,
    *,
    labelled: Iterable[Atoms] = (),
    n_points: int = 512,
    seed: int = 0,
) -> list[ScoredFrame]:
    """The frames whose labels would teach the model most, best first.

    Uncertainty alone would pick neighbours in time, which teach the same thing. So each
    choice maximises sigma times how different the frame is (fingerprint distance) from all
    that is labelled or chosen already.

    Parameters
    ----------
    frames : iterable of ase.Atoms
        One element composition throughout.
    model : object with ``predict_points``
        A field model that states its uncertainty.
    count : int
        Frames to pick; fewer are returned if the trajectory has fewer different ones.
    labelled : iterable of ase.Atoms
        Structures that have labels.

    Returns
    -------
    list of ScoredFrame

    Raises
    ------
    InputError
        ``count`` is not positive, there are no frames, the composition changes, or the
        model states no uncertainty.
    """
    if count < 1:
        raise InputError(f"count is {count}; at least one frame has to be picked.")
    scored = list(score_frames(frames, model, n_points=n_points, seed=seed))
    if not scored:
        raise InputError("there are no frames to choose from.")
    prints = _stacked([one.fingerprint for one in scored])
    known = [fingerprint(atoms) for atoms in labelled]
    known = [one for one in known if one.shape == prints[0].shape]
    return [scored[i] for i in islice(_choices(scored, prints, known), count)]


def _choices(scored: list[ScoredFrame], prints: np.ndarray, known: list[np.ndarray]) -> Iterator[int]:
    sigma = np.array([one.sigma for one in scored])
    # Nothing known yet: the first choice is by uncertainty alone.
    novelty = np.full(len(sigma), np.inf)
    if known:
        novelty = distances(prints, np.array(known)).min(axis=1)
    while True:
        gain = sigma * novelty if np.isfinite(novelty).all() else sigma
        best = int(np.argmax(gain))
        if novelty[best] < 1e-9:
            return
        yield best
        novelty = np.minimum(novelty, distances(prints, prints[best : best + 1])[:, 0])


def _stacked(prints: list[np.ndarray]) -> np.ndarray:
    if len({one.shape for one in prints}) > 1:
        raise InputError("the frames hold different elements; choose from one composition at a time.")
    return np.array(prints)
