"""Orbital features of labels kept in a folder: they cost more than a fit's steps, and every fit needs them."""

from __future__ import annotations

import ast
import functools
import hashlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from ase import Atoms

from ase_elf.model import minimal_basis
from ase_elf.model.minimal_basis.features import chosen_features
from ase_elf.storage.atomic import Taken, replacing, writing_into

DIGITS = 6
"""Of coordinates (Å) by which points are told apart."""


@dataclass(frozen=True)
class KeptFeatures:
    """:func:`~ase_elf.model.minimal_basis.features.chosen_features`, from files where they were made before.

    Parameters
    ----------
    folder : Path or None
        Made where it does not exist; None keeps nothing. A file is named by a digest of structure, points,
        groups, and the code and table that features are made with.
    """

    folder: Path | None = None

    def __call__(self, atoms: Atoms, points: np.ndarray, groups: tuple[str, ...]) -> torch.Tensor:
        """Features at points (Å, Cartesian, shape (n, 3)): shape (n, n_columns), float32.

        Raises
        ------
        OutputError
            The folder is not writable.
        """
        if self.folder is None:
            return chosen_features(atoms, points, groups)
        # The same points in another order are the same file, whatever their last digits.
        rounded = np.round(points, DIGITS) + 0.0
        order = np.lexsort(rounded.T)
        path = self.folder / f"{_key(atoms, rounded[order], groups)}.npy"
        try:
            values = np.load(path, allow_pickle=False)
        except (OSError, ValueError):
            values = chosen_features(atoms, points[order], groups).numpy().astype(np.float32)
            self._keep(path, values)
        found = np.empty_like(values)
        found[order] = values
        return torch.from_numpy(found)

    def _keep(self, path: Path, values: np.ndarray) -> None:
        # Another process that writes this very file writes the same into it.
        with writing_into(self.folder), suppress(Taken):
            self.folder.mkdir(parents=True, exist_ok=True)
            with replacing(path) as part, part.open("wb") as file:
                np.save(file, values)


MADE_ANEW = KeptFeatures()


def _key(atoms: Atoms, points: np.ndarray, groups: tuple[str, ...]) -> str:
    sha = hashlib.sha256("|".join([_version(), *groups]).encode())
    for array in (atoms.numbers.astype(np.int64), atoms.positions, atoms.cell.array, atoms.pbc, points):
        sha.update(np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()[:32]


@functools.cache
def _version() -> str:
    """Digest of the code, whatever its layout and comments, and the table of the minimal basis."""
    sha = hashlib.sha256()
    for path in sorted(Path(minimal_basis.__file__).parent.iterdir()):
        if path.suffix == ".py":
            sha.update(ast.dump(ast.parse(path.read_bytes())).encode())
        elif path.suffix == ".npz":
            sha.update(path.read_bytes())
    return sha.hexdigest()
