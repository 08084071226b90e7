"""Critical points against analytic fields, where all of them are known."""

import numpy as np
import pytest
from ase import Atoms
from fields import CUBIC, NAMED, TRICLINIC, a15_rods, gaussians
from scipy.spatial import cKDTree

from ase_elf import ELFGrid
from ase_elf.errors import InputError
from ase_elf.topology import critical_points

ORIGIN = (0.013, 0.31, 0.77)


@pytest.mark.parametrize("cell", [CUBIC, TRICLINIC], ids=["cubic", "triclinic"])
@pytest.mark.parametrize("origin", [(0, 0, 0), ORIGIN], ids=["on-voxel", "off-voxel"])
@pytest.mark.parametrize("name", NAMED)
def test_counts_of_cosine_lattices_and_the_gyroid(name, cell, origin):
    points = critical_points(NAMED[name].grid(48, cell=cell, origin=origin))
    assert points.counts == NAMED[name].counts
    assert points.euler == 0
    assert len(points.unresolved) == 0
    assert points.gradient.max() < 1e-10


@pytest.mark.parametrize("m", [2, 3, 5])
def test_counts_grow_with_the_supercell(m):
    points = critical_points(
        ELFGrid(np.tile(NAMED["aniscos"].grid(16).values, (m,) * 3), Atoms("H", cell=CUBIC * m, pbc=True))
    )
    assert points.counts == (m**3, 3 * m**3, 3 * m**3, m**3)


def exact_points(field, starts):
    """Zeros of the analytic gradient by Newton's method from a dense set of starts."""
    k = 2 * np.pi * np.array([t[1] for t in field.terms])
    amplitude = np.array([t[0] for t in field.terms])
    phase = np.array([t[2] for t in field.terms])
    axis = np.arange(starts) / starts
    x = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    for _ in range(25):
        angle = x @ k.T + phase
        gradient = -(amplitude * np.sin(angle)) @ k
        hessian = -np.einsum("nt,ti,tj->nij", amplitude * np.cos(angle), k, k)
        step = np.linalg.solve(hessian, gradient[..., None])[..., 0]
        step *= np.minimum(1, 0.03 / np.maximum(np.linalg.norm(step, axis=1), 1e-30))[:, None]
        x = (x - step) % 1.0 % 1.0
    angle = x @ k.T + phase
    gradient = -(amplitude * np.sin(angle)) @ k
    good = np.linalg.norm(gradient, axis=1) < 1e-9
    x, angle = x[good], angle[good]
    keep = np.ones(len(x), bool)
    for i, j in sorted(cKDTree(x, boxsize=1.0).query_pairs(1e-5)):
        if keep[i]:
            keep[j] = False
    hessian = -np.einsum("nt,ti,tj->nij", amplitude * np.cos(angle[keep]), k, k)
    rank = 3 - (np.linalg.eigvalsh(hessian) < 0).sum(axis=1)
    return x[keep], rank


@pytest.mark.parametrize("cell", [CUBIC, TRICLINIC], ids=["cubic", "triclinic"])
def test_random_gaussians_have_exactly_the_critical_points_of_the_analytic_field(cell):
    field = gaussians(6, cell, width=0.55, seed=3, k_max=4)
    exact, rank = exact_points(field, 14)
    counts = np.bincount(rank, minlength=4)
    assert counts[0] - counts[1] + counts[2] - counts[3] == 0, "the reference is incomplete"
    points = critical_points(field.grid(48), persistence=0)
    assert points.counts == tuple(counts)
    found = points.positions @ np.linalg.inv(cell) % 1.0 % 1.0
    gap, which = cKDTree(exact, boxsize=1.0).query(found)
    # Fourth order in the spacing; two thousandths of a voxel at ten voxels per feature.
    assert gap.max() < 2e-4
    assert sorted(which) == list(range(len(exact)))
    assert points.values == pytest.approx(field(found), abs=2e-5)


def test_a15_rods():
    assert critical_points(a15_rods().grid(64)).counts == (6, 30, 32, 8)


def test_many_attractors_in_one_cell_leave_no_point_out():
    field = gaussians(100, TRICLINIC, width=0.27, seed=0, k_max=9)
    points = critical_points(field.grid(64))
    finer = critical_points(field.grid(80))
    assert points.euler == finer.euler == 0
    assert points.counts == finer.counts


def test_noise_is_cancelled_in_pairs():
    grid = gaussians(12, CUBIC, width=0.5, seed=1).grid(40)
    noise = 1e-4 * np.random.default_rng(0).standard_normal(grid.shape)
    noisy = ELFGrid(np.clip(grid.values + noise, 0, 1), grid.atoms)
    clean = critical_points(grid, persistence=5e-3)
    cancelled = critical_points(noisy, persistence=5e-3)
    assert cancelled.euler == 0
    assert len(critical_points(noisy, persistence=0)) > len(cancelled)
    assert cancelled.counts == clean.counts


def test_a_clipped_top_counts_as_one_attractor():
    grid = NAMED["aniscos"].grid(32, origin=ORIGIN)
    flat = ELFGrid(np.minimum(grid.values, 0.95), grid.atoms)
    points = critical_points(flat, persistence=2e-2)
    assert points.counts.attractor == 1
    assert points.euler == 0


def test_order_and_selection():
    points = critical_points(NAMED["index2"].grid(32))
    assert list(points.kind[:2]) == ["attractor", "attractor"]
    bonds = points.of_kind("bond")
    assert len(bonds) == points.counts["bond"] == 6
    assert (np.diff(bonds.values) <= 0).all()
    assert (bonds.eigenvalues[:, 1] < 0).all()
    assert (bonds.eigenvalues[:, 2] > 0).all()
    with pytest.raises(InputError, match="saddle"):
        points.of_kind("saddle")


def test_eigenvalues_are_those_of_the_cartesian_hessian():
    points = critical_points(NAMED["aniscos"].grid(64))
    # f = sum w cos(2 pi x / 4) / 4.8, at the maximum -w (2 pi / 4)^2 / 4.8
    expected = -np.array([1, 0.8, 0.6]) * (np.pi / 2) ** 2 / 4.8
    assert points.eigenvalues[0] == pytest.approx(expected, rel=2e-3)


def test_refinement_on_the_model_removes_the_interpolation_error():
    field = gaussians(6, TRICLINIC, width=0.55, seed=3, k_max=4)
    inverse = np.linalg.inv(TRICLINIC)

    def model(xyz):
        return field(xyz @ inverse)

    grid = field.grid(24)
    spline, refined = critical_points(grid), critical_points(grid, model=model)
    exact = critical_points(field.grid(80))
    assert refined.counts == spline.counts == exact.counts

    def errors(points):
        tree = cKDTree(exact.positions @ inverse % 1 % 1, boxsize=1)
        _, which = tree.query(points.positions @ inverse % 1 % 1)
        return np.abs(points.values - exact.values[which]).max()

    assert errors(refined) < 0.1 * errors(spline)


# A cell this small was not trained on, which is no concern here.
@pytest.mark.filterwarnings("ignore:.*lies outside what the domain pack")
def test_refinement_on_the_hydrogen_pack_finds_the_zeros_of_its_gradient():
    from ase_elf import ELFCalculator
    from ase_elf.errors import DomainError

    atoms = Atoms("H2", [(0, 0, 0), (0.1, 0.2, 0.75)], cell=[1.45, 1.5, 1.9], pbc=True)
    try:
        calc = ELFCalculator(domain="dense-hydrogen")
        grid = calc.get_elf(atoms, shape=(16, 16, 20))
    except (DomainError, FileNotFoundError) as error:
        pytest.skip(f"no weights of dense-hydrogen: {error}")

    def model(xyz):
        return calc.get_elf(atoms, points=xyz)

    spline, refined = critical_points(grid), critical_points(grid, model=model)
    assert refined.counts == spline.counts
    assert refined.euler == 0

    def slope(positions):
        sides = np.eye(3) * 0.01
        return np.linalg.norm([(model(positions + s) - model(positions - s)) / 0.02 for s in sides], axis=0)

    # 1e-3: single precision, 1e-7 over 0.02 Å, and the differences' own error.
    left = slope(refined.positions)
    assert ((left < 1e-3) | (left > slope(spline.positions) - 1e-3)).all()
    # Refined, every point is a zero: nothing is left of the slope but a hundredth of what the spline leaves.
    assert (left < 1e-3).all()
    assert left.max() < 0.01 * slope(spline.positions).max()
    # A point that could not be refined says so.
    assert np.array_equal(refined.gradient < 1e-3, left < 1e-3)


def test_a_model_that_saturates_leaves_the_points_where_they_are():
    grid = NAMED["aniscos"].grid(16)
    points = critical_points(grid, model=lambda xyz: np.ones(len(xyz), np.float32))
    assert np.array_equal(points.positions, critical_points(grid).positions)


@pytest.mark.parametrize(
    "model",
    [5, lambda xyz: xyz, lambda xyz: np.full(len(xyz), np.nan), lambda xyz: object()],
    ids=["a number", "wrong shape", "nan", "no array"],
)
def test_a_model_that_is_none_is_refused(model):
    with pytest.raises(InputError, match="model"):
        critical_points(NAMED["aniscos"].grid(16), model=model)


@pytest.mark.parametrize("persistence", [-1, float("nan")])
def test_persistence_must_make_sense(persistence):
    with pytest.raises(InputError, match="persistence"):
        critical_points(NAMED["aniscos"].grid(16), persistence=persistence)
