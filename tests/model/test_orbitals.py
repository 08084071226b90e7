"""What occupied orbitals say of a place, against sums that are done by hand."""

import json
import math

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.units import Bohr
from safetensors.torch import save_file

from ase_elf.errors import FormatError, InputError
from ase_elf.model import (
    Architecture,
    EnergyNetwork,
    FieldModel,
    FieldNetwork,
    load_model,
    orbitals,
    save_network,
)
from ase_elf.model.orbitals import FERMI, FLOORS, LEAST, N_FEATURES, Orbitals, half_mesh

EXPONENT = 0.27
SKEWED = np.array([[7.0, 0.4, 0.0], [-0.6, 6.5, 0.8], [0.3, 0.2, 7.4]])


def fluid(n: int = 12, seed: int = 0) -> np.ndarray:
    """Pairs 1.4 bohr apart in the skewed cell."""
    rng = np.random.default_rng(seed)
    middles = rng.random((n // 2, 3)) @ SKEWED
    axes = rng.normal(size=(n // 2, 3))
    axes *= 0.7 / np.linalg.norm(axes, axis=1, keepdims=True)
    return np.concatenate([middles + axes, middles - axes])


def grid(cell: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    return np.indices(shape).reshape(3, -1).T / np.array(shape) @ cell


def made(cell=SKEWED, positions=None, **options) -> Orbitals:
    positions = fluid() if positions is None else positions
    return Orbitals.of(EXPONENT, cell, positions, dtype=torch.float64, **options)


def test_the_density_is_that_of_one_electron_per_atom():
    points = grid(SKEWED, (14, 14, 14))
    rho = made().at(points)[1].exp() - FLOORS[0]
    volume = np.linalg.det(SKEWED)
    assert float(rho.mean()) * volume == pytest.approx(12, rel=1e-4)  # of overlaps, the least are left out


def test_a_molecule_has_one_orbital():
    """Two Gaussians far from all else: ρ by hand, and τ is τ_W, so that the ELF is 1."""
    cell, distance = 24.0 * np.eye(3), 1.4
    atoms = np.array([[12.0, 12.0, 12.0], [12.0, 12.0, 12.0 + distance]])
    points = 12.0 + np.random.default_rng(1).normal(size=(50, 3))
    z, rho, tau, weizsaecker = made(cell, atoms).at(points).numpy()
    overlap = math.exp(-EXPONENT / 2 * distance**2)
    gaussians = np.exp(-EXPONENT * ((points[:, None] - atoms) ** 2).sum(-1))
    by_hand = (2 * EXPONENT / math.pi) ** 1.5 * gaussians.sum(1) ** 2 / (1 + overlap)
    np.testing.assert_allclose(np.exp(rho) - FLOORS[0], by_hand, rtol=1e-5, atol=1e-7)
    part = by_hand / (by_hand + FLOORS[0])
    np.testing.assert_allclose(
        np.exp(weizsaecker) - FLOORS[2], (np.exp(tau) - FLOORS[1]) * part, rtol=1e-3, atol=1e-6
    )
    assert z[by_hand > 0.1].min() > -math.log(2 * LEAST**2)


def test_it_is_what_the_sum_over_waves_says():
    """Orbitals of each wave vector by NumPy, and their derivatives by differences."""
    positions, mesh = fluid(), (2, 3, 2)
    points = np.random.default_rng(2).random((40, 3)) @ SKEWED
    z, *logs = made(mesh=mesh).at(points).numpy()
    rho, tau, slope = _by_waves(positions, points, mesh)
    weizsaecker = (slope**2).sum(0) / (8 * (rho + FLOORS[0]))
    chi = (tau - weizsaecker) / (FERMI * (rho + FLOORS[0]) ** (5 / 3))
    for log, part, floor in zip(logs, (rho, tau, weizsaecker), FLOORS, strict=True):
        np.testing.assert_allclose(np.exp(log) - floor, part, rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(z, -np.log(chi**2 + LEAST**2), atol=1e-3)


def _by_waves(positions, points, mesh):
    shifts = np.stack(np.meshgrid(*[np.arange(-3, 4)] * 3, indexing="ij"), -1).reshape(-1, 3)
    images = positions[:, None] + shifts @ SKEWED

    def bloch(places, wave):
        away = ((places[:, None, None] - images) ** 2).sum(-1)
        phases = np.exp(2j * np.pi * shifts @ wave)
        return (2 * EXPONENT / np.pi) ** 0.75 * np.exp(-EXPONENT * away) @ phases

    waves = [(np.array(m) + 0.5) / mesh for m in np.ndindex(*mesh)]
    found = []
    for wave in waves:
        lengths2 = ((positions[None, :, None] + shifts @ SKEWED - positions[:, None, None]) ** 2).sum(-1)
        overlap = np.exp(-EXPONENT / 2 * lengths2) @ np.exp(2j * np.pi * shifts @ wave)
        found.append(np.linalg.eigh(overlap))
    values = np.stack([value for value, _ in found])
    low, high = -12.0, 6.0
    for _ in range(60):
        level = (low + high) / 2
        filled = 1 / (1 + np.exp(-orbitals.SHARPNESS * (np.log(values) - level)))
        low, high = (low, level) if filled.sum() / len(waves) < 6 else (level, high)
    step = 1e-4
    moved = [points, *(points + sign * step * axis for axis in np.eye(3) for sign in (1, -1))]
    rho, tau, slope = 0, 0, 0
    for wave, (value, vectors), part in zip(waves, found, filled, strict=True):
        here, *around = (bloch(places, wave) @ (vectors / np.sqrt(value)) for places in moved)
        slopes = np.stack([(a - b) / (2 * step) for a, b in zip(around[::2], around[1::2], strict=True)])
        weight = 2 * part / len(waves)
        rho = rho + (abs(here) ** 2) @ weight
        tau = tau + 0.5 * (abs(slopes) ** 2).sum(0) @ weight
        slope = slope + 2 * (here.conj() * slopes).real @ weight
    return rho, tau, slope


def test_a_doubled_cell_says_the_same():
    doubled = SKEWED * np.array([[1], [2], [1]])
    positions = np.concatenate([fluid(), fluid() + SKEWED[1]])
    points = np.random.default_rng(3).random((60, 3)) @ doubled
    one, two = made(mesh=(2, 4, 3)), made(doubled, positions, mesh=(2, 2, 3))
    torch.testing.assert_close(one.at(points), two.at(points), atol=1e-6, rtol=1e-6)


def test_any_cell_of_the_lattice_will_do():
    points = np.random.default_rng(7).random((60, 3)) @ SKEWED
    skewed = np.array([[1, 2, 0], [0, 1, 0], [-1, 1, 1]]) @ SKEWED
    torch.testing.assert_close(made(skewed).at(points), made().at(points), atol=1e-7, rtol=1e-7)


def test_it_turns_and_moves_with_the_structure():
    turn = np.linalg.qr(np.random.default_rng(4).normal(size=(3, 3)))[0]
    turn *= np.linalg.det(turn)
    points = np.random.default_rng(5).random((60, 3)) @ SKEWED
    moved = np.array([0.3, -2.0, 5.0])
    told = made(SKEWED @ turn, (fluid() + moved) @ turn).at((points + moved) @ turn)
    torch.testing.assert_close(told, made().at(points), atol=1e-7, rtol=1e-7)


def test_points_do_not_depend_on_their_company():
    made_ones, points = made(), grid(SKEWED, (9, 9, 9))
    alone = torch.cat([made_ones.at(points[k : k + 1]) for k in range(0, len(points), 60)], dim=1)
    torch.testing.assert_close(alone, made_ones.at(points)[:, ::60], atol=1e-7, rtol=1e-7)
    assert made_ones.at(points[:0]).shape == (N_FEATURES, 0)


@pytest.mark.parametrize("times", [((1, 0, 0), (0, 1, 0), (0, 0, 1)), ((1, 1, 0), (-1, 1, 0), (0, 0, 2))])
def test_a_grid_of_the_cell_or_a_larger_one_has_the_values_at_its_points(times):
    occupied, cell, shape = made(), np.array(times) @ SKEWED, (11, 16, 9)
    torch.testing.assert_close(
        occupied.on_grid(cell, shape), occupied.at(grid(cell, shape)), atol=1e-6, rtol=1e-6
    )


def test_vacuum_is_as_exact_as_what_is_dense():
    """One orbital, far out, where χ is the ratio of two tiny numbers."""
    cell, atoms = 20.0 * np.eye(3), np.array([[9.0, 10, 10], [10.4, 10, 10]])
    points = 10.0 + np.random.default_rng(9).normal(size=(200, 3)) * 3
    away = points[:, None] - atoms
    gaussians = np.exp(-EXPONENT * (away**2).sum(-1))
    norm = (2 * EXPONENT / math.pi) ** 1.5 / (1 + math.exp(-EXPONENT / 2 * 1.4**2))
    rho = norm * gaussians.sum(1) ** 2
    tau = norm / 2 * ((2 * EXPONENT * away * gaussians[..., None]).sum(1) ** 2).sum(-1)
    assert 10 < (rho < 1e-5).sum() < 190
    weizsaecker = tau * rho / (rho + FLOORS[0])
    chi = (tau - weizsaecker) / (FERMI * (rho + FLOORS[0]) ** (5 / 3))
    np.testing.assert_allclose(made(cell, atoms).at(points)[0], -np.log(chi**2 + LEAST**2), atol=0.02)


@pytest.mark.parametrize("mesh", [(1, 1, 1), (2, 2, 2), (3, 2, 1), (5, 5, 4)])
def test_half_a_mesh_stands_for_all_of_it(mesh):
    waves, weights = half_mesh(mesh)
    assert weights.sum() == pytest.approx(1)
    both = {tuple(np.round(w % 1, 6) % 1) for w in (*waves, *-waves)}
    assert len(both) == math.prod(mesh)


def test_single_precision_is_enough():
    points = grid(SKEWED, (10, 10, 10))
    single = Orbitals.of(EXPONENT, SKEWED, fluid()).at(points)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), made().at(points), atol=1e-4, rtol=1e-5)


def test_a_cell_of_countless_waves_is_refused():
    with pytest.raises(InputError, match="1 atoms, 571787 wave vectors: .* more than 3 bohr³"):
        made(0.51 * np.eye(3), np.zeros((1, 3)))


def test_too_many_atoms_are_refused(monkeypatch):
    monkeypatch.setattr(orbitals, "MOST", 11)
    with pytest.raises(InputError, match="12 atoms, 294 wave vectors: orbitals are made for at most 11"):
        made()


def small_network() -> FieldNetwork:
    """Random weights that heed what orbitals say."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        shape = {"channels": (6, 4, 2), "point_channels": (6, 4, 2), "n_radial": 5, "hidden": 16}
        network = FieldNetwork(Architecture((1,), **shape, orbital_exponent=EXPONENT))
    return network.requires_grad_(False)


def hydrogen() -> Atoms:
    return Atoms("H12", fluid() * Bohr, cell=SKEWED * Bohr, pbc=True)


def test_a_grid_and_its_points_hear_the_same():
    model, shape = FieldModel(small_network(), dtype=torch.float64), (12, 11, 13)
    on_grid = model.predict([hydrogen()], [shape])[0]
    at_points = model.predict_points(hydrogen(), grid(SKEWED, shape) * Bohr)
    # Carrying z between grids makes an error; not hearing orbitals on one side would make a hundred times it.
    away = at_points.values - on_grid.values.ravel()
    assert np.sqrt(np.mean(away**2)) < 5e-4
    np.testing.assert_allclose(at_points.sigma, on_grid.sigma.ravel(), rtol=1e-2)


def test_what_orbitals_say_matters_to_the_network():
    deaf = small_network()
    deaf.orbital_scale.zero_()
    one, other = (
        FieldModel(network).predict([hydrogen()], [(10, 10, 10)])[0].values
        for network in (small_network(), deaf)
    )
    assert abs(one - other).max() > 1e-2


def test_structures_together_are_as_alone():
    model, turned = FieldModel(small_network()), hydrogen()
    turned.rattle(0.05, seed=1)
    together = model.predict([hydrogen(), turned], [(10, 10, 10)] * 2)
    for atoms, prediction in zip((hydrogen(), turned), together, strict=True):
        alone = model.predict([atoms], [(10, 10, 10)])[0]
        np.testing.assert_array_equal(prediction.values, alone.values)


def test_a_molecule_alone_is_one_in_a_large_box():
    model = FieldModel(small_network(), dtype=torch.float64)
    boxed = Atoms("H2", [(9, 9, 9), (9, 9, 9.74)], cell=[18, 18, 18], pbc=True)
    alone = Atoms("H2", boxed.positions)
    points = boxed.positions[0] + np.random.default_rng(6).normal(size=(30, 3))
    np.testing.assert_allclose(
        model.predict_points(alone, points).values, model.predict_points(boxed, points).values, atol=1e-6
    )


def test_weights_remember_the_orbitals(tmp_path):
    path = tmp_path / "weights.safetensors"
    network = small_network()
    network.orbital_shift += 0.5
    save_network(path, network)
    model = load_model(path)
    assert model.arch.orbital_exponent == EXPONENT
    torch.testing.assert_close(model.network.orbital_shift, network.orbital_shift)


def test_weights_cannot_ask_for_a_gaussian_as_wide_as_a_city(tmp_path):
    network = small_network()
    wide = network.arch.to_dict() | {"orbital_exponent": 1e-9}
    path = tmp_path / "weights.safetensors"
    save_file(network.state_dict(), path, metadata={"architecture": json.dumps(wide)})
    with pytest.raises(FormatError, match="orbital_exponent = 1e-09"):
        load_model(path)


@pytest.mark.parametrize("exponent", [-1.0, 1e-9, 50.0, math.nan, math.inf, True, "wide", None])
def test_exponents_that_make_no_sense_are_refused(exponent):
    with pytest.raises(InputError, match="a number from 0.1 to 10.0, or 0 for none"):
        Architecture((1,), orbital_exponent=exponent)


def test_only_hydrogen_has_them():
    with pytest.raises(InputError, match=r"is for elements = \(1,\), not \(1, 8\)"):
        Architecture((1, 8), orbital_exponent=0.3)
    with pytest.raises(InputError, match="energies are made without"):
        EnergyNetwork(Architecture((1,), orbital_exponent=0.3))


def test_cells_of_too_many_atoms_have_a_model_of_their_own(monkeypatch):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        shape = {"channels": (6, 4, 2), "point_channels": (6, 4, 2), "n_radial": 5, "hidden": 16}
        local = FieldModel(FieldNetwork(Architecture((1,), **shape)).requires_grad_(False))
    model = FieldModel(small_network(), large=local)
    small = hydrogen()
    large = small.repeat((1, 1, 2))
    large.rattle(0.01, seed=0)  # a supercell has the orbitals of its primitive cell
    monkeypatch.setattr(orbitals, "MOST", 12)
    grids, points = [(8, 8, 8), (8, 8, 16), (8, 8, 8)], small.positions
    found = model.predict([small, large, small], grids)
    assert [one.large for one in found] == [False, True, False]
    expected = local.predict([large], grids[1:2])[0].values
    np.testing.assert_array_equal(found[1].values, expected)
    np.testing.assert_array_equal(found[0].values, found[2].values)
    assert not np.allclose(found[0].values, local.predict([small], grids[:1])[0].values, atol=1e-3)
    at_points = model.predict_points(large, points)
    assert at_points.large and not model.predict_points(small, points).large
    np.testing.assert_array_equal(at_points.values, local.predict_points(large, points).values)
    with pytest.raises(InputError, match="24 atoms, .* wave vectors: orbitals are made for at most 12"):
        FieldModel(small_network()).predict([large], grids[1:2])
