"""The field model: symmetries to round-off, one answer from grids and points, safe files."""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import make_supercell
from ase.units import Bohr
from scipy.spatial.transform import Rotation
from torch.optim.swa_utils import AveragedModel

from ase_elf.errors import FormatError, InputError
from ase_elf.model import (
    Architecture,
    FieldModel,
    FieldNetwork,
    field_model,
    load_model,
    nonuniform,
    save_network,
    spectral,
)
from ase_elf.model.field_model import native_shape, network_shape, upsample
from ase_elf.model.network import stored_name


def small_network(seed=0, n_vectors=2):
    """Random weights, but of the size that training gives: every part matters."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = FieldNetwork(
            Architecture((1, 8), channels=(8, 6, 4, 3, 2), point_channels=(8, 4, 3, 2, 2), hidden=16,
                         n_vectors=n_vectors)
        )  # fmt: skip
        with torch.no_grad():
            network.species.normal_()
            if n_vectors:
                network.aims[1].mul_(30)
    return network.requires_grad_(False)


def triclinic(n=10, seed=1):
    rng = np.random.default_rng(seed)
    cell = np.array([[4.0, 0, 0], [0.9, 3.6, 0], [-0.5, 0.7, 4.3]])
    positions = rng.random((n, 3)) @ cell
    return Atoms(numbers=rng.choice([1, 8], n), positions=positions, cell=cell, pbc=True)


@pytest.fixture(scope="module", params=[0, 2], ids=["scalars", "vectors"])
def model(request):
    return FieldModel(small_network(n_vectors=request.param), dtype=torch.float64)


def at(model, atoms, xyz):
    return model.predict_points(atoms, xyz).values


POINTS = np.random.default_rng(5).normal(scale=4, size=(40, 3))


def test_moving_atoms_and_points_together_changes_nothing(model):
    atoms = triclinic()
    moved = atoms.copy()
    shift = np.array([0.37, -5.21, 1.93])
    moved.positions += shift
    np.testing.assert_allclose(at(model, moved, POINTS + shift), at(model, atoms, POINTS), atol=1e-6)


def test_rotating_cell_atoms_and_points_changes_nothing(model):
    atoms = triclinic()
    turn = Rotation.from_euler("xyz", [0.4, -1.2, 2.0]).as_matrix()
    turned = atoms.copy()
    turned.set_cell(atoms.cell.array @ turn.T)
    turned.positions = atoms.positions @ turn.T
    np.testing.assert_allclose(at(model, turned, POINTS @ turn.T), at(model, atoms, POINTS), atol=1e-6)


def test_order_of_atoms_does_not_matter(model):
    atoms = triclinic()
    np.testing.assert_allclose(at(model, atoms[::-1], POINTS), at(model, atoms, POINTS), atol=1e-6)


def test_another_cell_of_the_same_crystal_gives_the_same_field(model):
    atoms = triclinic()
    other = make_supercell(atoms, [[2, 1, 0], [0, 1, 0], [1, 0, 1]])
    np.testing.assert_allclose(at(model, other, POINTS), at(model, atoms, POINTS), atol=1e-6)


def test_vectors_of_atoms_reach_the_points():
    with_them = at(FieldModel(small_network(), dtype=torch.float64), triclinic(), POINTS)
    without = small_network()
    without.output_invariants.vector_radial.zero_()
    assert np.abs(at(FieldModel(without, dtype=torch.float64), triclinic(), POINTS) - with_them).max() > 1e-2


def test_elements_are_told_apart(model):
    atoms = triclinic()
    swapped = atoms.copy()
    swapped.numbers = np.where(atoms.numbers == 1, 8, 1)
    assert np.abs(at(model, swapped, POINTS) - at(model, atoms, POINTS)).max() > 1e-3


def test_fields_in_reciprocal_space_equal_sums_over_neighbours(model):
    fine = FieldModel(model.network, dtype=torch.float64, native_spacing=0.14)
    atoms = triclinic()
    shape = (9, 10, 12)
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1).reshape(-1, 3)
    points = (index / shape) @ atoms.cell.array
    on_grid = fine.predict([atoms], [shape])[0]
    direct = fine.predict_points(atoms, points)
    # What is left is the part of z beyond the grid's plane waves, not a mistake of sign:
    # it falls with the spacing.
    np.testing.assert_allclose(on_grid.values.ravel(), direct.values, atol=2e-3)
    np.testing.assert_allclose(on_grid.sigma.ravel(), direct.sigma, rtol=2e-2)


def test_a_finer_grid_contains_the_coarser_one(model):
    atoms = triclinic()
    coarse, fine = model.predict([atoms] * 2, [(12, 10, 8), (24, 40, 24)])
    np.testing.assert_allclose(fine.values[::2, ::4, ::3], coarse.values, atol=1e-6)


@pytest.mark.parametrize("shape", [(19, 17, 21), (24, 18, 20)])
def test_on_a_grid_of_fewer_points_the_network_itself_runs(model, shape):
    atoms = triclinic()
    native = native_shape(atoms.cell.array / Bohr, model.native_spacing)
    assert network_shape(atoms.cell.array / Bohr, model.native_spacing, shape) == shape != native
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1).reshape(-1, 3)
    direct = model.predict_points(atoms, (index / shape) @ atoms.cell.array)
    grid = model.predict([atoms], [shape])[0]
    carried = model.predict([atoms], [tuple(2 * n for n in shape)])[0].values[::2, ::2, ::2]
    # What the grid cannot hold of the fields is less than what the native one cannot of z.
    assert _rms(grid.values.ravel() - direct.values) < _rms(carried.ravel() - direct.values)
    np.testing.assert_allclose(grid.sigma.ravel(), direct.sigma, rtol=2e-2)


def _rms(values):
    return np.sqrt(np.mean(values**2))


@pytest.mark.parametrize(("most", "passes"), [(1, 3), (2**21, 1)])
def test_structures_of_any_size_share_passes_and_change_no_value(model, monkeypatch, most, passes):
    monkeypatch.setattr(field_model, "TOGETHER", most)
    structures = [triclinic(n, seed=n) for n in (3, 17, 9)]
    structures[2].set_cell(1.4 * structures[2].cell, scale_atoms=True)
    shapes = [(8, 9, 10), (10, 10, 10), (12, 8, 9)]
    calls, network = [], model.network
    original = network.coefficients
    monkeypatch.setattr(network, "coefficients", lambda *a: calls.append(a) or original(*a))
    together = model.predict(structures, shapes)
    assert len(calls) == passes
    for atoms, shape, one in zip(structures, shapes, together, strict=True):
        alone = model.predict([atoms], [shape])[0]
        # Values are stored in single precision.
        np.testing.assert_allclose(one.values, alone.values, rtol=0, atol=2e-7)
        np.testing.assert_allclose(one.sigma, alone.sigma, rtol=1e-6)


def test_single_precision_agrees_with_double():
    atoms = triclinic()
    single = FieldModel(small_network(), dtype=torch.float32)
    double = FieldModel(small_network(), dtype=torch.float64)
    a, b = (m.predict([atoms], [(12, 12, 12)])[0].values for m in (single, double))
    np.testing.assert_allclose(a, b, atol=2e-5)


def test_predicted_error_stays_within_what_an_elf_can_deviate_by():
    network = small_network()
    network.log_error[-1].bias.fill_(200.0)
    found = FieldModel(network).predict([triclinic()], [(8, 8, 8)])[0]
    assert (found.sigma == 0.5).all()


def test_unknown_element_is_named(model):
    with pytest.raises(InputError, match=r"\[79\]"):
        model.predict_points(Atoms("Au", cell=[4, 4, 4], pbc=True), POINTS)


def test_no_points_give_an_empty_answer(model):
    assert model.predict_points(triclinic(), np.empty((0, 3))).values.shape == (0,)


def test_native_grid_is_fine_enough():
    cell = np.array([[20.0, 0, 0], [15.0, 9.0, 0], [0, 0, 7.7]])
    shape = native_shape(cell, 0.3)
    heights = 1 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    assert (heights / shape <= 0.3).all()


@pytest.mark.parametrize("native", [(15, 21, 25), (16, 22, 26), (16, 21, 26)])
@pytest.mark.parametrize("shape", [(15, 21, 25), (18, 7, 50), (4, 5, 6), (15, 64, 9)])
def test_upsampling_is_exact_for_what_the_grid_can_hold(native, shape):
    def wave(n):
        x, y, z = np.meshgrid(*[np.arange(k) / k for k in n], indexing="ij")
        return np.cos(2 * np.pi * (7 * x - 3 * y + 2 * z)) + np.sin(2 * np.pi * (10 * y - 12 * z) + 1)

    fine = upsample(torch.from_numpy(wave(native)), shape)
    np.testing.assert_allclose(fine.numpy(), wave(shape), atol=1e-12)


@pytest.mark.parametrize("native", [(5, 4, 6), (4, 6, 5)])
def test_upsampling_goes_through_the_values(native):
    field = torch.from_numpy(np.random.default_rng(0).random(native))
    fine = upsample(field, tuple(3 * n for n in native))
    torch.testing.assert_close(fine[::3, ::3, ::3], field, atol=1e-12, rtol=0)


def test_weights_survive_a_round_trip(tmp_path):
    network = small_network()
    sha = save_network(tmp_path / "w.safetensors", network)
    loaded = load_model(tmp_path / "w.safetensors", digest=sha, device="cpu", dtype="float64")
    atoms = triclinic()
    expected = FieldModel(small_network(), dtype=torch.float64)
    np.testing.assert_array_equal(at(loaded, atoms, POINTS), at(expected, atoms, POINTS))


def test_a_network_takes_parameters_by_the_names_in_files():
    network, other = small_network(), small_network(seed=1)
    stored = {stored_name(name): numbers for name, numbers in network.state_dict().items()}
    assert "read.radial" in stored and "readings.0.radial" in stored
    averaged = AveragedModel(other)  # as in a checkpoint
    averaged.load_state_dict({f"module.{name}": n for name, n in stored.items()}, strict=False)
    other.load_state_dict(stored)
    for found in (other, averaged.module):
        for name, numbers in network.state_dict().items():
            torch.testing.assert_close(found.state_dict()[name], numbers, rtol=0, atol=0)


def test_damaged_or_exchanged_weights_are_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    save_network(path, small_network())
    with pytest.raises(FormatError, match="not the file its card describes"):
        load_model(path, digest="0" * 64)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(FormatError, match="cannot read weights"):
        load_model(path)
    with pytest.raises(FormatError, match="cannot read weights"):
        load_model(tmp_path / "missing.safetensors")


def test_unknown_device_and_precision_are_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    save_network(path, small_network())
    with pytest.raises(InputError, match="device 'tpux'"):
        load_model(path, device="tpux")
    with pytest.raises(InputError, match="float16"):
        load_model(path, device="cpu", dtype="float16")
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="no CUDA device"):
            load_model(path, device="cuda")


def test_invariants_do_not_depend_on_how_many_fields_are_made_together(model):
    atoms, shape = triclinic(12), (12, 10, 14)
    reading = model.network.output_invariants
    cell = atoms.cell.array / Bohr
    waves = spectral.Waves.of(cell, shape, 4.0, reading, model.device, model.dtype)
    places = torch.from_numpy(atoms.get_scaled_positions())
    width = reading.channels[0] + 3 * reading.n_vectors
    coefficients = torch.randn(12, width, dtype=model.dtype)
    whole = spectral.raw_invariants(reading, waves, places, coefficients)
    assert whole.shape == (reading.n_invariants, np.prod(shape))
    parts = spectral.raw_invariants(reading, waves, places, coefficients, most=8 * 3 * whole.shape[1])
    torch.testing.assert_close(parts, whole, atol=1e-12, rtol=0)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-5), (torch.float64, 2e-7)])
def test_structure_factors_through_an_fft_change_no_elf(dtype, tolerance, monkeypatch):
    model, atoms = FieldModel(small_network(), dtype=dtype), triclinic(40)
    direct = model.predict([atoms], [(12, 11, 10)])[0].values
    monkeypatch.setitem(nonuniform.MANY, dtype, 0)
    quick = model.predict([atoms], [(12, 11, 10)])[0].values
    # As much as single precision differs from double; values are stored in single precision.
    np.testing.assert_allclose(quick, direct, rtol=0, atol=tolerance)
