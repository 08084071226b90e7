"""Running an outside program: found, timed, ended with us, and its end explained."""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from ase_elf.errors import EngineError, OutputError

logger = logging.getLogger(__name__)

_running: set[subprocess.Popen] = set()


def find_program(command: str, *, package: str) -> list[str]:
    """``command`` split into words, with its program looked up.

    Parameters
    ----------
    command : str
        Such as ``"pw.x"`` or ``"mpirun -np 4 pw.x"``.
    package : str
        What to install where the program is missing; goes into the message.
    """
    words = shlex.split(command)
    if not words:
        raise EngineError(f"the command is empty; give a program, such as {package}.")
    if shutil.which(words[0]) is None:
        raise EngineError(
            f"program {words[0]!r} was not found on the PATH. Install {package}, or say "
            "where it is with the option `command`."
        )
    return words


def run_program(
    words: list[str],
    *,
    directory: Path,
    output: str,
    stdin: str | None = None,
    timeout: float | None = None,
    environment: dict[str, str] | None = None,
) -> str:
    """Run a program in ``directory``; return what it wrote to ``output`` and its errors.

    Raises
    ------
    EngineError
        The program was killed or ran out of time. A non-zero exit alone is no error here:
        the caller knows better what the output means.
    OutputError
        The disk is full.
    """
    path = directory / output
    try:
        with path.open("wb") as sink:
            process = subprocess.Popen(
                words,
                cwd=directory,
                stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
            )
            _running.add(process)
            try:
                process.communicate(stdin.encode() if stdin is not None else None, timeout)
            except subprocess.TimeoutExpired as error:
                raise EngineError(
                    f"{words[-1] if len(words) < 3 else words[0]} was stopped after "
                    f"{timeout:.0f} s, the time limit; raise `timeout`, or look at "
                    f"{_tail(path)}"
                ) from error
            finally:
                _end(process)
                _running.discard(process)
    except OSError as error:
        check_disk(directory)
        raise EngineError(f"cannot run {words[0]!r} in {directory}: {error}.") from error
    # First, because a program that cannot write stops in ways that hide the reason.
    check_disk(directory)
    if process.returncode < 0:
        name = signal.Signals(-process.returncode).name
        raise EngineError(
            f"{words[0]} was killed by {name}"
            + (" (out of memory?)" if name == "SIGKILL" else "")
            + f". Its last lines: {_tail(path)}"
        )
    return path.read_text(errors="replace")


def check_disk(directory: Path, *, needed_mb: float = 10.0) -> None:
    """Raise :class:`OutputError` when less than ``needed_mb`` MB are left on the disk."""
    free = shutil.disk_usage(directory).free / 1e6
    if free < needed_mb:
        raise OutputError(
            f"the disk that holds {directory} is full ({free:.1f} MB left); make room, or "
            "set TMPDIR to another disk. What is finished is kept."
        )


@contextmanager
def working_directory(directory: Path | None) -> Iterator[Path]:
    """``directory``, made if need be, or a temporary one that is deleted afterwards."""
    if directory is not None:
        directory.mkdir(parents=True, exist_ok=True)
        yield directory
        return
    with TemporaryDirectory(prefix="ase-elf-") as temporary:
        yield Path(temporary)


def end_with_parent(parent: int | None = None, *, interval: float = 2.0) -> None:
    """Watch, from a worker process, for the death of its parent; then end our programs.

    A build that is killed with SIGKILL cannot clean up. Its workers notice here, so that
    no orphaned DFT run goes on eating the machine. ``parent`` is the id of the process to
    watch: one that died before this is called can no longer be asked for it.
    """
    parent = os.getppid() if parent is None else parent

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(interval)
        for process in list(_running):
            _end(process)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="ase-elf-parent-watch").start()


def _end(process: subprocess.Popen) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _tail(path: Path, lines: int = 12) -> str:
    text = path.read_text(errors="replace").strip().splitlines()
    return "\n".join(["", *text[-lines:]]) if text else "(nothing was written)"
