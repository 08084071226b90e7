"""Labels of bonds in frames: whole through every writer, of the frame they stand in, and never in the way."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms, units
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.lj import LennardJones
from ase.db import connect
from ase.io import Trajectory, read, write
from ase.md.verlet import VelocityVerlet

from ase_elf import ELFCalculator, examples
from ase_elf.analysis import bond_labels
from ase_elf.analysis.frame_values import key_value_pairs
from ase_elf.errors import ElfWarning, InputError
from ase_elf.observers import ELFObserver
from ase_elf.ruler import measure_bonds
from ase_elf.ruler.table import SURVEY_COLUMNS

EXAMPLES = Path(__file__).parents[2] / "examples"


class Springs(Calculator):
    """Every atom held to where it was."""

    implemented_properties = ["energy", "forces"]

    def __init__(self, atoms, stiffness=2.0):
        super().__init__()
        self.home, self.stiffness = atoms.positions.copy(), stiffness

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        away = atoms.positions - self.home
        self.results = {"energy": self.stiffness / 2 * (away**2).sum(), "forces": -self.stiffness * away}


@pytest.fixture
def ring():
    return read(EXAMPLES / "gold-ring.extxyz", 0)


def some_rows(n):
    rng = np.random.default_rng(n)
    rows = np.zeros(n, SURVEY_COLUMNS)
    for name in rows.dtype.names:
        kind = rows[name].dtype.kind
        if kind == "f":
            rows[name] = rng.normal(size=n)
        elif kind == "i":
            rows[name] = rng.integers(0, 9, size=n)
    rows["label"], rows["mode"] = rng.choice(["core", "H-H", "mu3"], n), "S side"
    rows["outside"] = rng.random(n) < 0.3
    for name in ("deviation", "uncertainty", "mode_confidence"):
        rows[name][rows["outside"]] = np.nan
    return rows


def check_same(found, rows):
    for name in bond_labels.COLUMNS:
        np.testing.assert_array_equal(found[name], rows[name])


@pytest.mark.parametrize("n", [0, 1, 2, 9, 36])
def test_labels_come_back_whole_from_every_writer(tmp_path, n):
    atoms, rows = Atoms("H9", np.random.default_rng(0).random((9, 3)) * 9), some_rows(n)
    bond_labels.put_bonds(atoms, rows)
    for name in ("frame.extxyz", "frame.traj"):
        write(tmp_path / name, atoms)
        back = read(tmp_path / name)
        check_same(bond_labels.bonds_in(back), rows)
        assert {k: back.info[k] for k in atoms.info} == atoms.info
        bond_labels.put_bonds(
            back, bond_labels.bonds_in(back)
        )  # .traj holds no arrays: they follow from the bonds
        for array in bond_labels.ARRAYS:
            np.testing.assert_allclose(back.get_array(array), atoms.get_array(array), atol=1e-8)
    with connect(tmp_path / "frames.db") as database:
        database.write(atoms, key_value_pairs(atoms), data=bond_labels.database_entry(atoms))
    (row,) = connect(tmp_path / "frames.db").select()
    check_same(bond_labels.bonds_in(row.data), rows)
    np.testing.assert_array_equal(row.data["elf_ruler_number"], atoms.get_array("elf_ruler_number"))
    assert row.elf_ruler_outside == rows["outside"].sum()


def test_means_are_over_the_bonds_that_were_read():
    rows = np.zeros(4, SURVEY_COLUMNS)
    rows["i"], rows["j"], rows["label"] = (0, 0, 1, 2), (1, 2, 2, 3), ("H-H", "H-H", "core", "core")
    rows["deviation"], rows["outside"] = (0.01, -0.03, 0.02, np.nan), (False, False, False, True)
    assert bond_labels.scalars(rows) == pytest.approx({
        "elf_ruler_read": 3, "elf_ruler_outside": 1, "elf_ruler_largest": -0.03, "elf_ruler_n_H_H": 2,
        "elf_ruler_deviation_H_H": -0.01, "elf_ruler_n_core": 2, "elf_ruler_deviation_core": 0.02,
    })  # fmt: skip
    mean, number = bond_labels.per_atom(rows, 5)
    np.testing.assert_allclose(mean, [-0.01, 0.015, -0.005, np.nan, np.nan])
    assert number.tolist() == [2, 2, 2, 0, 0]


def test_what_is_no_table_of_bonds_is_refused():
    for held in (
        [1, 2],
        {"i": [1], "color": ["red"]},
        {"i": [1], "length": ["long"]},
        {"i": [1], "j": [1, 2]},
    ):
        with pytest.raises(InputError, match="no table of bonds"):
            bond_labels.bonds_in(Atoms("H", info={bond_labels.BONDS: held}))
    assert bond_labels.bonds_in(Atoms("H")) is None


@pytest.mark.parametrize("way", ["every", "inserted", "attached"])
@pytest.mark.parametrize("moved_by", [Springs, lambda _: LennardJones(sigma=1.0, epsilon=1e-4)])
def test_every_frame_of_a_dynamics_holds_the_labels_of_its_own_positions(tmp_path, ring, way, moved_by):
    atoms = ring
    atoms.calc = ELFCalculator(calculator=moved_by(atoms), every=1 if way == "every" else None)
    atoms.set_momenta(np.random.default_rng(1).normal(scale=0.1, size=(len(atoms), 3)))
    dyn = VelocityVerlet(atoms, 2 * units.fs, trajectory=str(tmp_path / "run.traj"))
    if way != "every":
        (dyn.insert_observer if way == "inserted" else dyn.attach)(ELFObserver(atoms))
    dyn.run(3)
    with Trajectory(tmp_path / "run.traj") as trajectory:
        frames = list(trajectory)
    assert len(frames) == 4
    lengths = []
    for frame in frames:
        found, table = bond_labels.bonds_in(frame), measure_bonds(frame, ELFCalculator())
        assert (
            found["i"].tolist() == table["i"].tolist() and found["label"].tolist() == table["label"].tolist()
        )
        np.testing.assert_allclose(found["length"], table["length"], atol=1e-9)
        np.testing.assert_allclose(found["ruler_length"], table["ruler_length"], atol=1e-5)
        np.testing.assert_allclose(found["deviation"], table["deviation"], atol=1e-5)
        lengths.append(found["length"])
        assert frame.info["elf_ruler_n_ring"] == len(found)
        assert "elf_phi" not in frame.info and frame.info["elf_outside"] in (True, False)
    assert np.abs(np.diff(lengths, axis=0)).max(1).min() > 1e-5  # each frame has others


def test_a_step_that_is_not_due_holds_no_labels(ring):
    atoms = ring
    atoms.calc = ELFCalculator(calculator=Springs(atoms), every=2)
    atoms.get_forces()
    assert bond_labels.bonds_in(atoms) is not None and atoms.has("elf_ruler_deviation")
    atoms.positions[0] += 0.01
    atoms.get_forces()
    assert not [name for name in (*atoms.info, *atoms.arrays) if name.startswith("elf_")]


def test_bonds_survive_a_grid_that_cannot_be_had_and_the_other_way_round(ring, monkeypatch):
    names = ["elf", "bond_rulers", "elf_mean", "elf_outside"]
    atoms = ring
    atoms.calc = ELFCalculator(calculator=Springs(atoms), properties=names)
    monkeypatch.setattr(atoms.calc, "_grid", lambda *_: 1 / 0)
    with pytest.warns(ElfWarning, match="no elf, elf_mean, elf_outside of structure 0 .*division by zero"):
        atoms.get_forces()
    assert set(atoms.calc.elf_missing) == {"elf", "elf_mean", "elf_outside"}
    assert len(atoms.calc.elf_results["bond_rulers"]) == len(bond_labels.bonds_in(atoms)) > 0
    monkeypatch.undo()
    atoms.positions[0] += 0.01
    monkeypatch.setattr(atoms.calc, "survey_bonds", lambda *_: 1 / 0)
    with pytest.warns(ElfWarning, match="no bond_rulers of structure 1"):
        atoms.get_forces()
    grid = atoms.calc.elf_results["elf"]
    assert atoms.info["elf_mean"] == pytest.approx(grid.values.mean()) and grid.info["boxed"] == [True] * 3
    assert bond_labels.bonds_in(atoms) is None


def test_an_observer_keeps_the_part_that_works(ring, monkeypatch):
    atoms = ring
    atoms.calc = ELFCalculator(calculator=Springs(atoms))
    observer = ELFObserver(atoms)
    monkeypatch.setattr("ase_elf.observers.is_outside", lambda *_: 1 / 0)
    with pytest.warns(ElfWarning, match="no ELF of this step"):
        observer()
    assert (
        bond_labels.bonds_in(atoms) is not None and "elf_outside" not in atoms.info and observer.failures == 1
    )
    monkeypatch.undo()
    atoms.positions[0] += 0.01
    monkeypatch.setattr(atoms.calc, "survey_bonds", lambda *_: 1 / 0)
    with pytest.warns(ElfWarning, match="no labels of bonds of this step"):
        observer()
    assert bond_labels.bonds_in(atoms) is None and not atoms.info["elf_outside"] and observer.failures == 2


def test_every_says_what_it_leaves_out_without_a_cell(ring):
    atoms = ring
    atoms.calc = ELFCalculator(calculator=Springs(atoms), every=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        atoms.get_forces()
    assert set(atoms.calc.elf_results) == {"structure", "bond_rulers", "elf_outside"}
    assert "periodic nowhere" in atoms.calc.elf_missing["elf_phi"] and "elf" in atoms.calc.elf_missing


@pytest.mark.ci
def test_tight_binding_dynamics_of_au25_is_labelled_in_every_frame(tmp_path):
    tblite = pytest.importorskip("tblite.ase", reason="tblite (PyPI) is not installed")
    atoms = examples.au25()
    moved_by = tblite.TBLite(method="GFN1-xTB", charge=-1, verbosity=0, accuracy=10.0)
    atoms.calc = ELFCalculator(calculator=moved_by, every=1)
    dyn = VelocityVerlet(atoms, 1 * units.fs, trajectory=str(tmp_path / "au25.traj"))
    dyn.run(20)
    with Trajectory(tmp_path / "au25.traj") as trajectory:
        frames = list(trajectory)
    assert len(frames) == 21
    for frame in frames:
        found = bond_labels.bonds_in(frame)
        np.testing.assert_allclose(
            found["length"], np.linalg.norm(frame.positions[found["i"]] - frame.positions[found["j"]], axis=1)
        )
        assert frame.info["elf_ruler_n_core"] == 12 and np.abs(found["deviation"]).max() < 0.03
        assert frame.get_potential_energy() < 0
