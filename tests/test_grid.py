"""The grid algebra against analytic fields: sampling, derivatives, resampling, refusals."""

import copy
import pickle
import warnings

import numpy as np
import pytest
from ase import Atoms
from scipy.special import expit, logit

from ase_elf.errors import ElfWarning, InputError
from ase_elf.grid import EPSILON, ELFGrid

CELLS = {
    "cubic": np.diag([3.0, 3.0, 3.0]),
    "triclinic": np.array([[3.0, 0.2, -0.1], [1.1, 2.8, 0.3], [-0.7, 0.9, 3.3]]),
    "left-handed": np.array([[0.0, 3.0, 0.0], [3.0, 0.0, 0.0], [0.0, 0.0, 3.0]]),
}


def wave(fractional):
    """Band-limited z (at most second harmonics), its gradient and Hessian in fractions."""
    k = 2 * np.pi * np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, -1, 2]])
    amplitude = np.array([0.9, 0.5, -0.7, 0.4, 0.3])
    phase = np.array([0.1, 0.7, 2.0, -0.5, 1.1])
    angle = fractional @ k.T + phase
    z = np.cos(angle) @ amplitude
    gradient = -(np.sin(angle) * amplitude) @ k
    hessian = -np.einsum("nm,m,mi,mj->nij", np.cos(angle), amplitude, k, k)
    return z, gradient, hessian


def exact(cell, xyz):
    """ELF = logistic(wave) with Cartesian gradient and Hessian."""
    inverse = np.linalg.inv(cell)
    z, gz, hz = wave(xyz @ inverse)
    gz, hz = gz @ inverse.T, inverse @ hz @ inverse.T
    p = expit(z)
    slope = p * (1 - p)
    bend = (1 - 2 * p)[:, None, None] * gz[:, :, None] * gz[:, None]
    return p, slope[:, None] * gz, slope[:, None, None] * (hz + bend)


def fractions(shape):
    return np.stack(np.meshgrid(*[np.arange(n) / n for n in shape], indexing="ij"), axis=-1)


def wave_grid(shape, cell):
    z = wave(fractions(shape).reshape(-1, 3))[0].reshape(shape)
    return ELFGrid(expit(z), Atoms("H", cell=cell, pbc=True))


@pytest.fixture(params=CELLS)
def cell(request):
    return CELLS[request.param]


def test_sampling_goes_through_every_grid_value(cell):
    shape = (7, 6, 9)
    values = np.random.default_rng(1).random(shape)
    values.flat[:2] = 0.0, 1.0
    grid = ELFGrid(values, Atoms("H", cell=cell, pbc=True))
    sampled = grid.sample(fractions(shape).reshape(-1, 3) @ cell)
    # float32 storage: half a step at 1 is 6e-8
    np.testing.assert_allclose(sampled, values.ravel(), atol=1e-6)


def test_sample_gradient_and_hessian_match_the_analytic_field(cell):
    grid = wave_grid((48, 48, 48), cell)
    xyz = np.random.default_rng(2).uniform(-9, 9, (200, 3))
    value, gradient, hessian = exact(cell, xyz)
    # Cubic spline: errors h^4, h^3, h^2 with the steepest wave at a phase step of 0.26
    np.testing.assert_allclose(grid.sample(xyz), value, atol=2e-5)
    np.testing.assert_allclose(grid.gradient(xyz), gradient, atol=2e-3)
    np.testing.assert_allclose(grid.hessian(xyz), hessian, atol=0.01 * np.abs(hessian).max())
    together = grid.derivatives(xyz)
    np.testing.assert_allclose(together[0], grid.sample(xyz), atol=1e-12)
    np.testing.assert_array_equal(together[2], grid.hessian(xyz))
    np.testing.assert_allclose(together[1], grid.gradient(xyz), atol=1e-12)
    np.testing.assert_allclose(together[2], together[2].swapaxes(1, 2), atol=1e-10)


def test_derivatives_are_those_of_the_sampled_interpolant(cell):
    grid = ELFGrid(np.random.default_rng(3).random((8, 9, 7)), Atoms("H", cell=cell, pbc=True))
    xyz = np.random.default_rng(4).uniform(0, 3, (20, 3))
    step = 1e-5
    for axis in range(3):
        shift = np.zeros(3)
        shift[axis] = step
        up, down = grid.derivatives(xyz + shift), grid.derivatives(xyz - shift)
        slope = (up[0] - down[0]) / (2 * step)
        curvature = (up[1] - down[1]) / (2 * step)
        np.testing.assert_allclose(grid.gradient(xyz)[:, axis], slope, atol=1e-6)
        # The third derivative jumps between grid cells: first order in the step there
        np.testing.assert_allclose(grid.hessian(xyz)[:, axis], curvature, atol=5e-3)


def test_the_field_repeats_with_the_cell(cell):
    grid = wave_grid((10, 12, 14), cell)
    xyz = np.random.default_rng(5).uniform(0, 3, (30, 3))
    moved = xyz + np.random.default_rng(6).integers(-3, 4, (30, 3)) @ cell
    np.testing.assert_allclose(grid.sample(moved), grid.sample(xyz), atol=1e-12)
    np.testing.assert_allclose(grid.hessian(moved), grid.hessian(xyz), atol=1e-9)


def test_a_single_point_gives_a_single_answer(cell):
    grid = wave_grid((8, 8, 8), cell)
    point = [0.3, 0.4, 0.5]
    assert grid.sample(point).shape == ()
    assert grid.gradient(point).shape == (3,)
    assert grid.hessian(point).shape == (3, 3)
    assert grid.sample(np.empty((0, 3))).shape == (0,)
    assert grid.hessian(np.empty((0, 3))).shape == (0, 3, 3)


@pytest.mark.parametrize("old", [(8, 8, 8), (9, 7, 11), (8, 9, 10)])
@pytest.mark.parametrize("new", [(5, 6, 7), (8, 8, 8), (16, 15, 12), (31, 8, 40)])
def test_resampling_a_band_limited_field_is_exact_up_and_down(cell, old, new):
    resampled = wave_grid(old, cell).resample(new)
    # Round-off is that of the float32 values put in: 6e-8 times some amplification
    np.testing.assert_allclose(resampled.values, wave_grid(new, cell).values, atol=1e-6)
    assert resampled.info["resampled_from"] == list(old)


def test_resampling_up_and_back_changes_nothing_but_the_clip():
    values = np.random.default_rng(7).random((6, 8, 5))
    grid = ELFGrid(values, Atoms("H", cell=np.eye(3), pbc=True))
    back = grid.resample((12, 16, 15)).resample((6, 8, 5))
    np.testing.assert_allclose(back.values, np.clip(values, EPSILON, 1 - EPSILON), atol=1e-6)


@pytest.mark.parametrize("kind", ["saturated", "vacuum", "clipped", "checkerboard"])
def test_resampling_extreme_grids_stays_finite_inside_and_within_epsilon_at_the_points(kind):
    shape = (12, 12, 12)
    z = 12 * wave(fractions(shape).reshape(-1, 3))[0].reshape(shape)
    values = {
        "saturated": np.ones(shape),
        "vacuum": np.zeros(shape),
        "clipped": np.clip(expit(z), 0, 1).astype(np.float32),
        "checkerboard": (np.indices(shape).sum(axis=0) % 2).astype(float),
    }[kind]
    grid = ELFGrid(values, Atoms("H", cell=3 * np.eye(3), pbc=True))
    fine = grid.resample((24, 36, 24))
    assert np.isfinite(fine.values).all()
    assert fine.values.min() >= 0 and fine.values.max() <= 1
    np.testing.assert_allclose(fine.values[::2, ::3, ::2], values, atol=EPSILON * 1.001)
    sampled = grid.sample(np.random.default_rng(8).uniform(0, 3, (100, 3)))
    assert sampled.min() >= 0 and sampled.max() <= 1


def test_interpolating_z_beats_interpolating_the_elf_itself():
    shape = (12, 12, 12)
    steep = 4 * wave(fractions(shape).reshape(-1, 3))[0].reshape(shape)
    grid = ELFGrid(expit(steep), Atoms("H", cell=3 * np.eye(3), pbc=True))
    xyz = np.random.default_rng(9).uniform(0, 3, (500, 3))
    truth = expit(4 * wave(xyz / 3)[0])
    from ase_elf.geometry import spline

    plain = spline.evaluate(spline.coefficients(grid.values), xyz / 3)
    assert np.std(grid.sample(xyz) - truth) < 0.5 * np.std(plain - truth)


def test_values_barely_outside_are_clipped_with_a_warning():
    values = np.full((4, 4, 4), 0.5)
    values[0, 0, 0], values[1, 1, 1] = -1e-3, 1.001
    with pytest.warns(ElfWarning, match=r"-0.001 to 1.001; clipped"):
        grid = ELFGrid(values, Atoms("H", cell=np.eye(3), pbc=True))
    assert grid.values.min() == 0 and grid.values.max() == 1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.full((4, 4, 4), 1.01), "outside"),
        (np.full((4, 4, 4), -0.01), "outside"),
        (np.full((4, 4, 4), np.nan), "NaN"),
        (np.full((4, 4), 0.5), "three-dimensional"),
        (np.empty((0, 4, 4)), "three-dimensional"),
        (np.full((4, 4, 4), 0.5j), "real"),
        (np.full((4, 4, 4), "a"), "real"),
    ],
)
def test_unusable_values_are_refused(values, message):
    with pytest.raises(InputError, match=message):
        ELFGrid(values, Atoms("H", cell=np.eye(3), pbc=True))


@pytest.mark.parametrize(
    "cell", [np.zeros((3, 3)), np.diag([1.0, 1.0, 0.0]), np.ones((3, 3)), np.diag([1, 1, np.nan])]
)
def test_a_cell_without_volume_is_refused(cell):
    atoms = Atoms("H")
    atoms.cell[:] = cell
    with pytest.raises(InputError, match="cell"):
        ELFGrid(np.full((4, 4, 4), 0.5), atoms)


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 0), (4, 4, 4.5), "abc", 4])
def test_resampling_to_a_nonsensical_shape_is_refused(shape):
    grid = wave_grid((4, 4, 4), np.eye(3))
    with pytest.raises(InputError, match="shape"):
        grid.resample(shape)
    with pytest.raises(InputError, match="epsilon"):
        grid.resample((4, 4, 4), epsilon=0.5)


def test_points_that_are_not_points_are_refused():
    grid = wave_grid((4, 4, 4), np.eye(3))
    with pytest.raises(InputError, match="shape"):
        grid.sample(np.zeros((3, 4)))
    with pytest.raises(InputError, match="NaN"):
        grid.sample([np.nan, 0, 0])


def test_sigma_must_fit_and_follows_resampling():
    atoms = Atoms("H", cell=np.eye(3), pbc=True)
    values = np.full((4, 4, 4), 0.5)
    with pytest.raises(InputError, match="sigma"):
        ELFGrid(values, atoms, sigma=np.zeros((2, 2, 2)))
    with pytest.raises(InputError, match="sigma"):
        ELFGrid(values, atoms, sigma=np.full((4, 4, 4), -1.0))
    grid = ELFGrid(values, atoms, sigma=np.full((4, 4, 4), 0.01))
    np.testing.assert_allclose(grid.resample((6, 6, 6)).sigma, 0.01, rtol=1e-6)


def test_a_grid_keeps_its_own_atoms_and_values():
    atoms = Atoms("H", cell=3 * np.eye(3), pbc=True)
    values = np.full((4, 4, 4), 0.5, dtype=np.float32)
    grid = ELFGrid(values, atoms, {"source": "test"})
    atoms.cell[:] *= 2
    values[:] = 0.1
    assert grid.cell[0, 0] == 3
    assert grid.values.dtype == np.float32 and (grid.values == 0.5).all()


def test_grids_survive_pickling_and_copying_without_their_cache():
    grid = wave_grid((8, 8, 8), CELLS["triclinic"])
    grid.sample([0, 0, 0])
    for twin in (pickle.loads(pickle.dumps(grid)), copy.copy(grid), copy.deepcopy(grid)):
        assert "_coefficients" not in twin.__dict__
        np.testing.assert_array_equal(twin.values, grid.values)
        assert twin.atoms == grid.atoms
        assert twin.sample([1.0, 0, 0]) == grid.sample([1.0, 0, 0])


def test_griddata_gets_the_values_at_voxel_centres_and_refuses_skew_cells():
    package = pytest.importorskip("gridData")
    grid = wave_grid((6, 8, 10), np.diag([3.0, 4.0, 5.0]))
    other = grid.to_gridData()
    assert isinstance(other, package.Grid)
    np.testing.assert_array_equal(other.grid, grid.values)
    np.testing.assert_allclose(other.delta, [0.5, 0.5, 0.5])
    np.testing.assert_allclose(other.origin, 0)
    with pytest.raises(InputError, match="orthorhombic"):
        wave_grid((6, 8, 10), CELLS["triclinic"]).to_gridData()


def test_hydrogen_labels_are_upsampled_to_a_thousandth(shared_data):
    label = np.load(shared_data / "hydrogen/labels/fluid-gen8-100.npz")
    values = label["elf"] / 65535.0
    atoms = Atoms(f"H{len(label['pos'])}", cell=label["cell"], pbc=True)
    coarse = ELFGrid(values[::2, ::2, ::2], atoms)
    for fine in (
        coarse.resample(values.shape).values,
        coarse.sample(fractions(values.shape).reshape(-1, 3) @ atoms.cell.array).reshape(values.shape),
    ):
        error = np.sqrt(np.mean((fine - values) ** 2))
        assert error < 0.0015


def test_construction_is_silent_for_good_values(capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", DeprecationWarning)  # of ASE, with a numpy newer than it
        wave_grid((4, 5, 6), np.eye(3)).resample((6, 6, 6))
    assert capfd.readouterr() == ("", "")


def test_logit_of_the_default_clip_is_the_documented_range():
    assert logit(1 - EPSILON) == pytest.approx(6.9068, abs=1e-4)


@pytest.mark.parametrize(
    "again", [lambda grid: grid, copy.deepcopy, lambda grid: pickle.loads(pickle.dumps(grid))]
)
def test_values_of_a_grid_are_read_only_and_a_copy_is_not(again):
    given = np.full((4, 4, 4), 0.5, np.float32)
    grid = again(ELFGrid(given, Atoms("H", cell=[2] * 3, pbc=True), sigma=0.1 * given))
    for array in (grid.values, grid.sigma, grid.values[0]):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0.1
    changed = grid.values.copy()
    changed[0] = 0.1
    given[0] = 0.2
    assert (grid.values == 0.5).all() and "grid.values.copy()" in ELFGrid.__doc__
