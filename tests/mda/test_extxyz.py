"""Extended XYZ in MDAnalysis, and structures carried over to it and back."""

import bz2
import gzip
import pickle
import warnings

import MDAnalysis as mda
import numpy as np
import pytest
from ase import Atoms, units
from ase.calculators.singlepoint import SinglePointCalculator
from ase.geometry import get_distances
from ase.io import write

from ase_elf.errors import ElfWarning, FormatError, InputError
from ase_elf.geometry.orientation import oriented
from ase_elf.mda import to_atoms, to_universe

SKEWED = np.array([[0.3, 4.0, 0.2], [3.5, -0.4, 1.0], [0.5, 0.7, 5.0]])


@pytest.fixture
def images():
    rng = np.random.default_rng(3)
    frames = []
    for k in range(4):
        atoms = Atoms("H4OAu", cell=SKEWED * (1 + 0.01 * k), pbc=True)
        atoms.set_scaled_positions(rng.random((6, 3)))
        atoms.set_velocities(rng.normal(size=(6, 3)))
        atoms.info.update(time_fs=2.5 * k, elf_phi=0.1 * k, label=f"step {k}")
        atoms.calc = SinglePointCalculator(atoms, energy=-1.0 * k, forces=rng.normal(size=(6, 3)))
        frames.append(atoms)
    return frames


@pytest.fixture
def path(images, tmp_path):
    write(tmp_path / "w.extxyz", images)
    return tmp_path / "w.extxyz"


def assert_same_structure(ts, atoms):
    """Distances across the boundary, not coordinates: MDAnalysis turns the cell."""
    found = Atoms(atoms.numbers, ts.positions, cell=ts.triclinic_dimensions, pbc=True)
    np.testing.assert_allclose(
        found.get_all_distances(mic=True), atoms.get_all_distances(mic=True), atol=2e-5
    )
    assert found.get_volume() == pytest.approx(atoms.get_volume(), rel=1e-6)


@pytest.mark.parametrize("vectors", [SKEWED, -SKEWED, np.diag([3.0, 4.0, -5.0])])
def test_a_cell_is_turned_not_mirrored(vectors):
    xyz = np.random.default_rng(0).random((5, 3)) @ vectors
    cell, turn = oriented(vectors)
    assert np.triu(cell, 1) == pytest.approx(0) and (np.diag(cell) > 0).all()
    assert np.linalg.det(turn) == pytest.approx(1)
    before = get_distances(xyz, cell=vectors, pbc=True)[1]
    np.testing.assert_allclose(get_distances(xyz @ turn, cell=cell, pbc=True)[1], before)
    again, identity = oriented(cell)
    assert (again == cell).all() and (identity == np.eye(3)).all()


def test_a_flat_cell_cannot_be_oriented():
    with pytest.raises(InputError, match="no volume"):
        oriented(np.diag([1.0, 1.0, 0.0]))


def test_a_universe_has_cell_time_velocities_forces_and_scalars_of_every_frame(path, images):
    universe = mda.Universe(path)
    assert universe.trajectory.n_frames == 4
    assert universe.atoms.elements.tolist() == images[0].get_chemical_symbols()
    assert universe.atoms.masses == pytest.approx(images[0].get_masses())
    for ts, atoms in zip(universe.trajectory, images, strict=True):
        assert_same_structure(ts, atoms)
        assert ts.time == pytest.approx(1e-3 * atoms.info["time_fs"])
        assert ts.data["elf_phi"] == pytest.approx(atoms.info["elf_phi"])
        assert ts.data["energy"] == -1.0 * ts.frame
        speed = np.linalg.norm(atoms.get_velocities(), axis=1) * 1000 * units.fs
        np.testing.assert_allclose(np.linalg.norm(ts.velocities, axis=1), speed, rtol=1e-5)
        force = np.linalg.norm(atoms.get_forces(), axis=1) * 96.485332
        np.testing.assert_allclose(np.linalg.norm(ts.forces, axis=1), force, rtol=1e-5)


def test_frames_are_read_in_any_order_and_after_pickling(path, images):
    universe = mda.Universe(path)
    universe.trajectory[2]
    again = pickle.loads(pickle.dumps(universe))
    assert again.trajectory.frame == 2
    for k in (3, 0, 2, 2):
        assert_same_structure(again.trajectory[k], images[k])
    assert [ts.frame for ts in again.trajectory[::2]] == [0, 2]
    assert [ts.frame for ts in universe.copy().trajectory] == [0, 1, 2, 3]


def test_compressed_files_are_read(path, images):
    packed = path.with_name("w.extxyz.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert_same_structure(mda.Universe(packed).trajectory[3], images[3])


def test_a_small_file_that_unpacks_to_a_huge_frame_is_refused(tmp_path):
    path = tmp_path / "run.extxyz.bz2"
    path.write_bytes(bz2.compress(b"90000000\n" + b"a\n" * 5_000_000))
    with pytest.raises(ValueError, match="unpacks to more than 1000 times"):  # MDAnalysis wraps it
        mda.Universe(str(path))


def test_what_a_frame_lacks_is_not_left_over_from_the_last_one(images, tmp_path):
    del images[2].info["elf_phi"]
    images[2].calc = None
    images[2].set_array("momenta", None)
    write(tmp_path / "w.extxyz", images)
    universe = mda.Universe(tmp_path / "w.extxyz")
    universe.trajectory[1]
    ts = universe.trajectory[2]
    assert not {"elf_phi", "energy"} & set(ts.data)
    assert not ts.has_forces and not ts.has_velocities


def test_a_file_that_is_still_being_written_gives_its_complete_frames(path, images):
    text = path.read_text()
    for cut in (20, 200):  # within the last line, and within the frame
        path.write_text(text[:-cut])
        with pytest.warns(ElfWarning, match="ends within frame 3"):
            universe = mda.Universe(path)
        assert universe.trajectory.n_frames == 3
        assert_same_structure(universe.trajectory[2], images[2])


def test_damage_and_changing_atoms_are_named(path, images, tmp_path):
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:8], "six\n", *lines[9:]]))
    with pytest.raises(FormatError, match="frame 1 .* instead of the number"):
        mda.Universe(path)
    write(tmp_path / "n.extxyz", [images[0], images[1][:5]])
    with pytest.raises(FormatError, match="frame 1 .* has 5 atoms, frame 0 has 6"):
        mda.Universe(tmp_path / "n.extxyz")
    write(tmp_path / "o.extxyz", [images[0], images[1][::-1]])
    with pytest.raises(FormatError, match="frame 1 .* lists other atoms"):
        mda.Universe(tmp_path / "o.extxyz").trajectory[1]
    (tmp_path / "empty.extxyz").write_text("\n")
    with pytest.raises(ValueError, match="holds no frames"):  # wrapped by MDAnalysis
        mda.Universe(tmp_path / "empty.extxyz")


def test_times_that_are_not_stated_come_from_dt(images, tmp_path):
    for atoms in images:
        del atoms.info["time_fs"]
    write(tmp_path / "w.extxyz", images)
    universe = mda.Universe(tmp_path / "w.extxyz", dt=0.5)
    assert [ts.time for ts in universe.trajectory] == [0.0, 0.5, 1.0, 1.5]
    assert to_atoms(universe).info["time_fs"] == 0.0
    untimed = mda.Universe(tmp_path / "w.extxyz")
    assert "time_fs" not in to_atoms(untimed).info


def test_atoms_survive_the_way_to_a_universe_and_back(images):
    universe = to_universe(images)
    assert universe.trajectory.dt == pytest.approx(2.5e-3)
    for ts, atoms in zip(universe.trajectory, images, strict=True):
        assert_same_structure(ts, atoms)
        back = to_atoms(universe)
        assert back.info["time_fs"] == pytest.approx(atoms.info["time_fs"])
        np.testing.assert_allclose(
            back.get_all_distances(mic=True), atoms.get_all_distances(mic=True), atol=2e-5
        )
        assert back.get_kinetic_energy() == pytest.approx(atoms.get_kinetic_energy(), rel=1e-5)
    gold = to_atoms(universe.select_atoms("element Au"))
    assert gold.get_chemical_symbols() == ["Au"] and gold.pbc.all()


def test_a_decimal_cell_comes_back_as_written(tmp_path):
    atoms = Atoms("H", cell=[3.1, 4.3, 5.7], pbc=True)
    assert to_atoms(to_universe(atoms)).cell.lengths().tolist() == [3.1, 4.3, 5.7]


def test_a_molecule_without_a_cell_keeps_none():
    universe = to_universe(Atoms("H2", [(0, 0, 0), (0, 0, 0.74)]))
    assert universe.dimensions is None and not to_atoms(universe).pbc.any()


def test_structures_that_make_no_universe_are_refused(images):
    with pytest.raises(InputError, match="no structures"):
        to_universe([])
    with pytest.raises(InputError, match="frame 1 .* other atoms"):
        to_universe([images[0], images[1][:2]])
    images[3].info["time_fs"] = 100.0
    with pytest.raises(InputError, match="2.5 to 95 fs apart"):
        to_universe(images)
    with warnings.catch_warnings(action="error"):
        assert to_universe(images, dt=0.1).trajectory.dt == pytest.approx(0.1)
