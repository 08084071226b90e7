"""Screened: what a screening says about one structure, and the order of a ranking."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from ase_elf.analysis.quantities import SCREENING, names_of
from ase_elf.errors import FormatError

if TYPE_CHECKING:
    from ase_elf.domains import Domain

__all__ = ["FROM_FILE", "ORDERS", "VALUES", "Screened", "rank", "source_of", "temperatures"]

VALUES = names_of(SCREENING)
"""Numbers of a screened structure, in the order of their columns; see docs/statistics.md."""


FROM_FILE = "file"
"""What :attr:`Screened.elf` says of an ELF that was read."""


@dataclass(frozen=True)
class Screened:
    """What a screening says about one structure.

    Parameters
    ----------
    name : str
        Where the structure is from; see :class:`~ase_elf.formats.collection.Candidate`.
    formula : str
    n_atoms : int
    domain : str
        Domain pack that predicted it; empty where the ELF is from a file.
    values : dict of str to float
        ``VALUES``, and ``TC_VALUES`` where a density of states lies beside the file; empty where
        it was not analysed.
    outside : tuple of str
        Why it lies outside the trained range; empty when it is inside.
    error : str or None
        Why it was not analysed.
    geometry : int
        CRC-32 of elements, cell and positions; 0 for what could not be read.
    weights : str
        SHA-256 of the weights that predicted it; empty where none did.
    elf : str
        Where the ELF is from: ``file``, or ``predicted by`` a pack and the digest of its weights.
    notes : tuple of str
        What reading the file warned of, and what is to be known of its critical temperature.
    """

    name: str
    formula: str = ""
    n_atoms: int = 0
    domain: str = ""
    values: Mapping[str, float] = field(default_factory=dict)
    outside: tuple[str, ...] = ()
    error: str | None = None
    geometry: int = 0
    weights: str = ""
    elf: str = ""
    notes: tuple[str, ...] = ()

    @property
    def from_file(self) -> bool:
        """Whether the ELF was read, not predicted."""
        return self.elf == FROM_FILE

    def to_json(self) -> str:
        values = {k: None if math.isnan(v) else v for k, v in self.values.items()}
        return json.dumps(asdict(self) | {"values": values}, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> Screened:
        """The row written by :meth:`to_json`; :class:`FormatError` for anything else."""
        try:
            raw = json.loads(text)
            values = raw["values"].items()
            raw["values"] = {k: math.nan if v is None else float(v) for k, v in values}
            texts = {name: tuple(raw.get(name, ())) for name in ("outside", "notes")}
            return cls(**raw | texts)
        except (
            ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError,
        ) as error:  # fmt: skip
            raise FormatError(f"not a row of a screening of this version: {str(error)[:500]}") from error


ORDERS = {"phi": "elf_phi", "tc": "tc_sr5"}
"""What a ranking can be by, and the quantity that is."""


def rank(screened: Iterable[Screened], by: str = "phi") -> list[Screened]:
    """By descending φ or Tc; of equals the better connected pairs, then the name. Failures last.

    Parameters
    ----------
    screened : iterable of Screened
    by : str
        Of :data:`ORDERS`. What has no Tc comes after what has one.
    """
    first = ORDERS[by]

    def key(row: Screened) -> tuple:
        if row.error is not None:
            return (1, 0.0, 0.0, 0.0, row.name)
        values = (row.values.get(name, math.nan) for name in (first, "elf_phi", "elf_phi_star"))
        return (0, *(math.inf if math.isnan(value) else -value for value in values), row.name)

    return sorted(screened, key=key)


def temperatures(values: Mapping[str, float]) -> dict[str, float]:
    """Estimates of Tc (K) among the values of a structure, by the name of the formula; their errors left out."""
    return {
        name.removeprefix("tc_"): value
        for name, value in values.items()
        if name.startswith("tc_") and not name.endswith("_error")
    }


def source_of(pack: Domain | None, weights: str) -> str:
    """Where an ELF is from: a file, or the weights (SHA-256) of a domain pack."""
    if pack is None:
        return FROM_FILE
    return f"predicted by {pack.name} {weights[:12]}"
