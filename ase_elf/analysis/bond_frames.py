"""BondFrame: what is kept of one structure of a run that is about bonds.

Molecules and clusters have no periodic network, no density and no g(r) that would mean something; they have
bonds, which are read without a grid.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_elf.analysis.frame import geometry_digest
from ase_elf.errors import FormatError, InputError
from ase_elf.geometry.pairs import name_of
from ase_elf.ruler.surroundings import bonded
from ase_elf.ruler.survey import BondSurvey, has_modes
from ase_elf.ruler.table import SURVEY_COLUMNS

if TYPE_CHECKING:
    from ase import Atoms

    from ase_elf.domains import Domain
    from ase_elf.ruler.source import PredictsELF
    from ase_elf.structures.trajectory import Frame

__all__ = ["DIGITS", "BondFrame", "bond_frame", "not_covered", "read_bond_frames"]

DIGITS = 7
"""Decimals of numbers in a record: far below what a ruler tells."""


@dataclass(frozen=True, eq=False)
class BondFrame:
    """Bonds of one frame.

    Parameters
    ----------
    frame : int
        Number in the trajectory.
    time_fs : float
        NaN where it is not known.
    rows : ndarray, shape (n_bonds,), dtype ``SURVEY_COLUMNS``
    positions : ndarray, shape (n_atoms, 3), Å
    coordination : ndarray, shape (n_atoms,), int
        Atoms nearer than 1.3 times the sum of covalent radii.
    motifs : dict of str to int
        What the domain pack counts in a structure, such as rings and staples of gold thiolates.
    not_covered : dict of str to int
        Contacts that no ruler reads, by pair of elements (:func:`not_covered`).
    outside : tuple of str
        Why the structure lies outside what the pack was trained on; empty inside.
    geometry : int
        CRC-32 of cell and positions.
    """

    frame: int
    time_fs: float
    rows: np.ndarray
    positions: np.ndarray
    coordination: np.ndarray
    motifs: dict[str, int] = field(default_factory=dict)
    not_covered: dict[str, int] = field(default_factory=dict)
    outside: tuple[str, ...] = ()
    geometry: int = 0

    def to_json(self) -> str:
        """One line of JSON from which :meth:`from_json` restores it, numbers to :data:`DIGITS` decimals."""
        record: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        record["rows"] = {name: _listed(self.rows[name]) for name in SURVEY_COLUMNS.names if name != "frame"}
        record["positions"] = _listed(self.positions.ravel())
        record["coordination"] = self.coordination.tolist()
        record["time_fs"] = None if np.isnan(self.time_fs) else self.time_fs
        return json.dumps(record, separators=(",", ":"))

    @classmethod
    def from_json(cls, line: str | bytes) -> BondFrame:
        """The record written by :meth:`to_json`; :class:`FormatError` for anything else."""
        try:
            record = json.loads(line)
            held = record["rows"]
            rows = np.zeros(len(held["i"]), SURVEY_COLUMNS)
            rows["frame"] = record["frame"]
            for name, values in held.items():
                rows[name] = [np.nan if value is None else value for value in values]
            record |= {
                "rows": rows,
                "positions": np.array(record["positions"], float).reshape(-1, 3),
                "coordination": np.array(record["coordination"], int),
                "outside": tuple(record["outside"]),
                "time_fs": np.nan if record["time_fs"] is None else record["time_fs"],
            }
            return cls(**record)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise FormatError(f"not a record of bonds of this version: {str(error)[:500]}") from error


def bond_frame(
    atoms: Atoms, rows: np.ndarray, pack: Domain | None, *, frame: int, time_fs: float
) -> BondFrame:
    """What is kept of a structure whose bonds were read; ``pack`` names motifs and limits."""
    return BondFrame(
        frame=frame,
        time_fs=time_fs,
        rows=rows,
        positions=atoms.positions.copy(),
        coordination=np.bincount(bonded(atoms)[0], minlength=len(atoms)),
        not_covered=not_covered(atoms, rows),
        motifs={} if pack is None or pack.motifs is None else pack.motifs(atoms),
        outside=() if pack is None else tuple(pack.outside(atoms, pack.distance(atoms))),
        geometry=geometry_digest(atoms),
    )


def not_covered(atoms: Atoms, rows: np.ndarray) -> dict[str, int]:
    """Contacts that no ruler reads, by pair of elements: as near as bonds, and without a reading.

    Contacts are pairs nearer than 1.3 times the sum of their covalent radii. Of a pair of elements that
    has a ruler none is listed: each of its bonds says for itself whether it was read.
    """
    symbols = np.array(atoms.get_chemical_symbols())
    read = rows[np.isfinite(rows["ruler_length"]) | rows["outside"]]
    covered = {name_of(sorted(pair)) for pair in zip(symbols[read["i"]], symbols[read["j"]], strict=True)}
    i, j = bonded(atoms)
    once = i < j
    names = Counter(name_of(sorted(pair)) for pair in zip(symbols[i[once]], symbols[j[once]], strict=True))
    return {name: names[name] for name in sorted(names) if name not in covered}


def read_bond_frames(
    group: Sequence[Frame],
    calculator: PredictsELF,
    cutoffs: dict[tuple[str, str], float] | None = None,
) -> tuple[list[BondFrame], InputError | None]:
    """Bonds of frames, read together, and what is wrong with the first that cannot be used."""
    usable, failure = [], None
    for frame in group:
        try:
            if frame.atoms.pbc.any():
                raise InputError(
                    "periodic, which the first frame is not; analyse different substances apart."
                )
            calculator.domain_of(frame.atoms).check(frame.atoms)
        except InputError as error:
            failure = InputError(f"frame {frame.index}: {error}")
            break
        usable.append(frame)
    survey = BondSurvey(modes=has_modes(), types=False)
    atoms, numbers = [frame.atoms for frame in usable], [frame.index for frame in usable]
    found = survey.add_many(atoms, calculator, frames=numbers, cutoffs=cutoffs)
    return [
        bond_frame(f.atoms, rows, calculator.domain_of(f.atoms), frame=f.index, time_fs=f.time_fs)
        for f, rows in zip(usable, found, strict=True)
    ], failure


def _listed(values: np.ndarray) -> list:
    if not np.issubdtype(values.dtype, np.floating):
        return values.tolist()
    return [None if np.isnan(value) else value for value in np.round(values, DIGITS).tolist()]
