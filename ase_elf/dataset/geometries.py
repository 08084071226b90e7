"""Geometries that belong to somebody else: looked up in their owner's files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ase import Atoms

from ase_elf.structures.trajectory import Trajectory


def find_geometries(names: set[str], files: Iterable[str | Path]) -> dict[str, Atoms]:
    """Frames of trajectory files whose ``info["id"]`` is one of ``names``; those not found are left out.

    The first of several frames with one id counts, and ``names`` that were found are not looked for any more.
    """
    found: dict[str, Atoms] = {}
    for source in files:
        if len(found) == len(names):
            break
        for frame in Trajectory(source):
            name = frame.atoms.info.get("id")
            if name in names:
                found.setdefault(name, frame.atoms)
    return found
