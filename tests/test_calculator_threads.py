"""Threads that share a calculator: each gets what belongs to its own structure."""

import copy
import pickle
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT

from ase_elf import ELFCalculator
from ase_elf.domains import get_domain
from ase_elf.reference import EngineCalculator, get_engine
from ase_elf.ruler import measure_bonds
from ase_elf.testing import GaussianDomain, GaussianModel


class SlowModel(GaussianModel):
    """Waits while it computes, as a network does that leaves the interpreter to others."""

    def predict(self, structures, shapes, *, sigma=True):
        time.sleep(1e-3)
        return super().predict(structures, shapes, sigma=sigma)


class CoarseDomain(GaussianDomain):
    def __init__(self):
        super().__init__(("H", "Al"))
        self.card.update(spacing=0.5, trained_range={})

    def load(self, device=None, dtype="float32"):
        return SlowModel()


class SlowEMT(EMT):
    def calculate(self, *args, **kwargs):
        super().calculate(*args, **kwargs)
        time.sleep(1e-3)


@pytest.fixture(autouse=True)
def eager_threads():
    """Threads change places every 10 µs, so that what can go wrong does."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def crystals(n):
    found = []
    for seed in range(n):
        atoms = bulk("Al", cubic=True)
        atoms.rattle(0.1, seed=seed)
        found.append(atoms)
    return found


def side_by_side(function, structures):
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(function, structures))


def test_every_thread_gets_the_grid_of_its_own_structure():
    calc, structures = ELFCalculator(domain=CoarseDomain()), crystals(4) * 20
    grids = side_by_side(lambda a: calc.get_elf(a, shape=(12, 12, 12)), structures)
    for atoms, grid in zip(structures, grids, strict=True):
        assert np.array_equal(grid.atoms.positions, atoms.positions)


def test_a_grid_that_comes_late_is_not_taken_for_that_of_the_next_structure():
    first, second = crystals(2)

    class LateModel(GaussianModel):
        def predict(self, structures, shapes, *, sigma=True):
            time.sleep(0.1 if structures[0] == first else 0.3)
            return super().predict(structures, shapes, sigma=sigma)

    domain = CoarseDomain()
    object.__setattr__(domain, "load", lambda device=None, dtype="float32": LateModel())
    calc = ELFCalculator(domain=domain)
    with ThreadPoolExecutor(2) as pool:
        pool.submit(calc.get_elf, first)
        time.sleep(0.05)
        pool.submit(calc.get_elf, second)
        time.sleep(0.15)  # by now the first is there, and the second is still computed
        assert calc.get_elf(second).atoms == second


def test_an_equal_structure_in_another_object_holds_the_values_too():
    calc = ELFCalculator(domain=CoarseDomain(), calculator=EMT(), every=2, properties=["elf_mean"])
    first, twin, last = (*crystals(1), *crystals(2))
    for atoms in (first, twin):
        calc.get_property("forces", atoms)
        assert atoms.info["elf_mean"] == calc.elf_results["elf_mean"]
    del twin.info["elf_mean"]
    calc.get_property("energy", twin)
    assert "elf_mean" not in twin.info  # removed by the user
    for atoms in (last, last.copy()):  # not due
        calc.get_property("forces", atoms)
        assert "elf_mean" not in atoms.info


def test_every_thread_gets_properties_of_its_own_structure():
    calc = ELFCalculator(domain=CoarseDomain(), calculator=SlowEMT(), every=1, properties=["elf_mean"])
    structures = crystals(4) + crystals(12)

    def ask(atoms):
        calc.calculate(atoms, ["forces"])
        return (
            calc.get_property("forces", atoms),
            calc.get_potential_energy(atoms),
            calc.get_property("elf", atoms),
            calc.get_elf(atoms, points=[[0.1, 0.2, 0.3]]),
        )

    answers = side_by_side(ask, structures)
    alone = ELFCalculator(domain=CoarseDomain())
    for atoms, (forces, energy, grid, value) in zip(structures, answers, strict=True):
        expected = atoms.copy()
        expected.calc = EMT()
        np.testing.assert_allclose(forces, expected.get_forces(), atol=1e-9)
        assert energy == pytest.approx(expected.get_potential_energy(), abs=1e-9)
        assert np.array_equal(grid.atoms.positions, atoms.positions)
        assert value == alone.get_elf(atoms, points=[[0.1, 0.2, 0.3]])
        # The values in the frame, too, are its own.
        assert atoms.info["elf_mean"] == pytest.approx(grid.values.mean(), rel=1e-5)


def test_every_thread_gets_bonds_of_its_own_structure():
    calc, structures = ELFCalculator(domain=CoarseDomain()), []
    for seed in range(20):
        atoms = Atoms("H2", [(0, 0, 0), (0, 0, 0.7 + 0.005 * seed)], cell=[3] * 3, pbc=True)
        structures.append(atoms)
    structures += structures[:4] * 5
    tables = side_by_side(lambda a: calc.get_property("bond_rulers", a), structures)
    for atoms, table in zip(structures, tables, strict=True):
        assert table["length"] == pytest.approx([atoms.get_distance(0, 1)])


def test_calculators_in_threads_share_a_model_in_memory():
    """The model keeps memory and waves from one prediction to the next."""
    pack = get_domain("dense-hydrogen")
    rng, structures = np.random.default_rng(0), []
    for n in range(8):
        length = 2.6 + 0.05 * (n % 4)
        corners = np.stack(np.meshgrid(*[[0.0, 0.5]] * 3), -1).reshape(-1, 3) * length
        positions = corners + rng.normal(scale=0.1, size=(8, 3))
        structures.append(Atoms("H8", positions, cell=[length] * 3, pbc=True))
    model = pack.load(device="cpu")
    expected = [model.predict([a], [(16, 16, 16)])[0].values for a in structures]
    found = side_by_side(lambda a: model.predict([a], [(16, 16, 16)])[0].values, structures * 2)
    for values, right in zip(found, expected * 2, strict=True):
        np.testing.assert_allclose(values, right, atol=1e-4)


def test_copies_have_a_lock_of_their_own():
    calc = ELFCalculator(domain=CoarseDomain())
    with calc._lock:
        for twin in (copy.copy(calc), copy.deepcopy(calc), pickle.loads(pickle.dumps(calc))):
            assert twin._lock is not calc._lock
            (grid,) = side_by_side(twin.get_elf, crystals(1))
            assert grid.shape


def test_an_engine_shared_by_threads_answers_each_with_its_own():
    pytest.importorskip("pyscf", reason="PySCF is not installed (pip install ase-elf[pyscf])")
    calc = EngineCalculator(get_engine("pyscf", spacing=1.0))
    structures = [Atoms("H2", [(1, 1, 1), (1, 1, 1.7 + 0.01 * n)], cell=[2, 2, 2.7]) for n in range(4)]
    grids = side_by_side(calc.get_elf, structures)
    for atoms, grid in zip(structures, grids, strict=True):
        assert np.array_equal(grid.atoms.positions, atoms.positions)
    assert len({calc.get_potential_energy(atoms) for atoms in structures}) == 4
    assert pickle.loads(pickle.dumps(calc)).engine == calc.engine


def test_bonds_measured_by_threads_are_those_of_one():
    calc = ELFCalculator(domain=CoarseDomain())
    structures = crystals(12)
    cutoffs = {("Al", "Al"): 3.2}
    tables = side_by_side(lambda a: measure_bonds(a, calc, cutoffs=cutoffs), structures)
    for atoms, table in zip(structures, tables, strict=True):
        alone = measure_bonds(atoms, ELFCalculator(domain=CoarseDomain()), cutoffs=cutoffs)
        np.testing.assert_array_equal(table["elf_mid"], alone["elf_mid"])
