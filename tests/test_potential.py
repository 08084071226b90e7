"""The potential of a domain pack: forces are slopes, dynamics conserves energy, fits resume."""

import json
import pickle

import numpy as np
import pytest
import torch
from ase import Atoms, units
from ase.build import make_supercell
from ase.calculators.lj import LennardJones
from ase.md.verlet import VelocityVerlet
from scipy.spatial.transform import Rotation

from ase_elf import ELFCalculator
from ase_elf.domains import Domain
from ase_elf.errors import DomainError, ElfWarning, FormatError, InputError
from ase_elf.model import Architecture, EnergyNetwork, save_network
from ase_elf.potential import Potential
from ase_elf.testing import GaussianDomain, molecular_fluid
from ase_elf.training.energies import EnergyFit, EnergyFrame, EnergyRecipe, score

ARCHITECTURE = Architecture(
    (1, 8), cutoff=4.5, n_radial=5, channels=(6, 4, 3), point_channels=(6, 4, 3), n_updates=1,
    hidden=12,
)  # fmt: skip


@pytest.fixture
def pack(tmp_path):
    """A domain pack with a potential of random weights for two elements."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = EnergyNetwork(ARCHITECTURE)
    network.core.fill_(1.2)
    network.offset.copy_(torch.tensor([-13.0, -400.0]))
    card = GaussianDomain(("H", "O")).card
    (tmp_path / "card.json").write_text(json.dumps(card))
    sha256 = save_network(tmp_path / "p.safetensors", network)
    potential = {
        "file": "p.safetensors", "sha256": sha256, "trained_range": {"r_s_bohr": [1.0, 3.0]},
    }  # fmt: skip
    (tmp_path / "potential.json").write_text(json.dumps(potential))
    return Domain(tmp_path)


def triclinic(n=6, seed=1):
    rng = np.random.default_rng(seed)
    cell = np.array([[2.4, 0, 0], [0.5, 2.2, 0], [-0.3, 0.4, 2.6]])
    places = rng.random((n, 3))
    return Atoms(numbers=rng.choice([1, 8], n), scaled_positions=places, cell=cell, pbc=True)


def test_forces_and_stress_are_slopes_of_the_energy(pack):
    atoms = triclinic()
    atoms.calc = Potential(domain=pack, device="cpu", dtype="float64")
    forces, stress = atoms.get_forces(), atoms.get_stress(voigt=False)
    np.testing.assert_allclose(forces.sum(0), 0, atol=1e-9)
    step = 1e-4
    # Central differences are good to step² times the third derivative.
    for atom, axis in ((0, 0), (3, 1), (5, 2)):
        found = []
        for sign in (1, -1):
            moved = atoms.copy()
            moved.positions[atom, axis] += sign * step
            moved.calc = atoms.calc
            found.append(moved.get_potential_energy())
        slope = (found[0] - found[1]) / (2 * step)
        assert -slope == pytest.approx(forces[atom, axis], rel=1e-5, abs=1e-5)
    for i, j in ((0, 0), (0, 2), (1, 2)):
        found = []
        for sign in (1, -1):
            strain = np.zeros((3, 3))
            strain[i, j] = strain[j, i] = sign * step / (1 if i == j else 2)
            bent = atoms.copy()
            bent.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
            bent.calc = atoms.calc
            found.append(bent.get_potential_energy())
        slope = (found[0] - found[1]) / (2 * step) / atoms.get_volume()
        assert slope == pytest.approx(stress[i, j], rel=1e-5, abs=1e-6)


def test_symmetries_hold_to_round_off(pack):
    atoms = triclinic()
    calc = Potential(domain=pack, device="cpu", dtype="float64")

    def of(structure):
        structure.calc = calc
        return structure.get_potential_energy(), structure.get_forces()

    energy, forces = of(atoms)
    turn = Rotation.from_euler("xyz", [0.3, -1.0, 2.0]).as_matrix()
    turned = atoms.copy()
    turned.set_cell(atoms.cell.array @ turn.T)
    turned.positions = (atoms.positions + [0.3, -4.0, 0.1]) @ turn.T
    assert of(turned)[0] == pytest.approx(energy, abs=1e-9)
    np.testing.assert_allclose(of(turned)[1], forces @ turn.T, atol=1e-8)
    assert of(atoms[::-1])[0] == pytest.approx(energy, abs=1e-9)
    double = make_supercell(atoms, [[2, 1, 0], [0, 1, 0], [0, 0, 1]])
    assert of(double)[0] == pytest.approx(2 * energy, abs=1e-8)


def test_an_atom_that_leaves_takes_no_energy_along_suddenly(pack):
    pair = Atoms("H2", [(0, 0, 0), (0, 0, 1)], cell=[12] * 3, pbc=True)
    pair.calc = Potential(domain=pack, device="cpu", dtype="float64")
    cutoff = ARCHITECTURE.cutoff * units.Bohr
    with pytest.warns(ElfWarning, match="trained"):
        pair.get_forces()
    forces = []
    for length in cutoff + np.array([-0.02, -0.01, 0.0, 0.01]):
        pair.positions[1, 2] = length
        forces.append(pair.get_forces()[1, 2])
    # Four derivatives of the basis vanish at the cutoff: the force falls faster than cubed.
    assert abs(forces[2]) < 1e-9 and forces[3] == 0.0
    assert abs(forces[1]) <= abs(forces[0]) / 6


def test_nuclei_that_meet_repel_each_other(pack):
    pair = Atoms("H2", [(0, 0, 0), (0, 0, 0.4)], cell=[2.6] * 3, pbc=True)
    pair.calc = Potential(domain=pack, device="cpu")
    far = pair.copy()
    far.positions[1, 2] = 0.64  # beyond `core`
    far.calc = pair.calc
    assert pair.get_forces()[1, 2] > 10 > abs(far.get_forces()[1, 2])


def test_it_is_an_ordinary_calculator(pack, capsys):
    atoms = triclinic()
    calc = pickle.loads(pickle.dumps(Potential(domain=pack, device="cpu")))
    atoms.calc = ELFCalculator(domain=GaussianDomain(("H", "O")), calculator=calc)
    assert atoms.get_forces().shape == (6, 3) and atoms.get_stress().shape == (6,)
    assert atoms.get_potential_energies().sum() == pytest.approx(atoms.get_potential_energy())
    assert atoms.calc.get_elf(atoms, shape=(8, 8, 8)).shape == (8, 8, 8)
    json.dumps(calc.todict())
    pickle.dumps(calc)
    single = np.array(atoms.get_forces())
    atoms.calc = Potential(domain=pack, device="cpu", dtype="float64")
    np.testing.assert_allclose(single, atoms.get_forces(), atol=1e-2, rtol=1e-4)
    assert capsys.readouterr() == ("", "")


def test_what_it_cannot_do_it_says(pack, tmp_path):
    atoms = triclinic()
    atoms.calc = Potential(domain=GaussianDomain(("H", "O")))
    with pytest.raises(DomainError, match="brings no potential"):
        atoms.get_forces()
    atoms.calc = Potential(domain=pack, device="cpu")
    atoms.get_forces()
    atoms.positions[0, 0] = np.nan
    with pytest.raises(InputError, match="NaN"):
        atoms.get_forces()
    gold = Atoms("Au", cell=[3] * 3, pbc=True, calculator=Potential(domain=pack))
    with pytest.raises(InputError, match="element Au"):
        gold.get_forces()
    with pytest.raises(InputError, match="float16"):
        Potential(dtype="float16")
    (tmp_path / "p.safetensors").write_bytes(b"damaged")
    pack.__dict__.pop("potential_card")
    with pytest.raises(FormatError, match="not the file its card describes"):
        pack.load_potential(dtype="float64")


@pytest.fixture(scope="module")
def frames():
    """Molecules under a Lennard-Jones potential, which stands in for a reference."""
    found = []
    for atoms in molecular_fluid(4, 8, dt=3.0, length=2.8):
        atoms.calc = LennardJones(sigma=0.65, epsilon=0.5, rc=2.3, smooth=True)
        energy, forces = atoms.get_potential_energy(), atoms.get_forces()
        found.append(EnergyFrame.of(atoms, energy, forces, ARCHITECTURE, group="lj"))
    return found


RECIPE = EnergyRecipe(steps=60, decay_steps=30, warmup_steps=5, rate=2e-2, atoms=16, checkpoint_every=20)


def test_a_fit_learns_and_goes_on_where_it_was_stopped(frames, tmp_path):
    whole = EnergyFit(tmp_path / "whole", RECIPE, ARCHITECTURE, frames[:6], frames[6:])
    before = score(whole.network, frames[:6])["lj"]
    whole.run()
    after = score(whole.network, frames[:6])["lj"]
    assert after["force_rmse"] < 0.3 * before["force_rmse"]
    parts = EnergyFit(tmp_path / "parts", RECIPE, ARCHITECTURE, frames[:6], frames[6:])
    for _ in range(40):
        parts.advance()
    parts.save()
    again = EnergyFit(tmp_path / "parts", RECIPE, ARCHITECTURE, frames[:6], frames[6:])
    assert again.step == 40
    again.run()
    for name, tensor in whole.network.state_dict().items():
        torch.testing.assert_close(again.network.state_dict()[name], tensor, atol=0, rtol=0)
    log = [json.loads(line) for line in (tmp_path / "whole" / "log.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in log] == [20, 40, 60]


def test_dynamics_conserves_energy(pack):
    swings = []
    for step in (0.1, 0.05):
        atoms = Atoms("H8", cell=[2.2] * 3, pbc=True)
        atoms.set_scaled_positions(np.stack(np.meshgrid(*[[0, 0.5]] * 3), -1).reshape(-1, 3))
        rng = np.random.default_rng(0)
        atoms.positions += rng.normal(0, 0.03, (8, 3))
        atoms.set_velocities(rng.normal(0, 0.3, (8, 3)))  # some 1000 K
        atoms.calc = Potential(domain=pack, device="cpu", dtype="float64")
        dyn = VelocityVerlet(atoms, step * units.fs)
        energies = []
        dyn.attach(lambda a=atoms, e=energies: e.append(a.get_total_energy()), interval=1)
        dyn.run(round(3 / step))
        swings.append(np.ptp(energies))
    # Velocity Verlet swings with the square of the step about what a true potential conserves.
    assert 3 < swings[0] / swings[1] < 5 and swings[1] < 1e-4


def test_its_test_frames_were_not_trained_on():
    from ase_elf_dense_hydrogen.train_potential import role

    judged = {("traj", 30)}
    roles = {n: role(f"traj-{n}", judged) for n in range(24, 37)}
    assert [n for n, r in roles.items() if r == "test"] == [29, 30, 31]
    assert [n for n, r in roles.items() if r == "unused"] == [27, 28, 32, 33]
    assert role("traj-106", judged) == "test" and role("traj-101", judged) == "unused"
