"""The ELF of a structure to look at: in three planes from ASE, in 3D in a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ase_elf.errors import InputError
from ase_elf.grid import ELFGrid

if TYPE_CHECKING:
    from ase import Atoms
    from matplotlib.figure import Figure
    from plotly.graph_objects import Figure as PlotlyFigure

_POINTS = 120
"""Points along each edge of a plane: finer than a screen shows at this size."""

_NEAR = 0.35
"""Å. Nuclei this close to a plane are marked in it."""


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
        image = draw_plane(grid, normal, at, ax=ax)
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
    from ase_elf.report.snapshots import Snapshot
    from ase_elf.topology import networking

    grids = [elf] if isinstance(elf, ELFGrid) else list(elf)
    if not grids:
        raise InputError("no grid is given; give an ELFGrid or a list of them.")
    if isovalue is not None and not 0 < isovalue < 1:
        raise InputError(f"isovalue = {isovalue} must lie between 0 and 1.")
    snapshots, bonds, levels = [], {}, []
    for k, grid in enumerate(grids):
        network = networking(grid)
        snapshots.append(Snapshot.of(k, np.nan, grid, network))
        bonds[k] = _bonds_of(grid)
        phi = network.phi if network.phi > grid.values.min() else grid.values.max() / 2
        levels.append(phi if isovalue is None else isovalue)
    parts = network_view.figure(snapshots, bonds, levels)
    if len(grids) == 1:
        parts["layout"].pop("sliders")
    return PlotlyFigure(parts["data"], parts["layout"])


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


def draw_plane(grid: ELFGrid, normal: int, at: np.ndarray, *, ax):
    """Draw the ELF in the plane of the two cell vectors other than ``normal``.

    Returns the matplotlib mesh, for a colour bar. Axes are in Å, in true proportion.
    """
    first, second = (axis for axis in range(3) if axis != normal)
    steps = np.linspace(0, 1, _POINTS)
    fractional = np.empty((_POINTS, _POINTS, 3))
    fractional[..., normal] = at[normal] % 1.0
    fractional[..., first], fractional[..., second] = np.meshgrid(steps, steps, indexing="ij")
    elf = grid.sample((fractional @ grid.cell).reshape(-1, 3)).reshape(_POINTS, _POINTS)
    frame = _plane_axes(grid.cell[first], grid.cell[second])
    flat = (fractional - fractional[0, 0]) @ grid.cell @ frame.T
    image = ax.pcolormesh(flat[..., 0], flat[..., 1], elf, vmin=0, vmax=1, shading="gouraud", rasterized=True)
    nuclei = _nuclei_near(grid, normal, at)
    if len(nuclei):
        nuclei[:, normal] = 0
        ax.plot(*(nuclei @ grid.cell @ frame.T).T, "k.", markersize=4)
    names = "abc"
    ax.set(
        xlabel=f"along {names[first]} / Å",
        ylabel="Å",
        title=f"plane {names[first]}{names[second]} at {at[normal]:.2f} {names[normal]}",
        aspect="equal",
    )
    return image


def _elf_of(atoms: Atoms) -> ELFGrid:
    from ase_elf.calculator import ELFCalculator

    calc = atoms.calc if isinstance(atoms.calc, ELFCalculator) else ELFCalculator()
    return calc.get_elf(atoms)


def _plane_axes(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Two orthonormal vectors in the plane of u and v, the first along u; shape (2, 3)."""
    x = u / np.linalg.norm(u)
    y = v - (v @ x) * x
    return np.stack([x, y / np.linalg.norm(y)])


def _nuclei_near(grid: ELFGrid, normal: int, at: np.ndarray) -> np.ndarray:
    """Fractional positions, shape (n, 3), of nuclei within ``_NEAR`` of the plane."""
    scaled = grid.atoms.get_scaled_positions()
    height = 1 / np.linalg.norm(np.linalg.inv(grid.cell)[:, normal])
    apart = (scaled[:, normal] - at[normal] + 0.5) % 1 - 0.5
    return scaled[np.abs(apart) * height < _NEAR]


def _interactive_backends() -> list[str]:
    from matplotlib.backends import BackendFilter, backend_registry

    return backend_registry.list_builtin(BackendFilter.INTERACTIVE)
