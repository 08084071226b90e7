"""The ELF of a structure to look at: in three planes from ASE, in 3D in a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_elf.errors import InputError
from ase_elf.geometry.plane import Plane
from ase_elf.grid import ELFGrid
from ase_elf.plotting.fields import draw_plane

if TYPE_CHECKING:
    from ase import Atoms
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh
    from matplotlib.figure import Figure
    from plotly.graph_objects import Figure as PlotlyFigure

    from ase_elf.report.snapshots import Snapshot

__all__ = ["draw_network", "view_elf", "view_network"]


def view_elf(
    atoms: Atoms,
    *,
    data: np.ndarray | None = None,
    repeat: int | Sequence[int] | None = None,
    elf: ELFGrid | None = None,
    at: Sequence[float] = (0.5, 0.5, 0.5),
    show: bool = True,
) -> Figure:
    """ELF in the three planes spanned by pairs of cell vectors.

    Behind ``ase.visualize.view(atoms, viewer="elf")``, which also hands over ``data`` and
    ``repeat``.

    Parameters
    ----------
    atoms : ase.Atoms
    data : ndarray, shape (nx, ny, nz), optional
        ELF values on a grid, dimensionless, in the convention of :class:`~ase_elf.ELFGrid`.
    repeat : int or sequence of 3 int, optional
        Cells to draw along each vector.
    elf : ELFGrid, optional
        By default that of ``atoms.calc`` where it is an ELFCalculator, else of
        ``ELFCalculator()``.
    at : sequence of 3 float
        Fractional point all three planes go through.
    show : bool
        Whether to open a window, where matplotlib has an interactive backend.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If ``at`` is not three numbers, ``data`` and ``elf`` are both given, or the structure
        cannot be predicted.
    """
    import matplotlib.pyplot as plt

    at = np.asarray(at, dtype=float)
    if at.shape != (3,) or not np.isfinite(at).all():
        raise InputError(f"at = {at.tolist()} must be three fractional coordinates.")
    if data is not None and elf is not None:
        raise InputError("give data= or elf=, not both.")
    if data is not None:
        elf = ELFGrid(data, atoms)
    grid = _elf_of(atoms) if elf is None else elf
    if repeat is not None:
        times = (repeat,) * 3 if isinstance(repeat, int) else tuple(repeat)
        grid = ELFGrid(np.tile(grid.values, times), grid.atoms.repeat(times))
    figure, axes = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
    for normal, ax in enumerate(axes):
        image = _draw(ax, grid, normal, at)
    figure.colorbar(image, ax=axes, label="ELF")
    if show and plt.get_backend().lower() in {name.lower() for name in _interactive_backends()}:
        plt.show()
    return figure


def view_network(elf: ELFGrid | Sequence[ELFGrid], *, isovalue: float | None = None) -> PlotlyFigure:
    """Structure, isosurface, bonds and bond points in 3D; of several grids with a slider.

    The view of the report, for a notebook. ``plotly.graph_objects.FigureWidget(figure)`` makes
    it a widget that other code can change (``pip install "ase-elf[notebook]"``).

    Parameters
    ----------
    elf : ELFGrid or sequence of ELFGrid
    isovalue : float, optional
        Of the surface; by default φ of each, on which it is just one network, or half the
        highest ELF where nothing connects.

    Returns
    -------
    plotly.graph_objects.Figure

    Raises
    ------
    InputError
        If no grid is given, or ``isovalue`` does not lie between 0 and 1.

    Examples
    --------
    >>> import numpy as np
    >>> from ase import Atoms
    >>> wave = 0.5 + 0.4 * np.cos(2 * np.pi * np.arange(12) / 12)
    >>> elf = (wave[:, None, None] + wave[:, None] + wave) / 3
    >>> grid = ELFGrid(elf, Atoms("H", cell=[2, 2, 2], pbc=True))
    >>> len(view_network(grid, isovalue=0.6).data)
    6
    """
    from plotly.graph_objects import Figure as PlotlyFigure

    from ase_elf.report import network_view

    grids = [elf] if isinstance(elf, ELFGrid) else list(elf)
    if not grids:
        raise InputError("no grid is given; give an ELFGrid or a list of them.")
    found = [_network_of(grid, k, isovalue) for k, grid in enumerate(grids)]
    bonds = {k: bonds for k, (_, bonds, _) in enumerate(found)}
    parts = network_view.figure([f[0] for f in found], bonds, [f[2] for f in found])
    if len(grids) == 1:
        parts["layout"].pop("sliders")
    return PlotlyFigure(parts["data"], parts["layout"])


def draw_network(elf: ELFGrid, ax: Axes | None = None, *, isovalue: float | None = None, **draw: Any) -> Axes:
    """The same of one grid with matplotlib: a figure for a paper, which needs no screen.

    Parameters
    ----------
    elf : ELFGrid
    ax : matplotlib.axes.Axes, optional
    isovalue : float, optional
        As in :func:`view_network`.
    **draw
        As :func:`ase_elf.plotting.solid.plot_solid` takes them: ``view`` (elevation and azimuth of the
        viewer, degrees), ``color`` and ``alpha`` of the surface, ``cmap`` of bonds, ``figsize``, ``style``.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    InputError
        If ``isovalue`` does not lie between 0 and 1.
    """
    from ase_elf.plotting.solid import plot_solid
    from ase_elf.report.network_view import solid_of

    snapshot, bonds, level = _network_of(elf, 0, isovalue)
    return plot_solid(solid_of(snapshot, bonds, level), ax, **{"title": f"ELF = {level:.3g}"} | draw)


def _network_of(
    grid: ELFGrid, number: int, isovalue: float | None
) -> tuple[Snapshot, dict[str, np.ndarray] | None, float]:
    """What is seen of a grid, its bonds, and the value of its surface."""
    from ase_elf.report.snapshots import Snapshot
    from ase_elf.topology import networking

    if isovalue is not None and not 0 < isovalue < 1:
        raise InputError(f"isovalue = {isovalue} must lie between 0 and 1.")
    network = networking(grid)
    phi = network.phi if network.phi > grid.values.min() else grid.values.max() / 2
    snapshot = Snapshot.of(number, np.nan, grid, network)
    return snapshot, _bonds_of(grid), float(phi if isovalue is None else isovalue)


def _bonds_of(grid: ELFGrid) -> dict[str, np.ndarray] | None:
    """Bonds that the domain pack of the grid, or of its elements, lists; None without one."""
    from ase_elf.errors import DomainError
    from ase_elf.ruler import measure_bonds

    atoms = grid.atoms.copy()
    atoms.wrap()  # as the nuclei are drawn
    try:
        table = measure_bonds(atoms, grid)
    except DomainError:
        return None
    return {name: table[name] for name in table.columns}


def _draw(ax: Axes, grid: ELFGrid, normal: int, at: np.ndarray) -> QuadMesh:
    """The ELF in the plane of the two cell vectors other than ``normal``."""
    plane = Plane(grid.cell, normal, at[normal])
    elf = grid.sample(plane.points).reshape(plane.xy.shape[:2])
    image = draw_plane(ax, plane.xy, elf, plane.nuclei(grid.atoms.get_scaled_positions()))
    ax.set(xlabel=plane.x_label, title=plane.title)
    return image


def _elf_of(atoms: Atoms) -> ELFGrid:
    from ase_elf.calculator import ELFCalculator

    calc = atoms.calc if isinstance(atoms.calc, ELFCalculator) else ELFCalculator()
    return calc.get_elf(atoms)


def _interactive_backends() -> list[str]:
    from matplotlib.backends import BackendFilter, backend_registry

    return backend_registry.list_builtin(BackendFilter.INTERACTIVE)
