"""Cheap orbitals of any element: Bloch sums of caged pseudo-atoms, two Hamiltonians."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, make_supercell
from ase.spacegroup import crystal
from ase.units import Bohr

from ase_elf.errors import InputError
from ase_elf.grid import cartesian
from ase_elf.model.minimal_basis import NAMES, OccupiedOrbitals, atoms, elements, features
from ase_elf.model.minimal_basis.exchange import derivatives, energy_density
from ase_elf.model.minimal_basis.harmonics import gradient, solid
from ase_elf.model.minimal_basis.wave_vectors import Mesh, filling

WIDE = 0.5
"""bohr⁻¹ between wave vectors where a test is not about their number."""


def hydrogen() -> Atoms:
    return Atoms("H2", [(0.1, 0.2, 0.3), (0.6, 0.5, 0.7)], cell=[2.0, 2.1, 2.2], pbc=True)


def titanium_oxyhydride() -> Atoms:
    """s, p and d orbitals, two sorts of open shells, no symmetry, an oblique cell."""
    cell = [[3.1, 0.2, 0.1], [0.4, 3.3, -0.3], [0.2, 0.5, 3.6]]
    return Atoms(
        "TiOH", scaled_positions=[(0.02, 0.03, 0.01), (0.5, 0.45, 0.1), (0.55, 0.5, 0.6)], cell=cell, pbc=True
    )


STRUCTURES = {"hydrogen": hydrogen, "s, p and d": titanium_oxyhydride}


def places(structure: Atoms, n: int = 60) -> np.ndarray:
    return np.random.default_rng(1).random((n, 3)) @ structure.cell.array


def fields(structure: Atoms, points: np.ndarray, **options) -> dict[str, torch.Tensor]:
    """Density, τ and gradient by Hamiltonian, double precision."""
    options = {"spacing": WIDE, "dtype": torch.float64} | options
    found = OccupiedOrbitals(structure, **options).at(points)
    return {name: torch.stack([part.rho, part.tau, part.tau_w]) for name, part in found.items()}


def same(first: dict, second: dict, tolerance: float) -> None:
    for name, tensor in first.items():
        torch.testing.assert_close(tensor, second[name], rtol=tolerance, atol=tolerance)


def test_seventy_two_elements_come_with_the_package():
    assert len(elements()) == 72
    assert {1, 2, 6, 57, 79, 83, 86} <= set(elements())
    assert atoms.TABLE.stat().st_size < 1e6
    for number in elements():
        about = atoms.atom(number)
        assert sum(shell.occupation for shell in about.shells) == pytest.approx(about.valence)
        assert max(shell.l for shell in about.shells if shell.l < 3) >= (0 if number <= 2 else 1)


@pytest.mark.parametrize("symbol", ["K", "Ca", "Rb", "Sr", "Cs", "Ba"])
def test_metals_before_the_transition_metals_have_d_orbitals(symbol):
    number = Atoms(symbol).numbers[0]
    assert any(shell.l == 2 and not shell.own for shell in atoms.atom(number).shells)


@pytest.mark.parametrize("make", STRUCTURES.values(), ids=STRUCTURES)
def test_density_integrates_to_the_valence_electrons(make):
    structure = make()
    orbitals = OccupiedOrbitals(structure, spacing=WIDE)
    shape = (32, 34, 36)
    for part in orbitals.on_grid(shape).values():
        electrons = float(part.rho.double().mean()) * structure.get_volume() / Bohr**3
        assert electrons == pytest.approx(orbitals.basis.n_electrons, rel=4e-3)


@pytest.mark.parametrize("make", STRUCTURES.values(), ids=STRUCTURES)
def test_moving_everything_changes_nothing(make):
    structure = make()
    points, shift = places(structure), np.array([0.37, -1.21, 5.3])
    moved = structure.copy()
    moved.positions += shift
    same(fields(structure, points), fields(moved, points + shift), 2e-4)
    moved.wrap()
    same(fields(structure, points), fields(moved, points + shift), 2e-4)


@pytest.mark.parametrize("make", STRUCTURES.values(), ids=STRUCTURES)
def test_turning_everything_changes_nothing(make):
    structure = make()
    points = places(structure)
    turn, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))
    turned = structure.copy()
    turned.set_cell(structure.cell.array @ turn.T)
    turned.positions = structure.positions @ turn.T
    same(fields(structure, points), fields(turned, points @ turn.T), 1e-6)


def test_order_of_atoms_does_not_matter():
    structure = titanium_oxyhydride()
    points = places(structure)
    same(fields(structure, points), fields(structure[[2, 0, 1]], points), 1e-8)


@pytest.mark.parametrize("make", STRUCTURES.values(), ids=STRUCTURES)
def test_a_cell_twice_as_long_gives_the_same(make):
    structure = make()
    points = places(structure)
    double = make_supercell(structure, np.diag([1, 2, 1]))
    one = OccupiedOrbitals(structure, dtype=torch.float64, spacing=WIDE)
    two = OccupiedOrbitals(double, dtype=torch.float64, spacing=WIDE)
    longest = np.linalg.norm(two.basis.cell, axis=1).argmax()
    one.mesh, two.mesh = Mesh((2, 2, 2)), Mesh(tuple(1 if axis == longest else 2 for axis in range(3)))
    for name, part in one.at(points).items():
        torch.testing.assert_close(part.rho, two.at(points)[name].rho, rtol=2e-4, atol=2e-4)
        torch.testing.assert_close(part.tau, two.at(points)[name].tau, rtol=2e-4, atol=2e-4)


def test_another_cell_of_the_same_lattice_gives_the_same():
    structure = titanium_oxyhydride()
    points = places(structure)
    sheared = structure.copy()
    sheared.set_cell(np.array([[1, 0, 0], [1, 1, 0], [0, -1, 1]]) @ structure.cell.array)
    one = OccupiedOrbitals(structure, dtype=torch.float64)
    two = OccupiedOrbitals(sheared, dtype=torch.float64)
    one.mesh = two.mesh = Mesh((2, 2, 2))  # through 0: the same wave vectors for both cells
    for name, part in one.at(points).items():
        torch.testing.assert_close(part.rho, two.at(points)[name].rho, rtol=2e-4, atol=2e-4)


def test_a_grid_holds_the_values_at_its_points():
    structure = titanium_oxyhydride()
    orbitals = OccupiedOrbitals(structure, spacing=WIDE)
    shape = (7, 8, 9)
    chosen = np.random.default_rng(5).choice(7 * 8 * 9, 40, replace=False)
    points = cartesian(structure.cell.array, shape)[chosen]
    grid = orbitals.on_grid(shape)
    for name, part in orbitals.at(points + structure.cell.array[1]).items():
        torch.testing.assert_close(grid[name].elf[chosen], part.elf, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(grid[name].rho[chosen], part.rho, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("make", STRUCTURES.values(), ids=STRUCTURES)
def test_gradients_are_those_of_the_density(make):
    structure = make()
    points = places(structure, 20)
    orbitals = OccupiedOrbitals(structure, spacing=WIDE, dtype=torch.float64)
    step = 1e-4
    found = orbitals.at(points)
    for axis in range(3):
        shift = np.eye(3)[axis] * step
        up, down = orbitals.at(points + shift), orbitals.at(points - shift)
        for name, part in found.items():
            slope = (up[name].rho - down[name].rho) / (2 * step / Bohr)
            torch.testing.assert_close(part.gradient[axis], slope, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("make", STRUCTURES.values(), ids=STRUCTURES)
def test_kinetic_energy_density_is_at_least_that_of_one_orbital(make):
    structure = make()
    for dtype, least in ((torch.float64, -1e-6), (torch.float32, -2e-4)):
        for part in (
            OccupiedOrbitals(structure, spacing=WIDE, dtype=dtype).at(places(structure, 200)).values()
        ):
            assert ((part.tau - part.tau_w) / (part.tau + 1e-3)).min() > least


def test_single_precision_is_enough():
    structure = titanium_oxyhydride()
    points = places(structure, 200)
    single = OccupiedOrbitals(structure, spacing=WIDE).at(points)
    for name, part in OccupiedOrbitals(structure, spacing=WIDE, dtype=torch.float64).at(points).items():
        assert (part.elf - single[name].elf).abs().max() < 2e-3


def test_one_orbital_has_an_elf_of_one():
    molecule = Atoms("H2", [(0, 0, 0), (0, 0, 0.74)], pbc=False)
    molecule.center(vacuum=4)
    points = molecule.positions.mean(0) + np.random.default_rng(0).normal(0, 0.6, (50, 3))
    for part in OccupiedOrbitals(molecule).at(points).values():
        assert part.elf[part.rho > 1e-3].min() > 0.99


def test_a_lone_atom_has_its_levels_and_its_density():
    box = Atoms("He", cell=[7, 7, 7], pbc=False)
    orbitals = OccupiedOrbitals(box, dtype=torch.float64)
    assert orbitals.mesh.sizes == (1, 1, 1)
    level = float(orbitals.states["one-shot"].levels[0, 0])
    assert level == pytest.approx(atoms.atom(2).shells[0].level, abs=0.02)
    points = np.array([[0, 0, r] for r in (0.2, 0.5, 0.8)])
    hydrogen, rest = orbitals.superposed(points)
    assert hydrogen.rho.abs().max() == 0
    torch.testing.assert_close(orbitals.at(points)["one-shot"].rho, rest.rho, rtol=0.12, atol=1e-3)


def test_superposed_densities_have_their_derivatives():
    structure = titanium_oxyhydride()
    points = places(structure, 30)
    orbitals = OccupiedOrbitals(structure, dtype=torch.float64)
    step = 2e-3
    for part in (0, 1):
        middle = orbitals.superposed(points)[part]
        laplacian = torch.zeros(30, dtype=torch.float64)
        for axis in range(3):
            shift = np.eye(3)[axis] * step
            up, down = (orbitals.superposed(points + s)[part].rho for s in (shift, -shift))
            slope = (up - down) / (2 * step / Bohr)
            torch.testing.assert_close(middle.gradient[axis], slope, rtol=5e-3, atol=2e-4)
            laplacian += (up + down - 2 * middle.rho) / (step / Bohr) ** 2
        torch.testing.assert_close(middle.laplacian, laplacian, rtol=5e-2, atol=2e-2)


def test_features_are_bounded_everywhere():
    slab = bulk("Mg", "hcp")
    slab.pbc = (True, True, False)
    slab.center(vacuum=6, axis=2)
    values = features(OccupiedOrbitals(slab, spacing=WIDE), places(slab, 300))
    assert values.shape == (300, len(NAMES))
    assert torch.isfinite(values).all()
    assert values.abs().max() < 15


def test_insulators_have_a_gap_and_metals_have_none():
    salt = OccupiedOrbitals(bulk("LiH", "rocksalt", a=4.08)).fermi_level
    assert salt.gap > 1
    assert np.isnan(salt.hydrogen_share)
    metal = OccupiedOrbitals(bulk("Al", "fcc", a=4.05)).fermi_level
    assert metal.gap == 0
    assert metal.hydrogen_share == 0
    assert 0.2 < metal.dos < 0.8


def test_hydrogen_carries_the_fermi_level_of_a_calcium_clathrate():
    hydride = crystal(
        ["Ca", "H"],
        [(0, 0, 0), (0.25, 0.5, 0)],
        spacegroup=229,
        cellpar=[3.501] * 3 + [90] * 3,
        primitive_cell=True,
    )
    level = OccupiedOrbitals(hydride).fermi_level
    assert level.gap == 0
    assert 0.7 < level.hydrogen_share < 0.9
    assert level.hydrogen_share_without_d > 0.93  # projections of a self-consistent run: 0.99


def test_bands_hold_all_electrons():
    states = OccupiedOrbitals(titanium_oxyhydride()).states
    for part in states.values():
        held = float(part.electrons.sum(1) @ part.weights)
        assert held == pytest.approx(part.basis.n_electrons, abs=1e-6)


@pytest.mark.parametrize("shifts", [(0, 0, 0), (1, 1, 1), (1, 0, 1)])
def test_half_a_mesh_stands_for_the_whole(shifts):
    waves, weights = Mesh((3, 4, 2), shifts).half()
    assert weights.sum() == pytest.approx(1)
    everything = {tuple(np.round(sign * w % 1, 9) % 1) for w in waves for sign in (1, -1)}
    assert len(everything) == 24


def test_filling_finds_the_level_of_two_bands():
    levels = torch.tensor([[-1.0, 1.0], [-1.0, torch.inf]], dtype=torch.float64)
    fermi, electrons = filling(levels, torch.tensor([0.5, 0.5], dtype=torch.float64), 2.0)
    assert -0.8 < fermi < 0.8
    assert electrons[:, 0].tolist() == pytest.approx([2, 2])


def test_harmonics_are_normalised_and_have_their_gradients():
    vectors = torch.randn(200000, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    unit = vectors / vectors.norm(dim=-1, keepdim=True)
    for l in range(4):
        values = solid(l, unit)
        gram = 4 * torch.pi * values.mT @ values / len(unit)
        torch.testing.assert_close(gram, torch.eye(2 * l + 1, dtype=torch.float64), atol=0.03, rtol=0)
        few = vectors[:50].clone().requires_grad_()
        for m in range(2 * l + 1):
            if l:
                slope = torch.autograd.grad(solid(l, few)[:, m].sum(), few)[0]
                torch.testing.assert_close(gradient(l, few)[..., m].T, slope)


def test_exchange_and_correlation_are_those_of_libxc():
    libxc = pytest.importorskip("pyscf.dft.libxc")
    density = torch.logspace(-5, 1, 40, dtype=torch.float64)
    slope = torch.linspace(0.01, 2, 40, dtype=torch.float64) * density
    nil = np.zeros(40)
    energy, (by_density, by_slope2, *_), *_ = libxc.eval_xc(
        "PBE", np.array([density.numpy(), slope.numpy(), nil, nil]), spin=0, deriv=1
    )
    ours = derivatives(density, slope**2)
    np.testing.assert_allclose((energy_density(density, slope**2) / density).numpy(), energy, rtol=1e-9)
    np.testing.assert_allclose(ours[0].numpy(), by_density, rtol=1e-8)
    np.testing.assert_allclose(ours[1].numpy(), by_slope2, rtol=1e-7)


def test_what_cannot_be_done_is_said():
    with pytest.raises(InputError, match="no pseudo-atom of U"):
        OccupiedOrbitals(Atoms("U", cell=[3, 3, 3], pbc=True)).at(np.zeros((1, 3)))
    with pytest.raises(InputError, match="without volume"):
        OccupiedOrbitals(Atoms("H2", [(0, 0, 0), (0, 0, 1)]))
    with pytest.raises(InputError, match=r"\(n, 3\)"):
        OccupiedOrbitals(hydrogen()).at(np.zeros(3))
    with pytest.raises(InputError, match="no Hamiltonian"):
        OccupiedOrbitals(hydrogen(), hamiltonians=("dft",))
    with pytest.raises(InputError, match="one-shot"):
        _ = OccupiedOrbitals(hydrogen(), hamiltonians=("huckel",)).fermi_level
    with pytest.raises(InputError, match="without atoms"):
        OccupiedOrbitals(Atoms(cell=[3, 3, 3]))


# A network behind the features


def many(**more):
    from ase_elf.model.network import Architecture

    return Architecture(
        elements=(1, 3, 9), cutoff=5.0, channels=(8, 4, 4), point_channels=(8, 4, 4), n_updates=1, hidden=16,
        minimal_basis=("one-shot", "atoms"), by_numbers=True, **more,
    )  # fmt: skip


def test_a_network_of_many_elements_gives_the_same_on_a_grid_and_at_points():
    from ase_elf.model.field_model import FieldModel
    from ase_elf.model.network import FieldNetwork

    torch.manual_seed(2)
    model = FieldModel(FieldNetwork(many()).requires_grad_(False))
    atoms = bulk("LiH", "rocksalt", a=4.0)
    atoms.positions += 0.1
    grid = model.predict([atoms], [(12, 12, 12)])[0].values
    points = cartesian(atoms.cell.array, (12, 12, 12))
    assert np.sqrt(np.mean((grid.ravel() - model.predict_points(atoms, points).values) ** 2)) < 4e-3


def test_elements_by_numbers_need_no_parameters_of_their_own():
    from dataclasses import replace

    from ase_elf.model.elements import numbers_of
    from ase_elf.model.network import FieldNetwork

    few, all_ = many(), replace(many(), elements=elements())
    count = lambda arch: sum(p.numel() for p in FieldNetwork(arch).parameters())  # noqa: E731
    assert count(few) == count(all_)
    table = numbers_of(elements())
    assert table.isfinite().all() and torch.allclose(table.mean(0), torch.zeros(table.shape[1]), atol=1e-5)
    assert all_.n_numbers() <= sum(t.numel() for t in FieldNetwork(all_).state_dict().values())


@pytest.mark.parametrize("wrong", [{"minimal_basis": ("none",)}, {"by_numbers": 1}])
def test_an_architecture_names_features_that_there_are(wrong):
    from dataclasses import replace

    with pytest.raises(InputError, match=next(iter(wrong))):
        replace(many(), **wrong)


def test_a_fit_starts_from_features_at_the_points_of_labels():
    from ase_elf.dataset import Label
    from ase_elf.model.network import FieldNetwork
    from ase_elf.reference import Provenance
    from ase_elf.training.fit import losses, standardise
    from ase_elf.training.samples import Pool

    atoms = bulk("LiH", "rocksalt", a=4.0)
    values = np.random.default_rng(0).random((6, 6, 6)).astype(np.float32)
    label = Label(id="a", name="a", atoms=atoms, provenance=Provenance("c", "v", "f"), values=values)
    pool = Pool.draw(label, many(), 100, np.random.default_rng(1))
    network = FieldNetwork(many())
    standardise(network, [pool])
    rows = torch.arange(100)
    parts = losses(network, pool.atoms("cpu"), pool.rows(rows), pool.target, pool.highest)
    sum(parts).backward()
    # Vectors vanish in this crystal; what is left of them is not scaled up to order 1.
    assert all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())
    assert (
        float(network.output_invariants.scale.max() * network.output_invariants.scale.reciprocal().max()) < 51
    )
