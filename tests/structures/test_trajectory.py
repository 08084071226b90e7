"""Frames stream from every format, with their times, and damage is named."""

import bz2
import gzip
import lzma
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import write
from ase.io.trajectory import Trajectory as Traj

from ase_elf.cli.ruler import _with_structure
from ase_elf.dataset.config import StructureSource
from ase_elf.errors import FormatError, InputError
from ase_elf.structures.trajectory import Trajectory

N = 12


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    cell = np.array([[4.0, 0, 0], [0.5, 4.2, 0], [0.1, -0.3, 4.4]])
    start = rng.uniform(0, 4, (6, 3))
    out = []
    for k in range(N):
        atoms = Atoms("H4He2", start + 0.02 * k, cell=cell * (1 + 0.001 * k), pbc=True)
        out.append(atoms)
    return out


def write_traj(path, images):
    with Traj(str(path), "w") as traj:
        for atoms in images:
            traj.write(atoms)


def write_xdatcar(path, images):
    """A header before every frame, as VASP writes it where the cell moves; ASE does since 3.28."""
    for atoms in images:
        write(path.with_name("one"), atoms, format="vasp-xdatcar")
        with path.open("a") as stream:
            stream.write(path.with_name("one").read_text())


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("run.extxyz", "extxyz"),
        ("run.extxyz.gz", "extxyz"),
        ("run.traj", "traj"),
        ("XDATCAR", "vasp-xdatcar"),
        ("run.xsf", "xsf"),
    ],
)
@pytest.mark.parametrize(("start", "stop", "step"), [(0, None, 1), (3, 10, 2), (11, None, 5)])
def test_slices_of_every_format(tmp_path, images, name, kind, start, stop, step):
    path = tmp_path / name
    if kind == "traj":
        write_traj(path, images)
    elif kind == "vasp-xdatcar":
        write_xdatcar(path, images)
    else:
        write(path, images, format=kind)
    source = Trajectory(path, start, stop, step)
    frames = list(source)
    wanted = range(N)[start:stop:step]
    assert [f.index for f in frames] == list(wanted)
    assert source.count() in (len(wanted), None)
    for frame in frames:
        expected = images[frame.index]
        assert frame.atoms.get_chemical_formula() == "H4He2"
        np.testing.assert_allclose(frame.atoms.cell[:], expected.cell[:], atol=1e-5)
        np.testing.assert_allclose(
            frame.atoms.get_all_distances(mic=True),
            expected.get_all_distances(mic=True),
            atol=1e-5,
        )
        assert np.isnan(frame.time_fs)


LAMMPS_FRAME = """ITEM: TIMESTEP
{step}
ITEM: NUMBER OF ATOMS
2
ITEM: BOX BOUNDS pp pp pp
0.0 4.0
0.0 4.0
0.0 4.0
ITEM: ATOMS id type x y z
1 1 0.0 0.0 0.0
2 2 0.0 0.0 {z}
"""


def test_lammps_dump_takes_elements_for_types(tmp_path):
    path = tmp_path / "run.lammpstrj"
    path.write_text("".join(LAMMPS_FRAME.format(step=10 * k, z=0.7 + 0.1 * k) for k in range(3)))
    frames = list(Trajectory(path, elements=("O", "H"), timestep=0.5))
    assert [f.atoms.get_chemical_formula() for f in frames] == ["HO"] * 3
    assert [f.time_fs for f in frames] == [0.0, 0.5, 1.0]
    assert frames[2].atoms.get_distance(0, 1) == pytest.approx(0.9)
    with pytest.raises(InputError, match="of type 2, and no element is named"):
        list(Trajectory(path, elements=("O",)))


def test_binary_trajectory_through_mdanalysis(tmp_path, images):
    mda = pytest.importorskip("MDAnalysis")
    write(tmp_path / "start.pdb", images[0])
    universe = mda.Universe.empty(6, trajectory=True)
    path = tmp_path / "run.dcd"
    with mda.Writer(str(path), 6, dt=0.002) as writer:
        for atoms in images:
            universe.atoms.positions = atoms.positions
            universe.dimensions = atoms.cell.cellpar()
            writer.write(universe.atoms)
    source = Trajectory(path, 2, None, 3, topology=tmp_path / "start.pdb")
    frames = list(source)
    assert [f.index for f in frames] == [2, 5, 8, 11] and source.count() == 4
    assert frames[1].time_fs == pytest.approx(10.0, rel=1e-4)  # dt = 2 fs
    assert sorted(frames[0].atoms.symbols) == ["H"] * 4 + ["He"] * 2
    np.testing.assert_allclose(frames[1].atoms.cell.cellpar(), images[5].cell.cellpar(), atol=1e-3)
    with pytest.raises(InputError, match="topology="):
        list(Trajectory(path))


def test_timestep_counts_stored_frames_also_when_sliced(tmp_path, images):
    write(tmp_path / "a.extxyz", images)
    times = [f.time_fs for f in Trajectory(tmp_path / "a.extxyz", 2, 9, 3, timestep=2.0)]
    assert times == [4.0, 10.0, 16.0]


@pytest.mark.parametrize("cut", [3, 40, 200])
def test_truncated_extxyz_yields_what_is_complete_then_says_so(tmp_path, images, cut):
    path = tmp_path / "run.extxyz"
    write(path, images)
    path.write_bytes(path.read_bytes()[:-cut])
    got = []
    with pytest.raises(FormatError, match="ends within frame 11"):
        for frame in Trajectory(path):
            got.append(frame.index)
    assert got == list(range(11))
    assert Trajectory(path).count() == 11


def test_truncated_gzip_and_traj(tmp_path, images):
    write(tmp_path / "a.extxyz", images)
    packed = gzip.compress((tmp_path / "a.extxyz").read_bytes())
    (tmp_path / "b.extxyz.gz").write_bytes(packed[: len(packed) - 30])
    write_traj(tmp_path / "c.traj", images)
    whole = (tmp_path / "c.traj").read_bytes()
    (tmp_path / "c.traj").write_bytes(whole[: len(whole) // 2])
    for name in ("b.extxyz.gz", "c.traj"):
        with pytest.raises(FormatError):
            list(Trajectory(tmp_path / name))


def test_garbage_between_frames_is_named(tmp_path, images):
    path = tmp_path / "run.extxyz"
    write(path, images[:2])
    path.write_text(path.read_text() + "garbage\n")
    with pytest.raises(FormatError, match="frame 2 begins with 'garbage'"):
        list(Trajectory(path))


@pytest.mark.parametrize("name", ["a.extxyz", "a.traj", "a.cif", "unknown.abc"])
def test_empty_file(tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(FormatError):
        list(Trajectory(tmp_path / name))


def test_unknown_format_points_to_a_topology(tmp_path):
    (tmp_path / "a.abc").write_text("what is this\n")
    with pytest.raises(FormatError, match="topology="):
        list(Trajectory(tmp_path / "a.abc"))


def test_impossible_slices(tmp_path, images):
    path = tmp_path / "run.extxyz"
    write(path, images)
    with pytest.raises(FormatError, match="no frames in 50::1"):
        list(Trajectory(path, 50))
    for bad in ({"start": -1}, {"step": 0}, {"timestep": 0.0}):
        with pytest.raises(InputError):
            Trajectory(path, **bad)
    with pytest.raises(InputError, match="no file"):
        Trajectory(tmp_path / "nowhere.xyz")


def test_memory_does_not_grow_with_frames(tmp_path, images):
    path = tmp_path / "long.extxyz"
    write(path, images)
    path.write_text(path.read_text() * 50)
    tracemalloc.start()
    held = []
    for frame in Trajectory(path):
        if frame.index % 250 == 249:
            held.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    # A kept frame of 6 atoms is about 1 kB.
    assert held[1] < held[0] + 50_000


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ("spec", "0 of 2 atoms"),
        ("species:S:1:pos:R:3:x:R:99999999", "declares the columns"),
        ("species:S:1:pos:R:3 Properties=species:S:1:pos:R:3:x:R:999", "declares the columns"),
        ("species:S:1:pos:R:3 'Prop'erties=species:S:1:pos:R:3:x:R:999", "declares the columns"),
    ],
)
def test_columns_that_hide_atoms_or_are_not_there_are_refused(tmp_path, columns, message):
    path = tmp_path / "run.extxyz"
    path.write_text(f'2\nLattice="3 0 0 0 3 0 0 0 3" Properties={columns}\nH 0 0 0\nH 0 0 1\n')
    with pytest.raises(FormatError, match=message):
        list(Trajectory(path))


def test_a_frame_without_atoms_declares_few_columns(tmp_path):
    path = tmp_path / "run.extxyz"
    write(path, Atoms(cell=[3] * 3, pbc=True))
    assert [len(frame.atoms) for frame in Trajectory(path)] == [0]
    path.write_text("0\nProperties=species:S:1:pos:R:3:x:R:999\n")
    with pytest.raises(FormatError, match="declares the columns"):
        list(Trajectory(path))


@pytest.mark.parametrize(
    ("name", "begin", "repeated"),
    [
        ("run.xyz", b"2\n", b"a"),
        ("run.xyz", b"90000000\n", b"\n"),
        ("run.lammpstrj", b"ITEM: TIMESTEP\n", b"\n"),
        ("XDATCAR", b"x\n1\n3 0 0\n0 3 0\n0 0 3\nH\n90000000\nDirect configuration= 1\n", b"\n"),
        ("one.cif", b"data_x\n_cell_length_a ", b"3"),
    ],
)
def test_a_small_file_that_unpacks_to_a_huge_frame_is_refused(tmp_path, name, begin, repeated):
    path = tmp_path / f"{name}.bz2"
    path.write_bytes(bz2.compress(begin + repeated * 5_000_000))
    with pytest.raises(FormatError, match="unpacks to more than 1000 times"):
        list(Trajectory(path))


def test_a_small_file_may_unpack_to_any_number_of_frames(tmp_path, images, monkeypatch):
    monkeypatch.setattr("ase_elf.storage.unpacking.BASE", 2000)
    monkeypatch.setattr("ase_elf.storage.unpacking.PER_BYTE", 0)
    write(tmp_path / "run.extxyz", images)
    path = tmp_path / "run.extxyz.xz"
    path.write_bytes(lzma.compress((tmp_path / "run.extxyz").read_bytes()))
    assert len(list(Trajectory(path))) == Trajectory(path).count() == N


def _of_ruler(path):
    grid = SimpleNamespace(atoms=[], cell=np.eye(3), values=np.zeros((2, 2, 2)), info={}, sigma=None)
    return [_with_structure(grid, path)[0]]


@pytest.mark.parametrize(
    "read",
    [
        lambda path: [frame.atoms for frame in Trajectory(path)],
        lambda path: [atoms for _, atoms in StructureSource(path).read()],
        _of_ruler,
    ],
)
def test_an_at_sign_belongs_to_the_name(tmp_path, read):
    """ASE would take what follows for an index, and read the file of the shorter name."""
    bulk("Si").write(tmp_path / "Si", format="cif")
    bulk("Al").write(tmp_path / "Si@300K.cif")
    (atoms,) = read(tmp_path / "Si@300K.cif")
    assert set(atoms.symbols) == {"Al"}
