"""What a GPU does with the field model, in one command of at most eight minutes.

    python benchmarks/gpu.py [--device cuda] [--minutes 8] [-o gpu.jsonl]
    python benchmarks/gpu.py --device cpu --edge 12 --large 4 20 --batches 1 2 --workers 1 --frames 4

For a machine with its own torch and without a network: besides torch it needs the package and what it
imports on the way to a model (numpy, scipy, ase, vesin, safetensors, numba), for example from
`pip install --target carried --no-deps ...` and PYTHONPATH. The most important measurement comes first, each
is printed and written as one line of JSON when it ends, none begins after its time, and one that
fails says so and leaves the others. In order: the same structure on CPU and device; points per second of batches of 128
atoms; of one large cell; frames per second of `analyze`; a profile. Structures are shaken frames of the shipped
trajectory (seed 0). How busy the device is comes from nvidia-smi, ten times a second.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import platform
import shutil
import subprocess
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from scale import analysis, shipped, structure, trajectory

from ase_elf.domains import get_domain

SECONDS = 8.0
"""Time each rate is measured for, at least."""


@contextlib.contextmanager
def watched_gpu() -> Iterator[list[float]]:
    """A list that holds, at the end, how busy the first GPU was (per cent), every 0.1 s; empty without nvidia-smi."""
    busy: list[float] = []
    command = ["nvidia-smi", "--id=0", "--query-gpu=utilization.gpu",
               "--format=csv,noheader,nounits", "--loop-ms=100"]  # fmt: skip
    if not shutil.which(command[0]):
        yield busy
        return
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watcher:
        try:
            yield busy
        finally:
            watcher.terminate()
            busy += [float(line) for line in watcher.stdout if line.strip()]


def rate(model, structures: list, edge: int, seconds: float) -> dict:
    """Points per second of predicting structures together, again and again, after once."""
    shapes, on_gpu = [(edge,) * 3] * len(structures), model.device.type == "cuda"
    model.predict(structures, shapes)
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    began, times = time.perf_counter(), 0
    with watched_gpu() as busy:
        while not times or time.perf_counter() - began < seconds:
            model.predict(structures, shapes)  # results have left the device when it returns
            times += 1
        passed = time.perf_counter() - began
    return {
        "atoms": len(structures[0]),
        "edge": edge,
        "batch": len(structures),
        "points_per_second": round(times * len(structures) * edge**3 / passed),
        "seconds_each": round(passed / times / len(structures), 4),
        "busy_percent": round(float(np.mean(busy)), 1) if busy else None,
        "peak_gib": round(torch.cuda.max_memory_allocated() / 2**30, 2) if on_gpu else None,
    }


def same_numbers(model, atoms, edge: int) -> dict:
    """ELF and σ of one structure on the CPU in double precision against the device."""
    reference = get_domain("dense-hydrogen").load(device="cpu", dtype="float64")
    (there,), (here,) = (each.predict([atoms], [(edge,) * 3]) for each in (model, reference))
    off, off_sigma = there.values - here.values, there.sigma - here.sigma
    return {
        "edge": edge,
        "elf_rms": float(np.sqrt(np.mean(off**2))),
        "elf_largest": float(abs(off).max()),
        "sigma_largest": float(abs(off_sigma).max()),
    }


def frames_per_second(n_frames: int, edge: int, workers: int, device: str) -> dict:
    """Of `analyze` with processes that share the device, from the first batch on."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fluid.extxyz"
        trajectory(path, n_frames)
        run = analysis(path, Path(folder) / "out", chosen={"shape": (edge,) * 3}, workers=workers,
                       batch=max(1, n_frames // (4 * workers)), device=device, report=False)  # fmt: skip
        times: list[tuple[float, int]] = []
        with watched_gpu() as busy:
            run.execute(lambda done: times.append((time.perf_counter(), done)))
    (t0, d0), (t1, d1) = times[1], times[-1]
    return {
        "edge": edge,
        "workers": workers,
        "frames_per_second": round((d1 - d0) / (t1 - t0), 2),
        "busy_percent": round(float(np.mean(busy)), 1) if busy else None,
    }


def profile(model, structures: list, edge: int) -> dict:
    """Operations that take longest on the device, ms of one pass."""
    kinds = [torch.profiler.ProfilerActivity.CPU]
    if model.device.type == "cuda":
        kinds.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=kinds) as found:
        model.predict(structures, [(edge,) * 3] * len(structures))
    own = "self_device_time_total" if len(kinds) > 1 else "self_cpu_time_total"
    longest = sorted(found.key_averages(), key=lambda each: -getattr(each, own))[:15]
    return {each.key: round(getattr(each, own) / 1e3, 2) for each in longest}


def measurements(given: argparse.Namespace) -> list[tuple[str, Callable[[], dict]]]:
    """Names and what to call, the most important first."""
    rng, frames = np.random.default_rng(0), shipped()
    model = get_domain("dense-hydrogen").load(device=given.device)
    fluids = [structure(128, rng, frames) for _ in range(max(given.batches))]
    n_large, edge_large = given.large
    seconds = given.seconds
    return [
        ("same numbers", lambda: same_numbers(model, fluids[0], given.edge)),
        *(("points", lambda n=n: rate(model, fluids[:n], given.edge, seconds)) for n in given.batches),
        ("points", lambda: rate(model, [structure(64 * n_large, rng, frames)], edge_large, seconds)),
        *(
            ("analyze", lambda n=n: frames_per_second(given.frames, given.edge, n, given.device))
            for n in given.workers
        ),
        ("profile", lambda: profile(model, fluids, given.edge)),
    ]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for each rate")
    parser.add_argument("--edge", type=int, default=80, help="points along a cell of 128 atoms")
    parser.add_argument("--batches", type=int, nargs="+", default=[32, 1, 8])
    parser.add_argument("--large", type=int, nargs=2, default=[32, 192], metavar=("CELLS", "EDGE"),
                        help="cells of 64 atoms, a product of powers of 2, and points along it")  # fmt: skip
    parser.add_argument("--workers", type=int, nargs="*", default=[4, 8, 1])
    parser.add_argument("--frames", type=int, default=240)
    parser.add_argument("-o", "--output", type=Path, default=Path("gpu.jsonl"))
    given = parser.parse_args(arguments)
    if given.device.startswith("cuda") and not torch.cuda.is_available():
        print("not run: no GPU at hand")
        return
    began = time.perf_counter()
    name = torch.cuda.get_device_name() if given.device.startswith("cuda") else platform.machine()
    with given.output.open("w", encoding="utf-8") as stream:

        def say(**line) -> None:
            for into in (None, stream):
                print(json.dumps(line, ensure_ascii=False), file=into, flush=True)

        say(what="machine", device=name, torch=torch.__version__, seed=0)
        for what, action in measurements(given):
            passed = time.perf_counter() - began
            # A measurement takes half a minute at the most, but for the first that waits for kernels.
            if passed > 60 * given.minutes - 40:
                say(what=what, left_out=f"{passed:.0f} s have passed")
                continue
            try:
                say(what=what, **action())
            except Exception as error:  # the others are worth having
                say(
                    what=what, failed=f"{type(error).__name__}: {error}", where=traceback.format_exc(limit=-2)
                )


if __name__ == "__main__":
    main()
