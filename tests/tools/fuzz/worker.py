"""One process that fuzzes one format, guided by coverage (atheris), until its time is up.

Finds are saved and counted and do not stop it; a crash or a hang of the interpreter does, and
is counted by who started it.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import time
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from types import FunctionType

import atheris

from fuzz.target import LONGEST, SECONDS, STANDSTILL, Broken, Outcome, Slow, Target, ceiling, target

TRACED = 32
"""One input in so many is read under tracemalloc, which costs three times the time; what the
process takes as a whole is looked at for every input."""


def main(name: str, state: Path, folder: Path, seconds: float, inputs: int) -> None:
    """Fuzz until ``seconds`` of processor time or ``inputs`` have gone; inputs are in ``folder``."""
    wanted = target(name)
    prepare(wanted, folder)
    tally = Tally(state)
    started = time.process_time()

    def test(data: bytes) -> None:
        # Ends the process also where no Python runs; its input is left for who started it.
        signal.setitimer(signal.ITIMER_PROF, 3 * SECONDS)
        try:
            tally.add(attempted(wanted, data, folder, trace=tally.inputs % TRACED == 0))
        except Broken as found:
            tally.find(data, found)
        if tally.inputs >= inputs or time.process_time() - started > seconds:
            tally.write()
            os._exit(0)

    with ceiling():
        options = [f"-max_len={LONGEST}", f"-timeout={STANDSTILL:.0f}", "-rss_limit_mb=4096",
                   f"-dict={_dictionary(wanted, state)}", f"-artifact_prefix={state}/", "-reload=0",
                   "-verbosity=0", "-print_final_stats=0"]  # fmt: skip
        atheris.Setup([sys.argv[0], *options, str(_corpus(wanted, state))], test)
        atheris.Fuzz()


def attempted(wanted: Target, data: bytes, folder: Path, *, trace: bool) -> Outcome:
    try:
        return wanted.attempt(data, folder, trace=trace)
    except Slow:
        return wanted.attempt(data, folder)


def prepare(wanted: Target, folder: Path) -> None:
    """Read the sound files, so that everything is imported, and instrument what guides the search.

    Functions are instrumented as they are found: imports instrumented by atheris take whole
    packages, and miss what a reader imports when it is called.
    """
    for data in wanted.seeds:
        with suppress(Broken):  # found again below
            wanted.attempt(data, folder)
    below = tuple(f"{name}." for name in wanted.instrument)
    for found in gc.get_objects():
        if isinstance(found, FunctionType) and f"{found.__module__}.".startswith(below):
            atheris.instrument_func(found)


def _dictionary(wanted: Target, state: Path) -> Path:
    path = state / "tokens"
    escaped = ("".join(f"\\x{byte:02x}" for byte in token) for token in wanted.tokens)
    path.write_text("".join(f'"{token}"\n' for token in escaped))
    return path


def _corpus(wanted: Target, state: Path) -> Path:
    folder = state / "corpus"
    folder.mkdir(parents=True, exist_ok=True)
    for data in wanted.seeds:
        if len(data) <= LONGEST:
            (folder / sha256(data).hexdigest()).write_bytes(data)
    return folder


class Tally:
    """What this process did, written beside the corpus every few seconds; processor time."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.file = state / f"tally-{os.getpid()}-{time.time_ns()}.json"
        self.began = self.saved = time.process_time()
        self.inputs = self.peak = 0
        self.slowest = 0.0
        self.findings: dict[str, str] = {}

    def add(self, outcome: Outcome) -> None:
        self._count()
        self.slowest = max(self.slowest, outcome.seconds)
        self.peak = max(self.peak, outcome.peak)

    def find(self, data: bytes, found: Exception) -> None:
        self._count()
        kind = _place(found)
        if kind not in self.findings:
            digest = sha256(data).hexdigest()[:16]
            (self.state / f"finding-{digest}").write_bytes(data)
            self.findings[kind] = digest
            self.write()

    def _count(self) -> None:
        self.inputs += 1
        if time.process_time() > self.saved + 2:
            self.write()

    def write(self) -> None:
        self.saved = time.process_time()
        part = self.file.with_suffix(".part")
        part.write_text(json.dumps({
            "inputs": self.inputs, "seconds": round(self.saved - self.began, 1),
            "slowest_s": round(self.slowest, 4), "peak_bytes": self.peak, "findings": self.findings,
        }))  # fmt: skip
        part.replace(self.file)


def _place(found: Exception) -> str:
    """Kind of a find: the error and the line that raised it, so that each is kept once."""
    cause = found.__cause__
    if cause is None or cause.__traceback__ is None:
        return str(found).partition(" ")[2][:40]
    trace = cause.__traceback__
    lines = []
    while trace is not None:
        lines.append(f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}")
        trace = trace.tb_next
    return f"{type(cause).__name__} at {' < '.join(lines[:-4:-1])}"


if __name__ == "__main__":
    name, state, folder, seconds, inputs = sys.argv[1:]
    main(name, Path(state), Path(folder), float(seconds), int(inputs))
