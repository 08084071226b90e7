"""Threads that share an object."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

__all__ = ["in_turn"]


def in_turn(method: Callable) -> Callable:
    """Let threads into ``method`` one after the other, by the lock ``_lock`` of the object.

    A cache may be of one structure: a thread that comes between choosing it and reading it would
    hand out the grid of another.
    """

    @wraps(method)
    def locked(self, *args, **kwargs):
        with self._lock:
            return method(self, *args, **kwargs)

    return locked
