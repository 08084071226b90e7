"""How outside packages, and our own ``plugins/``, are found: entry points, one group each.

A source tree that was never installed has no entry points; there the folder ``plugins/``
beside the package is read instead, from the same list in ``setup.cfg`` that an
installation would register.
"""

from __future__ import annotations

import configparser
import importlib.util
import logging
import sys
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

logger = logging.getLogger(__name__)

_ROOT = Path(__file__).resolve().parents[1]


def discover(group: str) -> dict[str, EntryPoint]:
    """Entry points of ``group`` by name; nothing is imported yet."""
    return dict(_found(group))


@cache  # what is installed is read from disk, and asked for at every frame
def _found(group: str) -> dict[str, EntryPoint]:
    found = {point.name: point for point in entry_points(group=group)}
    if not found and (_ROOT / "setup.cfg").is_file() and (_ROOT / "plugins").is_dir():
        found = _from_source_tree(group)
    return dict(sorted(found.items()))


def _from_source_tree(group: str) -> dict[str, EntryPoint]:
    config = configparser.ConfigParser()
    config.read(_ROOT / "setup.cfg")
    found = {}
    for line in config.get("options.entry_points", group, fallback="").splitlines():
        name, _, value = (part.strip() for part in line.partition("="))
        if name:
            _import_from_folder(value.partition(":")[0].partition(".")[0])
            found[name] = EntryPoint(name=name, value=value, group=group)
    return found


def _import_from_folder(package: str) -> None:
    """Make ``plugins/<x>`` importable as ``ase_elf_<x>``, the name it has when installed."""
    folder = _ROOT / "plugins" / package.removeprefix("ase_elf_")
    if package in sys.modules or not (folder / "__init__.py").is_file():
        return
    spec = importlib.util.spec_from_file_location(
        package, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[package] = module
    spec.loader.exec_module(module)
