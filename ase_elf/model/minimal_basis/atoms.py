"""What is tabulated of atoms: orbitals, potentials and densities of the PseudoDojo pseudo-atoms.

The table is made by ``plugins/many_elements/make_atoms.py``. Hartree and bohr.
"""

from __future__ import annotations

import functools
import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from ase.data import chemical_symbols
from scipy.interpolate import CubicSpline
from scipy.special import spherical_jn

from ase_elf.errors import InputError
from ase_elf.model.minimal_basis.radial import Radial

TABLE = Path(__file__).with_name("atoms.npz")
SPHERE = 5.0
"""bohr⁻¹. Longest plane wave k + G of the Hamiltonian."""

KNOT, WAVE_KNOT = 0.1, 0.05
"""Between knots of the table: bohr, and bohr⁻¹."""


@dataclass(frozen=True)
class Shell:
    """Orbitals of an atom that differ in m alone, or projectors of its potential.

    Parameters
    ----------
    l : int
    radial : Radial
        R(r) / r^l; of projectors None.
    spectrum : Radial
        ∫ r² j_l(qr) R(r) dr / q^l.
    occupation : float
        Electrons in the atom, of all m together.
    level : float
        hartree.
    own : bool
        Whether the atom has electrons there; else it is given besides.
    """

    l: int
    radial: Radial | None
    spectrum: Radial
    occupation: float = 0.0
    level: float = 0.0
    own: bool = True

    @property
    def width(self) -> int:
        return 2 * self.l + 1


@dataclass(frozen=True)
class Atom:
    """A pseudo-atom.

    Parameters
    ----------
    number : int
        Of the element.
    valence : float
        Electrons.
    shells : tuple of Shell
    projectors : tuple of Shell
    strengths : Tensor, shape (n_projectors, n_projectors)
    overlap, hamiltonian : Tensor, shape (n_shells, n_shells)
        What plane waves as short as the Hamiltonian's leave out, between shells of the same l.
    density, laplacian : Radial
        Of the valence electrons, bohr⁻³ and bohr⁻⁵.
    neutral, soft : Radial
        Transforms of the local potential with that of the valence electrons, and of the density that
        exchange sees (core included, smooth within 1 bohr).
    """

    number: int
    valence: float
    shells: tuple[Shell, ...]
    projectors: tuple[Shell, ...]
    strengths: torch.Tensor
    overlap: torch.Tensor
    hamiltonian: torch.Tensor
    density: Radial
    laplacian: Radial
    neutral: Radial
    soft: Radial


@functools.cache
def _table(path: Path) -> dict[str, dict[str, np.ndarray]]:
    parts: dict[str, dict[str, np.ndarray]] = {}
    with np.load(path) as file:
        row, layout = file["row"].astype(np.float64), json.loads(file["layout"].tobytes())
    first = 0
    for name, shape in layout.items():
        symbol, _, key = name.partition(".")
        size = math.prod(shape)
        parts.setdefault(symbol, {})[key] = row[first : first + size].reshape(shape)
        first += size
    return parts


def elements() -> tuple[int, ...]:
    """Atomic numbers that are tabulated."""
    return tuple(sorted(int(part["number"]) for part in _table(TABLE).values()))


@functools.cache
def atom(number: int) -> Atom:
    """Of an element; :class:`InputError` where none is tabulated."""
    table = _table(TABLE)
    symbol = chemical_symbols[number]
    if symbol not in table:
        raise InputError(f"no pseudo-atom of {symbol} is tabulated: there are {', '.join(table)}.")
    part = table[symbol]
    shells: list[Shell] = []
    for index, l in enumerate(part["l"].astype(int).tolist()):
        radial = Radial.of(part[f"orbital{index}"], KNOT)
        about = (float(part[key][index]) for key in ("occupation", "level"))
        shells.append(Shell(l, radial, _spectrum(radial, l), *about, bool(part["own"][index])))
    projectors = [
        Shell(l, None, Radial.of(part[f"projector{index}"], WAVE_KNOT))
        for index, l in enumerate(part["projector_l"].astype(int).tolist())
    ]
    return Atom(
        number=number,
        valence=float(part["valence"]),
        shells=tuple(shells),
        projectors=tuple(projectors),
        strengths=torch.from_numpy(part["strengths"]),
        overlap=torch.from_numpy(part["overlap"]),
        hamiltonian=torch.from_numpy(part["hamiltonian"]),
        density=Radial.of(part["density"], KNOT),
        laplacian=Radial.of(part["laplacian"], KNOT),
        neutral=Radial.of(part["neutral"], WAVE_KNOT),
        soft=Radial.of(part["soft"], WAVE_KNOT),
    )


def _spectrum(radial: Radial, l: int) -> Radial:
    """∫ r² j_l(qr) R(r) dr / q^l of R / r^l."""
    r = np.linspace(0, radial.end, 2 * len(radial.pieces) - 1)
    simpson = r[1] / 3 * np.where(np.arange(len(r)) % 2, 4, 2)
    simpson[[0, -1]] = r[1] / 3
    q = np.arange(0, SPHERE + 2 * WAVE_KNOT, WAVE_KNOT)
    safe = np.maximum(q, 1e-3)
    values = spherical_jn(l, np.outer(safe, r)) @ (
        simpson * r ** (2 + l) * radial(torch.from_numpy(r)).numpy()
    )
    spline = CubicSpline(q, values / safe**l, bc_type=((1, 0.0), "not-a-knot"))
    return Radial.of(np.stack([spline(q), spline(q, 1)]), WAVE_KNOT)
