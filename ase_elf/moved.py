"""Modules under the names they had before 0.2: they work until 0.3, with a DeprecationWarning."""

from __future__ import annotations

import importlib
import sys
import warnings
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

MOVED = {
    "ase_entry": "ase_hooks",
    "ase_plugins": "ase_hooks",
    "batching": "model.batching",
    "candidates": "formats.collection",
    "clusters": "analysis.elf_regions",
    "dataset.workers": "parallel.jobs",
    "formats.npz": "storage.npz",
    "journal": "storage.journal",
    "merging": "runs.merge",
    "model.familiarity": "model.novelty",
    "neighbor_list": "geometry.neighbors",
    "orientation": "geometry.orientation",
    "pairs": "analysis.bonding",
    "predictor": "prediction",
    "recorder": "analysis.recorder",
    "report.plots": "plotting.figure",
    "run": "runs.trajectory",
    "scalars": "analysis.scalars",
    "screening": "runs.screening",
    "settings": "storage.configuration",
    "spline": "geometry.spline",
    "streaming": "imd",
    "topology.ascent": "topology.eigenvector_following",
    "topology.exclusion": "topology.root_isolation",
    "topology.passes": "topology.saddles",
    "topology.summary": "topology.record",
    "topology.winding": "topology.periodic_union_find",
    "training.agreement": "training.matching",
    "training.groups": "training.score_tables",
    "trajectory": "structures.trajectory",
    "workers": "parallel.frames",
}
"""Old name to new name, both within :mod:`ase_elf`."""


class _OldNames(MetaPathFinder, Loader):
    """Finds a module that has moved, and hands out the very module it is now."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        package, _, name = fullname.partition(".")
        if package == "ase_elf" and name in MOVED:
            return ModuleSpec(fullname, self)
        return None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        new = f"ase_elf.{MOVED[spec.name.partition('.')[2]]}"
        warnings.warn(
            f"{spec.name} is {new} since 0.2; the old name goes with 0.3.", DeprecationWarning, stacklevel=5
        )
        module = importlib.import_module(new)
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec


def install() -> None:
    """Let the old names be imported, once in a process."""
    if not any(isinstance(finder, _OldNames) for finder in sys.meta_path):
        sys.meta_path.append(_OldNames())
