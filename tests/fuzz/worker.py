"""One process that fuzzes one format, guided by coverage (atheris), until its time is up.

Finds are saved and counted and do not stop it; a crash of the interpreter does, and is
counted by who started it.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from hashlib import sha256
from pathlib import Path

import atheris

TRACED = 16
"""One input in so many is read under tracemalloc, which costs three times the time."""


def main(name: str, state: Path, seconds: float, inputs: int) -> None:
    from fuzz.target import LONGEST, SECONDS, Broken, ceiling, target

    with atheris.instrument_imports(include=["ase_elf", "yaml", "ase.io", "zipfile", "h5py"]):
        wanted = target(name)
    corpus = state / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for data in wanted.seeds:
        if len(data) <= LONGEST:
            (corpus / sha256(data).hexdigest()).write_bytes(data)
    tokens = state / "tokens"
    escaped = ("".join(f"\\x{byte:02x}" for byte in token) for token in wanted.tokens)
    tokens.write_text("".join(f'"{token}"\n' for token in escaped))
    tally = Tally(state)
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    for data in wanted.seeds:  # what is made once is no memory of an input
        try:
            wanted.attempt(data, folder / "x")
        except Broken:
            pass
    ended = time.monotonic() + seconds

    def test(data: bytes) -> None:
        try:
            outcome = wanted.attempt(data, folder / "x", trace=tally.inputs % TRACED == 0)
            tally.add(data, outcome)
        except Broken as found:
            tally.find(data, found)
        if tally.now >= inputs or time.monotonic() > ended:
            tally.write()
            shutil.rmtree(folder)
            os._exit(0)

    with ceiling():
        options = [f"-max_len={LONGEST}", f"-timeout={int(3 * SECONDS)}", "-rss_limit_mb=4096",
                   f"-dict={tokens}", f"-artifact_prefix={state}/", "-verbosity=0", "-print_final_stats=0",
                   "-use_value_profile=1"]  # fmt: skip
        atheris.Setup([sys.argv[0], *options, str(corpus)], test)
        atheris.Fuzz()


class Tally:
    """What this process did, written beside the corpus every few seconds."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.file = state / f"tally-{os.getpid()}-{time.time_ns()}.json"
        self.began = self.saved = time.monotonic()
        self.inputs = self.now = 0
        self.slowest = self.peak = self.peak_ratio = 0.0
        self.findings: dict[str, str] = {}

    def add(self, data: bytes, outcome) -> None:
        self._count()
        self.slowest = max(self.slowest, outcome.seconds)
        if outcome.peak:
            self.peak = max(self.peak, outcome.peak)
            self.peak_ratio = max(self.peak_ratio, outcome.peak / max(len(data), 1))

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
        self.now += 1
        if time.monotonic() > self.saved + 5:
            self.write()

    def write(self) -> None:
        self.saved = time.monotonic()
        self.file.write_text(json.dumps({
            "inputs": self.inputs, "seconds": round(self.saved - self.began, 1),
            "slowest_s": round(self.slowest, 4), "peak_bytes": self.peak, "findings": self.findings,
        }))  # fmt: skip


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
    main(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
