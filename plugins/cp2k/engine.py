"""The CP2K engine: an SCF of a molecule or cluster, its orbitals evaluated at any points.

CP2K's own ELF cube is not used: on grids one can afford, the grid and its interpolation are
the larger part of the error. The orbitals are analytic, and a few MB instead of many.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import ClassVar

import numpy as np
from ase import Atoms
from ase.neighborlist import neighbor_list
from ase_elf_cp2k.files import DataEntry, data_folder, find_entry, read_log, read_orbitals, render

from ase_elf.errors import EngineError, InputError
from ase_elf.reference import Provenance, ReferenceEngine, ReferenceResult
from ase_elf.reference.engine import check_atoms, check_points, finish, grid_points
from ase_elf.reference.program import find_program, run_program, working_directory

PACKAGE = "CP2K (Debian: cp2k cp2k-data)"

CLOSEST_IMAGE = 5.5
"""Å. Atoms nearer than this to an image of another are a crystal or a molecule cut in two; those
of potassium are 4.6 Å apart."""

# What each further attempt changes: slower mixing and a longer memory.
SAFER = ({"ALPHA": 0.3, "NBROYDEN": 8}, {"ALPHA": 0.1, "NBROYDEN": 12}, {"ALPHA": 0.03})


@dataclass(frozen=True)
class CP2K(ReferenceEngine):
    """ELF and energy of molecules and clusters from CP2K (Gaussians and plane waves).

    The molecule is turned so that its box is smallest, padded with vacuum. Closed-shell;
    ``atoms.info["charge"]`` is its charge. The defaults are the gold-thiolate recipe: on
    [Au(SCH3)]4 its ELF agrees with a 150 Ry, tightly converged run to 0.0003 on average.

    Parameters
    ----------
    functional : str
        Name of a CP2K functional shortcut.
    basis : str
        Basis set of every element; from BASIS_MOLOPT.
    potential : str
        Pseudopotential family; from GTH_POTENTIALS.
    bases, potentials : dict of str to str
        Other choices for single elements, such as potentials: {Au: GTH-PBE-q19}.
    cutoff_ry, rel_cutoff_ry : float
        Of the density grid, Ry.
    padding : float
        Å of vacuum around the molecule.
    eps_scf : float
        Convergence of the density matrix.
    forces : bool
        Compute forces as well, at about twice the cost.
    spacing : float
        Å, of the grid where no points are asked for.
    command : str
        How to start CP2K.
    threads : int
        OpenMP threads.
    timeout : float, optional
        Seconds after which it is stopped.
    """

    name: ClassVar[str] = "cp2k"
    running: ClassVar[tuple[str, ...]] = ("forces", "spacing", "command", "threads", "timeout")
    gives_grid: ClassVar[bool] = False

    functional: str = "PBE"
    basis: str = "DZVP-MOLOPT-SR-GTH"
    potential: str = "GTH-PBE"
    bases: dict[str, str] = field(default_factory=dict)
    potentials: dict[str, str] = field(default_factory=dict)
    cutoff_ry: float = 120.0
    rel_cutoff_ry: float = 20.0
    padding: float = 3.0
    eps_scf: float = 1e-4
    forces: bool = False
    spacing: float = 0.1
    command: str = "cp2k"
    threads: int = 1
    timeout: float | None = None

    def version(self) -> str:
        """Version of CP2K, such as "2023.1"."""
        return _version(self.command)

    def check(self, symbols: set[str]) -> None:
        """See the base class; the orbitals are evaluated by PySCF, so that is needed too."""
        from ase_elf.reference.engine import get_engine

        self.version()
        get_engine("pyscf").version()
        for symbol in symbols:
            self._entries(symbol)

    def compute(
        self,
        atoms: Atoms,
        *,
        points: np.ndarray | None = None,
        directory: Path | None = None,
        attempt: int = 0,
    ) -> ReferenceResult:
        """The ELF, exact for the basis set at every point (parameters as in the base class)."""
        check_atoms(atoms)
        _check_isolated(atoms)
        points = None if points is None else check_points(points)
        wanted, shape = (points, None) if points is not None else grid_points(atoms, self.spacing)
        entries = {symbol: self._entries(symbol) for symbol in sorted(set(atoms.symbols))}
        n_electrons = self._electrons(atoms, entries)
        box = _Box.around(atoms, self.padding)
        with working_directory(directory) as folder:
            (folder / "run.inp").write_text(render(self._input(atoms, box, entries, attempt)))
            log = run_program(
                [*find_program(self.command, package=PACKAGE), "-i", "run.inp"],
                directory=folder,
                output="run.out",
                timeout=self.timeout,
                environment={"OMP_NUM_THREADS": str(self.threads)},
            )
            summary = read_log(log)
            elf, density = self._evaluate(folder, n_electrons, box.inside(wanted))
        provenance = Provenance(
            code="CP2K",
            version=self.version(),
            functional=self.functional,
            pseudopotentials={s: potential.digest for s, (_, potential) in entries.items()},
            basis=", ".join(f"{s} {basis.name}" for s, (basis, _) in entries.items()),
            cutoff_ry=self.cutoff_ry,
            scf_steps=summary.steps,
            attempt=attempt,
            notes=tuple(f"{s} {potential.name}" for s, (_, potential) in entries.items()),
        )
        forces = None if summary.forces is None else summary.forces @ box.axes
        return finish(
            atoms, provenance, elf, density,
            points=points, shape=shape, energy=summary.energy, forces=forces,
        )  # fmt: skip

    def _evaluate(self, folder: Path, n_electrons: int, points: np.ndarray):
        from ase_elf.plugins import discover
        from ase_elf.reference.engine import ENTRY_POINTS

        discover(ENTRY_POINTS)
        from ase_elf_pyscf.evaluate import elf_at_points
        from pyscf.lib import with_omp_threads

        files = sorted(folder.glob("run-*.molden"))
        if not files:
            raise EngineError(f"CP2K wrote no orbitals (no run-*.molden in {folder}).")
        with with_omp_threads(self.threads):
            mole, coefficients, occupations = read_orbitals(files[-1], n_electrons)
            return elf_at_points(mole, [coefficients], [occupations], points)

    def _entries(self, symbol: str) -> tuple[DataEntry, DataEntry]:
        folder = data_folder()
        basis = self.bases.get(symbol, self.basis)
        potential = self.potentials.get(symbol, self.potential)
        return (
            find_entry(folder / "BASIS_MOLOPT", symbol, basis),
            find_entry(folder / "GTH_POTENTIALS", symbol, potential),
        )

    def _electrons(self, atoms: Atoms, entries: dict) -> int:
        count = sum(entries[symbol][1].electrons for symbol in atoms.symbols)
        count -= int(atoms.info.get("charge", 0))
        if count % 2:
            raise InputError(
                f"{atoms.symbols} with charge {atoms.info.get('charge', 0)} has {count} valence "
                "electrons; this engine computes closed shells. Set atoms.info['charge'] to the "
                "charge of the closed-shell cluster, or use the PySCF engine with `unpaired`."
            )
        return count

    def _input(self, atoms: Atoms, box: _Box, entries: dict, attempt: int) -> dict:
        coordinates = [
            f"{symbol} {x:.10f} {y:.10f} {z:.10f}"
            for symbol, (x, y, z) in zip(atoms.symbols, box.inside(atoms.positions), strict=True)
        ]
        scf = {
            "SCF_GUESS": "ATOMIC",
            "EPS_SCF": self.eps_scf,
            "MAX_SCF": (100, 200, 400)[min(attempt, 2)],
            "DIAGONALIZATION": {"ALGORITHM": "STANDARD"},
            "MIXING": {"METHOD": "BROYDEN_MIXING", **SAFER[min(attempt, 2)]},
            "PRINT": {"RESTART OFF": {}},
        }
        dft = {
            "BASIS_SET_FILE_NAME": data_folder() / "BASIS_MOLOPT",
            "POTENTIAL_FILE_NAME": data_folder() / "GTH_POTENTIALS",
            "CHARGE": int(atoms.info.get("charge", 0)),
            "QS": {"EPS_DEFAULT": 1e-10},
            "MGRID": {"CUTOFF": self.cutoff_ry, "REL_CUTOFF": self.rel_cutoff_ry, "NGRIDS": 4},
            "SCF": scf,
            "XC": {f"XC_FUNCTIONAL {self.functional}": {}},
            "PRINT": {"MO_MOLDEN": {"NDIGITS": 9, "GTO_KIND": "SPHERICAL"}},
        }
        kinds = {
            f"KIND {symbol}": {"BASIS_SET": basis.name, "POTENTIAL": potential.name}
            for symbol, (basis, potential) in entries.items()
        }
        # The coordinates stand in the input as lines of their own, without a keyword.
        rows = {row.split(maxsplit=1)[0]: [] for row in coordinates}
        for row in coordinates:
            symbol, rest = row.split(maxsplit=1)
            rows[symbol].append(rest)
        cell = {"ABC": " ".join(f"{length:.8f}" for length in box.lengths)}
        force_eval = {
            "METHOD": "QUICKSTEP",
            "DFT": dft,
            "SUBSYS": {"CELL": cell, "COORD": rows, **kinds},
        }
        if self.forces:
            force_eval["PRINT"] = {"FORCES ON": {"NDIGITS": 12}}
        run_type = "ENERGY_FORCE" if self.forces else "ENERGY"
        return {
            "GLOBAL": {"PROJECT": "run", "RUN_TYPE": run_type, "PRINT_LEVEL": "MEDIUM"},
            "FORCE_EVAL": force_eval,
        }


@dataclass(frozen=True)
class _Box:
    """The frame CP2K works in: origin (Å), rotation (rows are its axes), lengths (Å)."""

    origin: np.ndarray
    axes: np.ndarray
    lengths: np.ndarray

    @classmethod
    def around(cls, atoms: Atoms, padding: float) -> _Box:
        centre = atoms.positions.mean(axis=0)
        _, _, axes = np.linalg.svd(atoms.positions - centre, full_matrices=True)
        axes[2] *= np.sign(np.linalg.det(axes))
        inside = (atoms.positions - centre) @ axes.T
        low, high = inside.min(axis=0) - padding, inside.max(axis=0) + padding
        return cls(centre + low @ axes, axes, high - low)

    def inside(self, xyz: np.ndarray) -> np.ndarray:
        """Cartesian coordinates (Å) in the frame of the box."""
        return (xyz - self.origin) @ self.axes.T


def _check_isolated(atoms: Atoms) -> None:
    if not atoms.pbc.any():
        return
    shifts = neighbor_list("S", atoms, CLOSEST_IMAGE)
    if np.any(shifts):
        raise InputError(
            f"the structure continues across the boundary of its cell (images nearer than "
            f"{CLOSEST_IMAGE} Å); this engine computes isolated molecules and clusters. Put the "
            "molecule whole into the middle of a larger cell (atoms.center(vacuum=3)), or use "
            "an engine for crystals."
        )


@cache
def _version(command: str) -> str:
    words = find_program(command, package=PACKAGE)
    with working_directory(None) as folder:
        log = run_program([*words, "--version"], directory=folder, output="out", timeout=60)
    _, found, rest = log.partition("CP2K version")
    if not found:
        raise EngineError(f"{command!r} does not name itself CP2K: {log[:300]}")
    return rest.split()[0]
