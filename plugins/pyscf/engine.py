"""The PySCF engine: molecules, and small periodic cells with k-points."""

from __future__ import annotations

import hashlib
import json
import warnings
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import ClassVar

import numpy as np
from ase import Atoms
from ase.units import Bohr, Hartree
from ase_elf_pyscf.evaluate import elf_at_points

from ase_elf.errors import EngineError, InputError
from ase_elf.reference import Provenance, ReferenceEngine, ReferenceResult
from ase_elf.reference.engine import (
    check_atoms,
    check_mesh,
    check_points,
    divisions,
    finish,
    grid_points,
)


@dataclass(frozen=True)
class PySCF(ReferenceEngine):
    """ELF, energy and forces from Kohn-Sham orbitals in a Gaussian basis.

    A structure that is periodic in all directions is computed as a crystal, one that is
    periodic in none as a molecule.

    Parameters
    ----------
    functional : str
        As libxc names it.
    basis : str
        Gaussian basis set. The default goes with the GTH pseudopotentials.
    pseudopotential : str or None
        "gth-pbe", or None for all electrons (then choose a basis such as "def2-tzvp").
    kpts : tuple of int, optional
        Divisions of the k-mesh of a periodic cell; (1, 1, 1) is Γ alone, which is right for
        large cells only. Takes precedence over ``kspacing``.
    kspacing : float, optional
        Largest step of the k-mesh of a periodic cell, bohr⁻¹ (with the factor 2π). A periodic
        cell needs this or ``kpts``.
    kshift : bool
        Shift the mesh off Γ by half a step.
    cutoff_ry : float
        Ry, of the density grid of a periodic cell.
    smearing_ry : float
        Fermi-Dirac smearing, Ry; 0 for an insulator.
    unpaired : int
        Unpaired electrons of a molecule; 1 for a hydrogen atom.
    conv_thr : float
        Hartree.
    forces : bool
        Compute forces as well.
    spacing : float
        Å, of the grid where no points are asked for.
    threads : int
        OpenMP threads.
    """

    name: ClassVar[str] = "pyscf"
    running: ClassVar[tuple[str, ...]] = ("threads", "forces", "spacing")
    gives_grid: ClassVar[bool] = False
    automatic: ClassVar[dict[str, object]] = {"kspacing": 0.3}

    functional: str = "pbe"
    basis: str = "gth-dzvp"
    pseudopotential: str | None = "gth-pbe"
    kpts: tuple[int, int, int] | None = None
    kspacing: float | None = None
    kshift: bool = False
    cutoff_ry: float = 160.0
    smearing_ry: float = 0.0
    unpaired: int = 0
    conv_thr: float = 1e-8
    forces: bool = False
    spacing: float = 0.1
    threads: int = 1

    def __post_init__(self) -> None:
        if self.kpts is not None:
            object.__setattr__(self, "kpts", check_mesh(self.kpts))

    def mesh(self, atoms: Atoms) -> tuple[int, int, int]:
        """Divisions of the k-mesh for the cell of ``atoms``; (1, 1, 1) for a molecule.

        Raises
        ------
        InputError
            The cell is periodic, and no mesh was chosen.
        """
        if not atoms.pbc.any():
            return (1, 1, 1)
        if self.kpts is None and self.kspacing is None:
            raise InputError(
                f"{atoms.symbols} is periodic, and no k-mesh is given: set `kspacing` (largest step in "
                "bohr⁻¹, such as 0.3 for a crystal with a gap) or `kpts` (divisions; [1, 1, 1] is "
                "Γ alone, for large cells). A molecule in a box is computed without one where "
                "atoms.pbc is False."
            )
        return self.kpts or divisions(atoms, self.kspacing)

    def version(self) -> str:
        """Version of the installed PySCF."""
        try:
            return version("pyscf")
        except PackageNotFoundError as error:
            raise EngineError("PySCF is not installed: pip install 'ase-elf[pyscf]'.") from error

    def compute(
        self,
        atoms: Atoms,
        *,
        points: np.ndarray | None = None,
        directory: Path | None = None,
        attempt: int = 0,
    ) -> ReferenceResult:
        """The ELF, exact for the basis set at every point (parameters as in the base class)."""
        self.version()
        from pyscf.lib import with_omp_threads

        check_atoms(atoms)
        mesh = self.mesh(atoms)
        points = None if points is None else check_points(points)
        wanted, shape = (points, None) if points is not None else grid_points(atoms, self.spacing)
        with with_omp_threads(self.threads):
            mole = self._mole(atoms)
            if self.forces:
                _check_forces(mole)
            mean_field, kpts = self._mean_field(mole, mesh, attempt)
            energy = self._converge(mean_field)
            coefficients, occupations = _orbitals(mean_field, kpts)
            elf, density = elf_at_points(mole, coefficients, occupations, wanted, kpts=kpts)
            forces = self._forces(mean_field, kpts) if self.forces else None
        provenance = Provenance(
            code="PySCF",
            version=self.version(),
            functional=self.functional.upper(),
            pseudopotentials=_potential_digests(mole, self.pseudopotential),
            basis=self.basis,
            cutoff_ry=None if kpts is None else self.cutoff_ry,
            kpts=mesh,
            kshift=(int(self.kshift),) * 3 if kpts is not None else (0, 0, 0),
            smearing=f"fermi-dirac {self.smearing_ry} Ry" if self.smearing_ry else "none",
            scf_error_ry=2 * self.conv_thr,
            scf_steps=int(mean_field.cycles),
            attempt=attempt,
        )
        return finish(
            atoms, provenance, elf, density,
            points=points, shape=shape, energy=energy * Hartree, forces=forces,
        )  # fmt: skip

    def _mole(self, atoms: Atoms):
        from pyscf import gto
        from pyscf.lib.exceptions import BasisNotFoundError
        from pyscf.pbc import gto as periodic

        settings = {
            "atom": list(zip(atoms.get_chemical_symbols(), atoms.positions / Bohr, strict=True)),
            "unit": "Bohr",
            "basis": self.basis,
            "charge": int(atoms.info.get("charge", 0)),
            "spin": self.unpaired,
            "verbose": 0,
        }
        if self.pseudopotential:
            settings["pseudo"] = self.pseudopotential
        try:
            with warnings.catch_warnings():
                # Where a basis is missing PySCF advertises another package before it raises.
                warnings.simplefilter("ignore", UserWarning)
                if not atoms.pbc.any():
                    return gto.M(**settings)
                return periodic.M(a=atoms.cell.array / Bohr, ke_cutoff=self.cutoff_ry / 2, **settings)
        except BasisNotFoundError as error:
            raise InputError(
                f"PySCF has no basis {self.basis!r} or pseudopotential "
                f"{self.pseudopotential!r} for every element of {atoms.symbols}: {error}."
            ) from error
        except RuntimeError as error:
            if "spin" not in str(error):
                raise
            raise InputError(
                f"{atoms.symbols} cannot have {self.unpaired} unpaired electrons; set `unpaired` "
                "to 1 (or the charge in atoms.info['charge'])."
            ) from error

    def _mean_field(self, mole, mesh: tuple[int, int, int], attempt: int):
        """The Kohn-Sham object, and the k-points (bohr⁻¹) where there are any."""
        kpts = None
        if hasattr(mole, "make_kpts"):
            from pyscf.pbc import dft

            shift = [0.5 / n if self.kshift else 0.0 for n in mesh]
            kpts = mole.make_kpts(mesh, scaled_center=shift)
            mean_field = dft.KRKS(mole, kpts) if not self.unpaired else dft.KUKS(mole, kpts)
        else:
            from pyscf import dft

            mean_field = dft.RKS(mole) if not self.unpaired else dft.UKS(mole)
        mean_field.xc = self.functional
        mean_field.conv_tol = self.conv_thr
        mean_field.max_cycle = (50, 150, 300)[min(attempt, 2)]
        if attempt:
            mean_field.damp, mean_field.diis_start_cycle = 0.5, 6
        if attempt > 1:
            mean_field.level_shift = 0.3
        if self.smearing_ry:
            from pyscf.pbc.scf.addons import smearing as periodic_smearing
            from pyscf.scf.addons import smearing

            smear = smearing if kpts is None else periodic_smearing
            mean_field = smear(mean_field, self.smearing_ry / 2, method="fermi")
        return mean_field, kpts

    def _converge(self, mean_field) -> float:
        energy = mean_field.kernel()
        if not mean_field.converged:
            raise EngineError(
                f"the self-consistency of PySCF did not converge in {mean_field.max_cycle} "
                "steps. A further attempt damps and shifts levels."
            )
        return float(getattr(mean_field, "e_free", None) or energy)

    def _forces(self, mean_field, kpts) -> np.ndarray:
        gradient = mean_field.nuc_grad_method()
        gradient.verbose = 0
        return -np.asarray(gradient.kernel()) * Hartree / Bohr


def _orbitals(mean_field, kpts) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Coefficients and occupations (0 to 2, weighted) per k-point, spins side by side."""
    coefficients, occupations = mean_field.mo_coeff, mean_field.mo_occ
    if kpts is None:
        coefficients, occupations = np.array(coefficients), np.array(occupations)
        if occupations.ndim == 2:
            coefficients, occupations = np.hstack(coefficients), occupations.reshape(-1)
        return [coefficients], [occupations]
    if np.ndim(occupations[0][0]):
        coefficients = [np.hstack(pair) for pair in zip(*coefficients, strict=True)]
        occupations = [np.hstack(pair) for pair in zip(*occupations, strict=True)]
    return list(coefficients), [np.asarray(o) / len(kpts) for o in occupations]


def _check_forces(mole) -> None:
    """Refuse before the work is done what PySCF (2.14) stops at after it."""
    projectors = [len(parameters) > 5 for parameters in mole._pseudo.values()]
    if projectors and not any(projectors) and not hasattr(mole, "make_kpts"):
        raise InputError(
            "PySCF gives no forces for a molecule whose pseudopotentials are all purely local, "
            "as hydrogen's is; set `pseudopotential` to None and choose an all-electron basis."
        )


def _potential_digests(mole, name: str | None) -> dict[str, str]:
    if name is None:
        return {}
    parameters = mole._pseudo or mole._ecp
    return {
        symbol: hashlib.sha256(json.dumps(values, default=str).encode()).hexdigest()
        for symbol, values in sorted(parameters.items())
    }
