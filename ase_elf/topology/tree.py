"""The bifurcation tree: which attractor joins which at which ELF, and domains on the way."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ase_elf.topology.basins import Basins
from ase_elf.topology.percolation import Merge
from ase_elf.topology.periodic_union_find import PeriodicUnionFind
from ase_elf.topology.saddles import Saddles

__all__ = ["BifurcationTree", "ELFDomain"]


@dataclass(frozen=True)
class ELFDomain:
    """One connected region of ELF >= isovalue.

    Parameters
    ----------
    attractors : tuple of int
        Highest first.
    atoms : tuple of int
        Nuclei whose basins it holds.
    dimension : int
        0 finite, 1 chain, 2 sheet, 3 network.
    winds : tuple of bool
        Whether it closes on itself along a, b, c.
    volume : float, Å^3
        Of the voxels in it.
    """

    attractors: tuple[int, ...]
    atoms: tuple[int, ...]
    dimension: int
    winds: tuple[bool, bool, bool]
    volume: float


@dataclass(frozen=True)
class BifurcationTree:
    """Merge tree of the attractors.

    Parameters
    ----------
    basins : Basins
    saddles : Saddles
    merges : list of Merge
        By falling ELF; the survivor of a merge is the higher attractor (elder rule).
    of_atom : ndarray, shape (n_atoms,), int
        Attractor of each nucleus, -1 in vacuum.
    """

    basins: Basins
    saddles: Saddles
    merges: list[Merge]
    of_atom: np.ndarray

    @cached_property
    def persistence(self) -> np.ndarray:
        """ndarray, shape (n,): ELF of each attractor above the saddle where a higher one
        takes it over; infinite for those that nothing takes over.
        """
        life = np.full(len(self.basins), np.inf)
        for merge in self.merges:
            life[merge.absorbed] = self.basins.values[merge.absorbed] - merge.value
        return life

    def domains(self, isovalue: float) -> list[ELFDomain]:
        """Connected regions of ELF >= ``isovalue``, the largest number of atoms first."""
        forest = self._forest(isovalue)
        members: dict[int, list[int]] = {}
        for node in np.flatnonzero(self.basins.values >= isovalue).tolist():
            members.setdefault(forest.find(node)[0], []).append(node)
        atoms: dict[int, list[int]] = {}
        for atom, node in enumerate(self.of_atom.tolist()):
            atoms.setdefault(node, []).append(atom)
        inside = np.where(self.basins.field.values >= isovalue, self.basins.labels, -1)
        counts = np.bincount(inside.ravel() + 1, minlength=len(self.basins) + 1)[1:]
        voxel = abs(np.linalg.det(self.basins.field.voxel_vectors))
        found = [
            ELFDomain(
                attractors=tuple(nodes),
                atoms=tuple(sorted(a for node in nodes for a in atoms.get(node, []))),
                dimension=forest.rank(root),
                winds=forest.winds(root),
                volume=float(counts[nodes].sum() * voxel),
            )
            for root, nodes in members.items()
        ]
        return sorted(found, key=lambda d: (-len(d.atoms), -len(d.attractors), d.attractors))

    def _forest(self, isovalue: float) -> PeriodicUnionFind:
        forest = PeriodicUnionFind(len(self.basins))
        height = self.basins.values
        for i in range(int(np.searchsorted(-self.saddles.values, -isovalue, side="right"))):
            a, b = self.saddles.ends[i].tolist()
            shift = self.saddles.shifts[i].tolist()
            if height[b] > height[a]:
                a, b, shift = b, a, [-s for s in shift]
            forest.join(a, b, tuple(shift))
        return forest
