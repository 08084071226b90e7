"""One frame: its ELF, the network in it, bonds, regions, and the numbers that describe them."""

from __future__ import annotations

from importlib import import_module

_LATE = {
    "AnalysisSettings": "settings",
    "Recorder": "recorder",
    "SCALARS": "frame",
    "analyze": "frame",
    "geometry_digest": "frame",
    "settings_for": "settings",
}

__all__ = [*_LATE]


def __getattr__(name: str) -> object:
    if name in _LATE:
        return getattr(import_module(f"{__name__}.{_LATE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
