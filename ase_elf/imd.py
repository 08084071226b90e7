"""IMDServer: a running ASE simulation as a live stream for MDAnalysis, VMD and others.

Speaks version 3 of the IMD protocol (interactive molecular dynamics) as documented by
imdclient, https://imdclient.readthedocs.io/en/latest/protocol_v3.html. The protocol knows
no passwords: whoever can reach the port can read the structure, and nothing else, because
commands that would steer or end the simulation are refused. It therefore listens on this
machine only, unless told otherwise.
"""

from __future__ import annotations

import errno
import logging
import selectors
import socket
import struct
import threading
import time
import warnings
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from ase_elf.errors import ElfWarning, InputError, OutputError, named
from ase_elf.geometry.orientation import arrays_of

if TYPE_CHECKING:
    from typing import Self

    from ase.optimize.optimize import Dynamics

__all__ = ["GO_WITHIN", "IMDServer"]

logger = logging.getLogger(__name__)

DISCONNECT, FCOORDS, GO, HANDSHAKE, KILL, PAUSE, TRATE = 0, 2, 3, 4, 5, 7, 8
SESSIONINFO, RESUME, TIME, BOX, VELOCITIES, FORCES, WAIT = 10, 11, 12, 13, 14, 15, 16
VERSION = 3

GO_WITHIN = 60.0
"""s. A reader that does not say GO within this time is turned away. imdclient fills its
buffer with tens of thousands of empty frames of a small system first, seconds of work."""


class IMDServer:
    """Serves the structures of a simulation to one reader at a time.

    An observer: ``dyn.attach(server, interval=10)``. Each call costs the copy of a frame
    while there is a reader, and nothing while there is none. Network traffic is handled by
    a thread. The simulation never waits for a reader: frames which do not fit into ``room``,
    because the reader is slow or paused the stream, are dropped and counted.

    Parameters
    ----------
    dynamics : ase Dynamics
        Molecular dynamics or an optimizer; an optimizer sends no times and no velocities.
    port : int
        0 lets the system choose; see :attr:`url`.
    host : str
        Address to listen at. By default this machine cannot be reached from others;
        ``"0.0.0.0"`` opens the simulation, without a password, to all that can reach it.
        Safer is a tunnel: ``ssh -L 8888:127.0.0.1:8888 machine``.
    forces : bool
        Send forces. Where they are not at hand they are computed.
    room : int
        Bytes of frames that may wait for the reader.

    Attributes
    ----------
    sent, dropped : int
        Frames handed to the system for the reader, and frames left out: for want of room, or
        because something of them was not to be had, such as forces or memory, which gives an
        :class:`~ase_elf.errors.ElfWarning`. The simulation goes on.

    Raises
    ------
    OutputError
        If nothing can listen at that address.
    InputError
        If ``room`` does not hold one frame.

    Notes
    -----
    Lengths in Å, times in ps, velocities in Å/ps, forces in kJ/(mol Å). Coordinates are
    turned, with the cell, into the orientation in which **a** lies along x, and are not
    wrapped. Of the commands of a reader GO, PAUSE, RESUME and DISCONNECT are followed, KILL
    ends the connection only, TRATE and WAIT are ignored, and forces to be applied (MDCOMM),
    like everything unknown, end the connection.

    Examples
    --------
    >>> from ase.build import bulk
    >>> from ase.calculators.emt import EMT
    >>> from ase.md.verlet import VelocityVerlet
    >>> from ase_elf.imd import IMDServer
    >>> atoms = bulk("Al", cubic=True)
    >>> atoms.calc = EMT()
    >>> dyn = VelocityVerlet(atoms, 1.0)
    >>> with IMDServer(dyn, port=0) as server:
    ...     dyn.attach(server, interval=2)
    ...     dyn.run(4)  # elsewhere: Universe(topology, server.url)
    True
    >>> server.sent, server.dropped
    (0, 0)
    """

    def __init__(
        self,
        dynamics: Dynamics,
        *,
        port: int = 8888,
        host: str = "127.0.0.1",
        forces: bool = False,
        room: int = 64 * 1024**2,
    ) -> None:
        self.dynamics = dynamics
        self.forces = forces
        self.room = room
        self.sent = 0
        self.dropped = 0
        self._moves = hasattr(dynamics, "get_time")
        self._has_cell = dynamics.atoms.cell.rank == 3
        size = len(self._frame())
        if size > room:
            raise InputError(f"room = {room} bytes is less than one frame ({size} bytes).")
        self._lock = threading.Lock()
        self._frames: deque[bytes] = deque()
        self._waiting = 0
        self._streaming = threading.Event()
        self._reader: _Reader | None = None
        self._closing: float | None = None
        self._listener = _listen(host, port)
        self.host, self.port = self._listener.getsockname()[:2]
        self._wake, self._woken = socket.socketpair()
        self._wake.setblocking(False)
        self._woken.setblocking(False)
        self._thread = threading.Thread(target=self._serve, name="IMDServer", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """What a reader is given: ``imd://host:port``."""
        return f"imd://{self.host}:{self.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __call__(self) -> None:
        """Offer the current structure to the reader, if there is one."""
        if not self._streaming.is_set():
            return
        try:
            frame = self._frame()
        except Exception as error:  # a reader is no reason to lose the run
            warnings.warn(f"no frame for the IMD reader ({named(error)})", ElfWarning, stacklevel=2)
            self.dropped += 1
            return
        with self._lock:
            if self._waiting + len(frame) > self.room:
                if not self.dropped:
                    logger.warning("the IMD reader is too slow: frames are dropped")
                self.dropped += 1
                return
            self._frames.append(frame)
            self._waiting += len(frame)
        self._notify()

    def wait_for_reader(self, timeout: float | None = None) -> bool:
        """Whether a reader is there, after waiting for one up to ``timeout`` s (None: ever).

        Call it before the run to have the run read from its first step.
        """
        return self._streaming.wait(timeout)

    def close(self, timeout: float = 10.0) -> None:
        """Hand over the frames that still wait, for at most ``timeout`` s, and stop serving."""
        if self._closing is None:
            self._closing = time.monotonic() + timeout
            self._notify()
        self._thread.join(timeout + 5.0)

    def _notify(self) -> None:
        with suppress(OSError):  # full of earlier notes, or closed: nothing is lost
            self._wake.send(b"!")

    def session(self) -> bytes:
        """Handshake and session information: what each frame will hold."""
        flags = (self._moves, False, self._has_cell, True, False, self._moves, self.forces)
        # The version goes out in native byte order: it tells the reader that of all bodies.
        handshake = struct.pack("!i", HANDSHAKE) + struct.pack("=i", VERSION)
        return handshake + struct.pack("!ii", SESSIONINFO, 7) + struct.pack("7B", *map(bool, flags))

    def _frame(self) -> bytes:
        """The current structure as the packets of one frame."""
        dynamics, atoms = self.dynamics, self.dynamics.atoms
        arrays = arrays_of(atoms, forces=atoms.get_forces() if self.forces else None)
        parts = []
        if self._moves:
            from ase.units import fs

            ps = 1e3 * fs
            body = struct.pack("=ddq", dynamics.dt / ps, dynamics.get_time() / ps, dynamics.nsteps)
            parts += [struct.pack("!ii", TIME, 1), body]
        if self._has_cell:
            cell = np.zeros((3, 3)) if arrays.cell is None else arrays.cell
            parts += [struct.pack("!ii", BOX, 1), cell.astype("=f4").tobytes()]
        parts += _vectors(FCOORDS, arrays.positions)
        if self._moves:
            speed = arrays.velocities
            parts += _vectors(VELOCITIES, np.zeros_like(arrays.positions) if speed is None else speed)
        if self.forces:
            parts += _vectors(FORCES, arrays.forces)
        return b"".join(parts)

    def _take(self) -> bytes | None:
        """The next frame to be sent."""
        with self._lock:
            if not self._frames:
                return None
            frame = self._frames.popleft()
            self._waiting -= len(frame)
            self.sent += 1
            return frame

    def _forget(self) -> None:
        """Nobody reads any more."""
        self._streaming.clear()
        with self._lock:
            self._frames.clear()
            self._waiting = 0

    def _serve(self) -> None:
        """The thread: accept, shake hands, send; until closed."""
        try:
            with selectors.DefaultSelector() as selector, self._listener, self._woken, self._wake:
                self._attend(selector)
        finally:
            # Whatever happened, the simulation goes on, and keeps no frames for nobody.
            self._forget()

    def _attend(self, selector: selectors.BaseSelector) -> None:
        selector.register(self._listener, selectors.EVENT_READ)
        selector.register(self._woken, selectors.EVENT_READ)
        while not self._is_over():
            if self._reader is not None:
                selector.modify(self._reader.socket, self._reader.interest())
            for key, events in selector.select(_PATIENCE):
                if key.fileobj is self._woken:
                    _drain(self._woken)
                elif key.fileobj is self._listener:
                    self._accept(selector)
                elif self._reader is not None:
                    self._reader.handle(events)
            if self._reader is not None and not self._reader.goes_on():
                selector.unregister(self._reader.socket)
                self._reader.socket.close()
                self._forget()
                self._reader = None
        if self._reader is not None:
            self._streaming.clear()
            self._reader.farewell(self._closing)

    def _is_over(self) -> bool:
        if self._closing is None:
            return False
        done = self._reader is None or not (self._frames or self._reader.unsent)
        return done or time.monotonic() >= self._closing

    def _accept(self, selector: selectors.BaseSelector) -> None:
        try:
            connection, address = self._listener.accept()
        except OSError as error:
            if error.errno in _NO_ROOM:  # it stays in the queue, and would be announced without end
                time.sleep(_PATIENCE)
            return  # or it was gone before it was accepted
        if self._reader is not None:
            logger.info("turned %s away: one reader at a time", address)
            connection.close()
            return
        connection.setblocking(False)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._reader = _Reader(self, connection)
        selector.register(connection, selectors.EVENT_READ)


_PATIENCE = 0.5
"""s between looks at the clock while nothing happens."""

_NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class _Reader:
    """The one connection: what it said, and what it has not been sent yet."""

    def __init__(self, server: IMDServer, connection: socket.socket) -> None:
        self.server = server
        self.socket = connection
        self.unsent = memoryview(server.session())
        self._heard = b""
        self._deadline = time.monotonic() + GO_WITHIN
        self._going = False
        self._paused = False
        self._alive = True

    def interest(self) -> int:
        write = self.unsent or (self._going and not self._paused and self.server._frames)
        return selectors.EVENT_READ | (selectors.EVENT_WRITE if write else 0)

    def handle(self, events: int) -> None:
        """Read and write what can be, without waiting."""
        try:
            if events & selectors.EVENT_READ:
                self._listen()
            if events & selectors.EVENT_WRITE and self._alive:
                self._send()
        except BlockingIOError:
            pass
        except OSError as error:  # vanished
            logger.info("the IMD reader is gone: %s", error)
            self._alive = False

    def goes_on(self) -> bool:
        """Whether the connection goes on."""
        if not self._going and time.monotonic() > self._deadline:
            logger.info("the IMD reader did not say GO")
            return False
        return self._alive

    def _send(self) -> None:
        if not self.unsent and self._going and not self._paused:
            frame = self.server._take()
            self.unsent = memoryview(frame or b"")
        if self.unsent:
            self.unsent = self.unsent[self.socket.send(self.unsent) :]

    def _listen(self) -> None:
        data = self.socket.recv(4096)
        if not data:
            self._alive = False
        self._heard += data
        while self._alive and len(self._heard) >= 8:
            kind = struct.unpack("!i", self._heard[:4])[0]
            self._heard = self._heard[8:]
            self._obey(kind)

    def _obey(self, kind: int) -> None:
        if kind == GO:
            self._going = True
            self.server._streaming.set()
        elif kind in (PAUSE, RESUME):
            self._paused = kind == PAUSE
        elif kind not in (TRATE, WAIT):
            if kind != DISCONNECT:
                logger.warning("refused command %d of the IMD reader and hung up", kind)
            self._alive = False

    def farewell(self, deadline: float) -> None:
        """Close so that what was sent arrives, even if the reader said something meanwhile."""
        with self.socket:
            try:
                self.socket.shutdown(socket.SHUT_WR)
                self.socket.settimeout(max(0.1, min(1.0, deadline - time.monotonic())))
                while self.socket.recv(4096):
                    pass
            except OSError:  # already gone, or silent
                pass


def _vectors(kind: int, rows: np.ndarray) -> list[bytes]:
    return [struct.pack("!ii", kind, len(rows)), np.ascontiguousarray(rows, "=f4").tobytes()]


def _drain(woken: socket.socket) -> None:
    try:
        while woken.recv(4096):
            pass
    except OSError:
        pass


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(4)
    except (OSError, OverflowError) as error:
        listener.close()
        raise OutputError(
            f"cannot listen at {host}:{port} ({error}); choose another port, or 0 for any."
        ) from error
    listener.setblocking(False)
    return listener
