"""Picking frames worth labelling."""

from dataclasses import dataclass

import numpy as np
import pytest
from ase import Atoms

from ase_elf.dataset import select_frames
from ase_elf.errors import InputError


@dataclass
class Prediction:
    values: np.ndarray
    sigma: np.ndarray | None


class Unsure:
    """Unsure in proportion to ``info['sigma']`` of the frame."""

    def __init__(self, states=True):
        self.states = states

    def predict_points(self, atoms, xyz):
        sigma = np.full(len(xyz), atoms.info["sigma"], np.float32) if self.states else None
        return Prediction(np.zeros(len(xyz), np.float32), sigma)


def frame(seed, sigma):
    random = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.arange(2)] * 3), -1).reshape(-1, 3) * 1.5
    positions = grid + random.uniform(-0.35, 0.35, grid.shape)
    return Atoms("H8", positions=positions, cell=[3] * 3, pbc=True, info={"sigma": sigma})


def test_the_least_sure_frame_comes_first():
    frames = [frame(i, sigma) for i, sigma in enumerate((0.01, 0.05, 0.02))]
    chosen = select_frames(frames, Unsure(), 1)
    assert [one.index for one in chosen] == [1]
    assert chosen[0].sigma == pytest.approx(0.05)


def test_a_copy_of_a_chosen_frame_is_not_chosen_again():
    frames = [frame(0, 0.05), frame(0, 0.05), frame(1, 0.02)]
    assert [one.index for one in select_frames(frames, Unsure(), 3)] == [0, 2]


def test_what_is_labelled_already_is_not_chosen():
    frames = [frame(0, 0.05), frame(1, 0.02)]
    chosen = select_frames(frames, Unsure(), 2, labelled=[frame(0, 0)])
    assert [one.index for one in chosen] == [1]


def test_the_choice_does_not_depend_on_anything_but_its_seed():
    frames = [frame(i, 0.01 * (i + 1)) for i in range(5)]
    first = [one.index for one in select_frames(frames, Unsure(), 3)]
    assert first == [one.index for one in select_frames(frames, Unsure(), 3)]


def test_what_cannot_be_chosen_from_is_refused():
    with pytest.raises(InputError, match="count is 0"):
        select_frames([frame(0, 0.1)], Unsure(), 0)
    with pytest.raises(InputError, match="no frames"):
        select_frames([], Unsure(), 1)
    with pytest.raises(InputError, match="no uncertainty"):
        select_frames([frame(0, 0.1)], Unsure(states=False), 1)
    other = Atoms("HeH7", positions=frame(0, 0).positions, cell=[3] * 3, pbc=True)
    other.info["sigma"] = 0.1
    with pytest.raises(InputError, match="different elements"):
        select_frames([frame(0, 0.1), other], Unsure(), 1)
