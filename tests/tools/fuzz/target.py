"""Target: one reader, sound files to begin with, and what it may do with a bad one."""

from __future__ import annotations

import os
import resource
import sys
import time
import tracemalloc
import warnings
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path

from ase_elf.errors import ElfError

ALLOWANCE = 8 * 2**20
"""Bytes any reader may take, however small the file: buffers, tables, messages."""

SECONDS = 10.0
"""A file of at most ``LONGEST`` bytes that takes a reader more processor time counts as a hang:
time on the clock says nothing on a machine that is shared."""

STANDSTILL = 1200.0
"""Seconds on the clock after which a reader that takes no processor time counts as one."""

LONGEST = 16_384
"""Bytes of the largest input that is made."""

CEILING = 2 * 2**30
"""Bytes of address space a reader may ask for beyond what the process has: asking for more
raises MemoryError, which is a finding whatever the file is."""


class Broken(Exception):
    """A reader did what it must never do; the message says what."""


class Slow(Broken):
    """It took too long, or the machine stood still meanwhile: a second look tells."""


@dataclass(frozen=True)
class Target:
    """A reader under test.

    Parameters
    ----------
    name : str
    file : str
        What an input is called when it is given to the reader.
    make : callable
        Sound files, as a list of bytes; also those with every optional part.
    read : callable
        Reads the file at a path.
    multiple : int
        Memory it may take, as a multiple of the size of the file.
    instrument : tuple of str
        Modules, with those below them, whose branches guide the search.
    tokens : tuple of bytes
        What a file of this kind is written with.
    """

    name: str
    file: str
    make: Callable[[], list[bytes]]
    read: Callable[[Path], object]
    multiple: int
    instrument: tuple[str, ...]
    tokens: tuple[bytes, ...] = ()

    @cached_property
    def seeds(self) -> list[bytes]:
        return self.make()

    def limit(self, size: int) -> int:
        """Bytes of memory that may be taken for a file of ``size`` bytes."""
        return ALLOWANCE + self.multiple * size

    def attempt(self, data: bytes, folder: Path, *, trace: bool = False) -> Outcome:
        """Have ``data`` read, in a folder that holds nothing else.

        Raises
        ------
        Broken
            For any exception but the package's own, too much time or memory, and files
            touched elsewhere.
        """
        path = folder / self.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        resident = _most_resident()
        if trace:
            tracemalloc.start()
        began = time.process_time()
        try:
            with warnings.catch_warnings(), _watched(folder):
                warnings.simplefilter("ignore")
                self.read(path)
        except ElfError as error:
            if len(str(error)) > 4000 + 4 * len(str(folder)):
                raise Broken(f"a message of {len(str(error))} characters") from error
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # SystemExit would be as wrong as any other
            raise Broken(f"{type(error).__name__}: {str(error)[:200]}") from error
        finally:
            seconds = time.process_time() - began
            peak = tracemalloc.get_traced_memory()[1] if trace else 0
            if trace:
                tracemalloc.stop()
        if _touched:
            raise Broken(_touched.pop())
        peak = max(peak, _most_resident() - resident)
        if peak > self.limit(len(data)):
            raise Broken(f"{peak} bytes of memory for a file of {len(data)}")
        if seconds > SECONDS:
            raise Slow(f"{seconds:.0f} s for a file of {len(data)} bytes")
        return Outcome(seconds, peak)


@dataclass(frozen=True)
class Outcome:
    """What reading one input took: processor time (s), and bytes of memory.

    Of memory, what the allocations of Python add up to where they were traced; else by how much
    the most that the process ever held has risen, which also counts what native code takes.
    """

    seconds: float
    peak: int


def target(name: str) -> Target:
    """The target of a format."""
    return import_module(f"fuzz.{name}").TARGET


def _most_resident() -> int:
    """Bytes this process had in memory at most so far."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


_inside: list[str] = []
"""Where files may be touched at the moment; empty while nothing is read."""

_touched: list[str] = []
"""What was touched elsewhere: kept, since a reader may swallow an exception raised here."""


def _audit(event: str, arguments: tuple) -> None:
    """Note files outside, programs and connections while an input is read."""
    if not _inside:
        return
    if event in ("os.system", "subprocess.Popen", "os.exec", "socket.connect", "pickle.find_class"):
        _touched.append(f"{event} {arguments!r:.100}")
    if event in _CHANGES:
        paths = [os.path.abspath(os.fsdecode(a)) for a in arguments if isinstance(a, str | bytes)]
        if any(not _is_inside(path) and "__pycache__" not in path for path in paths):
            _touched.append(f"{event} {arguments!r:.100}")
    if event != "open" or isinstance(arguments[0], int):
        return
    path = os.path.abspath(os.fsdecode(arguments[0]))
    writes = isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
    # Libraries load parts of themselves late; they never do so because of a file's content.
    library = (path.startswith(_LIBRARIES) or path in sys.path) and not writes
    if not _is_inside(path) and not library:
        _touched.append(f"opens {path}")


_CHANGES = frozenset(
    f"os.{name}"
    for name in ("remove", "rename", "mkdir", "rmdir", "link", "symlink", "truncate", "chmod", "chown")
)


def _is_inside(path: str) -> bool:
    return f"{path}{os.sep}".startswith(f"{_inside[0]}{os.sep}")


_ROOT = Path(__file__).resolve().parents[3]
_LIBRARIES = (
    sys.prefix, sys.base_prefix, "/usr/",
    *(f"{_ROOT}/{part}" for part in ("ase_elf", "plugins/", "tests/")),
)  # fmt: skip
_hooked = False


@contextmanager
def _watched(folder: Path):
    global _hooked
    if not _hooked:
        sys.addaudithook(_audit)  # stays for the life of the process
        _hooked = True
    _touched.clear()
    _inside.append(str(folder))
    try:
        yield
    finally:
        _inside.clear()


@contextmanager
def ceiling(extra: int = CEILING):
    """Bound the address space of this process while inputs are read."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + extra, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
