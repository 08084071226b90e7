"""A reference engine as a domain pack: the same ways to a grid, by DFT."""

import numpy as np
import pytest
from ase import Atoms
from standin_engine import StandIn

from ase_elf import ELFCalculator
from ase_elf.errors import EngineError, InputError
from ase_elf.reference import EnginePack

HYDRIDE = Atoms("LiH", positions=[(0, 0, 0), (2, 0, 0)], cell=[4, 2.9, 2.9], pbc=True)


def test_a_calculator_gives_the_grid_that_the_engine_computes():
    calculator = ELFCalculator(domain=EnginePack(StandIn()))
    grid = calculator.get_elf(HYDRIDE, shape=(8, 6, 6))
    points = grid.cell.T @ np.array([3 / 8, 1 / 6, 0])
    direct = StandIn().compute(HYDRIDE, points=points[None]).values
    assert grid.values[3, 1, 0] == pytest.approx(direct[0], abs=1e-6)
    assert calculator.get_elf(HYDRIDE, points=points[None]) == pytest.approx(direct, abs=1e-6)
    assert grid.info["domain"] == "stand-in"
    assert grid.sigma is None


def test_what_does_not_converge_is_tried_with_more_care():
    pack = EnginePack(StandIn(converges_at=2))
    assert ELFCalculator(domain=pack).get_elf(HYDRIDE, shape=(4, 4, 4)).shape == (4, 4, 4)
    with pytest.raises(EngineError, match="attempt 2 did not converge"):
        ELFCalculator(domain=EnginePack(StandIn(converges_at=3))).get_elf(HYDRIDE, shape=(4, 4, 4))


def test_the_weights_of_an_engine_are_its_recipe():
    assert EnginePack(StandIn()).digest() != EnginePack(StandIn(width=0.4)).digest()
    assert EnginePack(StandIn()).digest() == EnginePack(StandIn(seconds=0.001)).digest()


def test_an_unknown_engine_is_refused_with_those_there_are():
    with pytest.raises(EngineError, match="espresso"):
        EnginePack("no-such-engine")


@pytest.mark.dft
def test_espresso_computes_rock_salt_lithium_hydride(tmp_path, monkeypatch):
    from ase.build import bulk
    from ase_elf_espresso.pseudodojo import find_pseudodojo

    try:
        find_pseudodojo({"Li", "H"}, {}, None)
    except (EngineError, InputError) as error:
        pytest.skip(f"PseudoDojo files are not there: {error}")
    atoms = bulk("LiH", "rocksalt", a=4.08)
    grid = ELFCalculator(domain=EnginePack("espresso")).get_elf(atoms, spacing=0.25)
    assert grid.sample(atoms.positions[1:])[0] > 0.9
    assert grid.values.min() < 0.1
