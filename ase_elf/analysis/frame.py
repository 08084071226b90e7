"""From structures to FrameResults: predict the ELF, read its network, count.

The core knows no element: which pairs bond, and how long, comes from the domain pack.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import combinations_with_replacement, islice
from typing import TYPE_CHECKING

import numpy as np

from ase_elf.analysis.bonding import (
    BOND_COLUMNS,
    Neighbors,
    find_bonds,
    molecules,
    neighbors,
    nematic_order,
    orientation,
    pair_counts,
    resolved_counts,
)
from ase_elf.analysis.elf_regions import cluster_shapes, cluster_sizes, degrees
from ase_elf.domains import Domain, describe
from ase_elf.errors import FormatError, InputError
from ase_elf.geometry.lattice import heights, upright
from ase_elf.grid import ELFGrid, fast_shape
from ase_elf.model.batching import predict_in_memory
from ase_elf.statistics.frame import FrameResult
from ase_elf.statistics.run import StatisticsPlan

if TYPE_CHECKING:
    from ase import Atoms

    from ase_elf.model import FieldModel
    from ase_elf.structures.trajectory import Frame
    from ase_elf.topology import Networking

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
    """What is measured in every frame; the same for a whole run.

    Parameters
    ----------
    bonds : dict
        Longest length (Å) at which a pair of elements counts as a bond.
    isovalue : float
        ELF at which domains, clusters and degrees are counted.
    r_max : float
        Range of g(r) in Å.
    spacing : float
        Largest distance of grid points in Å.
    shape : tuple of int, optional
        Grid instead of ``spacing``.
    r_bin : float
        Bin width of distances in Å.
    n_elf : int
        Bins of the ELF histogram.
    rulers : bool
        Read the length of every bond off its ELF too, where the domain pack has a ruler.
    """

    bonds: dict[tuple[str, str], float]
    isovalue: float = ISOVALUE
    r_max: float = 5.0
    spacing: float = 0.1
    shape: tuple[int, int, int] | None = None
    r_bin: float = 0.02
    n_elf: int = 50
    elements: tuple[str, ...] = field(default=())
    rulers: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.isovalue < 1:
            raise InputError(f"isovalue = {self.isovalue} must lie between 0 and 1.")
        for name in ("r_max", "spacing", "r_bin"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} = {getattr(self, name)} Å must be positive.")

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
    def orientation_edges(self) -> np.ndarray:
        """ndarray, Å: bins for pairs of molecules, five times wider: they are fewer."""
        return np.linspace(0, self.r_max, max(2, round(self.r_max / self.r_bin / 5)) + 1)

    @property
    def pairs(self) -> tuple[str, ...]:
        return tuple("-".join(pair) for pair in combinations_with_replacement(self.elements, 2))

    @property
    def bonding_pairs(self) -> tuple[str, ...]:
        """Those of ``pairs`` that can bond."""
        able = {frozenset(pair) for pair in self.bonds}
        return tuple(pair for pair in self.pairs if frozenset(pair.split("-")) in able)

    @property
    def bonding(self) -> frozenset[str]:
        """Elements that can be in a bond."""
        return frozenset(element for pair in self.bonds for element in pair)

    def plan(self, *, step: int = 1, max_lag: int = 200) -> StatisticsPlan:
        """Accumulators' bins for frames analysed with these settings."""
        from ase.data import atomic_masses, atomic_numbers

        longest = max(self.bonds.values(), default=1.0)
        present = sorted(self.bonding & set(self.elements))
        return StatisticsPlan(
            names=SCALARS,
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
            max_lag=max_lag,
            step=step,
        )


def settings_for(atoms: Atoms, domain: Domain, **chosen: object) -> AnalysisSettings:
    """Settings for runs that begin with ``atoms``; ``chosen`` overrides, None means default.

    The range of g(r) is half the smallest width of the cell, where every neighbor is seen
    once, but at least three and at most eight longest bond lengths.
    """
    bonds = domain.bonds
    longest = max(bonds.values(), default=1.0)
    half_width = 0.5 * heights(upright(atoms.cell.array)[0]).min()
    defaults = {
        "bonds": bonds,
        "spacing": domain.spacing,
        "r_max": float(np.round(np.clip(half_width, 3 * longest, 8 * longest), 2)),
        "elements": tuple(sorted(set(atoms.get_chemical_symbols()))),
    }
    given = {name: value for name, value in chosen.items() if value is not None}
    return AnalysisSettings(**(defaults | given))


def geometry_digest(atoms: Atoms) -> int:
    """CRC-32 of elements, cell and positions, to tell frames apart."""
    arrays = (atoms.numbers.astype("<i8"), atoms.cell[:], atoms.positions)
    return zlib.crc32(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays))


def analyze(
    frames: Iterable[Frame],
    domain: Domain,
    settings: AnalysisSettings,
    *,
    device: str | None = None,
    batch: int = 8,
) -> Iterator[list[tuple[FrameResult, ELFGrid, Networking]]]:
    """Predict and analyse frames, one batch at a time.

    Parameters
    ----------
    frames : iterable of Frame
    domain : Domain
    settings : AnalysisSettings
    device : str, optional
        Where the model runs.
    batch : int
        Frames predicted together.

    Yields
    ------
    list of (FrameResult, ELFGrid, Networking)
        In the order of the frames, at most ``batch`` of them.

    Raises
    ------
    InputError, FormatError
        For a frame that cannot be used or read. Frames before it have been yielded.
    """
    model = domain.load(device=device)
    for group in batches(frames, domain, settings, batch):
        yield analyze_batch(group, model, domain, settings)


def batches(
    frames: Iterable[Frame], domain: Domain, settings: AnalysisSettings, batch: int
) -> Iterator[list[Frame]]:
    """Checked frames, ``batch`` at a time; raises like :func:`analyze`."""
    frames = iter(frames)
    while True:
        group, failure = _take(frames, batch, domain, settings)
        if group:
            yield group
        if failure is not None:
            raise failure
        if len(group) < batch:
            return


def analyze_batch(
    group: list[Frame], model: FieldModel, domain: Domain, settings: AnalysisSettings
) -> list[tuple[FrameResult, ELFGrid, Networking]]:
    """Predict checked frames together, and analyse each."""
    structures = [frame.atoms for frame in group]
    shapes = [settings.shape or fast_shape(a.cell[:], settings.spacing) for a in structures]
    predictions = predict_in_memory(model, structures, shapes)
    return [
        analyze_frame(frame, _grid(frame.atoms, found, domain), settings)
        for frame, found in zip(group, predictions, strict=True)
    ]


def _take(
    frames: Iterator[Frame], n: int, domain: Domain, settings: AnalysisSettings
) -> tuple[list[Frame], Exception | None]:
    """Up to ``n`` usable frames, and what was wrong with the next one, if anything."""
    group: list[Frame] = []
    try:
        for frame in islice(frames, n):
            _check(frame, domain, settings)
            group.append(frame)
    except (InputError, FormatError) as error:
        return group, error
    return group, None


def _check(frame: Frame, domain: Domain, settings: AnalysisSettings) -> None:
    try:
        domain.check(frame.atoms)
        new = sorted(set(frame.atoms.get_chemical_symbols()) - set(settings.elements))
        if new:
            raise InputError(
                f"{', '.join(new)} appears, which the first frame ({'-'.join(settings.elements)}) "
                "does not hold; analyse different substances in different runs."
            )
    except InputError as error:
        raise InputError(f"frame {frame.index}: {error}") from error


def _grid(atoms: Atoms, prediction: object, domain: Domain) -> ELFGrid:
    distance = prediction.distance
    info = {
        "domain": domain.name,
        "weights": domain.digest(large=prediction.large),
        "out_of_domain": domain.outside(atoms, distance),
        "domain_distance": distance,
    }
    return ELFGrid(prediction.values, atoms, info, prediction.sigma)


SCALARS = (
    "elf_phi",
    "elf_phi1",
    "elf_phi2",
    "elf_phi_star",
    "elf_phi_uncertainty",
    "elf_phi_a",
    "elf_phi_b",
    "elf_phi_c",
    "elf_molecular_fraction_cutoff",
    "elf_molecular_fraction_distance",
    "elf_molecular_fraction_domain",
    "elf_clusters_1",
    "elf_clusters_2",
    "elf_clusters_3",
    "elf_clusters_larger",
    "elf_clusters_chain",
    "elf_clusters_branched",
    "elf_clusters_ring",
    "elf_degree_mean",
    "elf_bonds",
    "elf_bond_length_mean",
    "elf_bond_length_std",
    "elf_nearest_distance_mean",
    "elf_bond_midpoint_mean",
    "elf_bond_midpoint_std",
    "elf_bond_minimum_mean",
    "elf_bond_point_mean",
    "elf_nematic_order",
    "elf_mean",
    "elf_sigma",
    "elf_outside",
    "r_s_bohr",
    "shortest_distance",
)
"""Scalars of every frame, in the order of the columns of ``frames.csv``."""


def analyze_frame(
    frame: Frame, grid: ELFGrid, settings: AnalysisSettings
) -> tuple[FrameResult, ELFGrid, Networking]:
    """Everything that is measured in one frame, whatever the ELF came from.

    Parameters
    ----------
    frame : Frame
    grid : ELFGrid
        ``info["out_of_domain"]`` lists why a model extrapolates, where it does.
    settings : AnalysisSettings

    Returns
    -------
    result : FrameResult
    grid : ELFGrid
        As given.
    network : Networking
    """
    from ase_elf.topology import networking

    atoms = frame.atoms
    network = networking(grid)
    near = neighbors(atoms, settings)
    bonds = find_bonds(atoms, near, grid, network, settings)
    elf_at_nuclei = grid.sample(atoms.positions)
    sizes, *ladder = cluster_sizes(network, elf_at_nuclei, [settings.isovalue, *LADDER])
    shapes = cluster_shapes(network, elf_at_nuclei, settings.isovalue)
    links = degrees(network, elf_at_nuclei, settings.isovalue)
    outside = tuple(grid.info.get("out_of_domain") or ())
    axes, centers = molecules(atoms, bonds)
    scalars = {
        **_network_scalars(network, links),
        **_cluster_scalars(sizes, shapes),
        **_molecular_fractions(sizes, atoms, bonds, settings),
        **_bond_scalars(bonds, near),
        "elf_nematic_order": nematic_order(axes),
        "elf_mean": float(grid.values.mean(dtype=float)),
        "elf_sigma": np.nan if grid.sigma is None else _rms(grid.sigma),
        "elf_outside": float(bool(outside)),
        **describe(atoms),
    }
    result = FrameResult(
        frame=frame.index,
        time_fs=frame.time_fs,
        composition=dict(sorted(Counter(atoms.get_chemical_symbols()).items())),
        volume=float(atoms.get_volume()),
        scalars={name: float(scalars[name]) for name in SCALARS},
        outside=outside,
        bonds={name: bonds[name] for name in BOND_COLUMNS},
        rdf_counts=pair_counts(atoms, settings),
        resolved_counts=resolved_counts(atoms, near, grid, settings, ELF_CLASSES),
        cluster_sizes=sizes,
        degrees=links,
        largest_fraction=np.array([s.max(initial=0) / len(atoms) for s in ladder]),
        elf_histogram=np.histogram(grid.values, settings.n_elf, (0.0, 1.0))[0] / grid.values.size,
        orientation=orientation(axes, centers, atoms, settings),
        geometry=geometry_digest(atoms),
        weights=grid.info.get("weights") or "",
    )
    return result, grid, network


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=float))))


def _network_scalars(network: Networking, links: np.ndarray) -> dict[str, float]:
    along = dict(zip(("elf_phi_a", "elf_phi_b", "elf_phi_c"), network.phi_along, strict=True))
    return {
        "elf_phi": network.phi,
        "elf_phi1": network.phi1,
        "elf_phi2": network.phi2,
        "elf_phi_star": network.phi_star,
        "elf_phi_uncertainty": network.uncertainty,
        **along,
        "elf_degree_mean": links.mean(),
    }


def _cluster_scalars(sizes: np.ndarray, shapes: dict[str, int]) -> dict[str, float]:
    return {
        "elf_clusters_1": (sizes == 1).sum(),
        "elf_clusters_2": (sizes == 2).sum(),
        "elf_clusters_3": (sizes == 3).sum(),
        "elf_clusters_larger": (sizes > 3).sum(),
        **{f"elf_clusters_{shape}": number for shape, number in shapes.items()},
    }


def _molecular_fractions(
    sizes: np.ndarray, atoms: Atoms, bonds: dict[str, np.ndarray], settings: AnalysisSettings
) -> dict[str, float]:
    """Share of atoms in molecules of two, by definitions that do not agree; see docs/statistics.md."""
    bonding = sum(symbol in settings.bonding for symbol in atoms.get_chemical_symbols())
    i, j = bonds["i"], bonds["j"]
    number = np.bincount(np.concatenate([i, j]), minlength=len(atoms))
    only = (number[i] == 1) & (number[j] == 1)
    return {
        "elf_molecular_fraction_cutoff": 2 * only.sum() / max(bonding, 1),
        "elf_molecular_fraction_distance": 2 * bonds["mutual"].sum() / max(bonding, 1),
        "elf_molecular_fraction_domain": 2 * (sizes == 2).sum() / max(bonding, 1),
    }


def _bond_scalars(bonds: dict[str, np.ndarray], near: Neighbors) -> dict[str, float]:
    nearest = np.full(near.i.max(initial=-1) + 1, np.inf)
    np.minimum.at(nearest, near.i, near.length)
    length, mid, low = bonds["length"], bonds["elf_mid"], bonds["elf_min"]
    point = bonds["elf_point"][np.isfinite(bonds["elf_point"])]
    any_bond = len(length) > 0
    finite = nearest[np.isfinite(nearest)]
    return {
        "elf_bonds": len(length),
        "elf_bond_length_mean": length.mean() if any_bond else np.nan,
        "elf_bond_length_std": length.std() if any_bond else np.nan,
        "elf_nearest_distance_mean": finite.mean() if len(finite) else np.nan,
        "elf_bond_midpoint_mean": mid.mean() if any_bond else np.nan,
        "elf_bond_midpoint_std": mid.std() if any_bond else np.nan,
        "elf_bond_minimum_mean": low.mean() if any_bond else np.nan,
        "elf_bond_point_mean": point.mean() if len(point) else np.nan,
    }
