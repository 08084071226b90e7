"""Streams that stop in the middle or turn into nonsense, seen from the reader and the server."""

import contextlib
import signal
import socket
import threading
import time

import MDAnalysis as mda
import numpy as np
import pytest
from replay import Replay

from ase_elf.errors import ElfError
from ase_elf.imd import IMDServer
from ase_elf.mda import follow, to_universe
from ase_elf.testing import GaussianDomain, molecular_fluid

pytestmark = pytest.mark.usefixtures("own_signals")

IMAGES = molecular_fluid(4, 6, length=3.6)


def recorded(n):
    """Session and each of ``n`` frames as a server sends them."""
    replay = Replay(IMAGES)
    with IMDServer(replay, port=0) as server:
        frames = []
        for _ in range(n):
            frames.append(server._frame())
            replay.nsteps += 1
        return server.session(), frames


@contextlib.contextmanager
def broken_server(session, data):
    """Greets like a server, and after GO sends ``data`` and hangs up."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        with listener, contextlib.suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                connection.sendall(session)
                connection.recv(8)
                connection.sendall(data)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"imd://127.0.0.1:{listener.getsockname()[1]}"
    thread.join(20)


def noise(n):
    return np.random.default_rng(n).bytes(n)


@pytest.mark.parametrize(
    ("whole", "rest"),
    [
        (4, lambda frame: b""),
        (3, lambda frame: frame[: len(frame) // 2]),
        (3, lambda frame: frame[:3]),
        (3, lambda frame: noise(len(frame))),
        (2, lambda frame: frame[:8] + noise(len(frame) - 8)),
        (0, lambda frame: b""),
        (0, lambda frame: noise(200)),
    ],
    ids=["ends", "half-a-frame", "three-bytes", "noise", "noise-in-a-frame", "nothing", "only-noise"],
)
def test_frames_before_the_break_are_counted_and_the_rest_is_named(whole, rest):
    session, frames = recorded(whole + 1)
    data = b"".join(frames[:whole]) + rest(frames[whole])
    counted, began = 0, time.monotonic()
    with broken_server(session, data) as url:
        try:
            universe = mda.Universe(to_universe(IMAGES[0])._topology, url, buffer_size=100_000)
            for recorder in follow(universe, domain=GaussianDomain()):
                counted = len(recorder)
                assert np.isfinite(recorder.series["elf_mean"]).all()
        except ElfError as error:
            assert whole == 0 or "frame" in str(error) or "NaN" in str(error)
        except (OSError, EOFError, RuntimeError, ValueError) as error:
            assert whole == 0, error  # MDAnalysis' own, from opening the stream
    assert counted == whole or (whole == 2 and counted <= 3)
    assert time.monotonic() - began < 60


def test_random_bytes_and_half_handshakes_harm_neither_server_nor_simulation():
    rng = np.random.default_rng(0)
    replay = Replay(IMAGES)
    threads = threading.active_count()
    with IMDServer(replay, port=0) as server:
        for _ in range(100):
            with (
                contextlib.suppress(OSError),
                socket.create_connection((server.host, server.port), timeout=5) as caller,
            ):
                caller.sendall(rng.bytes(int(rng.integers(0, 40))))
                if rng.random() < 0.5:
                    caller.recv(int(rng.integers(1, 30)))
            replay.run(1, server)
        assert server._thread.is_alive()
    assert threading.active_count() == threads
    assert replay.nsteps == 100
    assert signal.getsignal(signal.SIGINT) is not None
