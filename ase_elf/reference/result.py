"""What a reference engine returns, and how it says where that came from."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields

import numpy as np

from ase_elf.errors import InputError
from ase_elf.grid import ELFGrid

__all__ = ["Provenance", "ReferenceResult"]


@dataclass(frozen=True)
class Provenance:
    """How a reference ELF was computed, complete enough to compute it again.

    Parameters
    ----------
    code, version : str
        The program, as it names itself.
    functional : str
        Exchange and correlation.
    pseudopotentials : dict of str to str
        Per element the SHA-256 of the pseudopotential, or its published name where the
        program carries it inside.
    basis : str
        Basis set, or "plane waves".
    cutoff_ry : float or None
        Plane-wave cutoff of the orbitals (of the density in a mixed Gaussian scheme), Ry.
    kpts : tuple of int
        Divisions of the k-mesh; (1, 1, 1) for a molecule.
    kshift : tuple of int
        1 where the mesh is shifted by half a step.
    smearing : str
        "none", or kind and width such as "cold 0.02 Ry".
    scf_error_ry : float or None
        What the program estimates is left of the energy error (Ry) in the last step.
    scf_steps : int
        Steps the self-consistency took.
    attempt : int
        0 for the plain recipe; counts up with each retry with safer mixing.
    notes : tuple of str
        What was done to the numbers, such as a rescaling for a known error.
    """

    code: str
    version: str
    functional: str
    pseudopotentials: dict[str, str] = field(default_factory=dict)
    basis: str = "plane waves"
    cutoff_ry: float | None = None
    kpts: tuple[int, int, int] = (1, 1, 1)
    kshift: tuple[int, int, int] = (0, 0, 0)
    smearing: str = "none"
    scf_error_ry: float | None = None
    scf_steps: int = 0
    attempt: int = 0
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict:
        """Plain values, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: dict) -> Provenance:
        """The inverse of :meth:`as_dict`; JSON's lists become tuples again."""
        unknown = sorted(set(stored) - {f.name for f in fields(cls)})
        if unknown:
            raise InputError(
                f"the stored provenance names {', '.join(unknown)}, which this version of "
                "ase_elf does not know; update ase_elf."
            )
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in stored.items()})


@dataclass(frozen=True)
class ReferenceResult:
    """The ELF of one structure from a reference engine.

    Parameters
    ----------
    provenance : Provenance
    grid : ELFGrid or None
        The ELF on the periodic grid, where the engine gives one.
    points : ndarray, shape (n, 3), float64, Å, Cartesian, or None
    values : ndarray, shape (n,), float32, dimensionless in [0, 1], or None
        The ELF at ``points``.
    density : ndarray or None
        Electron density (e/Å³) on the same grid or at the same points, for masking.
    energy : float or None
        eV. With smearing the free energy, which the forces are the gradient of.
    forces : ndarray, shape (n_atoms, 3), eV/Å, or None
    """

    provenance: Provenance
    grid: ELFGrid | None = None
    points: np.ndarray | None = None
    values: np.ndarray | None = None
    density: np.ndarray | None = None
    energy: float | None = None
    forces: np.ndarray | None = None
