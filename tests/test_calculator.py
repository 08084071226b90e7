"""ELFCalculator alone and around other calculators, in everything ASE does with one."""

import copy
import json
import pickle
import warnings

import numpy as np
import pytest
import torch
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.calculators.mixing import SumCalculator
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from ase.md.langevin import Langevin
from ase.md.verlet import VelocityVerlet
from ase.mep import NEB
from ase.optimize import BFGS

from ase_elf import ELFCalculator, ELFGrid
from ase_elf.errors import DomainError, ElfWarning, InputError
from ase_elf.testing import GaussianDomain, GaussianModel


class CountingModel(GaussianModel):
    """Remembers the batches it was given, and runs out of memory when told to."""

    def __init__(self, memory=None, error=MemoryError):
        self.memory, self.error, self.batches, self.point_calls = memory, error, [], 0

    def predict(self, structures, shapes, *, sigma=True):
        if self.memory is not None and len(structures) > self.memory:
            raise self.error("CUDA out of memory. Tried to allocate 1.00 GiB")
        self.batches.append(len(structures))
        return super().predict(structures, shapes, sigma=sigma)

    def predict_points(self, atoms, xyz, *, sigma=True):
        self.point_calls += 1
        return super().predict_points(atoms, xyz, sigma=sigma)


class CountingDomain(GaussianDomain):
    """Coarse and for any elements, without a trained range unless one is given."""

    def __init__(self, elements=("H",), *, model=None, trained_range=None):
        super().__init__(elements)
        object.__setattr__(self, "model", model or CountingModel())
        self.card["spacing"] = 0.6
        self.card["trained_range"] = trained_range or {}

    def load(self, device=None, dtype="float32"):
        return self.model


@pytest.fixture
def domain():
    return CountingDomain(("H", "Al", "Cu"))


@pytest.fixture
def hydrogen():
    positions = [(0, 0, 0), (0, 0, 0.74), (1.5, 1.5, 1.5), (1.5, 1.5, 2.24)]
    return Atoms("H4", positions, cell=[3, 3, 3.2], pbc=True)


def aluminium(size=1):
    atoms = bulk("Al", cubic=True) * (1, 1, size)
    atoms.rattle(0.05, seed=1)
    return atoms


# -- alone -------------------------------------------------------------------------------


def test_alone_it_gives_elf_and_bonds_and_says_where_forces_come_from(domain, hydrogen):
    hydrogen.calc = ELFCalculator(domain=domain)
    assert isinstance(hydrogen.calc.get_property("elf", hydrogen), ELFGrid)
    table = hydrogen.calc.get_property("bond_rulers", hydrogen)
    assert table["i"].tolist() == [0, 2] and table["j"].tolist() == [1, 3]
    for ask in (hydrogen.get_potential_energy, hydrogen.get_forces, hydrogen.get_stress):
        with pytest.raises(PropertyNotImplementedError, match="calculator="):
            ask()
    assert hydrogen.calc.results == {}


def test_arguments_are_keywords_and_checked():
    with pytest.raises(TypeError):
        ELFCalculator("dense-hydrogen")
    with pytest.raises(TypeError):
        ELFCalculator(devcie="cpu")
    for wrong, message in [
        ({"dtype": "float16"}, "float32"),
        ({"calculator": "emt"}, "EMT()"),
        ({"every": 0}, "positive"),
        ({"every": 1.5}, "positive"),
        ({"properties": ["elf_phy"]}, "did you mean 'elf_phi'"),
    ]:
        with pytest.raises(InputError, match=message):
            ELFCalculator(**wrong)
    with pytest.raises(DomainError, match="no domain pack"):
        ELFCalculator(domain="unobtainium")


def test_the_default_grid_is_fast_to_transform_and_no_coarser_than_the_pack_says(domain, hydrogen):
    grid = ELFCalculator(domain=domain).get_elf(hydrogen)
    assert grid.shape == (5, 5, 6)
    assert grid.values.dtype == np.float32
    assert grid.info == {
        "domain": "stand-in", "weights": "0" * 64, "out_of_domain": [], "domain_distance": None
    }  # fmt: skip
    assert grid.sigma is not None


def test_shape_spacing_and_points_agree_with_the_model(domain, hydrogen):
    calc = ELFCalculator(domain=domain)
    grid = calc.get_elf(hydrogen, shape=(20, 20, 20))
    assert grid.shape == (20, 20, 20)
    assert calc.get_elf(hydrogen, spacing=0.2).shape == (15, 15, 16)
    xyz = np.array([[1, 2, 3], [5, 0, 10]]) / 20 * [3, 3, 3.2]
    at_points = calc.get_elf(hydrogen, points=xyz)
    assert at_points.shape == (2,)
    np.testing.assert_allclose(at_points, [grid.values[1, 2, 3], grid.values[5, 0, 10]], atol=1e-4)
    for wrong in (
        {"shape": (8, 8, 8), "spacing": 0.3},
        {"spacing": -1},
        {"spacing": "fine"},
        {"spacing": 1e-300},
        {"shape": (8, 8)},
        {"points": [1, 2, 3]},
        {"points": [[np.nan, 0, 0]]},
    ):
        with pytest.raises(InputError):
            calc.get_elf(hydrogen, **wrong)


def test_without_atoms_the_last_structure_is_meant(domain, hydrogen):
    calc = ELFCalculator(domain=domain)
    with pytest.raises(InputError, match="no structure"):
        calc.get_elf()
    calc.get_property("elf", hydrogen)
    assert calc.get_elf().shape == (5, 5, 6)


def test_bad_structures_are_refused_before_the_model_is_asked(domain, hydrogen):
    calc = ELFCalculator(domain=domain)
    no_cell, not_periodic, foreign, overlapping = (hydrogen.copy() for _ in range(4))
    no_cell.cell = None
    not_periodic.pbc = (True, True, False)
    foreign.symbols[0] = "O"
    overlapping.positions[1] = 0.01
    for atoms, message in [
        (no_cell, "cell"),
        (not_periodic, "not periodic"),
        (foreign, "element O"),
        (overlapping, "overlap"),
        (Atoms(cell=np.eye(3), pbc=True), "no atoms"),
    ]:
        with pytest.raises(InputError, match=message):
            calc.get_elf(atoms)
    with pytest.raises(InputError, match="structure 1: element O"):
        calc.predict([hydrogen, foreign])
    assert domain.model.batches == []


# -- caching -----------------------------------------------------------------------------


def test_the_elf_is_computed_once_per_structure_and_shape(domain, hydrogen):
    calc = ELFCalculator(domain=domain)
    first = calc.get_elf(hydrogen)
    assert calc.get_elf(hydrogen) is first
    assert calc.get_property("elf", hydrogen) is first
    calc.get_property("bond_rulers", hydrogen)
    hydrogen.set_velocities(np.ones((4, 3)))
    hydrogen.info["note"] = 1
    assert calc.get_elf(hydrogen) is first
    assert len(domain.model.batches) == 1
    calc.get_elf(hydrogen, shape=(8, 8, 8))
    assert len(domain.model.batches) == 2
    for change in (
        lambda: hydrogen.rattle(0.01),
        lambda: hydrogen.set_cell(hydrogen.cell * 1.01),
        hydrogen.pop,
    ):
        before = len(domain.model.batches)
        change()
        assert calc.get_elf(hydrogen) is not first
        assert len(domain.model.batches) == before + 1


def test_allow_calculation_false_only_returns_what_is_known(domain, hydrogen):
    calc = ELFCalculator(domain=domain)
    assert calc.get_property("elf", hydrogen, allow_calculation=False) is None
    assert calc.get_property("bond_rulers", hydrogen, allow_calculation=False) is None
    assert calc.calculation_required(hydrogen, ["elf"])
    calc.get_elf(hydrogen, shape=(8, 8, 8))
    assert calc.get_property("elf", hydrogen, allow_calculation=False) is None
    grid = calc.get_property("elf", hydrogen)
    assert calc.get_property("elf", hydrogen, allow_calculation=False) is grid
    assert not calc.calculation_required(hydrogen, ["elf"])
    assert calc.calculation_required(hydrogen, ["bond_rulers"])
    moved = hydrogen.copy()
    moved.rattle(0.01)
    assert calc.get_property("elf", moved, allow_calculation=False) is None
    calc.reset()
    assert calc.get_property("elf", hydrogen, allow_calculation=False) is None


# -- prediction of many ------------------------------------------------------------------


def test_predict_batches_and_keeps_the_order(domain, hydrogen):
    structures = [hydrogen, aluminium(), hydrogen * (2, 1, 1)]
    calc = ELFCalculator(domain=domain)
    grids = calc.predict(structures)
    assert domain.model.batches == [3]
    for atoms, grid in zip(structures, grids, strict=True):
        assert grid.atoms == atoms
        np.testing.assert_array_equal(grid.values, calc.get_elf(atoms).values)
    assert [g.shape for g in calc.predict(structures, (6, 6, 6))] == [(6, 6, 6)] * 3
    assert [g.shape for g in calc.predict(structures[:2], [(6, 6, 6), (4, 5, 7)])] == [
        (6, 6, 6),
        (4, 5, 7),
    ]
    assert calc.predict([]) == []
    with pytest.raises(InputError, match="1 shapes for 3 structures"):
        calc.predict(structures, [(6, 6, 6)])


@pytest.mark.parametrize("error", [MemoryError, RuntimeError])
def test_running_out_of_memory_halves_the_batch_and_changes_no_value(hydrogen, error):
    model = CountingModel(memory=3, error=error)
    calc = ELFCalculator(domain=CountingDomain(model=model))
    structures = []
    for seed in range(10):
        structures.append(hydrogen.copy())
        structures[-1].rattle(0.02, seed=seed)
    grids = calc.predict(structures)
    assert model.batches == [3, 3, 3, 1]
    whole = ELFCalculator(domain=CountingDomain()).predict(structures)
    for grid, expected in zip(grids, whole, strict=True):
        np.testing.assert_array_equal(grid.values, expected.values)


def test_what_torch_says_when_memory_runs_out_is_understood(hydrogen):
    class Hungry(CountingModel):
        def predict(self, structures, shapes, *, sigma=True):
            if len(structures) > 2:
                torch.empty(2**55, dtype=torch.float32)  # 128 PiB
            return super().predict(structures, shapes, sigma=sigma)

    model = Hungry()
    grids = ELFCalculator(domain=CountingDomain(model=model)).predict([hydrogen] * 5)
    assert len(grids) == 5 and model.batches == [2, 2, 1]


def test_a_structure_that_never_fits_is_named_and_other_errors_pass(hydrogen):
    calc = ELFCalculator(domain=CountingDomain(model=CountingModel(memory=0)))
    with pytest.raises(MemoryError, match=r"4 atoms on a \(5, 5, 6\) grid.*smaller shape"):
        calc.predict([hydrogen] * 4)

    class Broken(GaussianModel):
        def predict(self, structures, shapes, *, sigma=True):
            raise RuntimeError("shapes do not match")

    calc = ELFCalculator(domain=CountingDomain(model=Broken()))
    with pytest.raises(RuntimeError, match="do not match"):
        calc.predict([hydrogen])


def test_outside_the_trained_range_warns_once_per_kind_and_flags_every_grid(hydrogen):
    domain = CountingDomain(trained_range={"r_s_bohr": [0.1, 0.2]})
    calc = ELFCalculator(domain=domain)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for seed in range(3):
            hydrogen.rattle(0.01, seed=seed)
            assert calc.get_elf(hydrogen).info["out_of_domain"]
        calc.get_elf(hydrogen * (2, 1, 1))
    told = [str(w.message) for w in caught if not issubclass(w.category, DeprecationWarning)]
    assert [text.split(" lies")[0] for text in told] == ["H4", "H8"]
    assert all("r_s_bohr" in text for text in told)
    assert sum(w.category is ElfWarning for w in caught) == 2


# -- around another calculator -----------------------------------------------------------


def test_around_emt_everything_standard_is_emts(domain):
    atoms, plain = aluminium(), aluminium()
    plain.calc = EMT()
    atoms.calc = ELFCalculator(domain=domain, calculator=EMT())
    assert atoms.get_potential_energy() == plain.get_potential_energy()
    assert atoms.get_potential_energy(force_consistent=True) == plain.get_potential_energy(
        force_consistent=True
    )
    np.testing.assert_array_equal(atoms.get_forces(), plain.get_forces())
    np.testing.assert_array_equal(atoms.get_stress(), plain.get_stress())
    atoms.calc.get_property("elf", atoms)
    atoms.calc.get_property("bond_rulers", atoms)
    assert set(atoms.calc.results) == set(plain.calc.results)
    SinglePointCalculator(atoms, **atoms.calc.results)
    assert atoms.calc.export_properties()["energy"] == plain.get_potential_energy()
    assert atoms.get_properties(["energy", "forces"])["energy"] == plain.get_potential_energy()
    assert not atoms.calc.calculation_required(atoms, ["energy", "forces", "elf"])
    assert domain.model.batches == [1]


def test_non_standard_results_of_the_other_calculator_stay_there(domain):
    class Chatty(EMT):
        def calculate(self, *args, **kwargs):
            super().calculate(*args, **kwargs)
            self.results["node_energy"] = np.zeros(4)

    atoms = aluminium()
    atoms.calc = ELFCalculator(domain=domain, calculator=Chatty())
    atoms.get_forces()
    assert "node_energy" not in atoms.calc.results
    assert "node_energy" in atoms.calc.calculator.results
    assert {"energy", "forces"} <= set(atoms.calc.results)


class Foundation(EMT):
    """Like the calculators of foundation models: reads ``atoms.info``, has results of its own."""

    def __init__(self):
        super().__init__()
        self.implemented_properties = [*EMT.implemented_properties, "node_energy"]

    def check_state(self, atoms, tol=1e-15):
        changes = super().check_state(atoms, tol)
        if self.atoms is not None and self.atoms.info.get("charge") != atoms.info.get("charge"):
            changes.append("info")
        return changes

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        super().calculate(atoms, ["energy", "forces"], system_changes or ["positions"])
        self.results["node_energy"] = np.zeros(len(self.atoms))
        self.results["energy"] += self.atoms.info.get("charge", 0.0)


def test_around_a_model_that_reads_info_its_state_counts_and_the_elf_is_not_made_again(domain):
    atoms = aluminium()
    atoms.calc = ELFCalculator(domain=domain, calculator=Foundation(), every=1, properties=["elf"])
    neutral = atoms.get_potential_energy()
    atoms.info["charge"] = 1.0
    assert atoms.calc.check_state(atoms) == ["info"]
    assert atoms.calc.calculation_required(atoms, ["energy"])
    assert atoms.get_potential_energy() == pytest.approx(neutral + 1)
    assert atoms.calc.get_property("node_energy", atoms).shape == (4,)
    assert "node_energy" not in atoms.calc.results
    assert domain.model.batches == [1]
    dyn = VelocityVerlet(atoms, 2 * units.fs)
    dyn.run(2)
    assert domain.model.batches == [1] * 3
    SinglePointCalculator(atoms, **atoms.calc.results)


def test_calculators_do_not_share_lists(domain):
    with_emt = ELFCalculator(domain=domain, calculator=EMT())
    alone = ELFCalculator(domain=domain)
    assert "energy" in with_emt.implemented_properties
    assert alone.implemented_properties == ["elf", "bond_rulers"]
    assert ELFCalculator.implemented_properties == ["elf", "bond_rulers"]
    assert "elf" not in EMT.implemented_properties


def test_it_can_be_summed_with_another_potential(domain):
    atoms = aluminium()
    atoms.calc = SumCalculator([ELFCalculator(domain=domain, calculator=EMT()), LennardJones()])
    both = atoms.get_potential_energy()
    atoms.calc = EMT()
    emt = atoms.get_potential_energy()
    atoms.calc = LennardJones()
    assert both == pytest.approx(emt + atoms.get_potential_energy())


def test_molecular_dynamics_is_unchanged_by_the_wrapper(domain, tmp_path):
    ends = []
    for wrap in (lambda calc: calc, lambda calc: ELFCalculator(domain=domain, calculator=calc)):
        atoms = aluminium()
        atoms.set_constraint(FixAtoms([0]))
        atoms.set_velocities(np.random.default_rng(1).normal(0, 0.01, (4, 3)))
        atoms.calc = wrap(EMT())
        rng = np.random.default_rng(2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # ASE's, about fixcm
            dyn = Langevin(atoms, 2 * units.fs, temperature_K=300, friction=0.01 / units.fs, rng=rng)
            dyn.run(10)
        ends.append(atoms.positions.copy())
    np.testing.assert_array_equal(*ends)
    assert domain.model.batches == []  # the ELF costs nothing unless asked for


def test_relaxation_and_elastic_band(domain):
    atoms = aluminium()
    atoms.set_constraint(FixAtoms([0]))
    atoms.calc = ELFCalculator(domain=domain, calculator=EMT())
    with BFGS(atoms, logfile=None) as opt:
        assert opt.run(fmax=0.05, steps=50)
    assert atoms.calc.get_elf(atoms).atoms == atoms

    images = [aluminium() for _ in range(3)]
    images[-1].positions[1] += 0.2
    for image in images:
        image.calc = ELFCalculator(domain=domain, calculator=EMT())
    band = NEB(images, method="improvedtangent")
    band.interpolate()
    with BFGS(band, logfile=None) as opt:
        opt.run(fmax=0.2, steps=3)
    grids = [image.calc.get_property("elf", image) for image in images]
    assert not np.array_equal(grids[0].values, grids[1].values)


# -- unasked results ---------------------------------------------------------------------


def test_every_nth_new_structure_fills_elf_results_unasked(domain):
    atoms = aluminium()
    properties = ["elf", "bond_rulers", "elf_mean"]
    atoms.calc = ELFCalculator(domain=domain, calculator=EMT(), every=2, properties=properties)
    numbers, due = [], []
    dyn = VelocityVerlet(atoms, 5 * units.fs)

    def look():
        results = atoms.calc.elf_results
        numbers.append(results["structure"])
        due.append(np.array_equal(results["elf"].atoms.positions, atoms.positions))

    dyn.attach(look)
    dyn.run(4)
    assert numbers == [0, 0, 2, 2, 4]
    assert due == [True, False, True, False, True]
    results = atoms.calc.elf_results
    assert set(results) == {"structure", *properties}
    assert results["elf_mean"] == pytest.approx(results["elf"].values.mean(), rel=1e-6)
    assert len(domain.model.batches) == 3
    assert "elf" not in atoms.calc.results


def test_properties_alone_mean_every_structure_and_a_static_call_counts(domain, hydrogen):
    hydrogen.calc = ELFCalculator(
        domain=domain, calculator=LennardJones(sigma=0.6), properties=["elf_phi", "elf_outside"]
    )
    hydrogen.get_potential_energy()
    hydrogen.get_forces()
    results = hydrogen.calc.elf_results
    assert set(results) == {"structure", "elf_phi", "elf_outside"}
    assert 0 < results["elf_phi"] < 1 and results["elf_outside"] is False
    assert len(domain.model.batches) == 1


def test_asking_without_calculation_never_fills_elf_results(domain):
    atoms = aluminium()
    atoms.calc = ELFCalculator(domain=domain, calculator=EMT(), every=1)
    assert atoms.calc.get_property("energy", atoms, allow_calculation=False) is None
    assert atoms.calc.elf_results == {}


# -- storing -----------------------------------------------------------------------------


def test_settings_are_json_and_name_the_pack(domain):
    settings = ELFCalculator(domain=domain, calculator=EMT(), every=3).todict()
    assert json.loads(json.dumps(settings)) == settings
    assert settings["domain"] == "stand-in" and settings["calculator"] == "emt"
    json.dumps(ELFCalculator(domain=domain).todict())


def test_pickles_and_copies_work_and_leave_model_and_grids_behind(hydrogen):
    calc = ELFCalculator(domain=GaussianDomain(), calculator=LennardJones(sigma=0.6))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ElfWarning)
        expected = calc.get_elf(hydrogen, shape=(8, 8, 8)).values
        energy = calc.get_potential_energy(hydrogen)
        for twin in (pickle.loads(pickle.dumps(calc)), copy.deepcopy(calc), copy.copy(calc)):
            assert twin._predictor._models == {} and twin._grids == {}
            np.testing.assert_array_equal(twin.get_elf(hydrogen, shape=(8, 8, 8)).values, expected)
            assert twin.get_potential_energy(hydrogen) == energy
    assert calc._grids and calc._predictor._models


@pytest.mark.parametrize("name", ["run.traj", "run.extxyz", "run.json", "run.db"])
def test_round_trips_keep_energy_and_forces(domain, tmp_path, name):
    from ase.io import read, write

    atoms = aluminium()
    atoms.calc = ELFCalculator(domain=domain, calculator=EMT())
    energy, forces = atoms.get_potential_energy(), atoms.get_forces()
    atoms.calc.get_property("elf", atoms)
    write(tmp_path / name, atoms)
    back = read(tmp_path / name)
    assert back.get_potential_energy() == pytest.approx(energy, abs=1e-7)
    np.testing.assert_allclose(back.get_forces(), forces, atol=1e-7)
    if name.endswith("traj"):
        assert back.calc.name == "elf"


def test_a_database_keeps_the_grid_as_data(domain, hydrogen, tmp_path):
    from ase.db import connect

    grid = ELFCalculator(domain=domain).get_elf(hydrogen)
    with connect(tmp_path / "elf.db") as db:
        number = db.write(hydrogen, elf_mean=0.3, data={"elf": grid.values})
        row = db.get(number)
    np.testing.assert_array_equal(row.data["elf"], grid.values)
    assert ELFGrid(row.data["elf"], row.toatoms()).shape == grid.shape


def test_nothing_is_printed(domain, hydrogen, capfd):
    hydrogen.calc = ELFCalculator(domain=domain, calculator=LennardJones(sigma=0.6), every=1)
    hydrogen.get_forces()
    assert capfd.readouterr() == ("", "")


def test_the_installed_pack_is_found_by_the_elements(hydrogen):
    from ase_elf.domains import installed

    if "dense-hydrogen" not in installed():
        pytest.skip("the domain pack dense-hydrogen is not installed")
    atoms = Atoms("H8", cell=[2.4, 2.4, 3.6], pbc=True)
    sites = [(0, 0, 0), (0.5, 0.5, 0), (0.25, 0, 0.5), (0.75, 0.5, 0.5)]
    atoms.set_scaled_positions([(x, y, z + d) for x, y, z in sites for d in (-0.1, 0.1)])
    calc = ELFCalculator(device="cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ElfWarning)  # a toy crystal may be out of range
        grid = calc.get_elf(atoms, shape=(12, 12, 18))
        at_points = calc.get_elf(atoms, points=[[0, 0, 0], [0.6, 0.4, 1.0]])
    assert grid.info["domain"] == "dense-hydrogen" and len(grid.info["weights"]) == 64
    # The model's own coarse grid carries 1e-2 at most against its points
    assert at_points[0] == pytest.approx(grid.values[0, 0, 0], abs=1e-2)
    assert at_points[1] == pytest.approx(grid.values[3, 2, 5], abs=1e-2)
    with pytest.raises(DomainError, match="covers"):
        calc.get_elf(Atoms("Og", cell=[3, 3, 3], pbc=True))
