"""Networking values against analytic fields, an independent method, and symmetry."""

import numpy as np
import pytest
from ase import Atoms
from fields import CUBIC, NAMED, TRICLINIC, a15_rods, gaussians
from scipy import ndimage

from ase_elf import ELFGrid
from ase_elf.topology import networking
from ase_elf.topology.periodic_union_find import PeriodicUnionFind

ORIGIN = (0.013, 0.31, 0.77)


def phis(net):
    return np.array([net.phi1, net.phi2, net.phi3])


@pytest.mark.parametrize("cell", [CUBIC, TRICLINIC], ids=["cubic", "triclinic"])
@pytest.mark.parametrize("origin", [(0, 0, 0), ORIGIN], ids=["on-voxel", "off-voxel"])
@pytest.mark.parametrize("name", NAMED)
def test_values_of_cosine_lattices_and_the_gyroid_are_analytic(name, cell, origin):
    field = NAMED[name]
    net = networking(field.grid(48, cell=cell, origin=origin))
    assert phis(net) == pytest.approx(field.phi, abs=5e-6)


@pytest.mark.parametrize("shape", [(40, 56, 64), (64, 40, 48)])
def test_directions_may_have_different_numbers_of_voxels(shape):
    for field in NAMED.values():
        assert phis(networking(field.grid(shape))) == pytest.approx(field.phi, abs=2e-5)


def label_and_bisect(values):
    """φ1, φ2, φ3 of the voxels, six neighbours, by labelling at trial isovalues.

    Shares nothing with the code under test but the union-find that counts windings,
    which has tests of its own.
    """
    levels = np.sort(values, axis=None)

    def rank(level):
        labels, n = ndimage.label(values >= level)
        forest = PeriodicUnionFind(n + 1)
        for axis in range(3):
            last, first = labels.take(-1, axis).ravel(), labels.take(0, axis).ravel()
            shift = tuple(int(axis == i) for i in range(3))
            for a, b in set(zip(last.tolist(), first.tolist(), strict=True)):
                if a and b:
                    forest.join(a, b, shift)
        return max(forest.rank(forest.find(i)[0]) for i in range(1, n + 1))

    found = []
    for r in (1, 2, 3):
        low, high = 0, len(levels)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if rank(levels[middle]) >= r else (low, middle)
        found.append(levels[low])
    return np.array(found)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("cell", [CUBIC, TRICLINIC], ids=["cubic", "triclinic"])
def test_values_agree_with_labelling_and_bisection(cell, seed):
    grid = gaussians(10, cell, width=0.5, seed=seed).grid(36)
    # Six-neighbour paths miss a pass by up to half a voxel: 0.5 * curvature * (1/2)^2.
    assert phis(networking(grid)) == pytest.approx(label_and_bisect(grid.values), abs=4e-3)


@pytest.mark.parametrize("seed", range(2))
def test_grid_spacing_changes_values_by_the_interpolation_error_only(seed):
    field = gaussians(24, TRICLINIC, width=0.42, seed=seed)
    coarse, fine = networking(field.grid(48)), networking(field.grid(72))
    assert phis(coarse) == pytest.approx(phis(fine), abs=1e-4)


def test_crossing_rods_are_not_a_three_dimensional_network():
    net = networking(a15_rods().grid(64))
    assert net.phi1 > net.phi2 + 0.05
    assert net.phi2 == pytest.approx(net.phi3, abs=1e-6)
    raw = label_and_bisect(a15_rods().grid(64).values)
    assert phis(net) == pytest.approx(raw, abs=4e-3)


@pytest.fixture(scope="module")
def random_grid():
    field = gaussians(10, TRICLINIC, width=0.45, seed=5)
    atoms = Atoms("H4", scaled_positions=np.random.default_rng(1).random((4, 3)), cell=TRICLINIC, pbc=True)
    return field.grid((36, 40, 44), atoms=atoms)


def everything(net):
    return [net.phi1, net.phi2, net.phi3, net.phi_star, net.with_hydrogen.phi3]


def test_a_shift_by_whole_voxels_changes_nothing(random_grid):
    values = np.roll(random_grid.values, (5, 17, 39), (0, 1, 2))
    atoms = random_grid.atoms.copy()
    atoms.set_scaled_positions(atoms.get_scaled_positions() + np.array([5, 17, 39]) / values.shape)
    moved = networking(ELFGrid(values, atoms))
    assert everything(moved) == pytest.approx(everything(networking(random_grid)), abs=1e-6)


def test_a_supercell_has_the_values_of_its_cell(random_grid):
    values = np.tile(random_grid.values, (2, 1, 2))
    double = networking(ELFGrid(values, random_grid.atoms.repeat((2, 1, 2))))
    assert everything(double) == pytest.approx(everything(networking(random_grid)), abs=1e-6)


def test_a_permutation_and_reversal_of_the_axes_changes_nothing(random_grid):
    cell = random_grid.cell[[2, 0, 1]]
    values = np.roll(np.transpose(random_grid.values, (2, 0, 1))[::-1], 1, 0)
    cell[0] *= -1
    atoms = random_grid.atoms.copy()
    scaled = atoms.get_scaled_positions()[:, [2, 0, 1]] * [-1, 1, 1]
    atoms.set_cell(cell)
    atoms.set_scaled_positions(scaled)
    assert everything(networking(ELFGrid(values, atoms))) == pytest.approx(
        everything(networking(random_grid)), abs=1e-6
    )


def test_a_sheared_cell_on_the_same_points_changes_nothing():
    # a' = a, b' = b + a, c' = c: with equal voxel counts the points map onto each other
    grid = gaussians(10, TRICLINIC, width=0.45, seed=6).grid(40)
    index = (np.arange(40)[:, None] + np.arange(40)) % 40
    values = grid.values[index, np.arange(40)[None, :]]
    atoms = grid.atoms.copy()
    atoms.set_cell(np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1]]) @ grid.cell)
    sheared = networking(ELFGrid(values, atoms))
    # Another spline through the same points: equal to within the interpolation error.
    assert everything(sheared) == pytest.approx(everything(networking(grid)), abs=1e-4)


def test_a_rotated_cell_has_the_same_values(random_grid):
    turned = random_grid.atoms.copy()
    turned.rotate(37, (1, 2, 3), rotate_cell=True)
    rotated = networking(ELFGrid(random_grid.values, turned))
    assert everything(rotated) == pytest.approx(everything(networking(random_grid)), abs=1e-6)


def test_one_hydrogen_meets_its_own_image():
    net = networking(NAMED["aniscos"].grid(32))
    assert net.phi_star == pytest.approx(net.phi1)


def bumps(sites, symbols, width=0.5, length=6.0, shape=48):
    """Gaussians of one height at the atoms, in a box that leaves them apart."""
    axes = np.arange(shape) * length / shape
    xyz = np.stack(np.meshgrid(axes, axes, axes, indexing="ij"), -1)
    values = np.zeros((shape,) * 3)
    for site in sites:
        apart = xyz - site
        apart -= length * np.round(apart / length)
        values += np.exp(-0.5 * (apart**2).sum(-1) / width**2)
    return ELFGrid(np.minimum(values, 1.0), Atoms(symbols, positions=sites, cell=[length] * 3, pbc=True))


def test_two_hydrogens_in_one_basin_connect_at_the_lower_of_their_values():
    grid = bumps([(2.7, 3, 3), (3.3, 3, 3)], "H2")
    net = networking(bumps([(3, 3, 3)], "H"))
    pair = networking(ELFGrid(net.basins.field.values, grid.atoms))
    assert pair.phi_star == pytest.approx(np.exp(-0.5 * 0.3**2 / 0.5**2), abs=1e-3)


def test_phi_star_counts_hydrogen_only():
    sites = [(1.8, 3, 3), (3, 3, 3), (4.2, 3, 3)]
    chain = networking(bumps(sites, "HOH"))
    pair = networking(bumps(sites, "HHO"))
    assert pair.phi_star > chain.phi_star - 1e-6
    assert chain.phi_star == pytest.approx(pair.phi_star, abs=1e-5)  # via the oxygen
    assert np.isnan(networking(bumps(sites, "O3")).phi_star)


def test_variants_tell_hydrogen_from_other_networks():
    # a rod of oxygen along x, hydrogen far from it
    sites = [(x, 1, 1) for x in (0.5, 1.7, 2.9, 4.1, 5.3)] + [(3, 4, 4)]
    net = networking(bumps(sites, "O5H"))
    assert net.phi1 > 0.5
    assert net.with_hydrogen.phi1 < 0.01
    assert net.hydrogen_only.phi1 <= net.with_hydrogen.phi1 + 1e-9


def test_an_isolated_molecule_in_vacuum_percolates_nowhere():
    grid = bumps([(2.7, 3, 3), (3.3, 3, 3)], "H2", length=12.0, shape=60)
    values = np.where(grid.values < 1e-4, 0, grid.values)
    net = networking(ELFGrid(values, grid.atoms))
    assert phis(net) == pytest.approx([0, 0, 0], abs=1e-9)


def test_uncertainty_covers_the_error_and_includes_that_of_the_field():
    field = NAMED["slanted"]
    grid = field.grid(24, origin=ORIGIN)
    net = networking(grid)
    assert abs(net.phi - field.phi[2]) <= net.uncertainty < 0.02
    noisy = ELFGrid(grid.values, grid.atoms, sigma=np.full(grid.shape, 0.05, np.float32))
    assert networking(noisy).uncertainty == pytest.approx(np.hypot(net.uncertainty, 0.05))


@pytest.mark.parametrize(("name", "voxel"), [("phi1", (0, 0, 16)), ("phi2", (0, 16, 0)),
                                             ("phi3", (16, 0, 0))])  # fmt: skip
def test_the_error_bar_of_a_threshold_is_sigma_at_the_saddle_that_decides_it(name, voxel):
    grid = NAMED["aniscos"].grid(32)
    sigma = np.full(grid.shape, 1e-4, np.float32)
    sigma[voxel] = 0.05
    found = networking(ELFGrid(grid.values, grid.atoms, sigma=sigma)).uncertainties
    for other in ("phi1", "phi2", "phi3"):
        assert found[other] == pytest.approx(0.05 if other == name else 1e-4, rel=0.01)


@pytest.mark.parametrize("name", ["slanted", "index2", "gyroid"])
def test_values_agree_with_persistent_homology(name):
    # Essential classes add up over components, so this oracle is right only where the
    # first component to wind is also the next one (not for crossing rods).
    gudhi = pytest.importorskip("gudhi", reason="GUDHI is not installed")
    grid = NAMED[name].grid(32, origin=ORIGIN)
    cubes = gudhi.PeriodicCubicalComplex(vertices=-grid.values.astype(float), periodic_dimensions=[True] * 3)
    cubes.compute_persistence()
    loops = cubes.persistence_intervals_in_dimension(1)
    births = sorted(-loops[np.isinf(loops[:, 1]), 0], reverse=True)
    # Voxels alone: a pass is missed by up to half the curvature over half a voxel.
    assert phis(networking(grid)) == pytest.approx(births, abs=6e-3)
