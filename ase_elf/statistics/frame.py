"""FrameResult: everything the statistics need to know about one analysed frame."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from ase_elf.errors import FormatError

__all__ = ["FrameResult", "PairCounts"]


@dataclass(frozen=True, eq=False)
class PairCounts:
    """What g(r) needs of a frame; fields as in :class:`FrameResult`."""

    frame: int
    volume: float
    composition: dict[str, int]
    rdf_counts: np.ndarray


@dataclass(frozen=True, eq=False)
class FrameResult:
    """One analysed frame: scalars, bond table and the counts that accumulators add up.

    It holds no grid, so that a run of any length can be kept in a journal.

    Parameters
    ----------
    frame : int
        Index of the frame in the trajectory file, from 0.
    time_fs : float
        Time in fs; NaN where the trajectory states none.
    volume : float
        Cell volume in Å³.
    scalars : dict
        Name to float, in the order of the columns of ``frames.csv``; NaN = undefined.
    outside : tuple of str
        Why the frame lies outside the trained range; empty when it is inside.
    bonds : dict of ndarray, each of shape (n_bonds,)
        ``i``, ``j`` int64, 0-based, i <= j (i = j: an atom and its own image); ``length`` Å;
        ``elf_mid`` ELF at the midpoint; ``elf_min`` lowest ELF on the straight line between
        the nuclei; ``elf_point`` ELF at the critical point of the bond
        (:func:`ase_elf.analysis.elf_regions.bond_points`), NaN where there is none;
        ``mutual`` bool: each is the other's nearest neighbour; ``label`` its type;
        ``ruler_length``, ``deviation``, ``uncertainty`` (Å) as in a
        :class:`~ase_elf.ruler.BondTable`, NaN where no ruler was asked for.
    rdf_counts : ndarray, shape (n_pairs, n_r), int64
        Unordered pairs per bin of distance, one row per pair of elements.
    resolved_counts : ndarray, shape (n_bonding_pairs, n_classes, n_bins), int64
        Unordered pairs per class of ELF half way and bin of distance, for pairs of elements
        that can bond.
    composition : dict
        Chemical symbol to number of atoms.
    cluster_sizes : ndarray, shape (n_clusters,), int64
        Atoms in each ELF domain at the isovalue of the run.
    degrees : ndarray, shape (n_atoms,), int64
        Neighbours of each atom in the ELF network at that isovalue.
    largest_fraction : ndarray, shape (n_isovalues,), float64
        Share of the atoms in the largest ELF domain, for each isovalue of the ladder.
    elf_histogram : ndarray, shape (n_elf,), float64
        Share of the cell volume per bin of ELF.
    orientation : ndarray, shape (2, n_r), float64
        Over pairs of molecules per bin of center distance: the sum of P2(cos angle between
        axes), and their number.
    geometry : int
        CRC-32 of cell and positions, to recognise the frame when a run is resumed.
    weights : str
        SHA-256 of the weights that predicted the ELF; empty where none did.
    """

    frame: int
    time_fs: float
    volume: float
    scalars: dict[str, float]
    outside: tuple[str, ...]
    bonds: dict[str, np.ndarray]
    rdf_counts: np.ndarray
    resolved_counts: np.ndarray
    composition: dict[str, int]
    cluster_sizes: np.ndarray
    degrees: np.ndarray
    largest_fraction: np.ndarray
    elf_histogram: np.ndarray
    orientation: np.ndarray
    geometry: int
    weights: str = ""

    @property
    def n_atoms(self) -> int:
        return sum(self.composition.values())

    def molecules(self) -> np.ndarray:
        """Pairs of atoms which are each other's nearest neighbour and bonded.

        Returns
        -------
        ndarray, shape (n, 2), int64
        """
        mutual = self.bonds["mutual"].astype(bool)
        return np.stack([self.bonds["i"][mutual], self.bonds["j"][mutual]], axis=1)

    def to_json(self) -> str:
        """One line of JSON from which :meth:`from_json` restores every bit."""
        record = {f.name: _plain(getattr(self, f.name)) for f in fields(self)}
        return json.dumps(record, separators=(",", ":"))

    @classmethod
    def from_json(cls, line: str | bytes) -> FrameResult:
        """The result written by :meth:`to_json`; :class:`FormatError` for anything else."""
        try:
            record = json.loads(line)
            return cls(**{name: _typed(name, value) for name, value in record.items()})
        except (
            ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError,
        ) as error:  # fmt: skip
            raise FormatError(f"not a frame record of this version: {str(error)[:500]}") from error


_DTYPES = {
    "rdf_counts": np.int64,
    "resolved_counts": np.int64,
    "cluster_sizes": np.int64,
    "degrees": np.int64,
    "largest_fraction": np.float64,
    "elf_histogram": np.float64,
    "orientation": np.float64,
}
_BOND_DTYPES: dict[str, Any] = {"i": np.int64, "j": np.int64, "mutual": bool, "outside": bool, "label": "U16"}


def _plain(value: object) -> object:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return value


def _typed(name: str, value: Any) -> Any:
    if name in _DTYPES:
        array = np.asarray(value, dtype=_DTYPES[name])
        return array.reshape(2, -1) if name == "orientation" else array
    if name == "bonds":
        return {k: np.asarray(v, dtype=_BOND_DTYPES.get(k, np.float64)) for k, v in value.items()}
    return tuple(value) if name == "outside" else value
