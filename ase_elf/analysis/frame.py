"""From structures to FrameResults: predict the ELF, read its network, count.

The core knows no element: which pairs bond, and how long, comes from the domain pack.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from ase_elf.analysis.bonding import (
    find_bonds,
    molecules,
    neighbors,
    nematic_order,
    orientation,
    pair_counts,
    resolved_counts,
)
from ase_elf.analysis.elf_regions import cluster_shapes, cluster_sizes, degrees
from ase_elf.analysis.quantities import BONDS, FRAMES, names_of
from ase_elf.analysis.settings import ELF_CLASSES, LADDER, AnalysisSettings, settings_for  # noqa: F401 - its old place
from ase_elf.domains import Domain, describe
from ase_elf.errors import FormatError, InputError
from ase_elf.grid import ELFGrid, fast_shape
from ase_elf.prediction import Predictor
from ase_elf.statistics.frame import FrameResult

if TYPE_CHECKING:
    from ase import Atoms

    from ase_elf.geometry.neighbors import Neighbors, Pairs
    from ase_elf.structures.trajectory import Frame
    from ase_elf.topology import Networking

__all__ = [
    "SCALARS",
    "analyze",
    "analyze_batch",
    "analyze_frame",
    "batches",
    "check_frame",
    "geometry_digest",
]

SCALARS = names_of(FRAMES)
"""Scalars of every frame, in the order of the columns of ``frames.csv``."""


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
    for group in batches(frames, batch):
        found, failure = analyze_batch(group, domain, settings, device=device)
        if found:
            yield found
        if failure is not None:
            raise failure


def batches(frames: Iterable[Frame], batch: int) -> Iterator[list[Frame]]:
    """``batch`` frames at a time; what reading them raises is raised after the frames before."""
    frames = iter(frames)
    while True:
        group: list[Frame] = []
        failure = None
        try:
            for frame in islice(frames, batch):
                group.append(frame)  # noqa: PERF402 - those before a failure are kept
        except (InputError, FormatError) as error:
            failure = error
        if group:
            yield group
        if failure is not None:
            raise failure
        if len(group) < batch:
            return


def analyze_batch(
    group: list[Frame], domain: Domain, settings: AnalysisSettings, *, device: str | None = None
) -> tuple[list[tuple[FrameResult, ELFGrid, Networking]], InputError | None]:
    """Predict frames together, and analyse each.

    Returns
    -------
    found : list of (FrameResult, ELFGrid, Networking)
        Of the frames before the first that cannot be used.
    failure : InputError or None
        What is wrong with that one.
    """
    nearby: list[Neighbors] = []
    failure = None
    for frame in group:
        near = neighbors(frame.atoms, settings)
        try:
            check_frame(frame, domain, settings, near)
        except InputError as error:
            failure = error
            break
        nearby.append(near)
    structures = [near.atoms for near in nearby]
    predictor = Predictor(domain, device)
    shapes = [settings.shape or fast_shape(a.cell[:], settings.spacing) for a in structures]
    grids = predictor.grids(structures, shapes, nearby)
    return [
        analyze_frame(frame, grid, settings, near)
        for frame, grid, near in zip(group, grids, nearby, strict=False)
    ], failure


def check_frame(frame: Frame, domain: Domain, settings: AnalysisSettings, near: Neighbors) -> None:
    """Raise :class:`InputError`, naming the frame, unless it can be analysed."""
    try:
        domain.check(frame.atoms, near)
        new = sorted(set(frame.atoms.get_chemical_symbols()) - set(settings.elements))
        if new:
            raise InputError(
                f"{', '.join(new)} appears, which the first frame ({'-'.join(settings.elements)}) "
                "does not hold; analyse different substances in different runs."
            )
    except InputError as error:
        raise InputError(f"frame {frame.index}: {error}") from error


def analyze_frame(
    frame: Frame, grid: ELFGrid, settings: AnalysisSettings, near: Neighbors | None = None
) -> tuple[FrameResult, ELFGrid, Networking]:
    """Everything that is measured in one frame, whatever the ELF came from.

    Parameters
    ----------
    frame : Frame
    grid : ELFGrid
        ``info["out_of_domain"]`` lists why a model extrapolates, where it does.
    settings : AnalysisSettings
    near : Neighbors, optional
        Of ``frame.atoms``, where they have been searched for.

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
    near = near or neighbors(atoms, settings)
    pairs = near.pairs
    bonds = find_bonds(atoms, pairs, grid, network, settings)
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
        **_bond_scalars(bonds, pairs),
        "elf_nematic_order": nematic_order(axes),
        "elf_mean": float(grid.values.mean(dtype=float)),
        "elf_sigma": np.nan if grid.sigma is None else _rms(grid.sigma),
        "elf_outside": float(bool(outside)),
        **describe(atoms, near),
    }
    result = FrameResult(
        frame=frame.index,
        time_fs=frame.time_fs,
        composition=dict(sorted(Counter(atoms.get_chemical_symbols()).items())),
        volume=float(atoms.get_volume()),
        scalars={name: float(scalars[name]) for name in SCALARS},
        outside=outside,
        bonds={name: bonds[name] for name in names_of(BONDS)},
        rdf_counts=pair_counts(near, settings),
        resolved_counts=resolved_counts(atoms, pairs, grid, settings, ELF_CLASSES),
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


def _bond_scalars(bonds: dict[str, np.ndarray], near: Pairs) -> dict[str, float]:
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
