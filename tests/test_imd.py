"""A running simulation as an IMD stream: right frames, and no reader can do it harm."""

import errno
import socket
import struct
import threading
import time
from types import SimpleNamespace

import MDAnalysis as mda
import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.md.verlet import VelocityVerlet
from ase.optimize import BFGS
from replay import Replay

from ase_elf import imd as streaming
from ase_elf.analysis.recorder import Recorder
from ase_elf.errors import ElfWarning, InputError, OutputError
from ase_elf.imd import IMDServer
from ase_elf.mda import follow, to_universe
from ase_elf.structures.trajectory import Frame
from ase_elf.testing import GaussianDomain, molecular_fluid

pytestmark = pytest.mark.usefixtures("own_signals")


@pytest.fixture
def big():
    """Frames of 72 kB: a few hundred fill every buffer on the way."""
    return Replay([Atoms("H3000", np.zeros((3000, 3)), cell=[9] * 3, pbc=True)])


@pytest.fixture
def server(big):
    with IMDServer(big, port=0, room=500_000) as server:
        yield server
        server.close(timeout=0.2)


def greeted(server):
    """A connection, and the flags of its session."""
    reader = socket.create_connection((server.host, server.port), timeout=5)
    assert struct.unpack("!i", exactly(reader, 4)) == (4,)
    assert struct.unpack("=i", exactly(reader, 4)) == (3,)
    assert struct.unpack("!ii", exactly(reader, 8)) == (10, 7)
    return reader, exactly(reader, 7)


def connect(server):
    return greeted(server)[0]


def exactly(reader, n):
    data = b""
    while len(data) < n:
        part = reader.recv(n - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def say(reader, kind, value=0):
    reader.sendall(struct.pack("!ii", kind, value))


def read_frame(reader):
    """Step of the next frame of a Replay."""
    assert struct.unpack("!ii", exactly(reader, 8)) == (12, 1)
    step = struct.unpack("=ddq", exactly(reader, 24))[2]
    assert struct.unpack("!ii", exactly(reader, 8)) == (13, 1)
    exactly(reader, 36)
    for kind in (2, 14):
        assert struct.unpack("!ii", exactly(reader, 8)) == (kind, 3000)
        exactly(reader, 36_000)
    return step


def started(server):
    reader = connect(server)
    say(reader, streaming.GO)
    assert server.wait_for_reader(5)
    return reader


def assert_hung_up(reader):
    try:
        while reader.recv(65536):
            pass
    except ConnectionResetError:
        pass
    reader.close()


def until(condition, timeout=5.0):
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "did not happen"
        time.sleep(0.01)


def moving(cell=None):
    atoms = bulk("Al", cubic=True)
    if cell is not None:
        atoms.set_cell(cell, scale_atoms=True)
    atoms.calc = EMT()
    atoms.set_velocities(np.random.default_rng(0).normal(scale=0.01, size=(4, 3)))
    return atoms


def test_mdanalysis_reads_what_the_simulation_did():
    atoms = moving([[0, 4.05, 0.3], [4.05, 0, 0], [0.2, 0.1, -4.1]])
    dyn = VelocityVerlet(atoms, 2 * units.fs)
    images = []
    dyn.attach(lambda: images.append(atoms.copy()))
    forces = []
    dyn.attach(lambda: forces.append(atoms.get_forces()))
    topology = to_universe(atoms)
    with IMDServer(dyn, port=0, forces=True) as server:
        dyn.attach(server)

        def simulate():
            assert server.wait_for_reader(100)
            dyn.run(6)
            server.close()

        thread = threading.Thread(target=simulate)
        thread.start()
        live = mda.Universe(topology._topology, server.url, buffer_size=100_000)
        seen = []
        for ts in live.trajectory:
            atoms_there = Atoms("Al4", ts.positions, cell=ts.triclinic_dimensions, pbc=True)
            seen.append((ts.time, ts.data["step"], atoms_there, ts.velocities.copy(), ts.forces.copy()))
        live.trajectory.close()
        thread.join()
    assert len(seen) == 7 and server.sent == 7 and server.dropped == 0
    for k, (ps, step, there, velocities, force) in enumerate(seen):
        assert step == k and ps == pytest.approx(2e-3 * k)
        np.testing.assert_allclose(
            there.get_all_distances(mic=True), images[k].get_all_distances(mic=True), atol=1e-5
        )
        assert there.get_volume() == pytest.approx(images[k].get_volume(), rel=1e-6)
        speed = np.linalg.norm(images[k].get_velocities(), axis=1) * 1000 * units.fs
        np.testing.assert_allclose(np.linalg.norm(velocities, axis=1), speed, rtol=1e-5)
        size = np.linalg.norm(forces[k], axis=1) * 96.485332
        np.testing.assert_allclose(np.linalg.norm(force, axis=1), size, rtol=1e-4, atol=1e-4)


def test_an_optimizer_sends_structures_without_times():
    atoms = moving()
    atoms.rattle(0.1, seed=0)
    opt = BFGS(atoms, logfile=None)
    with IMDServer(opt, port=0) as server:
        opt.attach(server)
        reader, flags = greeted(server)
        with reader:
            # time, energies, box, positions, wrapped, velocities, forces
            assert tuple(flags) == (0, 0, 1, 1, 0, 0, 0)
            say(reader, streaming.GO)
            assert server.wait_for_reader(5)
            opt.run(steps=2)
            assert struct.unpack("!ii", exactly(reader, 8)) == (streaming.BOX, 1)


def test_live_statistics_are_those_of_the_same_frames_from_a_file():
    images = molecular_fluid(3, 4, length=4.0)
    chosen = {"domain": GaussianDomain(), "shape": (14, 14, 14), "r_max": 3.0}
    replay = Replay(images)
    with IMDServer(replay, port=0) as server:

        def simulate():
            assert server.wait_for_reader(100)
            replay.run(4, server)
            server.close(30)

        thread = threading.Thread(target=simulate)
        thread.start()
        live = mda.Universe(to_universe(images[0])._topology, server.url, buffer_size=100_000)
        lengths = []
        for recorder in follow(live, **chosen):
            lengths.append(len(recorder))
        thread.join()
    assert lengths == [1, 2, 3, 4] and server.dropped == 0
    expected = Recorder.starting_with(images[0], **chosen)
    for k, atoms in enumerate(images):
        expected.add(Frame(k, 1.0 * k, atoms))
    expected.flush()
    for name, values in expected.series.items():
        np.testing.assert_allclose(recorder.series[name], values, atol=2e-5, err_msg=name)
    lifetime = recorder.statistics.result()["lifetime"]
    assert not lifetime.refused and lifetime.spacing_fs == pytest.approx(1.0)


def test_a_reader_that_reads_nothing_costs_frames_but_no_time(server, big):
    with started(server) as reader:
        began = time.perf_counter()
        big.run(300, server)  # 22 MB against room for 0.5
        assert time.perf_counter() - began < 20
        assert server.dropped > 100
        steps = [read_frame(reader) for _ in range(20)]  # whole frames, in order
        assert steps == sorted(set(steps)) and steps[0] == 0


def test_a_reader_that_vanishes_leaves_room_for_the_next(server, big):
    reader = started(server)
    big.run(3, server)
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    reader.close()  # with a reset, in the middle of a frame
    until(lambda: not server._streaming.is_set())
    big.run(3, server)
    with started(server) as second:
        big.run(1, server)
        assert read_frame(second) == 6  # nothing is left over from before


@pytest.mark.parametrize(
    "message",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        struct.pack("!ii", streaming.KILL, 0),
        struct.pack("!iiif", 6, 1, 0, 1.0),
        struct.pack("!ii", -7, 2**31 - 1),
    ],
    ids=["http", "kill", "forces", "nonsense"],
)
def test_whoever_says_something_else_is_hung_up_on(server, big, message):
    for greet in (connect, started):
        reader = greet(server)
        reader.sendall(message)
        assert_hung_up(reader)
    until(lambda: not server._streaming.is_set())
    big.run(2, server)
    with started(server):
        pass


def test_a_silent_or_early_leaving_caller_does_not_block_the_port(server, monkeypatch):
    monkeypatch.setattr(streaming, "GO_WITHIN", 0.2)
    assert_hung_up(connect(server))
    connect(server).close()
    until(lambda: server._reader is None)
    with started(server):
        pass


def test_only_one_reader_is_served(server, big):
    with started(server) as first:
        with socket.create_connection((server.host, server.port), timeout=5) as second:
            assert second.recv(1) == b""
        big.run(1, server)
        assert read_frame(first) == 0


def test_a_paused_stream_goes_on_where_it_stopped(server, big):
    with started(server) as reader:
        say(reader, streaming.PAUSE)
        time.sleep(0.3)
        big.run(3, server)
        reader.settimeout(0.3)
        with pytest.raises(TimeoutError):
            reader.recv(1)
        reader.settimeout(5)
        say(reader, streaming.RESUME)
        assert [read_frame(reader) for _ in range(3)] == [0, 1, 2]


def test_a_frame_that_cannot_be_made_is_left_out_and_the_run_goes_on(server, big, monkeypatch):
    with started(server) as reader:
        make = server._frame
        monkeypatch.setattr(server, "_frame", lambda: 1 / 0)
        with pytest.warns(ElfWarning, match="ZeroDivisionError"):
            big.run(2, server)
        monkeypatch.setattr(server, "_frame", make)
        big.run(1, server)
        assert server.dropped == 2 and read_frame(reader) == 2


def test_without_free_descriptors_a_caller_is_asked_in_with_pauses(server, monkeypatch):
    naps, reasons = [], [errno.ECONNABORTED, errno.EMFILE]

    def accept():
        raise OSError(reasons.pop(0), "no")

    clock = SimpleNamespace(monotonic=time.monotonic, sleep=naps.append)
    monkeypatch.setattr(streaming, "time", clock)
    monkeypatch.setattr(server, "_listener", SimpleNamespace(accept=accept))
    server._accept(None)
    assert naps == []
    server._accept(None)
    assert naps == [streaming._PATIENCE]


def test_closing_hands_over_what_still_waits(big):
    server = IMDServer(big, port=0)
    reader = started(server)
    big.run(100, server)
    thread = threading.Thread(target=server.close)
    thread.start()
    assert [read_frame(reader) for _ in range(100)] == list(range(100))
    with pytest.raises(EOFError):
        exactly(reader, 1)
    reader.close()
    thread.join()
    server()  # a step after the end is no error
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((server.host, server.port), timeout=1)


def test_closing_does_not_wait_for_a_stuck_reader(server, big):
    with started(server):
        big.run(300, server)
        began = time.perf_counter()
        server.close(timeout=0.3)
        assert time.perf_counter() - began < 5 and not server._thread.is_alive()


def test_it_listens_on_this_machine_only_and_names_what_is_wrong(big):
    with IMDServer(big, port=0) as server:
        assert server.host == "127.0.0.1" and server.url == f"imd://127.0.0.1:{server.port}"
        assert not server.wait_for_reader(0.01)
        with pytest.raises(OutputError, match="cannot listen .* another port"):
            IMDServer(big, port=server.port)
    with pytest.raises(InputError, match="less than one frame"):
        IMDServer(big, port=0, room=1000)
