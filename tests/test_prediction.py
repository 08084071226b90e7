"""One path from structures to grids, and which pack it takes."""

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.io import write
from command import call
from large_cells import LargeCells

from ase_elf import ELFCalculator, domains
from ase_elf.analysis.frame import analyze
from ase_elf.analysis.settings import AnalysisSettings
from ase_elf.domains import Domain, address, find_domain, get_domain
from ase_elf.errors import DomainError
from ase_elf.geometry import checks, neighbors
from ase_elf.grid import cartesian
from ase_elf.model import Prediction
from ase_elf.model.neighbors import nearest_core
from ase_elf.prediction import Predictor, expected_r2
from ase_elf.ruler import measure_bonds
from ase_elf.runs.merge import merge_runs
from ase_elf.runs.screening import Screener
from ase_elf.structures.trajectory import Frame
from ase_elf.testing import GaussianDomain, molecular_fluid


class Large(LargeCells):
    distance = 1.5


@pytest.fixture
def fluid():
    return molecular_fluid(4, 2, length=3.0)


@pytest.fixture
def folder(tmp_path):
    """A pack that is not installed, under a name of its own."""
    shipped = get_domain("dense-hydrogen").folder
    path = tmp_path / "packs" / "mine"
    path.mkdir(parents=True)
    card = json.loads((shipped / "card.json").read_text()) | {"name": "mine", "bonds": {"H-H": 0.9}}
    (path / "card.json").write_text(json.dumps(card))
    for file in shipped.glob("*.safetensors"):
        shutil.copy(file, path)
    return path


@pytest.mark.filterwarnings("ignore:.*lies outside")
def test_calculator_and_analysis_say_the_same_of_a_grid(fluid):
    pack = Large()
    settings = AnalysisSettings.for_atoms(fluid[0], pack, shape=(12, 12, 12))
    ((result, analysed, _),) = next(analyze([Frame(0, 0.0, fluid[0])], pack, settings))
    asked = ELFCalculator(domain=pack).get_elf(fluid[0], shape=(12, 12, 12))
    assert asked.info == analysed.info
    assert result.weights == asked.info["weights"] == "5" * 64
    assert asked.info["domain_distance"] == 1.5 and any(
        "1.50 times" in r for r in asked.info["out_of_domain"]
    )
    np.testing.assert_array_equal(asked.values, analysed.values)
    np.testing.assert_array_equal(asked.sigma, analysed.sigma)


def test_the_neighbors_of_a_frame_are_searched_for_once(fluid, monkeypatch):
    search, searched = neighbors.neighbor_list, []

    def counted(quantities, atoms, cutoff):
        searched.append(len(atoms))
        return search(quantities, atoms, cutoff)

    monkeypatch.setattr(neighbors, "neighbor_list", counted)
    settings = AnalysisSettings.for_atoms(fluid[0], GaussianDomain(), shape=(12, 12, 12))
    frames = [Frame(k, 0.0, atoms) for k, atoms in enumerate(fluid)]
    (found,) = analyze(frames, GaussianDomain(), settings)
    assert searched == [8, 8]
    scalars = found[0][0].scalars
    assert scalars["shortest_distance"] == checks.shortest_distance(fluid[0])


def test_a_pack_is_found_by_name_by_folder_and_by_itself(folder, tmp_path, monkeypatch):
    shipped = get_domain("dense-hydrogen")
    assert get_domain(shipped.folder) is shipped and address(shipped) == "dense-hydrogen"
    monkeypatch.chdir(tmp_path)
    mine = get_domain("packs/mine")
    assert mine.name == "mine" and mine.folder.is_absolute() and address(mine) == str(folder)
    assert find_domain(folder) == find_domain(mine) == mine
    assert address(GaussianDomain()) == "stand-in"
    with pytest.raises(DomainError, match="'packs'.*no card.json"):
        get_domain("packs")
    with pytest.raises(DomainError, match=r"'nowhere'.*installed: dense-hydrogen.*card\.json"):
        get_domain(Path("nowhere"))


@pytest.mark.filterwarnings("ignore:.*their ruler was fitted to")
def test_a_grid_leads_back_to_the_folder_of_its_pack(folder, fluid):
    calc = ELFCalculator(domain=folder, device="cpu")
    grid = calc.get_elf(fluid[0], shape=(8, 8, 8))
    assert grid.info["domain"] == "mine" and grid.info["pack"] == str(folder)
    assert calc.todict()["domain"] == str(folder)
    assert pickle.loads(pickle.dumps(calc)).domain_of(fluid[0]) == Domain(folder)
    assert measure_bonds(fluid[0], grid)["length"].max() < 0.9
    shipped = ELFCalculator(device="cpu").get_elf(fluid[0], shape=(8, 8, 8))
    assert "pack" not in shipped.info and measure_bonds(fluid[0], shipped)["length"].max() > 0.9


@pytest.mark.ci
def test_runs_take_the_folder_of_a_pack_in_other_processes_too(folder, fluid, tmp_path, monkeypatch):
    write(tmp_path / "run.extxyz", fluid)
    monkeypatch.chdir(tmp_path)
    options = ("--domain", "packs/mine", "--device", "cpu", "--shape", 8, 8, 8, "--no-report")
    for k in range(2):
        call("analyze", "run.extxyz", *options, "--workers", 1, "--start", k, "--stop", k + 1, "-o", f"{k}")
    assert f"domain: {folder}" in (tmp_path / "0" / "config.yaml").read_text()
    merge_runs([Path("0"), Path("1")], Path("all"))
    summary = json.loads((tmp_path / "all" / "summary.json").read_text())
    assert summary["domain"] == "mine" and summary["frames"] == 2
    screener = Screener("packs/mine")
    assert pickle.loads(pickle.dumps(screener)).domain == str(folder)
    assert screener.predictor.domain_of(fluid[0]).name == "mine"


def test_one_structure_that_does_not_fit_leaves_the_others(fluid):
    class Small(GaussianDomain):
        def load(self, device=None, dtype="float32"):
            model = super().load(device, dtype)
            predict = model.predict

            def limited(structures, shapes, **how):
                if sum(np.prod(shape) for shape in shapes) > 2000:
                    raise MemoryError("no room")
                return predict(structures, shapes, **how)

            model.predict = limited
            return model

    shapes = [(12, 12, 12), (20, 20, 20), (12, 12, 12)]
    predictor = Predictor(Small())
    first, second, third = predictor.grids([fluid[0], fluid[0], fluid[1]], shapes, keep_errors=True)
    assert isinstance(second, MemoryError) and first.shape == third.shape == (12, 12, 12)
    with pytest.raises(MemoryError, match="8 atoms"):
        predictor.grids([fluid[0], fluid[0]], shapes[:2])


def test_packs_are_chosen_by_elements_where_none_is_given(fluid, monkeypatch):
    monkeypatch.setattr(domains, "domain_for", lambda symbols, _: GaussianDomain(tuple(sorted(set(symbols)))))
    assert Predictor().domain_of(fluid[0]).elements == ("H",)


def test_expected_r2_is_what_error_bars_leave_of_the_variation_outside_cores():
    atoms = bulk("NaCl", "rocksalt", a=5.6)
    values = np.random.default_rng(0).random((20, 20, 20)).astype(np.float32)
    sigma = np.full_like(values, 0.1)
    expected = 1 - 0.01 / values.var()
    assert expected_r2(atoms, Prediction(values, sigma)) == pytest.approx(expected, abs=0.01)
    near = nearest_core(atoms, cartesian(atoms.cell.array, values.shape), 1.0).reshape(values.shape) < 1.0
    sigma[near] = 10.0
    assert expected_r2(atoms, Prediction(values, sigma), core=1.0) == pytest.approx(expected, abs=0.01)
    assert expected_r2(atoms, Prediction(values)) is None
    assert expected_r2(atoms, Prediction(np.full_like(values, 0.5), sigma)) is None


def test_a_field_that_varies_less_than_its_error_bars_is_marked():
    pack, atoms = get_domain("many-elements"), bulk("Na", cubic=True)
    assert not pack.outside(atoms, 0.5, expected_r2=0.95)
    (reason,) = pack.outside(atoms, 0.5, expected_r2=0.42)
    assert "R² = 0.42 is expected" in reason
