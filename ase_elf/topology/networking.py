"""The networking value of an ELF and its kin."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_elf.errors import ElfWarning
from ase_elf.topology.basins import Basins, Faces, find_basins, find_faces
from ase_elf.topology.field import SplineField
from ase_elf.topology.interpolation import interpolation_gap
from ase_elf.topology.percolation import Sweep, Threshold, sweep
from ase_elf.topology.provenance import scaling_evidence
from ase_elf.topology.saddles import Saddles, refine_saddles
from ase_elf.topology.tree import BifurcationTree

if TYPE_CHECKING:
    import networkx as nx
    from ase import Atoms
    from matplotlib.axes import Axes

    from ase_elf.grid import ELFGrid

__all__ = [
    "COARSE",
    "HYDROGEN",
    "MOLECULAR",
    "RIVALS",
    "Dimensions",
    "Networking",
    "networking",
    "networking_frames",
    "networking_of",
]

HYDROGEN = "H"
"""The element φ* and the hydrogen variants are defined for (doi 10.1039/d4sc04465g)."""

COARSE = 0.175
"""Å between grid points from which on molecular hydrogen loses its critical points: at 0.18 Å
0.2 to 0.45 of the bond points are found and none of the attractors (docs/topology.md)."""

MOLECULAR = 0.9
"""φ* above which hydrogen is taken for molecular here."""

RIVALS = 10
"""Saddles whose interpolation errors are averaged: at one place it may vanish by chance."""


@dataclass(frozen=True)
class Dimensions:
    """Isovalues at which a network first extends in one, two and three directions."""

    phi1: float
    phi2: float
    phi3: float

    @property
    def phi(self) -> float:
        return self.phi3


@dataclass(frozen=True)
class Networking:
    """At which ELF the localised regions of a crystal or fluid become one network.

    A component of the region ELF >= t is periodic in as many independent directions as
    the rank of the lattice of translations that map it onto itself. ``phi1``, ``phi2``
    and ``phi3`` are the highest t at which one component, whatever it is made of, has
    rank 1, 2 and 3. Ranks of different components are never added.

    Parameters
    ----------
    atoms : ase.Atoms
    basins : Basins
        Attractors and the voxels that belong to them.
    faces : Faces
        Where basins touch, as the voxels see it.
    saddles : Saddles
        Where basins touch on the spline, by descending ELF.
    of_atom : ndarray, shape (n_atoms,), int
        Attractor whose basin holds each nucleus; -1 in vacuum.
    sigma : ndarray, shape (nx, ny, nz), or None
        One standard deviation of the field, where its source states one.
    """

    atoms: Atoms
    basins: Basins
    faces: Faces
    saddles: Saddles
    of_atom: np.ndarray
    sigma: np.ndarray | None = None

    @property
    def phi(self) -> float:
        """Networking value φ = ``phi3`` (doi 10.1038/s41467-021-25687-0)."""
        return self.phi3

    @property
    def phi3(self) -> float:
        """Highest isovalue at which one component extends in three directions."""
        return self.sweep.ranks[3].value

    @property
    def phi2(self) -> float:
        """Highest isovalue at which one component extends in two directions."""
        return self.sweep.ranks[2].value

    @property
    def phi1(self) -> float:
        """Highest isovalue at which one component extends in one direction."""
        return self.sweep.ranks[1].value

    @property
    def phi_along(self) -> tuple[float, float, float]:
        """Highest isovalues at which one component closes on itself along a, b and c."""
        x, y, z = (self.sweep.along[axis].value for axis in range(3))
        return x, y, z

    @property
    def phi_star(self) -> float:
        """Molecularity index φ*: highest isovalue at which two hydrogen atoms connect.

        An atom lies in the component of the attractor whose basin holds it, from the ELF at
        its own nucleus downward; it and its own periodic image count as two. NaN without
        hydrogen (arXiv:2403.07584).
        """
        return self.sweep.meeting.value

    @property
    def uncertainty(self) -> float:
        """One number for φ: see :attr:`uncertainties`."""
        return self.uncertainties["phi3"]

    @cached_property
    def uncertainties(self) -> dict[str, float]:
        """Uncertainty of phi1, phi2, phi3 and phi_star.

        The error of the grid, and the field's own sigma where the isovalue is decided, added
        in quadrature. The error of the grid is twice what the quintic spline differs by from
        the cubic one, there or (root mean square) at the :data:`RIVALS` saddles next to it in
        ELF, whichever is larger, and at least how far a voxel face that decides may lie below
        its saddle. Of 440 values read from every second point of a grid it covers the
        difference to the whole grid in 95 %.
        """
        named = _named(self.sweep)
        return {name: float(np.hypot(*self._errors_at(found))) for name, found in named.items()}

    def decided_at(self, name: str) -> np.ndarray | None:
        """Where the isovalue "phi1", "phi2", "phi3" or "phi_star" is decided.

        Returns
        -------
        ndarray, shape (3,), Å, Cartesian
            A saddle or a nucleus; None where it is undefined or the lowest value of the field.
        """
        place = self._voxel_of(_named(self.sweep)[name])
        return None if place is None else self.basins.field.position_of(place)[0]

    def _voxel_of(self, found: Threshold) -> np.ndarray | None:
        if found.atom is not None:
            return self.basins.field.voxel_of(self.atoms.positions[[found.atom]])
        return None if found.edge is None else self.saddles.u[[found.edge]]

    @property
    def with_hydrogen(self) -> Dimensions:
        """φ1 to φ3 of components that hold at least one hydrogen atom. NaN without."""
        found = self.sweep.with_atoms
        return Dimensions(*(found[r].value if r in found else np.nan for r in (1, 2, 3)))

    @cached_property
    def hydrogen_only(self) -> Dimensions:
        """φ1 to φ3 of the network of hydrogen alone: attractors nearest to a hydrogen.

        NaN without hydrogen; the lowest value of the field where hydrogen alone never
        connects in that many directions.
        """
        owner = np.array(self.atoms.get_chemical_symbols())[self.nearest_atom]
        if not (owner == HYDROGEN).any():
            return Dimensions(np.nan, np.nan, np.nan)
        inside = (owner == HYDROGEN)[self.saddles.ends].all(axis=1)
        ranks = self._sweep(self.saddles.take(inside)).ranks
        return Dimensions(*(ranks[r].value for r in (1, 2, 3)))

    @property
    def coarse(self) -> str | None:
        """Why the grid is too coarse for the molecules of hydrogen in it, or None."""
        spacing = float(np.linalg.norm(self.basins.field.voxel_vectors, axis=1).max())
        if not (spacing > COARSE and self.phi_star > MOLECULAR):
            return None
        return (
            f"grid points are {spacing:.3f} Å apart; molecular hydrogen (phi* above {MOLECULAR}) "
            f"needs {COARSE} Å or less: critical points and degrees may be artefacts of the grid. "
            "Compute or write the ELF on a finer one, best 0.1 Å."
        )

    @cached_property
    def sweep(self) -> Sweep:
        """Thresholds and merges of the refined network."""
        return self._sweep(self.saddles)

    @cached_property
    def links(self) -> np.ndarray:
        """ndarray, shape (n_saddles,), bool: saddles that link two attractors of the graph.

        The bond points, and those voxel faces without one that alone join what they join or
        make a component wind around the cell.
        """
        found = self.sweep
        thresholds = (*found.ranks.values(), *found.along.values())
        needed = [merge.edge for merge in found.merges]
        needed += [t.edge for t in thresholds if t.edge is not None]
        links = self.saddles.refined.copy()
        links[needed] = True
        return links

    @cached_property
    def tree(self) -> BifurcationTree:
        """Which attractor joins which at which ELF, and the domains at an isovalue."""
        return BifurcationTree(self.basins, self.saddles, self.sweep.merges, self.of_atom)

    @property
    def passes(self) -> Saddles:
        """The name of ``saddles`` before 0.2; it goes with 0.3."""
        warnings.warn("Networking.passes is saddles since 0.2.", DeprecationWarning, stacklevel=2)
        return self.saddles

    def plot(self, ax: Axes | None = None, **draw: Any) -> Axes:
        """ELF domains against the isovalue, with φ, φ1, φ2 and φ* marked."""
        from ase_elf.plotting.fields import plot_network

        isovalues = np.linspace(0.02, 0.98, 49)
        found = [self.tree.domains(t) for t in isovalues]
        atoms = [max((len(d.atoms) for d in domains), default=0) for domains in found]
        marks = {"φ": self.phi, "φ₂": self.phi2, "φ₁": self.phi1, "φ*": self.phi_star}
        n_regions = np.array([len(domains) for domains in found])
        return plot_network(
            isovalues, n_regions, np.array(atoms) / max(1, len(self.atoms)), marks, ax, **draw
        )

    def graph(self, isovalue: float, *, persistence: float = 1e-3) -> nx.MultiGraph:
        """The network at ``isovalue``.

        Parameters
        ----------
        isovalue : float
            Nodes are attractors, edges the saddles between them, of at least this ELF.
        persistence : float
            Attractors without a nucleus that rise less than this above the saddle to a
            higher one count as part of that one; lattice translations are kept.

        Returns
        -------
        networkx.MultiGraph
            Nodes (index of the attractor) with ``elf``, ``position`` (Å), ``atoms``
            (nuclei in the basin) and ``symbols``. Edges with ``elf`` at the bond point,
            ``length`` (Å) between the attractors, ``shift``: the image that the other
            end is in when node ``start`` is in image 0, and ``position`` (Å) of the bond
            point. An attractor joined to its own image has an edge to itself.

        See Also
        --------
        ase_elf.topology.network_statistics, ase_elf.topology.write_graph
        """
        from ase_elf.topology.network import network_graph

        return network_graph(self, isovalue, persistence)

    @cached_property
    def nearest_atom(self) -> np.ndarray:
        """ndarray, shape (n_attractors,), int: nucleus closest to each attractor."""
        from ase.geometry import get_distances

        _, lengths = get_distances(
            self.basins.positions, self.atoms.positions, cell=self.basins.field.cell, pbc=True
        )
        return lengths.argmin(axis=1)

    @cached_property
    def _hydrogens(self) -> dict[int, list[Threshold]]:
        """Hydrogens of each basin that holds any, highest first, with the ELF at the nucleus."""
        field = self.basins.field
        inside: dict[int, list[Threshold]] = {}
        own = field.within(field.value(field.voxel_of(self.atoms.positions))).tolist()
        for atom in np.flatnonzero((self.atoms.symbols == HYDROGEN) & (self.of_atom >= 0)).tolist():
            inside.setdefault(int(self.of_atom[atom]), []).append(Threshold(own[atom], atom=atom))
        return {basin: sorted(them, key=lambda t: -t.value) for basin, them in inside.items()}

    def _sweep(self, saddles: Saddles) -> Sweep:
        floor = float(self.basins.field.values.min())
        return sweep(saddles, self.basins.values, atoms=self._hydrogens, floor=floor)

    def _errors_at(self, found: Threshold) -> tuple[float, float]:
        """Error of the grid, and sigma of the field, where ``found`` is decided."""
        saddles, field = self.saddles, self.basins.field
        place = self._voxel_of(found)
        if place is None:
            if np.isnan(found.value):
                return np.nan, 0.0
            place = np.argwhere(field.values == field.values.min())[:1]
        rivals = np.argsort(np.abs(saddles.values - found.value), kind="stable")[:RIVALS]
        gaps = interpolation_gap(field, np.concatenate([place, saddles.u[rivals]]))
        error = 2 * max(gaps[0], np.sqrt(np.mean(gaps[1:] ** 2)) if len(rivals) else 0.0)
        if found.edge is not None and not saddles.refined[found.edge]:
            error = max(error, saddles.raw[found.edge] - found.value)
        if self.sigma is None:
            return error, 0.0
        # The spline may have more points than the grid it is of.
        sizes = np.array(self.sigma.shape)
        nearest = np.round(place[0] / field.shape * sizes).astype(int) % sizes
        return error, float(self.sigma[tuple(nearest)])


def _named(result: Sweep) -> dict[str, Threshold]:
    return {f"phi{r}": result.ranks[r] for r in (1, 2, 3)} | {"phi_star": result.meeting}


def networking(grid: ELFGrid) -> Networking:
    """Networking value φ, its kin, and the network they are read from.

    Basins come from one pass over the voxels; the saddles between them are refined to the
    bond points of the periodic cubic spline. Costs four to nine complex Fourier
    transforms of the grid.

    Parameters
    ----------
    grid : ELFGrid
        From a model, a DFT code or a file.

    Returns
    -------
    Networking

    Warns
    -----
    ElfWarning
        If the values look mis-scaled (:func:`ase_elf.topology.provenance.scaling_evidence`), or
        the grid of a file is too coarse for molecular hydrogen (:attr:`Networking.coarse`).

    Raises
    ------
    InputError
        For a constant field, NaN, values outside [0, 1], fewer than four voxels in a
        direction, or a cell without volume.

    Examples
    --------
    >>> import numpy as np
    >>> from ase import Atoms
    >>> from ase_elf import ELFGrid
    >>> from ase_elf.topology import networking
    >>> x, y, z = np.meshgrid(*[2 * np.pi * np.arange(32) / 32] * 3, indexing="ij")
    >>> elf = (np.cos(x) + 0.8 * np.cos(y) + 0.6 * np.cos(z) + 2.4) / 4.8
    >>> net = networking(ELFGrid(elf, Atoms("H", cell=[2, 2, 2], pbc=True)))
    >>> print(f"{net.phi1:.4f} {net.phi2:.4f} {net.phi:.4f} {net.phi_star:.4f}")
    0.7500 0.6667 0.5833 0.7500
    """
    field = SplineField.of(grid)
    evidence = scaling_evidence(grid)
    if evidence:
        warnings.warn(evidence, ElfWarning, stacklevel=2)
    net = networking_of(field, grid)
    if net.coarse and grid.info.get("format"):  # of a file; a prediction carries the mark alone
        warnings.warn(net.coarse, ElfWarning, stacklevel=2)
    return net


def networking_of(field: SplineField, grid: ELFGrid) -> Networking:
    """:func:`networking` for a spline that is already there."""
    basins = find_basins(field)
    faces = find_faces(basins)
    of_atom, _ = basins.locate(field.voxel_of(grid.atoms.positions))
    saddles = refine_saddles(basins, faces)
    # Beside a sharp edge, as of vacuum cut off at 0 or a field cut off at 1, the spline rings.
    saddles = replace(saddles, values=field.within(saddles.values))
    return Networking(
        grid.atoms,
        basins,
        faces,
        saddles,
        of_atom,
        getattr(grid, "sigma", None),
    )


def networking_frames(grids: Iterable[ELFGrid]) -> Iterator[Networking]:
    """:func:`networking` of each grid: ``map(networking, grids)`` since 0.3; this name goes with 0.4."""
    warnings.warn("networking_frames is map(networking, grids).", DeprecationWarning, stacklevel=2)
    return map(networking, grids)
