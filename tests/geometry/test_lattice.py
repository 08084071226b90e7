"""Any cell of a lattice gives the same ELF: the network, grids of any shape, splines, topology, neighbors."""

import io

import numpy as np
import pytest
from ase import Atoms
from ase.build import make_supercell
from ase.io import read
from ase.neighborlist import neighbor_list as slow_neighbor_list
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from ase_elf import ELFCalculator, ELFGrid
from ase_elf.domains import check_structure
from ase_elf.errors import ElfWarning, InputError
from ase_elf.geometry.lattice import adequate_shape, interpolate, lengths, primitive, upright
from ase_elf.geometry.neighbors import neighbor_list
from ase_elf.grid import cartesian, fast_shape
from ase_elf.topology import critical_points, networking

RNG = np.random.default_rng
CELL = np.array([[4.0, 0, 0], [0.9, 3.6, 0], [-0.5, 0.7, 4.3]])


def unimodular(rng, steps=4, most=2):
    """A random change of cell: shears, exchanged and reversed vectors, so that axes of both hands occur."""
    change = np.eye(3, dtype=int)
    for _ in range(steps):
        i, j = rng.permutation(3)[:2]
        change[i] += rng.integers(-most, most + 1) * change[j]
    return change[rng.permutation(3)] * rng.choice([-1, 1], (3, 1))


def in_cell(atoms, change):
    other = atoms.copy()
    other.set_cell(np.array(change) @ atoms.cell.array)
    return other


def rms(values):
    return float(np.sqrt(np.mean(np.square(values))))


def hydrogen(n=8, seed=7):
    """A random packing at r_s 1.5 bohr, no pair closer than 0.75 Å, in an oblique cell."""
    rng, cell = RNG(seed), np.array([[3.0, 0, 0], [1.2, 2.7, 0], [-0.9, 0.8, 2.1]])
    atoms = Atoms(cell=cell, pbc=True)
    while len(atoms) < n:
        more = atoms + Atoms("H", [rng.random(3) @ cell])
        if len(more) == 1 or more.get_all_distances(mic=True)[-1, :-1].min() > 0.75:
            atoms = more
    return atoms


CS_IV = """\
H
1.0
1.17 0 0
0 1.17 0
0 0 3.0654
H
4
Direct
0 0 0
0 0.5 0.25
0.5 0.5 0.5
0.5 0 0.75
"""
"""I4_1/amd hydrogen at r_s 1.19."""

CELLS_OF_CS_IV = {
    "primitive": [[-0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.5, 0.5, -0.5]],
    "niggli": [[1, 0, 0], [0, 1, 0], [-0.5, -0.5, 0.5]],
    "b plus a": [[-0.5, 0.5, 0.5], [0, 0, 1], [0.5, 0.5, -0.5]],
    "conventional": np.eye(3),
}


@pytest.fixture(scope="module")
def cs_iv():
    return read(io.StringIO(CS_IV), format="vasp")


def other_cell(atoms, vectors):
    """Atoms of a cell that may be smaller, by its vectors in units of those of ``atoms``."""
    cell = np.array(vectors) @ atoms.cell.array
    repeated = atoms.repeat(3)
    inside = (repeated.positions @ np.linalg.inv(cell) + 1e-6) % 1.0
    _, first = np.unique(inside.round(4), axis=0, return_index=True)
    return Atoms("H" * len(first), inside[first] @ cell, cell=cell, pbc=True)


@pytest.fixture(scope="module")
def calculator():
    return ELFCalculator(domain="dense-hydrogen", device="cpu")


# -- Lattices --------------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_the_upright_cell_is_of_the_same_lattice_and_its_edges_are_short(seed):
    rng = RNG(seed)
    cell = rng.normal(size=(3, 3)) + 2 * np.eye(3)
    oblique = unimodular(rng, steps=6) @ cell
    found, turn = upright(oblique)
    turn = np.eye(3) if turn is None else turn
    assert abs(np.linalg.det(turn)) == pytest.approx(1)
    np.testing.assert_allclose(found, turn @ oblique, atol=1e-8)
    again, _ = upright(cell)
    assert 1 / 1.11 < lengths(found).prod() / lengths(again).prod() < 1.11


def test_a_cell_with_short_edges_is_taken_as_it_is():
    for cell in (np.diag([2.0, 9.0, 5.0]), np.diag([9.0, -1.0, 2.0]), CELL):
        found, turn = upright(cell)
        assert turn is None
        np.testing.assert_array_equal(found, cell)


@pytest.mark.parametrize("seed", range(8))
def test_waves_through_the_points_of_an_oblique_grid_are_the_shortest(seed):
    """Points of b + 3a on 12×14×14 are those of the upright cell, where the field is band limited."""
    rng, upright_cell = RNG(seed), np.diag([5.0, 6.0, 7.0])
    cell = unimodular(rng) @ upright_cell
    waves = np.array([[1, 0, 0], [3, -2, 1], [0, 3, 2], [2, 2, -3]])

    def field(shape):
        angle = 2 * np.pi * cartesian(cell, shape) @ np.linalg.inv(upright_cell) @ waves.T + [0, 1, 2, 3]
        return (np.cos(angle) @ [1, 0.5, 0.3, 0.2]).reshape(shape)

    shape = (14, 14, 14)
    for new in [(28, 14, 42), (5, 6, 7), (14, 30, 9)]:
        np.testing.assert_allclose(interpolate(field(shape), cell, new), field(new), atol=1e-11)


def test_only_voxels_with_long_edges_are_divided():
    sheared = np.array([[1, 0, 0], [3, 1, 0], [0, 0, 1]]) @ np.diag([5.0, 5.0, 5.0])
    assert adequate_shape(sheared, (10, 10, 10)) == (10, 40, 10)
    assert adequate_shape(sheared, fast_shape(sheared, 0.2)) == fast_shape(sheared, 0.2)
    assert adequate_shape(np.diag([3.0, 3.0, 30.0]), (12, 12, 12)) == (12, 12, 12)


@pytest.mark.parametrize("change", [[[2, 1, 0], [0, 2, 1], [0, 0, 1]], [[2, 0, 0], [0, 3, 0], [1, 0, 2]]])
def test_the_primitive_cell_of_a_supercell_is_found(change):
    rng = RNG(3)
    atoms = Atoms("H3", rng.random((3, 3)) @ CELL, cell=CELL, pbc=True)
    repeated = make_supercell(atoms, change)
    repeated.positions += rng.normal(scale=1e-5, size=repeated.positions.shape) + [3.0, -8.0, 1.0]
    repeated = repeated[rng.permutation(len(repeated))]
    cell, positions = primitive(repeated.cell.array, repeated.positions, 1e-3)
    assert len(positions) == 3
    assert abs(np.linalg.det(cell)) == pytest.approx(atoms.get_volume())
    repeated.rattle(0.01, seed=1)
    assert len(primitive(repeated.cell.array, repeated.positions, 1e-3)[1]) == len(repeated)


@pytest.mark.parametrize("seed", range(4))
def test_neighbors_and_their_cells_are_those_of_the_cell_that_was_given(seed):
    atoms = in_cell(hydrogen(), unimodular(RNG(seed), steps=5))
    i, j, vectors, shifts = neighbor_list("ijDS", atoms, 2.5)
    np.testing.assert_allclose(
        atoms.positions[j] - atoms.positions[i] + shifts @ atoms.cell.array, vectors, atol=1e-8
    )
    assert len(i) == len(slow_neighbor_list("i", in_cell(hydrogen(), np.eye(3)), 2.5))


def test_what_is_refused_does_not_depend_on_the_cell():
    atoms = Atoms("H8", hydrogen().positions, cell=hydrogen().cell, pbc=True)
    check_structure(in_cell(atoms, [[1, 0, 0], [40, 1, 0], [0, 0, 1]]))
    with pytest.raises(InputError, match="so oblique that a grid .*minkowski_reduce"):
        fast_shape(np.array([[1, 0, 0], [3000, 1, 0], [0, 0, 1]]) @ (9 * np.eye(3)), 0.1)


# -- Grids -----------------------------------------------------------------------------


def sheared_grid(shape):
    """ELF of a few waves of a cubic cell, in its cell b + 3a."""
    cube = 4.0 * np.eye(3)
    cell = np.array([[1, 0, 0], [3, 1, 0], [0, 0, 1]]) @ cube

    def elf(xyz):
        waves = 2 * np.pi / 4.0 * np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [2, 1, 0], [1, -2, 2]])
        return expit(np.cos(xyz @ waves.T + [0.1, 0.7, 2.0, -0.5, 1.1]) @ [0.9, 0.5, -0.7, 0.4, 0.3])

    values = elf(cartesian(cell, shape)).reshape(shape)
    return ELFGrid(values, Atoms("H", cell=cell, pbc=True), sigma=0.01 + 0 * values), elf


def test_sampling_and_resampling_see_what_the_points_of_an_oblique_grid_hold():
    grid, elf = sheared_grid((20, 20, 20))
    points = RNG(0).uniform(-4, 4, (500, 3))
    assert rms(grid.sample(points) - elf(points)) < 1e-3
    assert grid.refined().shape == (20, 80, 20)
    np.testing.assert_allclose(grid.refined().values[:, ::4], grid.values, atol=1e-6)
    np.testing.assert_allclose(grid.refined().sigma, 0.01, atol=1e-6)
    for shape in [(20, 80, 20), (9, 12, 10)]:
        expected = elf(cartesian(grid.cell, shape)).reshape(shape)
        np.testing.assert_allclose(grid.resample(shape).values, expected, atol=1e-4)


def test_topology_of_an_oblique_grid_is_that_of_the_upright_one():
    grid, elf = sheared_grid((20, 20, 20))
    cube = 4.0 * np.eye(3)
    upright_grid = ELFGrid(
        elf(cartesian(cube, (20,) * 3)).reshape((20,) * 3), Atoms("H", cell=cube, pbc=True)
    )
    one, other = networking(grid), networking(upright_grid)
    assert one.phi == pytest.approx(other.phi, abs=2e-3)
    assert one.uncertainty > 0
    assert critical_points(grid).counts == critical_points(upright_grid).counts


def test_a_grid_too_large_to_refine_is_said(monkeypatch):
    monkeypatch.setattr("ase_elf.grid.MOST_POINTS", 1000)
    grid, _ = sheared_grid((20, 20, 20))
    with pytest.warns(ElfWarning, match="so oblique .* may be wrong"):
        assert grid.refined() is grid


# -- Predictions -----------------------------------------------------------------------


@pytest.mark.parametrize("name", CELLS_OF_CS_IV)
def test_four_cells_of_one_crystal_have_one_topology(calculator, cs_iv, name):
    atoms = other_cell(cs_iv, CELLS_OF_CS_IV[name])
    assert len(atoms) == (4 if name == "conventional" else 2)
    grid = calculator.get_elf(atoms)
    network = networking(grid)
    assert network.phi == pytest.approx(0.637, abs=0.005)
    assert network.phi_star == pytest.approx(0.637, abs=0.005)
    times = len(atoms) // 2
    assert critical_points(grid, persistence=1e-3).counts == (2 * times, 4 * times, 4 * times, 2 * times)


@pytest.mark.parametrize("seed", range(6))
def test_grids_of_any_cell_hold_what_points_are_told(calculator, cs_iv, seed):
    rng = RNG(seed)
    atoms = (hydrogen(), cs_iv)[seed % 2]
    other = in_cell(atoms, unimodular(rng))
    for shape in (None, (9, 8, 10), (24, 17, 30)):
        grid = calculator.get_elf(other, shape=shape)
        some = rng.integers(0, grid.values.size, 300)
        direct = calculator.get_elf(other, points=cartesian(other.cell.array, grid.shape)[some])
        assert rms(grid.values.ravel()[some] - direct) < 0.002
    points = rng.normal(scale=4, size=(300, 3))
    direct = calculator.get_elf(atoms, points=points)
    np.testing.assert_allclose(calculator.get_elf(other, points=points), direct, atol=2e-3)
    assert rms(calculator.get_elf(other).sample(points) - direct) < 0.002


@pytest.mark.parametrize("change", [
    [[1, 0, 0], [3, 1, 0], [0, 0, 1]],
    [[0, -1, 0], [1, 0, 0], [0, 2, -1]],
    [[1, 1, 0], [0, 0, 1], [0, 1, 0]],
])  # fmt: skip
def test_phi_of_any_cell_is_the_same_within_its_uncertainty(calculator, change):
    atoms = hydrogen()
    one, other = (networking(calculator.get_elf(a)) for a in (atoms, in_cell(atoms, change)))
    assert abs(one.phi - other.phi) < max(one.uncertainty, other.uncertainty)
    assert abs(one.phi_star - other.phi_star) < max(
        one.uncertainties["phi_star"], other.uncertainties["phi_star"]
    )


def test_a_shape_that_is_coarse_along_an_oblique_vector_is_enough_for_topology(calculator):
    atoms = hydrogen()
    oblique = in_cell(atoms, [[1, 0, 0], [5, 1, 0], [0, 0, 1]])
    shape = (30, 30, 24)
    one, other = (networking(calculator.get_elf(a, shape=shape)) for a in (atoms, oblique))
    assert other.basins.field.values.shape[1] > 30
    assert abs(one.phi - other.phi) < max(one.uncertainty, other.uncertainty)


def test_structures_in_upright_and_oblique_cells_share_a_batch(calculator, cs_iv):
    atoms = [hydrogen(), in_cell(hydrogen(), [[1, 0, 0], [3, 1, 0], [0, 0, 1]]), cs_iv, hydrogen(seed=1)]
    together = calculator.predict(atoms, shape=[(12, 12, 12), (12, 10, 12), (8, 8, 8), (20, 20, 20)])
    for one, grid in zip(atoms, together, strict=True):
        alone = calculator.predict([one], shape=grid.shape)[0]
        np.testing.assert_allclose(grid.values, alone.values, atol=1e-6)
        np.testing.assert_allclose(grid.sigma, alone.sigma, atol=1e-6)


SUPERCELLS = [
    np.diag([2, 1, 1]), np.diag([2, 2, 2]), [[1, 1, 0], [-1, 1, 0], [0, 0, 1]],
    [[1, 1, 0], [0, 1, 1], [1, 0, 1]], [[2, 1, 0], [0, 2, 1], [0, 0, 1]],
]  # fmt: skip


@pytest.mark.parametrize("supercell", SUPERCELLS, ids=str)
@pytest.mark.parametrize("crystal", ["Cs-IV", "random"])
def test_a_crystal_and_its_supercell_have_one_elf(calculator, cs_iv, crystal, supercell):
    atoms = {"Cs-IV": cs_iv, "random": hydrogen()}[crystal]
    points = RNG(0).random((200, 3)) @ atoms.cell.array
    one, other = (calculator.get_elf(a, points=points) for a in (atoms, make_supercell(atoms, supercell)))
    assert abs(one - other).max() < 1.5e-3


def test_a_mesh_twice_as_dense_changes_little_of_a_small_crystal(calculator, cs_iv, monkeypatch):
    from ase_elf.model import orbitals

    points = RNG(0).random((200, 3)) @ cs_iv.cell.array
    usual = calculator.get_elf(cs_iv, points=points)
    monkeypatch.setattr(orbitals, "EXTENT", 1.5 * orbitals.EXTENT)
    assert abs(calculator.get_elf(cs_iv, points=points) - usual).max() < 1.5e-3


@pytest.mark.filterwarnings("ignore:.*outside what the domain pack")
def test_gold_in_an_oblique_cell_is_gold():
    gold = Atoms("Au2S2", [(0.1, 0.2, 0.3), (2.4, 0.2, 0.3), (4.7, 0.9, 0.4), (1.2, 2.1, 2.4)],
                 cell=[[7.0, 0, 0], [0.5, 6.5, 0], [0, 0.7, 6.8]], pbc=True)  # fmt: skip
    oblique = in_cell(gold, [[1, 0, 0], [2, 1, 0], [0, -1, 1]])
    calculator = ELFCalculator(domain="gold-thiolate", device="cpu")
    grid = calculator.get_elf(oblique, shape=(30, 60, 40))
    some = RNG(1).integers(0, grid.values.size, 300)
    xyz = cartesian(oblique.cell.array, grid.shape)[some]
    away = grid.values.ravel()[some] - calculator.get_elf(oblique, points=xyz)
    upright_grid = calculator.get_elf(gold, shape=(30, 30, 30))
    there = cartesian(gold.cell.array, upright_grid.shape)[some % upright_grid.values.size]
    before = upright_grid.values.ravel()[some % upright_grid.values.size] - calculator.get_elf(
        gold, points=there
    )
    # What carrying z costs here is the pack's own; the cell adds nothing to it.
    assert rms(away) < max(0.002, 1.3 * rms(before))
