"""ELFGrid: an ELF on a periodic grid, with its cell and atoms, wherever it came from."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import expit, logit

from ase_elf.errors import ElfWarning, InputError
from ase_elf.geometry import spline
from ase_elf.geometry.lattice import MOST_POINTS, adequate_shape, fourier_interpolate, interpolate
from ase_elf.geometry.mesh import MOST_OBLIQUE, MOST_PLANES, cartesian, check_cell, fast_shape, grid_shape
from ase_elf.geometry.plane import Plane, PlaneThrough

if TYPE_CHECKING:
    from ase import Atoms
    from gridData import Grid
    from matplotlib.axes import Axes

__all__ = [
    "EPSILON",
    "MOST_OBLIQUE",
    "MOST_PLANES",
    "SQUEEZE",
    "TOLERANCE",
    "ELFGrid",
    "cartesian",
    "fast_shape",
    "grid_shape",
]

TOLERANCE = 1e-3
"""How far outside [0, 1] a value may lie: text files round, plane waves ring."""

EPSILON = 1e-3
"""Default clip of :meth:`ELFGrid.resample`. A third of what DFT labels are good to
(0.003); smaller values let saturated regions ring more (docs/design.md)."""

SQUEEZE = 0.03
"""Interpolated is z = logit(s + (1 - 2s) ELF) with this s. At s = 0 z is -2 ln chi, the
smoothest field there is where the ELF stays off 0 and 1, but infinite where it does not;
at s = 1/2 it is the ELF itself. From every second or third point of a grid (rms error):
hydrogen fluid 0.0012 (s = 0: 0.0010, ELF 0.0061), CaYH18 with cores and vacuum-like
zeros 0.0024 (s = 0.001: 0.0038, ELF 0.0022)."""


@dataclass(frozen=True, eq=False)
class ELFGrid:
    """An ELF on a periodic grid.

    Parameters
    ----------
    values : array_like, shape (nx, ny, nz), dimensionless in [0, 1]
        ``values[ix, iy, iz]`` is the ELF at fractional coordinate
        ``(ix/nx, iy/ny, iz/nz)``; periodic, end plane excluded. Kept as float32 and read-only:
        the interpolation is prepared once. To change values, make another grid of a copy,
        ``ELFGrid(values, grid.atoms)`` with ``values = grid.values.copy()``. Values outside by at
        most ``TOLERANCE`` are clipped with an :class:`~ase_elf.errors.ElfWarning`.
    atoms : ase.Atoms
        Supplies cell (Å) and periodicity; copied. The field repeats with the cell
        whatever ``atoms.pbc`` says, as a grid in a box of vacuum does.
    info : dict
        Provenance: domain pack or DFT recipe, file name, flags. Copied.
    sigma : array_like, shape (nx, ny, nz), optional
        One standard deviation of ``values``, where the source states one. Kept as float32 and read-only.

    Raises
    ------
    InputError
        If ``values`` is not a finite three-dimensional array within ``TOLERANCE`` of
        [0, 1], the cell is singular, or ``sigma`` does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from ase import Atoms
    >>> from ase_elf import ELFGrid
    >>> x = np.arange(24) / 24
    >>> wave = 0.5 + 0.3 * np.cos(2 * np.pi * x)[:, None, None] * np.ones((24, 4, 4))
    >>> grid = ELFGrid(wave, Atoms("H2", [(0, 0, 0), (0, 0, 0.74)], cell=[3, 3, 3], pbc=True))
    >>> grid
    ELFGrid(H2, shape=(24, 4, 4), ELF 0.200 to 0.800)
    >>> grid.sample([[0.75, 0.0, 0.0]]).round(3)
    array([0.5])
    """

    values: np.ndarray
    atoms: Atoms
    info: dict[str, Any] = field(default_factory=dict)
    sigma: np.ndarray | None = None

    def __post_init__(self) -> None:
        atoms = self.atoms.copy()
        check_cell(atoms.cell.array)
        values = _as_float32(self.values, "values")
        object.__setattr__(self, "values", _locked(_within_unit_interval(values)))
        object.__setattr__(self, "atoms", atoms)
        object.__setattr__(self, "info", dict(self.info))
        if self.sigma is not None:
            sigma = _as_float32(self.sigma, "sigma")
            if sigma.shape != values.shape or sigma.min() < 0:
                raise InputError(
                    f"sigma (shape {sigma.shape}, smallest {sigma.min():g}) must be "
                    f"non-negative and of the shape of values, {values.shape}."
                )
            object.__setattr__(self, "sigma", _locked(sigma))

    @property
    def cell(self) -> np.ndarray:
        """ndarray, shape (3, 3), Å; rows are the cell vectors."""
        return self.atoms.cell.array

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of grid points along each cell vector."""
        return self.values.shape

    def __repr__(self) -> str:
        return (
            f"ELFGrid({self.atoms.get_chemical_formula()}, shape={self.shape}, "
            f"ELF {self.values.min():.3f} to {self.values.max():.3f})"
        )

    def __getstate__(self) -> dict[str, Any]:
        # The spline coefficients are twice the size of the values and quickly made again.
        return {name: self.__dict__[name] for name in self.__dataclass_fields__}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for array in (self.values, self.sigma):  # copied and unpickled arrays are writable
            if array is not None:
                _locked(array)

    def plot(
        self,
        ax: Axes | None = None,
        *,
        normal: int = 2,
        at: float = 0.5,
        through: Sequence[int] | None = None,
        **draw: Any,
    ) -> Axes:
        """The ELF in the plane of two cell vectors, or in that through three atoms.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            By default that of a new figure.
        normal : int
            Cell vector that is not in the plane: 0, 1 or 2.
        at : float
            Fractional coordinate along it.
        through : sequence of 3 int, optional
            Indices of atoms, from 0, in place of ``normal`` and ``at``. The images of the second and third
            that are nearest to the first are taken.
        **draw
            ``figsize``, ``style``, ``units`` (Å, nm, pm, bohr), and what
            :meth:`matplotlib.axes.Axes.pcolormesh` takes, such as ``cmap``.

        Raises
        ------
        InputError
            If ``normal`` or ``at`` is not that, or ``through`` names no plane.
        """
        from ase_elf.plotting.fields import plot_plane

        if normal not in (0, 1, 2) or not np.isfinite(at):
            raise InputError(f"normal = {normal!r} must be 0, 1 or 2, and at = {at!r} a number.")
        plane = Plane(self.cell, normal, at) if through is None else self._plane_through(through)
        elf = self.sample(plane.points).reshape(plane.xy.shape[:2])
        nuclei = plane.nuclei(self.atoms.get_scaled_positions())
        return plot_plane(plane.xy, elf, nuclei, ax, x_label=plane.x_label, title=plane.title, **draw)

    def _plane_through(self, atoms: Sequence[int]) -> PlaneThrough:
        n = len(self.atoms)
        if len(set(atoms)) != 3 or not all(0 <= k < n for k in atoms):
            raise InputError(f"through = {list(atoms)} must be three different atoms of 0 to {n - 1}.")
        first, *others = atoms
        away = self.atoms.get_distances(first, others, mic=True, vector=True)
        corners = self.atoms.positions[first] + np.concatenate([np.zeros((1, 3)), away])
        one, two, three = (f"{self.atoms.symbols[k]}{k}" for k in atoms)
        return PlaneThrough(self.cell, corners, (one, two, three))

    def sample(self, xyz: np.ndarray) -> np.ndarray:
        """ELF at Cartesian points.

        A periodic cubic B-spline of ``logit(SQUEEZE + (1 - 2 SQUEEZE) ELF)`` goes
        through every grid value and has continuous second derivatives. On a grid that is coarse
        along an oblique direction it is that of :meth:`refined`.

        Parameters
        ----------
        xyz : array_like, shape (n, 3) or (3,), Å
            Cartesian points, in any periodic image.

        Returns
        -------
        ndarray, shape (n,) or (), float64, in [0, 1]
        """
        fractional, lead = self._fractional(xyz)
        elf = _unsqueeze(spline.evaluate(self._coefficients, fractional))
        return np.clip(elf, 0.0, 1.0).reshape(lead)

    def gradient(self, xyz: np.ndarray) -> np.ndarray:
        """∇ELF at Cartesian points, as :meth:`sample` interpolates it.

        Parameters
        ----------
        xyz : array_like, shape (n, 3) or (3,), Å

        Returns
        -------
        ndarray, shape (n, 3) or (3,), float64, 1/Å
        """
        return self._derivatives(xyz, order=1)[1]

    def hessian(self, xyz: np.ndarray) -> np.ndarray:
        """∇∇ELF at Cartesian points, as :meth:`sample` interpolates it.

        Parameters
        ----------
        xyz : array_like, shape (n, 3) or (3,), Å

        Returns
        -------
        ndarray, shape (n, 3, 3) or (3, 3), float64, 1/Å²; symmetric
        """
        return self.derivatives(xyz)[2]

    def derivatives(self, xyz: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """ELF, gradient and Hessian at once, at the price of the Hessian.

        Parameters
        ----------
        xyz : array_like, shape (n, 3) or (3,), Å

        Returns
        -------
        values : ndarray, shape (n,), float64
            Not clipped: where the grid is saturated the spline may leave [0, 1] by
            about 0.01, and its derivatives belong to that.
        gradient : ndarray, shape (n, 3), float64, 1/Å
        hessian : ndarray, shape (n, 3, 3), float64, 1/Å²
        """
        values, gradient, hessian = self._derivatives(xyz, order=2)
        return values, gradient, hessian

    def resample(self, shape: tuple[int, int, int], *, epsilon: float = EPSILON) -> ELFGrid:
        """The same ELF on another grid, by Fourier interpolation of logit(ELF).

        The trigonometric interpolant of z = logit(ELF) is evaluated at the new points, up
        or down: exact to round-off for a field whose z is band limited on this grid, and
        always within (0, 1). Saturated regions (ELF clipped to 1 by the program that made
        it, or 0 in vacuum) are not band limited and ring; :meth:`sample` rings less there.

        Parameters
        ----------
        shape : tuple of int
            New (nx, ny, nz).
        epsilon : float
            Values are clipped to [epsilon, 1 - epsilon] before the logit. Smaller keeps
            extreme values, larger rings less.

        Returns
        -------
        ELFGrid
            With ``info`` of this one and ``info["resampled_from"]``, its shape. ``sigma``
            is interpolated linearly in the same way.

        Raises
        ------
        InputError
            If ``shape`` is not three positive integers or epsilon not in (0, 0.5).
        """
        shape = grid_shape(shape)
        if not 0 < epsilon < 0.5:
            raise InputError(f"epsilon = {epsilon!r} must lie between 0 and 0.5.")
        z = logit(np.clip(self.values.astype(float), epsilon, 1 - epsilon))
        sigma = None
        if self.sigma is not None:
            sigma = np.maximum(self._interpolate(self.sigma.astype(float), shape), 0)
        info = {**self.info, "resampled_from": list(self.shape)}
        return ELFGrid(expit(self._interpolate(z, shape)), self.atoms, info, sigma)

    def refined(self) -> ELFGrid:
        """The same grid, or one with more points where splines would lose what it holds.

        Points far apart along a long oblique vector may lie close in space. Then the waves they hold
        are too fast for splines along the vectors, but not for plane waves, by which the points in
        between are found.

        Returns
        -------
        ELFGrid
            Itself where its voxels are upright, else with every value of this one, some whole number
            of times as many points along the vectors, and ``info["resampled_from"]``.

        Warns
        -----
        ElfWarning
            More than ``MOST_POINTS`` were needed; the grid is returned as it is.
        """
        shape = adequate_shape(self.cell, self.shape)
        if shape == self.shape:
            return self
        if np.prod(shape, dtype=float) > MOST_POINTS:
            warnings.warn(
                f"the cell is so oblique that a grid of shape {self.shape} holds waves which splines need "
                f"{shape} points for; what is read between its points may be wrong. Take the reduced cell "
                "of the same lattice (ase.geometry.minkowski_reduce).",
                ElfWarning,
                stacklevel=3,
            )
            return self
        values = np.clip(_unsqueeze(interpolate(self._squeezed, self.cell, shape)), 0.0, 1.0)
        sigma = None
        if self.sigma is not None:
            sigma = np.maximum(interpolate(self.sigma.astype(float), self.cell, shape), 0)
        return ELFGrid(values, self.atoms, {**self.info, "resampled_from": list(self.shape)}, sigma)

    def to_gridData(self) -> Grid:  # noqa: N802 - named for the package it speaks to
        """A :class:`gridData.Grid` (GridDataFormats, comes with MDAnalysis), lengths in Å.

        Only for orthorhombic cells along the axes, which is all that class can hold;
        grid points are its voxel centres.

        Raises
        ------
        InputError
            If the cell is not orthorhombic with its vectors along x, y and z.
        """
        try:
            from gridData import Grid
        except ImportError as error:
            raise InputError("GridDataFormats is not installed: pip install GridDataFormats.") from error

        lengths = np.diag(self.cell)
        if np.abs(self.cell - np.diag(lengths)).max() > 1e-8 or lengths.min() <= 0:
            raise InputError(
                f"gridData.Grid holds orthorhombic cells along x, y, z only, not "
                f"{self.cell.tolist()} Å; write a cube or XSF file instead (write_elf)."
            )
        # A copy: Grid keeps and works on the array it is given.
        return Grid(self.values.copy(), origin=np.zeros(3), delta=lengths / self.shape)

    @cached_property
    def _coefficients(self) -> np.ndarray:
        return spline.coefficients(self.refined()._squeezed)

    @property
    def _squeezed(self) -> np.ndarray:
        return logit(SQUEEZE + (1 - 2 * SQUEEZE) * self.values.astype(float))

    def _interpolate(self, field: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
        if adequate_shape(self.cell, self.shape) == self.shape:
            return fourier_interpolate(field, shape)
        return interpolate(field, self.cell, shape)

    def _fractional(self, xyz: np.ndarray) -> tuple[np.ndarray, tuple[int, ...]]:
        xyz = np.asarray(xyz, dtype=float)
        if xyz.shape[-1:] != (3,) or xyz.ndim > 2:
            raise InputError(f"points must have shape (n, 3) or (3,), not {xyz.shape}.")
        if not np.isfinite(xyz).all():
            raise InputError("points hold NaN or infinity.")
        return np.linalg.solve(self.cell.T, xyz.reshape(-1, 3).T).T, xyz.shape[:-1]

    def _derivatives(self, xyz: np.ndarray, order: int) -> list[np.ndarray]:
        """ELF and its Cartesian derivatives up to ``order``, by the chain rule from z."""
        fractional, lead = self._fractional(xyz)
        shape = np.array(self._coefficients.shape)
        z, *slopes = spline.derivatives(self._coefficients, fractional % 1.0 * shape, order)
        to_cartesian = np.linalg.inv(self.cell) * shape
        squeezed = expit(z)
        slope = squeezed * (1 - squeezed) / (1 - 2 * SQUEEZE)
        grad_z = slopes[0] @ to_cartesian.T
        out = [_unsqueeze(z), slope[:, None] * grad_z]
        if order == 2:
            hess_z = to_cartesian @ slopes[1] @ to_cartesian.T
            bend = (1 - 2 * squeezed)[:, None, None] * grad_z[:, :, None] * grad_z[:, None]
            out.append(slope[:, None, None] * (hess_z + bend))
        return [part.reshape(lead + part.shape[1:]) for part in out]


def _unsqueeze(z: np.ndarray) -> np.ndarray:
    return (expit(z) - SQUEEZE) / (1 - 2 * SQUEEZE)


def _as_float32(values: np.ndarray, name: str) -> np.ndarray:
    array = np.asarray(values)
    if array.ndim != 3 or array.size == 0:
        raise InputError(f"{name} must be a three-dimensional array (nx, ny, nz), not shape {array.shape}.")
    try:
        array = array.astype(np.float64, casting="same_kind", copy=False)
    except TypeError as error:
        raise InputError(f"{name} must be real numbers, not {array.dtype}.") from error
    if not np.isfinite(array).all():
        bad = int((~np.isfinite(array)).sum())
        raise InputError(f"{name} hold NaN or infinity at {bad} of {array.size} points.")
    return np.array(array, dtype=np.float32, order="C")


def _locked(array: np.ndarray) -> np.ndarray:
    """The array itself, which nothing can write to any more."""
    array.flags.writeable = False
    return array


def _within_unit_interval(values: np.ndarray) -> np.ndarray:
    low, high = float(values.min()), float(values.max())
    excess = max(-low, high - 1.0)
    if excess <= 0:
        return values
    # Half a float32 step of slack, so that 1.001 typed as a decimal is still 1.001.
    if excess > TOLERANCE + 1e-7:
        raise InputError(
            f"ELF values run from {low:g} to {high:g}, outside [0, 1] by more than "
            f"{TOLERANCE}: this is not an ELF, or it is scaled (density files carry the "
            "cell volume; ELF files do not)."
        )
    warnings.warn(f"ELF values run from {low:g} to {high:g}; clipped to [0, 1].", ElfWarning, stacklevel=4)
    return np.clip(values, 0.0, 1.0)
