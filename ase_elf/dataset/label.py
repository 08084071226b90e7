"""A label: one structure with its reference ELF."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from ase_elf.errors import InputError
from ase_elf.grid import ELFGrid
from ase_elf.reference import Provenance
from ase_elf.storage.quantization import coarse

__all__ = ["BATCH", "INLINE", "Critical", "Label", "digest"]

BATCH = "build"
"""Name of a batch that was given none."""

INLINE = "inline"
"""Geometry of a label that is stored with its values."""


@dataclass(frozen=True)
class Critical:
    """Where attractors and bond critical points of a label are, and how sharp they are.

    Parameters
    ----------
    positions : ndarray, shape (n, 3), float64, Å
    hessians : ndarray, shape (n, 3, 3), float64, Å⁻²
        Of z = logit(ELF).
    """

    positions: np.ndarray
    hessians: np.ndarray


@dataclass(frozen=True)
class Label:
    """The reference ELF of one structure.

    Parameters
    ----------
    id : str
        Digest of structure, recipe and choice of points: equal ids are equal labels.
    name : str
        Where the structure came from, for people.
    atoms : ase.Atoms
    provenance : Provenance
    values : ndarray, float32, dimensionless in [0, 1]
        Shape (nx, ny, nz) in the grid convention of :class:`~ase_elf.grid.ELFGrid`, or
        (n,) at ``points``.
    points : ndarray, shape (n, 3), Å, Cartesian, or None for a grid
    mesh : tuple of int, optional
        Grid that all ``points`` are on, in the order of its flattened index: they are then
        stored as indices, and need no geometry.
    density : ndarray or None
        Electron density (e/Å³), same shape as ``values``; float32.
    energy : float or None
        eV.
    forces : ndarray, shape (n_atoms, 3), eV/Å, or None
    split : str
        "train", "validation", "test", or "" where it is not decided.
    kind : str
        What sort of structure it is, such as "fluid"; free to choose.
    critical : Critical or None
        Critical points of the full grid, found before points of it were chosen.
    batch : str
        What it was computed with: a key of :attr:`ase_elf.dataset.LabelStore.batches`.
    geometry : str
        ``"inline"``, or ``"owner:id"`` where the geometry belongs to somebody else: it is then not
        stored, but taken from a file in which ``info["id"]`` of the frame is ``id``.
    refines : str
        Id of the label whose values these replace, or "". The geometry is that of the other label.
    """

    id: str
    name: str
    atoms: Atoms
    provenance: Provenance
    values: np.ndarray
    points: np.ndarray | None = None
    mesh: tuple[int, int, int] | None = None
    density: np.ndarray | None = None
    energy: float | None = None
    forces: np.ndarray | None = None
    split: str = ""
    kind: str = ""
    critical: Critical | None = None
    batch: str = ""
    geometry: str = INLINE
    refines: str = ""

    @property
    def grid(self) -> ELFGrid:
        """The label as a grid; :class:`InputError` where only points were kept."""
        if self.points is not None:
            raise InputError(
                f"label {self.name!r} holds {len(self.points)} points, not a grid; use .points and .values."
            )
        return ELFGrid(self.values, self.atoms, {"provenance": self.provenance.as_dict()})


def digest(labels: Iterable[Label]) -> str:
    """SHA-256 over names, geometries and ELF values to 16 bits, in order."""
    sha = hashlib.sha256()
    for label in labels:
        sha.update(label.name.encode())
        arrays = (label.atoms.cell.array, label.atoms.positions, label.atoms.numbers)
        for array in (*arrays, coarse(label.values)):
            sha.update(np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()
