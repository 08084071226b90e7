"""Times: those of the file, or those that follow from a given timestep; never a third kind."""

import gzip
import warnings

import numpy as np
import pytest
from ase import Atoms
from ase.io import write
from click.testing import CliRunner

from ase_elf.cli import main
from ase_elf.errors import ElfWarning, FormatError, InputError
from ase_elf.structures.trajectory import Trajectory

FRAME = """ITEM: TIMESTEP
{step}
ITEM: NUMBER OF ATOMS
2
ITEM: BOX BOUNDS pp pp pp
0 {box}
0 {box}
0 {box}
ITEM: ATOMS id element x y z
1 H 0.1 0.1 0.1
2 H 0.1 0.1 1.1
"""


def dump(path, steps, *, box=3):
    path.write_text("".join(FRAME.format(step=step, box=box) for step in steps))
    return path


def with_times(path, times, name="time_fs"):
    images = [Atoms("H2", [(0, 0, 0), (0, 0, 0.7)], cell=[3] * 3, pbc=True, info={name: t}) for t in times]
    write(path, images)
    return path


def times_of(path, **options):
    return [frame.time_fs for frame in Trajectory(path, **options)]


def test_times_of_the_file_hold_where_none_are_given(tmp_path):
    for name in ("time_fs", "time"):
        assert times_of(with_times(tmp_path / "a.extxyz", [100.0, 102.0, 107.0], name)) == [
            100.0,
            102.0,
            107.0,
        ]
        assert times_of(with_times(tmp_path / "a.traj", [100.0, 102.0, 107.0], name)) == [100.0, 102.0, 107.0]


def test_a_given_timestep_holds_before_times_of_the_file_and_that_is_said(tmp_path):
    path = with_times(tmp_path / "a.extxyz", [0.0, 2.0, 4.0])
    with pytest.warns(
        ElfWarning, match=r"a.extxyz.*states a time of 2 fs for frame 1.*100 fs.*leave out timestep="
    ):
        assert times_of(path, timestep=100.0) == [0.0, 100.0, 200.0]


def test_a_given_timestep_that_agrees_changes_nothing(tmp_path):
    path = with_times(tmp_path / "a.extxyz", [10.0, 12.0, 14.0, 20.0])
    assert times_of(path, timestep=2.0) == [10.0, 12.0, 14.0, 20.0]  # no warning either


def test_a_gap_in_times_of_the_file_remains_one(tmp_path):
    path = with_times(tmp_path / "a.extxyz", [0.0, 1.0, 2.0, 10.0])
    with pytest.warns(ElfWarning, match="states a time"):
        assert times_of(path, timestep=5.0) == [0.0, 5.0, 10.0, 50.0]


@pytest.mark.parametrize(
    ("steps", "times"),
    [
        ([0, 10, 20, 500], [0.0, 1.0, 2.0, 50.0]),
        ([5000, 5010, 5020, 5030], [0.0, 1.0, 2.0, 3.0]),
        ([0, 3, 6, 9], [0.0, 1.0, 2.0, 3.0]),
        ([7], [0.0]),
    ],
)
def test_times_follow_the_steps_of_a_dump(tmp_path, steps, times):
    path = dump(tmp_path / "a.lammpstrj", steps)
    assert times_of(path, timestep=1.0) == times
    assert times_of(path, timestep=1.0, start=len(steps) - 1) == times[-1:]
    assert np.isnan(times_of(path)).all()


@pytest.mark.parametrize(
    ("steps", "times", "frame"),
    [
        ([0, 10, 20, 20, 30], [0.0, 1.0, 2.0, 2.0, 3.0], 3),  # the last frame again after a restart
        ([0, 0, 10, 20], [0.0, 0.0, 1.0, 2.0], 1),
        ([0, 10, 20, 10, 20], [0.0, 1.0, 2.0, 1.0, 2.0], 3),  # a part of the run again
    ],
)
def test_times_that_do_not_go_on_are_said(tmp_path, steps, times, frame):
    path = dump(tmp_path / "a.lammpstrj", steps)
    with pytest.warns(ElfWarning, match=f"frame {frame} .* is not later than frame {frame - 1}") as caught:
        assert times_of(path, timestep=1.0) == times
    assert len(caught) == 1


def test_sections_of_units_and_time_are_read(tmp_path):
    frames = [FRAME.format(step=10 * k, box=3) for k in range(3)]
    for units, unit, bohr in (("metal", 1000.0, 1.0), ("real", 1.0, 1.0), ("electron", 1.0, 0.529177)):
        text = f"ITEM: UNITS\n{units}\n" + "".join(
            f"ITEM: TIME\n{0.5 * k}\n{t}" for k, t in enumerate(frames)
        )
        (tmp_path / "a.lammpstrj.gz").write_bytes(gzip.compress(text.encode()))
        source = Trajectory(tmp_path / "a.lammpstrj.gz", 1)
        assert [(f.index, f.time_fs) for f in source] == [(1, 0.5 * unit), (2, 1.0 * unit)]
        assert source.count() == 2
        assert [f.atoms.cell[0, 0] for f in source] == pytest.approx([3 * bohr] * 2, rel=1e-5)
    (tmp_path / "a.lammpstrj.gz").write_bytes(gzip.compress(b"ITEM: UNITS\nlj\n" + frames[0].encode()))
    with pytest.raises(InputError, match="lj units"):
        list(Trajectory(tmp_path / "a.lammpstrj.gz"))


def test_time_without_its_unit_is_no_time(tmp_path):
    (tmp_path / "a.lammpstrj").write_text("ITEM: TIME\n0.5\n" + FRAME.format(step=10, box=3))
    assert np.isnan(times_of(tmp_path / "a.lammpstrj")).all()


def cp2k(path, times=(0.0, 0.5, 1.0)):
    rows = [f"2\n i = {k:8d}, time = {t:12.3f}, E = -1.1\nH 0 0 0\nH 0 0 0.7" for k, t in enumerate(times)]
    path.write_text("\n".join(rows) + "\n")
    return path


def ipi(
    path, cell="CELL(abcABC):   5.29177 4.0 4.0 90 90 90", units="positions{atomic_unit} cell{atomic_unit}"
):
    rows = [f"2\n# {cell}  Step: {10 * k}  Bead: 0 {units}\nD 0 0 0\nD 0 0 1.4" for k in range(3)]
    path.write_text("\n".join(rows) + "\n")
    return path


def test_times_of_cp2k_and_steps_of_ipi(tmp_path):
    assert times_of(cp2k(tmp_path / "a-pos-1.xyz")) == [0.0, 0.5, 1.0]
    assert np.isnan(times_of(ipi(tmp_path / "b.pos_0.xyz"))).all()
    assert times_of(tmp_path / "b.pos_0.xyz", timestep=3.0) == [0.0, 3.0, 6.0]


@pytest.mark.parametrize(
    ("cell", "units", "lengths"),
    [
        (
            "CELL(abcABC): 10 20 30 90 90 90",
            "positions{angstrom} cell{atomic_unit}",
            [5.29177, 10.58354, 15.87532],
        ),
        ("CELL{abcABC}: 10 20 30 90 90 90", "positions{angstrom} cell{angstrom}", [10, 20, 30]),
        ("CELL(H): 10 1 0 0 20 0 0 0 30", "x_centroid{angstrom} cell{angstrom}", [10, np.sqrt(401), 30]),
        (
            "CELL(GENH): 10 1 0 0 20 0 0 0 30",
            "positions{angstrom} cell{nanometer}",
            [100, 10 * np.sqrt(401), 300],
        ),
    ],
)
def test_the_cell_of_ipi_is_read_in_its_units(tmp_path, cell, units, lengths):
    for frame in Trajectory(ipi(tmp_path / "a.xyz", cell, units)):
        np.testing.assert_allclose(frame.atoms.cell.lengths(), lengths, rtol=1e-5)
        assert frame.atoms.pbc.all() and frame.atoms.get_distance(0, 1) == pytest.approx(1.4)


def test_positions_of_ipi_are_read_in_their_units(tmp_path):
    frame = next(iter(Trajectory(ipi(tmp_path / "a.xyz"))))
    assert frame.atoms.get_distance(0, 1) == pytest.approx(1.4 * 0.529177, rel=1e-5)


@pytest.mark.parametrize(
    ("cell", "units", "message"),
    [
        ("CELL(abcABC): 9 9 9 90 90 90", "", "states no unit of cell"),
        ("CELL(abcABC): 9 9 9 90 90 90", "positions{yard} cell{angstrom}", "'yard' of positions"),
        ("CELL(abcABC): 9 9 9 90 90 90", "forces{atomic_unit} cell{angstrom}", "says forces, not positions"),
        ("CELL(H): 9 9 9 90 90 90", "positions{angstrom} cell{angstrom}", "6 of 9 numbers"),
    ],
)
def test_comments_of_ipi_that_cannot_be_meant(tmp_path, cell, units, message):
    with pytest.raises(FormatError, match=f"frame 0.*{message}"):
        list(Trajectory(ipi(tmp_path / "a.xyz", cell, units)))


@pytest.mark.parametrize(
    ("cell", "lengths"),
    [
        ((3, 4, 5), (3, 4, 5)),
        ((3, 4, 5, 90, 90, 60), (3, 4, 5)),
        (np.diag([3, 4, 5]), (3, 4, 5)),
        ((3, 0, 0, 0, 4, 0, 0, 0, 5), (3, 4, 5)),
    ],
)
def test_a_given_cell_is_that_of_all_frames(tmp_path, cell, lengths):
    for frame in Trajectory(cp2k(tmp_path / "a.xyz"), cell=cell):
        np.testing.assert_allclose(frame.atoms.cell.lengths(), lengths)
        assert frame.atoms.pbc.all()


@pytest.mark.parametrize(
    "cell", [(3, 4), (3, 4, 0), (3, 4, 5, 90, 90, 0), (1,) * 9, ("a", "b", "c"), (np.nan,) * 3]
)
def test_a_cell_that_cannot_be_meant(tmp_path, cell):
    with pytest.raises(InputError, match="three lengths"):
        Trajectory(cp2k(tmp_path / "a.xyz"), cell=cell)


def test_a_cell_is_refused_where_the_file_states_its_own(tmp_path):
    with pytest.raises(InputError, match="states its own.*leave out cell="):
        list(Trajectory(dump(tmp_path / "a.lammpstrj", [0]), cell=(9, 9, 9)))


def test_a_cell_closes_open_directions(tmp_path):
    write(
        tmp_path / "slab.extxyz",
        Atoms("H2", [(0, 0, 0), (0, 0, 0.7)], cell=[3, 3, 4], pbc=(True, True, False)),
    )
    (frame,) = Trajectory(tmp_path / "slab.extxyz")
    assert not frame.atoms.pbc.all()  # never closed without a word
    (frame,) = Trajectory(tmp_path / "slab.extxyz", cell=(3, 3, 14))
    assert frame.atoms.pbc.all() and frame.atoms.cell[2, 2] == 14


def binary(path, *, lammps):
    mda = pytest.importorskip("MDAnalysis")
    universe = mda.Universe.empty(2, trajectory=True)
    universe.dimensions = [3, 3, 3, 90, 90, 90]
    remarks = "Written by LAMMPS" if lammps else "run"
    with mda.Writer(str(path), 2, dt=0.002, remarks=remarks) as writer:
        for k in range(3):
            universe.atoms.positions = [(0, 0, 0), (0, 0, 0.7 + 0.1 * k)]
            writer.write(universe.atoms)
    write(path.with_name("top.pdb"), Atoms("H2", [(0, 0, 0), (0, 0, 0.7)], cell=[3] * 3, pbc=True))
    return path, path.with_name("top.pdb")


def test_a_timestep_holds_for_binary_trajectories(tmp_path):
    path, topology = binary(tmp_path / "run.dcd", lammps=False)
    assert times_of(path, topology=topology) == pytest.approx([0, 2, 4], rel=1e-4)
    with pytest.warns(ElfWarning, match="states a time of 2 fs"):
        assert times_of(path, topology=topology, timestep=0.5) == [0.0, 0.5, 1.0]


def test_times_in_a_dcd_of_lammps_do_not_count(tmp_path):
    """LAMMPS writes its own unit of time where others write that of CHARMM."""
    path, topology = binary(tmp_path / "run.dcd", lammps=True)
    assert np.isnan(times_of(path, topology=topology)).all()
    assert times_of(path, topology=topology, timestep=0.5) == [0.0, 0.5, 1.0]


@pytest.fixture(scope="module")
def fluid():
    from ase_elf.testing import molecular_fluid

    return molecular_fluid(8, 4)


def command(*words):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        return CliRunner().invoke(main, [str(word) for word in words])


def test_a_cell_on_the_command_line(tmp_path, fluid):
    lengths = ",".join(f"{x:.8f}" for x in fluid[0].cell.lengths())
    bare = tmp_path / "bare.xyz"
    write(bare, [Atoms(a.numbers, a.positions) for a in fluid[:1]], format="xyz")
    for words in (
        ("analyze", bare, "-o", tmp_path / "a", "--no-report"),
        ("predict", bare, "-o", tmp_path / "a.cube", "--shape", 12, 12, 12),
        ("ruler", bare, "--no-modes"),
    ):
        alone = command(*words)
        assert alone.exit_code == 0, alone.output
        assert (
            "taken as isolated" in alone.output and "--cell" in alone.output and "atoms." not in alone.output
        )
        again = ("--overwrite",) if words[0] == "analyze" else ()
        done = command(*words, *again, "--cell", lengths)
        assert done.exit_code == 0, done.output
        assert "taken as isolated" not in done.output
    wrong = command("analyze", bare, "--cell", "3 x 3")
    assert wrong.exit_code == 2 and "--cell" in wrong.output


def test_a_refusal_of_lifetimes_speaks_to_its_reader():
    from ase_elf.errors import at_command_line, remedy

    assert remedy("timestep=", "--timestep") == "timestep="
    with at_command_line():
        assert remedy("timestep=", "--timestep") == "--timestep"
    assert remedy("timestep=", "--timestep") == "timestep="
