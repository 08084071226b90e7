"""The binary store: what it keeps, what a kill leaves, what it refuses."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from ase import Atoms
from places import ROOT

from ase_elf import read_elf, write_elf
from ase_elf.errors import FormatError, InputError, OutputError
from ase_elf.formats.store import ELFStore
from ase_elf.grid import ELFGrid
from ase_elf.storage.atomic import replacing
from ase_elf.topology import critical_points


def make_grid(seed=0, shape=(6, 5, 4), **kwargs):
    values = np.random.default_rng(seed).random(shape)
    cell = [[3.0, 0.2, -0.1], [1.1, 4.0, 0.3], [-0.7, 0.9, 5.3]]
    return ELFGrid(values, Atoms("HO", [(0, 0, 0), (1, 1, 1)], cell=cell, pbc=True), **kwargs)


def test_a_frame_comes_back_within_half_a_step_of_the_scale(tmp_path):
    grid = make_grid(
        sigma=np.random.default_rng(1).random((6, 5, 4)) * 0.05,
        info={"domain": "test", "out_of_domain": [], "path": Path("x"), "n": np.int64(3)},
    )
    store = ELFStore(tmp_path / "run.elfstore")
    assert store.append(grid) == 0
    back = store[0]
    # Half of 1/65535, and the last bit of float32 near one
    assert np.abs(back.values - grid.values).max() <= 0.5 / 65535 + 6e-8
    assert np.abs(back.sigma - grid.sigma).max() <= 0.5 * 0.05 / 65535 + 1e-8
    np.testing.assert_array_equal(back.cell, grid.cell)
    assert back.atoms == grid.atoms
    assert back.info["domain"] == "test" and back.info["n"] == 3 and back.info["frame"] == 0


def test_extreme_values_are_exact(tmp_path):
    values = np.zeros((2, 2, 2))
    values[1] = 1.0
    grid = ELFGrid(values, Atoms("H", cell=np.eye(3), pbc=True), sigma=np.zeros((2, 2, 2)))
    write_elf(tmp_path / "one.h5", grid)
    back = read_elf(tmp_path / "one.h5")
    np.testing.assert_array_equal(back.values, values)
    np.testing.assert_array_equal(back.sigma, 0)


def test_attractors_on_the_plateau_of_a_molecule_stay_where_they_are(tmp_path):
    # 1 - ELF is 2e-6 at the attractor, and twice that 0.08 Å away: an eighth of what 16 bits tell apart.
    cell, centre = np.eye(3) * 4.0, np.array([1.83, 2.11, 1.97])
    points = np.indices((40, 40, 40)).reshape(3, -1).T / 40 @ cell
    distance2 = ((points - centre) ** 2).sum(1)
    values = 1 / (1 + 2e-6 * (1 + distance2 / 0.025) ** 3).reshape(40, 40, 40)
    grid = ELFGrid(values, Atoms("H", cell=cell, pbc=True))
    write_elf(tmp_path / "one.h5", grid)
    back = read_elf(tmp_path / "one.h5")
    assert np.abs(back.values - grid.values).max() < 8e-6
    for field in (grid, back):
        (found,) = critical_points(field, persistence=0.01).of_kind("attractor").positions
        assert np.linalg.norm(found - centre) < 0.02


def test_frames_of_different_size_are_kept_by_number(tmp_path):
    store = ELFStore(tmp_path / "s")
    store.append(make_grid(1), frame=10)
    store.append(make_grid(2, shape=(3, 3, 3)), frame=2)
    assert store.append(make_grid(3)) == 11
    assert store.frames == [2, 10, 11] and len(store) == 3 and 10 in store and 3 not in store
    assert [g.shape for g in store] == [(3, 3, 3), (6, 5, 4), (6, 5, 4)]
    with pytest.raises(KeyError, match="no frame 3"):
        store[3]
    with pytest.raises(OutputError, match="exists already"):
        store.append(make_grid(4), frame=2)
    store.append(make_grid(4), frame=2, replace=True)
    assert store[2].shape == (6, 5, 4)
    with pytest.raises(InputError, match="frame number"):
        store.append(make_grid(), frame=-1)


def test_read_elf_and_write_elf_speak_to_stores(tmp_path):
    path = tmp_path / "run.elfstore"
    write_elf(path, make_grid(1))
    assert read_elf(path).shape == (6, 5, 4)
    write_elf(path, make_grid(2, shape=(2, 2, 2)))
    assert read_elf(path, frame=1).shape == (2, 2, 2)
    with pytest.raises(InputError, match="say which"):
        read_elf(path)
    with pytest.raises(InputError, match="no frame 7"):
        read_elf(path, frame=7)
    with pytest.raises(InputError, match="frame= applies"):
        read_elf(ELFStore(path).file(0), frame=0)


def test_the_same_frame_is_the_same_bytes(tmp_path):
    for name in ("a.h5", "b.h5"):
        write_elf(tmp_path / name, make_grid(5))
        time.sleep(0.01)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_a_directory_of_something_else_is_not_written_to(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="not an ELF store"):
        ELFStore(tmp_path)
    with pytest.raises(OutputError, match="is a file"):
        ELFStore(tmp_path / "notes.txt")
    with pytest.raises(FormatError, match="not an ELF store"):
        read_elf(tmp_path)
    with pytest.raises(FormatError, match="not an ELF store"):
        read_elf(tmp_path / "notes.txt", format="store")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(FormatError, match="no frames"):
        read_elf(empty)


def test_a_frame_cut_short_is_an_error_wherever_it_is_cut(tmp_path):
    path = tmp_path / "one.h5"
    write_elf(path, make_grid())
    whole = path.read_bytes()
    for cut in range(1, len(whole), len(whole) // 60):
        path.write_bytes(whole[:cut])
        with pytest.raises(FormatError, match="one.h5"):
            read_elf(path)


def test_sizes_declared_without_data_are_not_allocated(tmp_path):
    path = tmp_path / "bomb.h5"
    write_elf(path, make_grid())
    with h5py.File(path, "r+") as file:
        del file["elf"]
        shape = (1000, 1000, 1000)
        data = file.create_dataset("elf", shape, np.uint16, chunks=shape, compression="gzip")
        data.attrs["scale"] = 1 / 65535
    with pytest.raises(FormatError, match="declares shape"):
        read_elf(path)


def test_files_of_another_layout_are_refused(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["elf"] = np.zeros(3)
    with pytest.raises(FormatError, match="layout"):
        read_elf(tmp_path / "other.h5")


WRITER = """
import sys
import numpy as np
from ase import Atoms
from ase_elf.formats.store import ELFStore
from ase_elf.grid import ELFGrid
store = ELFStore(sys.argv[1])
atoms = Atoms("H", cell=np.eye(3), pbc=True)
values = np.random.default_rng(0).random((32, 32, 32))
while True:
    print(store.append(ELFGrid(values, atoms)), flush=True)
"""


def test_sigkill_at_any_moment_loses_no_finished_frame_and_the_run_goes_on(tmp_path):
    path = tmp_path / "run.elfstore"
    rng = np.random.default_rng(3)
    done = -1
    for _ in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for _ in range(int(rng.integers(2, 8))):
            done = int(process.stdout.readline())
        time.sleep(rng.uniform(0, 0.02))
        os.kill(process.pid, signal.SIGKILL)
        rest, _ = process.communicate()
        done = int(rest.split()[-1]) if rest.split() else done
        store = ELFStore(path)
        # One frame more may be finished than could be reported
        assert store.frames in (list(range(done + 1)), list(range(done + 2)))
        assert all(grid.shape == (32, 32, 32) for grid in store)


def test_two_processes_write_into_one_store(tmp_path):
    code = (
        "import sys, numpy as np; from ase import Atoms; from ase_elf.grid import ELFGrid;"
        "from ase_elf.formats.store import ELFStore; s = ELFStore(sys.argv[1]);"
        "a = Atoms('H', cell=np.eye(3), pbc=True);"
        "[s.append(ELFGrid(np.full((8, 8, 8), 0.5), a), frame=f)"
        " for f in range(int(sys.argv[2]), 40, 2)]"
    )
    path = tmp_path / "s"
    root = ROOT
    jobs = [subprocess.Popen([sys.executable, "-c", code, str(path), str(i)], cwd=root) for i in range(2)]
    assert [job.wait() for job in jobs] == [0, 0]
    assert ELFStore(path).frames == list(range(40))


def test_two_processes_that_leave_the_numbers_to_the_store_lose_no_frame(tmp_path):
    code = (
        "import sys, numpy as np; from ase import Atoms; from ase_elf.grid import ELFGrid;"
        "from ase_elf.formats.store import ELFStore; import h5py; s = ELFStore(sys.argv[1]);"
        "grid = ELFGrid(np.full((8, 8, 8), 0.5), Atoms('H', cell=np.eye(3), pbc=True));"
        "print('ready', flush=True); input();"
        "print(*(s.append(grid) for _ in range(40)))"
    )
    path = tmp_path / "s"
    jobs = [
        subprocess.Popen([sys.executable, "-c", code, str(path)], text=True,
                         cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(2)
    ]  # fmt: skip
    assert [job.stdout.readline() for job in jobs] == ["ready\n"] * 2
    for job in jobs:
        job.stdin.write("go\n")
        job.stdin.flush()
    told = [int(word) for job in jobs for word in job.communicate()[0].split()]
    assert [job.returncode for job in jobs] == [0, 0]
    assert sorted(told) == ELFStore(path).frames and len(told) == 80
    assert {grid.shape for grid in ELFStore(path)} == {(8, 8, 8)}
    assert not list(path.glob("*.part"))


def test_a_frame_that_another_is_writing_is_its_own(tmp_path):
    store = ELFStore(tmp_path / "s")
    store.append(make_grid(1))
    whole = store.file(0).read_bytes()
    with replacing(store.file(1)) as part:
        with pytest.raises(OutputError, match="another process is writing"):
            store.append(make_grid(2), frame=1, replace=True)
        assert store.append(make_grid(3, shape=(3, 3, 3))) == 2
        part.write_bytes(whole)
    assert store.frames == [0, 1, 2] and store.file(1).read_bytes() == whole
    assert store[2].shape == (3, 3, 3)


def test_a_number_another_took_since_the_store_looked_is_not_overwritten(tmp_path, monkeypatch):
    store, other = ELFStore(tmp_path / "s"), ELFStore(tmp_path / "s")
    look = store._next_frame

    def look_too_early():
        free = look()
        if free == 0:
            other.append(make_grid(1, shape=(2, 2, 2)))
        return free

    monkeypatch.setattr(store, "_next_frame", look_too_early)
    assert store.append(make_grid(2)) == 1
    assert [grid.shape for grid in store] == [(2, 2, 2), (6, 5, 4)]
    assert len(os.listdir(store.path)) == 2


def test_what_a_killed_process_left_of_a_frame_is_written_over(tmp_path):
    store = ELFStore(tmp_path / "s")
    store.path.mkdir()
    (store.path / "frame-000000000.h5.part").write_bytes(b"torn")
    assert store.frames == [] and store.append(make_grid()) == 0
    assert os.listdir(store.path) == ["frame-000000000.h5"]


def test_a_file_system_without_locks_takes_a_store(tmp_path, monkeypatch):
    def flock(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    store = ELFStore(tmp_path / "s")
    assert [store.append(make_grid()) for _ in range(2)] == store.frames == [0, 1]


def test_a_file_that_another_process_is_writing_is_left_to_it(tmp_path):
    path = tmp_path / "a.cube"
    with replacing(path) as part:
        with pytest.raises(OutputError, match="another process is writing .*a.cube"):
            write_elf(path, make_grid())
        part.write_text("whole")
    assert path.read_text() == "whole" and os.listdir(tmp_path) == ["a.cube"]
