"""Processes of our own: fresh ones, which end when the process that started them does."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from ase_elf.reference.program import end_with_parent

# "spawn": a forked child can use neither CUDA nor the threads of its parent, and may deadlock.
CONTEXT = multiprocessing.get_context("spawn")


def process_pool(n: int, start: Callable[..., None] | None = None, *arguments: Any) -> ProcessPoolExecutor:
    """``n`` processes that take calls in turn, each after ``start(*arguments)``."""
    return ProcessPoolExecutor(
        n, mp_context=CONTEXT, initializer=_begin, initargs=(os.getpid(), start, arguments)
    )


def _begin(parent: int, start: Callable[..., None] | None, arguments: tuple) -> None:
    end_with_parent(parent)
    if start is not None:
        start(*arguments)
