"""AnalysisSettings: what is measured in every frame of a run, as one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_elf.analysis.quantities import FRAMES, names_of
from ase_elf.errors import InputError, refuse_unknown
from ase_elf.geometry.lattice import heights, upright
from ase_elf.geometry.pairs import Pair, by_name, by_pair, name_of, pair_of, pairs_among
from ase_elf.grid import grid_shape
from ase_elf.statistics.run import StatisticsPlan

if TYPE_CHECKING:
    from ase import Atoms

    from ase_elf.domains import Domain

__all__ = ["ELF_CLASSES", "ISOVALUE", "LADDER", "AnalysisSettings", "positive", "settings_for"]

ISOVALUE = 0.8
"""Default isovalue of ELF domains. In dense fluid hydrogen molecules separate from each
other above about 0.75, and most stay whole up to 0.85; see docs/statistics.md."""

LADDER = np.round(np.arange(0.20, 0.96, 0.025), 3)
"""Isovalues of the percolation curve."""

ELF_CLASSES = np.linspace(0.0, 1.0, 11)
"""Classes of ELF half way between atoms, by which g(r) is resolved."""

RESOLVED_RANGE = 3.0
"""Longest bond lengths up to which g(r) is resolved by ELF: what lies half way between atoms
further apart belongs to others."""


@dataclass(frozen=True)
class AnalysisSettings:
    """What is measured in every frame, the same for a whole run.

    Everything that results depend on, beside the frames and the domain pack, is in here: two runs
    with equal settings measure the same. Made by :meth:`for_atoms`, which fills in what follows
    from structure and pack.

    Parameters
    ----------
    bonds : dict of (str, str) to float
        *Substance.* Longest length (Å) at which a pair of elements counts as a bond.
    elements : tuple of str
        *Substance.* Chemical symbols that may appear.
    spacing : float
        *Grid.* Largest distance of grid points in Å.
    shape : tuple of int, optional
        *Grid.* Number of points along each cell vector, instead of ``spacing``.
    isovalue : float
        *ELF.* Isovalue at which domains, clusters and degrees are counted.
    n_elf : int
        *ELF.* Bins of the ELF histogram.
    r_max : float
        *Distances.* Range of g(r) in Å.
    r_bin : float
        *Distances.* Bin width in Å.
    rulers : bool
        *Bonds.* Read the length of every bond off its ELF too, where the domain pack has a ruler.
    max_lag : int
        *Bonds.* Longest lag of the bond correlation functions, in frames.

    Raises
    ------
    InputError
        For a value that cannot be meant.

    Examples
    --------
    >>> settings = AnalysisSettings(bonds={("H", "H"): 1.0}, elements=("H",), r_max=4.0)
    >>> settings.to_dict()["bonds"]
    {'H-H': 1.0}
    >>> AnalysisSettings.from_dict(settings.to_dict()) == settings
    True
    """

    bonds: dict[Pair, float]
    isovalue: float = ISOVALUE
    r_max: float = 5.0
    spacing: float = 0.1
    shape: tuple[int, int, int] | None = None
    r_bin: float = 0.02
    n_elf: int = 50
    elements: tuple[str, ...] = field(default=())
    rulers: bool = False
    max_lag: int = 200

    def __post_init__(self) -> None:
        if not 0 < self.isovalue < 1:
            raise InputError(f"isovalue = {self.isovalue} must lie between 0 and 1.")
        for name in ("r_max", "spacing", "r_bin"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} = {getattr(self, name)} Å must be positive.")
        for name in ("n_elf", "max_lag"):
            object.__setattr__(self, name, positive(getattr(self, name), name))
        if self.shape is not None:
            object.__setattr__(self, "shape", grid_shape(self.shape))

    @classmethod
    def for_atoms(cls, atoms: Atoms, domain: Domain, **chosen: Any) -> AnalysisSettings:
        """Settings for runs that begin with ``atoms``; ``chosen`` overrides, None means default.

        The range of g(r) is half the smallest width of the cell, where every neighbor is seen
        once, but at least three and at most eight longest bond lengths.

        Raises
        ------
        InputError
            If something ``chosen`` is no setting, or has a value that cannot be meant.
        """
        refuse_unknown(chosen, [f.name for f in fields(cls)], "setting")
        symbols = set(atoms.get_chemical_symbols())
        bonds = {pair: length for pair, length in domain.bonds.items() if symbols.issuperset(pair)}
        longest = max(bonds.values(), default=1.0)
        half_width = 0.5 * heights(upright(atoms.cell.array)[0]).min()
        defaults = {
            "bonds": bonds,
            "spacing": domain.spacing,
            "r_max": float(np.round(np.clip(half_width, 3 * longest, 8 * longest), 2)),
            "elements": tuple(sorted(symbols)),
        }
        given = {name: value for name, value in chosen.items() if value is not None}
        return cls(**defaults | given)

    def to_dict(self) -> dict[str, Any]:
        """All settings as numbers, strings, lists and dicts, which YAML and JSON hold."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        shape = None if self.shape is None else list(self.shape)
        return values | {"bonds": by_name(self.bonds), "shape": shape, "elements": list(self.elements)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> AnalysisSettings:
        """The settings written by :meth:`to_dict`; :class:`InputError` for what is no setting."""
        refuse_unknown(values, [f.name for f in fields(cls)], "setting")
        values = dict(values)
        values["bonds"] = by_pair(values["bonds"])
        values["elements"] = tuple(values.get("elements", ()))
        return cls(**values)

    @property
    def r_edges(self) -> np.ndarray:
        """ndarray, Å: bins of g(r) from 0 to ``r_max``."""
        return np.linspace(0, self.r_max, max(2, round(self.r_max / self.r_bin)) + 1)

    @property
    def resolved_edges(self) -> np.ndarray:
        """ndarray, Å: every second of ``r_edges``, for g(r) resolved by ELF."""
        edges = self.r_edges[::2]
        reach = RESOLVED_RANGE * max(self.bonds.values(), default=1.0)
        return edges[: max(2, np.searchsorted(edges, reach, side="right"))]

    @property
    def bond_reach(self) -> float:
        """Å: how far apart atoms may be to bond, or to be resolved by ELF."""
        return float(max(self.resolved_edges[-1], *self.bonds.values(), 0.0))

    @property
    def orientation_edges(self) -> np.ndarray:
        """ndarray, Å: bins for pairs of molecules, five times wider: they are fewer."""
        return np.linspace(0, self.r_max, max(2, round(self.r_max / self.r_bin / 5)) + 1)

    @property
    def pairs(self) -> tuple[str, ...]:
        """Names of all pairs of elements."""
        return tuple(name_of(pair) for pair in pairs_among(self.elements))

    @property
    def bonding_pairs(self) -> tuple[str, ...]:
        """Those of ``pairs`` that can bond."""
        able = {frozenset(pair) for pair in self.bonds}
        return tuple(name for name in self.pairs if frozenset(pair_of(name)) in able)

    @property
    def bonding(self) -> frozenset[str]:
        """Elements that can be in a bond."""
        return frozenset(element for pair in self.bonds for element in pair)

    def plan(self, *, step: int = 1) -> StatisticsPlan:
        """Accumulators' bins for frames analysed with these settings."""
        from ase.data import atomic_masses, atomic_numbers

        longest = max(self.bonds.values(), default=1.0)
        present = sorted(self.bonding & set(self.elements))
        return StatisticsPlan(
            names=names_of(FRAMES),
            pairs=self.pairs,
            r_edges=self.r_edges,
            bonding_pairs=self.bonding_pairs,
            resolved_edges=self.resolved_edges,
            elf_edges=ELF_CLASSES,
            orientation_edges=self.orientation_edges,
            length_edges=np.linspace(0.4 * longest, longest, 31),
            isovalues=LADDER,
            n_elf=self.n_elf,
            masses={e: float(atomic_masses[atomic_numbers[e]]) for e in present},
            max_lag=self.max_lag,
            step=step,
        )


def settings_for(atoms: Atoms, domain: Domain, **chosen: Any) -> AnalysisSettings:
    """:meth:`AnalysisSettings.for_atoms` by its earlier name."""
    return AnalysisSettings.for_atoms(atoms, domain, **chosen)


def positive(value: int, name: str) -> int:
    """``value`` if it is a positive integer, else :class:`InputError`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise InputError(f"{name} = {value!r} must be a positive integer.")
    return int(value)
