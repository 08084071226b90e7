"""ELFObserver: the right values in the right frame, whoever writes it and when."""

import contextlib
import warnings

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.io import Trajectory, read
from ase.md.verlet import VelocityVerlet
from ase.optimize import BFGS
from observed import CoarseDomain, check_frames

from ase_elf import ELFCalculator, read_elf
from ase_elf.analysis.scalars import SCALARS, nearest_neighbor_elf, structure_scalars
from ase_elf.errors import ElfWarning, InputError, OutputError
from ase_elf.formats.store import ELFStore
from ase_elf.grid import ELFGrid
from ase_elf.observers import ELFObserver


@pytest.fixture
def atoms():
    atoms = bulk("Al", cubic=True)
    atoms.rattle(0.05, seed=1)
    atoms.calc = ELFCalculator(domain=CoarseDomain(), calculator=EMT())
    return atoms


@pytest.mark.parametrize("suffix", ["traj", "extxyz"])
@pytest.mark.parametrize(("interval", "due"), [(1, range(7)), (3, (0, 3, 6))])
def test_inserted_it_writes_into_the_frame_of_the_step(atoms, tmp_path, suffix, interval, due):
    path = tmp_path / f"run.{suffix}"
    dyn = VelocityVerlet(atoms, 5 * units.fs)
    with contextlib.ExitStack() as stack:
        if suffix == "traj":
            dyn.attach(stack.enter_context(Trajectory(path, "w", atoms)))
        else:
            dyn.attach(lambda: atoms.write(path, append=True))
        dyn.insert_observer(ELFObserver(atoms, interval=interval, scalars=["elf_mean"]))
        dyn.run(6)
    frames = read(path, ":")
    assert len(frames) == 7
    check_frames(frames, due)
    if suffix == "extxyz":
        np.testing.assert_allclose(
            frames[0].arrays["elf_nearest"],
            nearest_neighbor_elf(ELFCalculator(domain=CoarseDomain()).get_elf(frames[0])),
            atol=1e-5,
        )


@pytest.mark.parametrize("how", ["insert", "attach"])
@pytest.mark.parametrize(("interval", "due"), [(1, range(5)), (2, (0, 2, 4))])
def test_the_writer_of_trajectory_is_never_served_late(atoms, tmp_path, how, interval, due):
    path = tmp_path / "run.traj"
    with VelocityVerlet(atoms, 5 * units.fs, trajectory=str(path)) as dyn:
        observer = ELFObserver(atoms, interval=interval, scalars=["elf_mean"])
        dyn.insert_observer(observer) if how == "insert" else dyn.attach(observer)
        dyn.run(4)
    check_frames(read(path, ":"), due)


def test_a_writer_attached_before_that_asks_nobody_finds_no_stale_values(atoms):
    seen = []
    dyn = VelocityVerlet(atoms, 5 * units.fs)
    dyn.attach(lambda: seen.append(dict(atoms.info)))
    dyn.attach(ELFObserver(atoms, scalars=["elf_mean"]))
    dyn.run(3)
    assert seen == [{}] * 4
    assert "elf_mean" in atoms.info


def test_values_of_an_earlier_run_do_not_survive_into_this_one(atoms):
    atoms.info["elf_phi"] = 99.0
    dyn = VelocityVerlet(atoms, 5 * units.fs)
    observer = ELFObserver(atoms, interval=2, scalars=["elf_phi"])
    dyn.attach(observer, interval=1)
    dyn.run(1)
    assert "elf_phi" not in atoms.info


def test_the_interval_of_the_dynamics_multiplies_with_its_own(atoms, tmp_path):
    dyn = VelocityVerlet(atoms, 5 * units.fs)
    store = tmp_path / "run.elfstore"
    observer = ELFObserver(atoms, interval=2, scalars=[], arrays=[], store=store)
    dyn.insert_observer(observer, interval=2)
    dyn.run(8)
    assert ELFStore(store).frames == [0, 1, 2]


def test_in_a_relaxation_the_last_frame_holds_the_relaxed_elf(atoms, tmp_path):
    with BFGS(atoms, logfile=None, trajectory=str(tmp_path / "opt.traj")) as opt:
        opt.insert_observer(ELFObserver(atoms, scalars=["elf_mean"]))
        opt.run(fmax=0.01)
    frames = read(tmp_path / "opt.traj", ":")
    check_frames(frames, range(len(frames)))


def test_grids_go_to_the_store_and_the_frame_says_where(atoms, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dyn = VelocityVerlet(atoms, 5 * units.fs)
    dyn.attach(lambda: atoms.write("run.extxyz", append=True))
    dyn.insert_observer(ELFObserver(atoms, interval=2, scalars=["elf_mean"], store="run.elfstore"))
    dyn.run(3)
    frames = read("run.extxyz", ":")
    assert [frame.info.get("elf_frame") for frame in frames] == [0, None, 1, None]
    for frame in frames[::2]:
        grid = read_elf(frame.info["elf_store"], frame=frame.info["elf_frame"])
        np.testing.assert_allclose(grid.atoms.positions, frame.positions, atol=1e-7)
        assert grid.values.mean() == pytest.approx(frame.info["elf_mean"], abs=1e-5)
        assert grid.info["domain"] == "stand-in"


def test_a_second_run_continues_the_numbering_of_the_store(atoms, tmp_path):
    for _ in range(2):
        observer = ELFObserver(atoms, scalars=[], arrays=[], store=tmp_path / "s.elfstore")
        observer()
    assert ELFStore(tmp_path / "s.elfstore").frames == [0, 1]


def test_wrong_arguments_are_refused(atoms, tmp_path):
    plain = bulk("Al", cubic=True)
    plain.calc = EMT()
    with pytest.raises(InputError, match=r"ELFCalculator\(calculator="):
        ELFObserver(plain)
    with pytest.raises(InputError, match="did you mean 'elf_phi_star'"):
        ELFObserver(atoms, scalars=["elf_phistar"])
    with pytest.raises(InputError, match="elf_nearest"):
        ELFObserver(atoms, arrays=["elf_far"])
    with pytest.raises(InputError, match="interval"):
        ELFObserver(atoms, interval=0)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="is a file"):
        ELFObserver(atoms, store=tmp_path / "file")


# -- the scalars themselves --------------------------------------------------------------


def test_scalars_of_an_analytic_field_are_those_known_for_it():
    x, y, z = np.meshgrid(*[2 * np.pi * np.arange(24) / 24] * 3, indexing="ij")
    elf = (np.cos(x) + 0.8 * np.cos(y) + 0.6 * np.cos(z) + 2.4) / 4.8
    grid = ELFGrid(elf, Atoms("H", cell=[2, 2, 2], pbc=True), {"out_of_domain": ["too hot"]})
    values = structure_scalars(grid)
    assert list(values) == list(SCALARS)
    # Passes at the maximum with one cosine reversed: 1 - 2 a / 4.8
    assert values["elf_phi1"] == pytest.approx(1 - 1.2 / 4.8, abs=1e-3)
    assert values["elf_phi2"] == pytest.approx(1 - 1.6 / 4.8, abs=1e-3)
    assert values["elf_phi"] == pytest.approx(1 - 2.0 / 4.8, abs=1e-3)
    assert values["elf_mean"] == pytest.approx(0.5, abs=1e-6)
    assert values["elf_outside"] is True


def test_a_field_without_network_gives_nan_and_a_warning_not_an_error():
    grid = ELFGrid(np.full((8, 8, 8), 0.5), Atoms("H", cell=[2, 2, 2], pbc=True))
    with pytest.warns(ElfWarning, match="no ELF network"):
        assert np.isnan(structure_scalars(grid)["elf_phi"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert structure_scalars(grid, ["elf_mean"]) == {"elf_mean": 0.5}


def test_the_elf_to_the_nearest_neighbour_is_high_in_a_molecule_and_low_outside():
    atoms = Atoms("H3", [(0, 0, 0), (0, 0, 0.74), (2, 2, 2.5)], cell=[4, 4, 4], pbc=True)
    calc = ELFCalculator(domain=CoarseDomain())
    values = nearest_neighbor_elf(calc.get_elf(atoms, spacing=0.15))
    assert values.shape == (3,)
    assert values[0] == pytest.approx(values[1], abs=1e-9)
    assert values[0] > 0.9
    assert values[2] < 0.3


def test_a_lone_atom_has_its_own_image_for_a_neighbour():
    atoms = Atoms("H", cell=[2, 3, 3], pbc=True)
    grid = ELFCalculator(domain=CoarseDomain()).get_elf(atoms, spacing=0.1)
    assert nearest_neighbor_elf(grid)[0] == pytest.approx(float(grid.sample([1, 0, 0])), abs=1e-6)
