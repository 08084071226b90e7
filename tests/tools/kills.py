"""SIGKILL at random moments: whatever was killed, started again it ends where it would have.

    python tests/tools/kills.py --kills 40 [--results FILE] [CASE ...]

Each case has one piece of work, done undisturbed first. Then it is killed at moments drawn
uniformly from the processor time it takes, and started again on what it left, until it ends by
itself; its outputs must be the same, byte for byte. That is repeated until there were enough
kills. Only the process itself is killed: what it started must notice. Figures are written after
every round, and a later call counts those of an earlier one.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

TESTS = Path(__file__).resolve().parents[1]

TICK = 1 / os.sysconf("SC_CLK_TCK")
"""What the system counts processor time in (s)."""
if __name__ == "__main__":
    sys.path[:0] = [str(TESTS.parent), str(TESTS)]  # this folder is there already

import figures  # noqa: E402

from ase_elf import __version__  # noqa: E402 - of the tree this file is in


@dataclass(frozen=True)
class Case:
    """Work that may be killed.

    Parameters
    ----------
    prepare : callable
        Puts what the work starts from into a folder; also imports what the work needs, so
        that a process forked from here begins at once.
    work : callable
        Does the work in that folder, below ``out``.
    result : callable
        What must be equal, from the folder.
    needs : str
        Program without which the case cannot run.
    """

    prepare: Callable[[Path], None]
    work: Callable[[Path], object]
    result: Callable[[Path], object]
    needs: str = ""


@dataclass(frozen=True)
class Round:
    """Kills until the work came to its end; processor time of it undisturbed (s)."""

    kills: int
    seconds: float


def rounds(case: Case, folder: Path, *, seed: int = 0, kills: int | None = None) -> Iterator[Round]:
    """Kill ``case`` until it ends, again and again; AssertionError where the result differs.

    Moments are drawn uniformly from the processor time the work takes: time on the clock
    would bring every kill too early where the machine has become busier since. After
    ``kills`` of them the work is left to end, and that was the last round.
    """
    rng = np.random.default_rng(seed)
    start = folder / "start"
    start.mkdir(parents=True)
    case.prepare(start)

    def fresh(name: str) -> Path:
        shutil.copytree(start, folder / name)
        return folder / name

    undisturbed = fresh("undisturbed")
    code, seconds = _wait(_fork(case, undisturbed), math.inf)
    assert code == 0, f"the work fails by itself: {(undisturbed / 'errors').read_text()[-2000:]}"
    wanted = case.result(undisturbed)
    left = math.inf if kills is None else kills
    while left > 0:
        here, done = fresh("round"), 0
        while True:
            code, _ = _wait(_fork(case, here), rng.uniform(0, seconds) if done < left else math.inf)
            if code == 0:
                break
            assert code == -signal.SIGKILL, (here / "errors").read_text()[-2000:]
            done += 1
        assert case.result(here) == wanted, f"{here} differs from {undisturbed}"
        shutil.rmtree(here)
        left -= done
        yield Round(done, round(seconds, 2))


def _fork(case: Case, folder: Path) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        os.setsid()  # so that what it starts can be told from other processes
        with (folder / "errors").open("w") as errors:
            os.dup2(errors.fileno(), 1)
            os.dup2(errors.fileno(), 2)
        os.chdir(folder)
        case.work(folder)
        code = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _wait(pid: int, patience: float) -> tuple[int, float]:
    """Exit code and processor time of a child, killed when it has taken ``patience`` s of that."""
    began = time.monotonic()
    while True:
        done, status, usage = os.wait4(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime
        if (spent := _spent(pid)) >= patience:
            os.kill(pid, signal.SIGKILL)
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), spent
        # Half of what is left at the pace so far: looking costs a busy machine time as well.
        pace = max(spent, TICK) / (time.monotonic() - began + TICK)
        time.sleep(min(max(0.5, 0.1 / pace), max(TICK, patience - spent) / pace / 2))


def _spent(session: int) -> float:
    """Processor time (s) of the processes of a session, those that have ended among them."""
    ticks = 0
    for process in os.listdir("/proc"):
        if process.isdigit():
            try:
                fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            except OSError:  # it has just ended
                continue
            if int(fields[3]) == session:
                ticks += sum(map(int, fields[11:15]))
    return ticks * TICK


def files(folder: Path, *left_out: str) -> dict[str, bytes]:
    """Everything below ``folder`` by relative name."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in left_out
    }


def _trajectory(folder: Path) -> None:
    import stand_in_cli  # noqa: F401 - for those forked from here
    from ase.io import write

    import ase_elf.plotting.curves
    import ase_elf.report.html
    import ase_elf.testing
    import ase_elf.topology.networking

    write(folder / "run.extxyz", ase_elf.testing.molecular_fluid(4, 12, dt=2.0, length=3.6))


def _analyze(*options: str) -> Callable[[Path], None]:
    def work(folder: Path) -> None:
        from stand_in_cli import stand_in

        import ase_elf.domains
        from ase_elf.cli import main

        ase_elf.domains.domain_for = ase_elf.domains.get_domain = stand_in
        words = ["analyze", "run.extxyz", "-o", "out", "--batch", "4", *options]
        main(words, standalone_mode=False)

    return work


def _analyzed(folder: Path) -> dict[str, bytes]:
    return files(folder / "out", "run.log")


def _structures(folder: Path, n: int = 2, length: float = 3.0) -> None:
    from ase import Atoms
    from ase.io import write

    import ase_elf.dataset.builder  # noqa: F401 - for those forked from here

    frames = []
    for k in range(n):
        atoms = Atoms("H2", [(0, 0, 0), (0.1, 0, 0.74 + 0.02 * k)], cell=[length] * 3, pbc=True)
        atoms.center()
        frames.append(atoms)
    write(folder / "structures.extxyz", frames)


def _build(engine: str, **options: object) -> Callable[[Path], None]:
    def work(folder: Path) -> None:
        from ase_elf.dataset import BuildConfig, build

        os.environ["PYTHONPATH"] = f"{TESTS}:{TESTS.parent}"  # of the processes of jobs
        given = {"structures": ["structures.extxyz"], "engine": engine, "output": "out",
                 "options": options, "attempts": 1}  # fmt: skip
        summary = build(BuildConfig.from_dict(given, folder=folder))
        assert summary.failed == 0, summary

    return work


def _built(folder: Path) -> dict[str, bytes]:
    from ase_elf.dataset import LabelStore

    LabelStore(folder / "out").verify()
    return files(folder / "out", ".lock")


def _labels(folder: Path) -> None:
    from small_fits import ARCH, analytic_label

    from ase_elf.storage.quantization import coarse
    from ase_elf.training.run import prepare  # noqa: F401 - for those forked from here

    labels = folder / "labels"
    labels.mkdir()
    lines = ["file,kind,split"]
    for seed, split in enumerate(("train", "train", "train", "validation", "test")):
        from ase.units import Bohr

        label = analytic_label(seed, split)
        cell, positions = label.atoms.cell.array / Bohr, label.atoms.positions / Bohr
        np.savez(labels / label.name, cell=cell, pos=positions, elf=coarse(label.values))
        lines.append(f"{label.name}.npz,fluid,{split}")
    (labels / "split.csv").write_text("\n".join(lines) + "\n")
    (folder / "pack").mkdir()
    card = "name: small\nelements: [H]\nbonds: {H-H: 1.0}\nspacing: 0.2\n"
    (folder / "pack" / "card.yaml").write_text(card)
    recipe = {"steps": 60, "decay_steps": 30, "warmup_steps": 5, "rate": 0.01, "structures": 2,
              "points": 64, "pool": 600, "checkpoint_every": 10}  # fmt: skip
    settings = {"labels": ["labels"], "output": "out", "pack": "pack"}
    settings |= {"architecture": ARCH.to_dict(), "recipe": recipe}
    (folder / "train.yaml").write_text(json.dumps(settings))


def _train(folder: Path) -> None:
    from ase_elf.cli import main

    main(["train", "train.yaml", "--no-progress"], standalone_mode=False)


def _trained(folder: Path) -> dict[str, object]:
    import torch

    state = torch.load(folder / "out" / "checkpoint.pt", weights_only=True)
    tensors = {name: tensor.numpy().tobytes() for name, tensor in state["network"].items()}
    log = [json.loads(line) for line in (folder / "out" / "log.jsonl").read_text().splitlines()]
    for entry in log:
        del entry["seconds"]  # of the process that wrote the line
    pack = files(folder / "pack")
    return {"network": tensors, "step": state["step"], "log": log, "pack": pack,
            "left": sorted(files(folder / "out"))}  # fmt: skip


def _nothing(folder: Path) -> None:
    import h5py  # noqa: F401 - for those forked from here

    import ase_elf.formats.store  # noqa: F401


def _store(folder: Path) -> None:
    from ase import Atoms

    from ase_elf.formats.store import ELFStore
    from ase_elf.grid import ELFGrid

    store = ELFStore(folder / "out")
    atoms = Atoms("H", cell=np.eye(3), pbc=True)
    for frame in range(len(store), 60):
        values = np.random.default_rng(frame).random((24, 24, 24))
        store.append(ELFGrid(values, atoms), frame=frame)


def _stored(folder: Path) -> dict[str, bytes]:
    return files(folder / "out")


CASES = {
    "analyze": Case(_trajectory, _analyze("--no-report"), _analyzed),
    "analyze-report": Case(_trajectory, _analyze("--report"), _analyzed),
    "build": Case(_structures, _build("standin_engine:StandIn", seconds=0.05), _built),
    "build-espresso": Case(
        lambda folder: _structures(folder, 2, 2.2),
        _build("espresso", ecutwfc=16.0, kpts=[1, 1, 1], smearing="none"),
        _built,
        needs="pw.x",
    ),
    "train": Case(_labels, _train, _trained),
    "store": Case(_nothing, _store, _stored),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("cases", nargs="*", metavar="CASE")
    parser.add_argument("--kills", type=int, default=40, help="per case, those in FILE counted")
    parser.add_argument("--results", type=Path, metavar="FILE", help="JSON file that is added to")
    given = parser.parse_args()
    for name in given.cases or CASES:
        if CASES[name].needs and not shutil.which(CASES[name].needs):
            print(f"{name}: left out, there is no {CASES[name].needs}")
            continue
        known = figures.read(given.results).get(name, [])
        before = sum(run["kills"] for run in known if run["version"] == __version__)
        if before >= given.kills:
            continue
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder) / name
            for made in rounds(CASES[name], folder, seed=before, kills=given.kills - before):
                print(f"{name}: {made}", flush=True)
                add(given.results, name, made)


def add(path: Path | None, name: str, made: Round) -> None:
    """Add a round to the figures: one entry a day and version."""
    if path is None:
        return
    known = figures.read(path)
    runs = known.setdefault(name, [])
    when = {"date": date.today().isoformat(), "version": __version__}
    before = runs.pop() if runs and when.items() <= runs[-1].items() else {"kills": 0, "ends": 0}
    sums = {"kills": before["kills"] + made.kills, "ends": before["ends"] + (made.kills > 0)}
    runs.append({**when, **sums, "seconds": made.seconds})
    figures.write(path, known)


if __name__ == "__main__":
    main()
