"""A reference engine as a domain pack: the same ways to a grid, by DFT."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from click.testing import CliRunner
from standin_engine import StandIn

from ase_elf import ELFCalculator, read_elf
from ase_elf.domains import get_domain
from ase_elf.errors import DomainError, ElfWarning, EngineError, InputError
from ase_elf.reference import EnginePack

HYDRIDE = Atoms("LiH", positions=[(0, 0, 0), (2, 0, 0)], cell=[4, 2.9, 2.9], pbc=True)


def test_a_calculator_gives_the_grid_that_the_engine_computes():
    calculator = ELFCalculator(engine=StandIn())
    grid = calculator.get_elf(HYDRIDE, shape=(8, 6, 6))
    points = grid.cell.T @ np.array([3 / 8, 1 / 6, 0])
    direct = StandIn().compute(HYDRIDE, points=points[None]).values
    assert grid.values[3, 1, 0] == pytest.approx(direct[0], abs=1e-6)
    assert calculator.get_elf(HYDRIDE, points=points[None]) == pytest.approx(direct, abs=1e-6)
    assert grid.info["domain"] == "stand-in"
    assert grid.sigma is None


def test_what_does_not_converge_is_tried_with_more_care():
    late = ELFCalculator(engine=StandIn(converges_at=2))
    assert late.get_elf(HYDRIDE, shape=(4, 4, 4)).shape == (4, 4, 4)
    with pytest.raises(EngineError, match="attempt 2 did not converge"):
        ELFCalculator(engine=StandIn(converges_at=3)).get_elf(HYDRIDE, shape=(4, 4, 4))


def test_the_weights_of_an_engine_are_its_recipe():
    assert EnginePack(StandIn()).digest() != EnginePack(StandIn(width=0.4)).digest()
    assert EnginePack(StandIn()).digest() == EnginePack(StandIn(seconds=0.001)).digest()


def test_an_engine_sees_a_molecule_as_one_in_a_box_to_put_a_grid_into():
    seen = []

    class Watched(StandIn):
        def compute(self, atoms, **options):
            seen.append(atoms.copy())
            return super().compute(atoms, **options)

    water = molecule("H2O")
    with pytest.warns(ElfWarning, match="taken as isolated"):
        grid = ELFCalculator(engine=Watched()).get_elf(water, spacing=1.0)
    assert not seen[0].pbc.any()
    assert seen[0].positions == pytest.approx(water.positions)
    assert grid.atoms.pbc.all()
    assert grid.info["boxed"] == [True, True, True]


def test_engines_are_called_by_name_where_domain_packs_are():
    pack = get_domain("engine:espresso")
    assert pack.engine.recipe == "many-elements"
    assert ELFCalculator(engine="espresso").domain_of(HYDRIDE).engine == pack.engine
    with pytest.raises(DomainError, match="espresso"):
        ELFCalculator(engine="no-such-engine")
    with pytest.raises(InputError, match="not both"):
        ELFCalculator(engine="espresso", domain="dense-hydrogen")
    with pytest.raises(InputError, match="ReferenceEngine"):
        ELFCalculator(engine=3)


def test_the_command_line_refuses_a_pack_beside_an_engine(tmp_path):
    from ase_elf.cli import main

    HYDRIDE.write(path := tmp_path / "a.vasp")
    words = ["predict", str(path), "-o", str(tmp_path / "a.cube"), "--engine"]
    found = CliRunner().invoke(main, [*words, "espresso", "--domain", "dense-hydrogen"])
    assert found.exit_code == 2
    assert "not both" in found.output
    found = CliRunner().invoke(main, [*words, "unknown"])
    assert found.exit_code == 2
    assert "installed: cp2k, espresso, pyscf" in found.output


@pytest.mark.dft
def test_pyscf_computes_what_the_command_line_asks_for(tmp_path):
    pytest.importorskip("pyscf", reason="PySCF is not installed (ase-elf[pyscf])")
    from ase_elf.cli import main

    molecule("CH4").write(path := tmp_path / "a.xyz")
    words = ["predict", str(path), "-o", str(tmp_path / "a.cube"), "--engine", "pyscf", "--spacing", "0.4"]
    found = CliRunner().invoke(main, words)
    assert found.exit_code == 0, found.output
    grid = read_elf(tmp_path / "a.cube")
    assert grid.sample(grid.atoms.positions[1:]).min() > 0.9
    assert grid.values.min() < 0.1


@pytest.mark.dft
def test_espresso_computes_rock_salt_lithium_hydride():
    from ase.build import bulk
    from ase_elf_espresso.pseudodojo import find_pseudodojo

    try:
        find_pseudodojo({"Li", "H"}, {}, None)
    except (EngineError, InputError) as error:
        pytest.skip(f"PseudoDojo files are not there: {error}")
    grid = ELFCalculator(engine="espresso").get_elf(bulk("LiH", "rocksalt", a=4.08), spacing=0.25)
    assert grid.sample(grid.atoms.positions[1:])[0] > 0.9
    assert grid.values.min() < 0.1
