"""Compiled steps of the topology against plain ones."""

import numpy as np
import pytest
from fields import TRICLINIC, gaussians
from hypothesis import given, settings
from hypothesis import strategies as st

from ase_elf.geometry import spline
from ase_elf.topology import boxes
from ase_elf.topology.basins import find_basins, find_faces, unpack
from ase_elf.topology.eigenvector_following import _diagonalise, follow_modes
from ase_elf.topology.field import SplineField

SHAPE = (9, 11, 8)


def rough_field(seed, kind="f4"):
    """So few values that there are plateaus."""
    values = np.random.default_rng(seed).integers(0, 12, SHAPE) / 12
    return SplineField(values.astype(kind), TRICLINIC)


def climbed(field, voxel):
    """The voxel that steepest ascent ends at, by the definition, and the image it is in."""
    steps = [s for s in np.ndindex(3, 3, 3) if s != (1, 1, 1)]
    steps = np.array(steps) - 1
    lengths = np.linalg.norm(steps @ field.voxel_vectors, axis=1)
    order = np.argsort(lengths, kind="stable")
    steps, inverse = steps[order], (1 / lengths[order]).astype(field.values.dtype)
    at = np.array(voxel)
    while True:
        home = at % SHAPE
        around = field.values[tuple(((home + steps) % SHAPE).T)]
        slopes = (around - field.values[tuple(home)]) * inverse
        index = [np.ravel_multi_index(tuple(p), SHAPE) for p in (home + steps) % SHAPE]
        level = np.flatnonzero((slopes == 0) & (np.array(index) < np.ravel_multi_index(tuple(home), SHAPE)))
        if slopes.max() > 0:
            at = at + steps[slopes.argmax()]
        elif len(level):
            at = at + steps[level[0]]
        else:
            return at


@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_every_voxel_belongs_where_steepest_ascent_by_hand_leads(kind):
    from ase_elf.topology import basins, steepest

    field = rough_field(3, kind)
    steps, inverse = basins._neighbours(tuple(field.voxel_vectors.ravel().tolist()))
    padded = np.pad(field.values, 1, mode="wrap")
    ends, images = steepest.follow_pointers(padded, steps, inverse.astype(kind))
    for i, voxel in enumerate(np.ndindex(SHAPE)):
        image, inside = np.divmod(climbed(field, voxel), SHAPE)
        assert ends[i] == np.ravel_multi_index(tuple(inside), SHAPE)
        assert np.array_equal(unpack(images[i]), image)


def test_faces_are_the_highest_of_all_between_two_basin_images():
    basins = find_basins(rough_field(5))
    highest = {}
    for voxel in np.ndindex(SHAPE):
        for step in np.eye(3, dtype=int):
            image, beyond = np.divmod(voxel + step, SHAPE)
            a, b = basins.labels[voxel], basins.labels[tuple(beyond)]
            shift = image + unpack(basins.images[tuple(beyond)]) - unpack(basins.images[voxel])
            key = min((a, b, *shift), (b, a, *-shift))
            if min(a, b) >= 0 and (a != b or shift.any()):
                low = min(basins.field.values[voxel], basins.field.values[tuple(beyond)])
                highest[key] = max(low, highest.get(key, 0))
    faces = find_faces(basins)
    found = {min((a, b, *s), (b, a, *-s)): v
             for (a, b), s, v in zip(faces.ends, faces.shifts, faces.values, strict=True)}  # fmt: skip
    assert found == highest
    assert (np.diff(faces.values) <= 0).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(-12, 0), st.booleans())
def test_eigenvectors_are_orthonormal_and_diagonalise(seed, exponent, twice):
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(3, 3))
    matrix = np.diag([1.0, 1.0 if twice else -2.0, 3.0]) + 10.0**exponent * (matrix + matrix.T)
    diagonal, modes = matrix.copy(), np.empty((3, 3))
    _diagonalise(diagonal, modes)
    np.testing.assert_allclose(np.sort(np.diag(diagonal)), np.linalg.eigvalsh(matrix), atol=1e-14)
    np.testing.assert_allclose(modes.T @ modes, np.eye(3), atol=1e-14)
    np.testing.assert_allclose(modes * np.diag(diagonal) @ modes.T, matrix, atol=1e-14)


@pytest.mark.parametrize("n_up", range(4))
def test_a_walk_ends_at_a_zero_of_the_gradient_of_the_wanted_kind(n_up):
    field = SplineField(gaussians(8, TRICLINIC, width=0.5, seed=1).on_grid((24, 24, 24)), TRICLINIC)
    start = np.random.default_rng(n_up).uniform(0, 24, (300, 3))
    u, ok = follow_modes(field.coefficients, start, n_up, 4.0, 40)
    _, gradient, hessian = field.hessian(u[ok])
    assert ok.sum() > 10
    assert np.abs(gradient).max() < 1e-9
    assert ((np.linalg.eigvalsh(hessian) < 0).sum(axis=1) == n_up).all()


def at_samples(box):
    """Gradients of a box on 9^3 points, from its Bernstein coefficients."""
    t = np.linspace(0, 1, 9)
    basis = np.stack([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3], 1)
    slope = np.stack([-3 * (1 - t) ** 2, 3 * (1 - t) * (1 - 3 * t), 3 * t * (2 - 3 * t), 3 * t**2], 1)
    factors = ((slope, basis, basis), (basis, slope, basis), (basis, basis, slope))
    cube = box.reshape(4, 4, 4)
    return np.stack([np.einsum("ijk,ai,bj,ck->abc", cube, *f).reshape(-1) for f in factors], 1)


@pytest.fixture(scope="module")
def judged():
    field = gaussians(12, TRICLINIC, width=0.4, seed=4).on_grid(SHAPE)
    coefficients = spline.coefficients(field)
    cells = np.array(list(np.ndindex(SHAPE)))
    return coefficients, cells, *boxes.judge_cells(coefficients, cells)


def test_boxes_hold_the_spline_and_their_halves_are_halves(judged):
    coefficients, cells, held, verdict = judged
    split = verdict == boxes.SPLIT
    axis = np.linspace(0, 1, 9)
    inside = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    assert split.sum() > 20
    halves, of_half = boxes.judge_halves(held[split])
    for n, (cell, box) in enumerate(zip(cells[split], held[split], strict=True)):
        _, gradient = spline.derivatives(coefficients, cell + inside, 1)
        np.testing.assert_allclose(at_samples(box), gradient, atol=1e-12)
        for part in np.flatnonzero(of_half[8 * n : 8 * n + 8] != boxes.NONE):
            corner = cell + 0.5 * np.array(np.unravel_index(part, (2, 2, 2)))
            _, gradient = spline.derivatives(coefficients, corner + inside / 2, 1)
            np.testing.assert_allclose(at_samples(halves[8 * n + part]), gradient / 2, atol=1e-12)


def test_a_box_said_to_hold_no_zero_holds_none_and_one_said_to_hold_one_no_two():
    field = gaussians(12, TRICLINIC, width=0.5, seed=4).on_grid((20, 20, 20))
    coefficients = spline.coefficients(field)
    cells = np.array(list(np.ndindex(20, 20, 20)))
    held, of_cell = boxes.judge_cells(coefficients, cells)
    verdict = np.full((20, 20, 20, 2, 2, 2), boxes.NONE)
    for axes in np.ndindex(2, 2, 2):
        verdict[(..., *axes)] = of_cell.reshape(20, 20, 20)
    split = of_cell == boxes.SPLIT
    verdict[tuple(cells[split].T)] = boxes.judge_halves(held[split])[1].reshape(-1, 2, 2, 2)
    zeros = []
    for n_up in range(4):
        start = np.random.default_rng(n_up).uniform(0, 20, (3000, 3))
        u, ok = follow_modes(coefficients, start, n_up, 2.0, 40)
        zeros.append(u[ok] % 20)
    zeros = np.concatenate(zeros)
    zeros = zeros[np.unique(zeros.round(5), axis=0, return_index=True)[1]]
    assert len(zeros) > 30
    homes = [(*home // 2, *home % 2) for home in np.floor(2 * zeros).astype(int)]
    assert all(verdict[home] != boxes.NONE for home in homes)
    singles = [home for home in homes if verdict[home] == boxes.SINGLE]
    assert len(set(singles)) == len(singles) > 5
