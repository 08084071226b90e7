"""Observers and ``every=`` over several runs, writers and restarts: each frame holds its own values."""

import warnings

import numpy as np
import pytest
from ase import units
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.calculators.mixing import SumCalculator
from ase.db import connect
from ase.filters import FrechetCellFilter
from ase.io import Trajectory, read
from ase.md.verlet import VelocityVerlet
from ase.optimize import BFGS, BFGSLineSearch
from observed import CoarseDomain, check_frames, expected_mean

from ase_elf import ELFCalculator, read_elf
from ase_elf.analysis.frame_values import key_value_pairs
from ase_elf.errors import ElfWarning
from ase_elf.formats.store import ELFStore
from ase_elf.observers import ELFObserver


def aluminium(**options):
    atoms = bulk("Al", cubic=True)
    atoms.rattle(0.05, seed=1)
    atoms.calc = ELFCalculator(domain=CoarseDomain(), calculator=EMT(), **options)
    return atoms


def run(atoms, path, steps, *observers, mode="w", insert=True):
    """Molecular dynamics with a trajectory; observers before its writer, or after it."""
    with Trajectory(path, mode, atoms) as trajectory:
        dyn = VelocityVerlet(atoms, 5 * units.fs)
        dyn.attach(trajectory)
        for observer in observers:
            (dyn.insert_observer if insert else dyn.attach)(observer)
        dyn.run(steps)
    return read(path, ":")


@pytest.mark.parametrize("insert", [True, False])
@pytest.mark.parametrize(("interval", "due"), [(1, range(5)), (2, (0, 2, 4)), (10, (0,))])
def test_a_second_run_with_a_second_observer_loses_nothing(tmp_path, insert, interval, due):
    atoms = aluminium()
    for number in range(3):
        observer = ELFObserver(atoms, interval=interval, scalars=["elf_mean"])
        frames = run(atoms, tmp_path / f"{number}.traj", 4, observer, insert=insert)
        assert len(frames) == 5 and observer.failures == 0
        check_frames(frames, due)


def test_the_store_of_an_earlier_run_gets_nothing_from_a_later_one(tmp_path):
    atoms = aluminium()
    for name in "ab":
        observer = ELFObserver(atoms, scalars=["elf_mean"], store=tmp_path / f"{name}.elfstore")
        frames = run(atoms, tmp_path / f"{name}.traj", 3, observer, insert=False)
        assert [f.info["elf_store"] for f in frames] == [f"{name}.elfstore"] * 4
        assert [f.info["elf_frame"] for f in frames] == [0, 1, 2, 3]
    assert ELFStore(tmp_path / "a.elfstore").frames == [0, 1, 2, 3]


@pytest.mark.parametrize("insert", [True, False])
def test_an_observer_that_goes_on_after_another_was_made_serves_again(tmp_path, insert):
    atoms = aluminium()
    often = ELFObserver(atoms, interval=2, scalars=["elf_mean"], arrays=[])
    run(atoms, tmp_path / "0.traj", 2, often, insert=insert)
    seldom = ELFObserver(atoms, interval=4, scalars=["elf_mean"], store=tmp_path / "g.elfstore")
    often._calls = 0
    frames = run(atoms, tmp_path / "1.traj", 8, often, seldom, insert=insert)
    for number, frame in enumerate(frames):
        assert ("elf_mean" in frame.info) == (number % 2 == 0), number
        assert ("elf_frame" in frame.info) == (number % 4 == 0), number
        if number % 2 == 0:
            assert frame.info["elf_mean"] == pytest.approx(expected_mean(frame), rel=1e-5)


def test_values_read_back_for_a_restart_do_not_stay_in_the_frames_that_follow(tmp_path):
    atoms = aluminium()
    run(atoms, tmp_path / "a.traj", 2, ELFObserver(atoms, store=tmp_path / "a.elfstore"))
    for options in ({}, {"every": 3, "properties": ["elf_mean"]}):
        again = read(tmp_path / "a.traj", -1)
        assert {"elf_phi", "elf_mean", "elf_store", "elf_frame"} <= set(again.info)
        again.calc = ELFCalculator(domain=CoarseDomain(), calculator=EMT(), **options)
        observers = [ELFObserver(again, interval=3, scalars=["elf_mean"])] if not options else []
        frames = run(again, tmp_path / "b.traj", 4, *observers)
        check_frames(frames, (0, 3))
        assert not {"elf_phi", "elf_store"} & {key for frame in frames for key in frame.info}


def test_appended_frames_hold_their_own_values(tmp_path):
    atoms = aluminium()
    path = tmp_path / "run.traj"
    run(atoms, path, 3, ELFObserver(atoms, scalars=["elf_mean"]))
    frames = run(atoms, path, 3, ELFObserver(atoms, scalars=["elf_mean"]), mode="a")
    assert len(frames) == 8
    check_frames(frames, range(8))


def test_a_run_that_is_continued_keeps_its_rhythm(tmp_path):
    atoms = aluminium()
    with VelocityVerlet(atoms, 5 * units.fs, trajectory=str(tmp_path / "run.traj")) as dyn:
        dyn.attach(ELFObserver(atoms, interval=2, scalars=["elf_mean"]))
        dyn.run(3)
        dyn.run(3)
    check_frames(read(tmp_path / "run.traj", ":"), (0, 2, 4, 6))


# -- every= ------------------------------------------------------------------------------


@pytest.mark.parametrize(("every", "due"), [(1, range(7)), (3, (0, 3, 6))])
@pytest.mark.parametrize("suffix", ["traj", "extxyz"])
def test_every_nth_structure_is_written_into_its_frame(tmp_path, every, due, suffix):
    atoms = aluminium(every=every, properties=["elf_mean", "elf_outside"])
    path = tmp_path / f"run.{suffix}"
    dyn = VelocityVerlet(atoms, 5 * units.fs)
    with Trajectory(tmp_path / "run.traj", "w", atoms) as trajectory:
        dyn.attach(trajectory if suffix == "traj" else lambda: atoms.write(path, append=True))
        dyn.run(6)
    frames = read(path, ":")
    check_frames(frames, due)
    assert [f.info.get("elf_outside") for f in frames] == [
        False if number in due else None for number in range(7)
    ]


def test_every_and_a_database(tmp_path):
    atoms = aluminium(every=2, properties=["elf_mean", "elf_phi", "elf_outside"])
    with connect(tmp_path / "run.db") as db:
        dyn = VelocityVerlet(atoms, 5 * units.fs)
        dyn.attach(lambda: db.write(atoms, **key_value_pairs(atoms)))
        dyn.run(4)
    rows = list(connect(tmp_path / "run.db").select())
    assert len(rows) == 5
    for number, row in enumerate(rows):
        if number % 2:
            assert row.key_value_pairs == {}
        else:
            assert row.elf_mean == pytest.approx(expected_mean(row.toatoms()), rel=1e-5)
            assert 0 < row.elf_phi < 1 and row.elf_outside == False  # noqa: E712 - ase.db has 0
    assert len(list(connect(tmp_path / "run.db").select("elf_mean>0"))) == 3


@pytest.mark.parametrize("insert", [True, False])
def test_every_and_an_observer_do_not_remove_each_others_values(tmp_path, insert):
    atoms = aluminium(every=2, properties=["elf_mean"])
    observer = ELFObserver(atoms, interval=3, scalars=["elf_mean"], arrays=[])
    frames = run(atoms, tmp_path / "run.traj", 6, observer, insert=insert)
    check_frames(frames, (0, 2, 3, 4, 6))
    assert atoms.calc.elf_results["structure"] == 6


@pytest.mark.parametrize("optimizer", [BFGS, BFGSLineSearch])
@pytest.mark.parametrize("how", ["every", "observer"])
def test_frames_of_an_optimizer_hold_their_own_values(tmp_path, optimizer, how):
    options = {"every": 1, "properties": ["elf_mean"]} if how == "every" else {}
    atoms = aluminium(**options)
    path = str(tmp_path / "opt.traj")
    with optimizer(atoms, logfile=None, trajectory=path) as opt:
        if how == "observer":
            opt.attach(ELFObserver(atoms, scalars=["elf_mean"]))
        opt.run(fmax=0.02, steps=8)
    frames = read(path, ":")
    assert len(frames) > 2
    check_frames(frames, range(len(frames)))


def test_frames_of_a_cell_relaxation_hold_their_own_values(tmp_path):
    atoms = aluminium(every=1, properties=["elf_mean"])
    atoms.set_cell(atoms.cell * 1.03, scale_atoms=True)
    with BFGS(FrechetCellFilter(atoms), logfile=None, trajectory=str(tmp_path / "o.traj")) as opt:
        opt.run(fmax=0.05, steps=5)
    frames = read(tmp_path / "o.traj", ":")
    check_frames(frames, range(len(frames)))


def test_around_a_sum_and_inside_one(tmp_path):
    atoms = aluminium()
    atoms.calc = ELFCalculator(
        domain=CoarseDomain(), calculator=SumCalculator([EMT(), LennardJones(sigma=0.1)]),
        every=2, properties=["elf_mean"],
    )  # fmt: skip
    check_frames(run(atoms, tmp_path / "a.traj", 4), (0, 2, 4))
    atoms = aluminium(every=2, properties=["elf_mean"])
    atoms.calc = SumCalculator([atoms.calc, LennardJones(sigma=0.1)])
    check_frames(run(atoms, tmp_path / "b.traj", 4), (0, 2, 4))


def test_an_observer_follows_its_atoms_to_another_calculator(tmp_path):
    atoms = aluminium()
    observer = ELFObserver(atoms, scalars=["elf_mean"])
    atoms.calc = ELFCalculator(domain=CoarseDomain(), calculator=EMT())
    frames = run(atoms, tmp_path / "run.traj", 3, observer)
    check_frames(frames, range(4))
    atoms.calc = EMT()
    with pytest.warns(ElfWarning, match="needs an ELFCalculator"):
        observer()
    assert observer.failures == 1 and "elf_mean" not in atoms.info


def test_a_structure_without_elf_leaves_no_values_and_the_run_goes_on(tmp_path):
    atoms = aluminium(every=1, properties=["elf_mean"])
    dyn = VelocityVerlet(atoms, 5 * units.fs)
    dyn.run(1)
    assert "elf_mean" in atoms.info
    atoms.calc._predictor.on_grids = None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        dyn.run(1)
    assert "elf_mean" not in atoms.info and atoms.calc.elf_results == {"structure": 2}
    assert any("no ELF of structure 2" in str(w.message) for w in caught)


# -- where the grid is -------------------------------------------------------------------


def test_the_store_is_found_from_the_trajectory_after_both_were_moved(tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    monkeypatch.chdir(tmp_path)
    atoms = aluminium()
    for number, (store, trajectory) in enumerate(
        [("run/g.elfstore", None), ("run/grids/g.elfstore", "run/1.traj"), ("h.elfstore", "run/2.traj")]
    ):
        observer = ELFObserver(atoms, scalars=["elf_mean"], interval=2, store=store, trajectory=trajectory)
        run(atoms, f"run/{number}.traj", 2, observer)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").rename(tmp_path / "elsewhere" / "run")
    (tmp_path / "h.elfstore").rename(tmp_path / "elsewhere" / "h.elfstore")
    folder = tmp_path / "elsewhere" / "run"
    for number, pointer in enumerate(["g.elfstore", "grids/g.elfstore", "../h.elfstore"]):
        frame = read(folder / f"{number}.traj", 2)
        assert frame.info["elf_store"] == pointer
        grid = read_elf(folder / frame.info["elf_store"], frame=frame.info["elf_frame"])
        np.testing.assert_allclose(grid.atoms.positions, frame.positions, atol=1e-7)
