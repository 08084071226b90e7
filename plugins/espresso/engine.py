"""The Quantum ESPRESSO engine: one SCF with pw.x, the ELF of it with pp.x."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import ClassVar

import numpy as np
from ase import Atoms
from ase.io.espresso import write_espresso_in
from ase.units import Bohr
from ase_elf_espresso.output import known_scaling, parse_version, read_plot, read_summary
from ase_elf_espresso.pseudodojo import find_pseudodojo
from ase_elf_espresso.pseudopotential import digest, find_pseudopotentials
from ase_elf_espresso.recipes import cutoff_for, get_recipe, spacing_for

from ase_elf.domains import check_structure
from ase_elf.errors import EngineError, InputError
from ase_elf.grid import ELFGrid
from ase_elf.reference import Provenance, ReferenceEngine, ReferenceResult
from ase_elf.reference.engine import bare, check_mesh, check_points, divisions
from ase_elf.reference.program import find_program, run_program, working_directory
from ase_elf.topology.provenance import rescaled

PACKAGE = "Quantum ESPRESSO (Debian: quantum-espresso)"

SMEARINGS = ("cold", "gaussian", "fermi-dirac", "none")

# What each further attempt changes: slower mixing, more of the history, and at last the
# conjugate-gradient solver, which is slow but does not lose bands.
SAFER = (
    {},
    {"mixing_beta": 0.3, "electron_maxstep": 200},
    {"mixing_beta": 0.1, "mixing_ndim": 12, "electron_maxstep": 300, "diagonalization": "cg"},
)


@dataclass(frozen=True)
class Espresso(ReferenceEngine):
    """ELF, energy and forces from Quantum ESPRESSO.

    Parameters
    ----------
    recipe : str, optional
        "hydrogen-fluid" or "hydrogen-crystal": the fixed recipes behind the
        dense-hydrogen labels; "many-elements": PseudoDojo potentials, for crystals, slabs and
        molecules of any element but the lanthanides. Fields given besides it overrule it.
    ecutwfc : float, optional
        Plane-wave cutoff of the orbitals, Ry; that of the density is four times it. The recipe
        "many-elements" chooses it by the elements present.
    smearing : str, optional
        "cold", "gaussian", "fermi-dirac", or "none" for an insulator.
    degauss : float, optional
        Width of the smearing, Ry.
    kpts : tuple of int, optional
        Mesh divisions. Takes precedence over ``kspacing``.
    kspacing : float, optional
        Largest step of the k-mesh, bohr⁻¹ (with the factor 2π).
    kshift : bool, optional
        Shift the mesh off Γ by half a step: a better mean for the same cost.
    nosym : bool, optional
        Do not use the symmetry of the structure.
    conv_thr : float
        Ry, the energy error at which the SCF stops.
    pseudopotentials : dict of str to str
        UPF file per element. Relative paths start at the working directory, in a
        `dataset build` file at its folder. For the hydrogen recipes hydrogen's is made by ld1.x
        where none is given.
    pseudo_folder : str, optional
        Folder of PseudoDojo files, ``H.upf`` and so on, for the recipe "many-elements"; by
        default that of the environment variable ``ASE_ELF_PSEUDO``. Files of other digests are
        refused, since labels of two recipes are not mixed.
    elf_scaling : str
        "auto" knows which versions have to be corrected, and measures it for those it does
        not know, on the uniform gas; "right" and "misscaled" overrule.
    command, post_command, ld1_command : str
        How to start pw.x, pp.x and ld1.x, such as "mpirun -np 4 pw.x".
    threads : int
        OpenMP and BLAS threads of each program.
    timeout : float, optional
        Seconds after which one program is stopped.
    """

    name: ClassVar[str] = "espresso"
    running: ClassVar[tuple[str, ...]] = (
        "command", "post_command", "ld1_command", "threads", "timeout", "pseudo_folder"
    )  # fmt: skip

    files: ClassVar[tuple[str, ...]] = ("pseudopotentials",)
    automatic: ClassVar[dict[str, object]] = {"recipe": "many-elements"}

    recipe: str | None = None
    ecutwfc: float | None = None
    smearing: str | None = None
    degauss: float | None = None
    kpts: tuple[int, int, int] | None = None
    kspacing: float | None = None
    kshift: bool | None = None
    nosym: bool | None = None
    conv_thr: float = 1e-8
    pseudopotentials: dict[str, str] = field(default_factory=dict)
    pseudo_folder: str | None = None
    elf_scaling: str = "auto"
    command: str = "pw.x"
    post_command: str = "pp.x"
    ld1_command: str = "ld1.x"
    threads: int = 1
    timeout: float | None = None

    def __post_init__(self) -> None:
        filled = get_recipe(self.recipe) if self.recipe else {}
        defaults = {"smearing": "cold", "degauss": 0.02, "kshift": True, "nosym": False}
        by_element = "hard" in filled and self.ecutwfc is None
        for key in ("ecutwfc", "smearing", "degauss", "kshift", "nosym"):
            if getattr(self, key) is None and not (by_element and key == "ecutwfc"):
                object.__setattr__(self, key, filled.get(key, defaults.get(key)))
        if self.ecutwfc is None and not by_element:
            raise InputError("no cutoff is given: set `ecutwfc` (Ry), or a `recipe`.")
        if not (self.recipe or self.kpts or self.kspacing):
            raise InputError(
                "no k-mesh is given: set `kpts` (divisions), `kspacing` (bohr⁻¹), or a `recipe`."
            )
        if self.smearing not in SMEARINGS:
            raise InputError(f"smearing {self.smearing!r} is none of {', '.join(SMEARINGS)}.")
        if self.elf_scaling not in ("auto", "right", "misscaled"):
            raise InputError(f"elf_scaling {self.elf_scaling!r} is none of 'auto', 'right', 'misscaled'.")
        if self.kpts is not None:
            object.__setattr__(self, "kpts", check_mesh(self.kpts))

    def version(self) -> str:
        """Version of pw.x, such as "6.7MaX"."""
        return _version(self.command)

    def check(self, symbols: set[str]) -> None:
        """See the base class; makes hydrogen's pseudopotential where it is needed."""
        missing = []
        for look in (
            self._misscaled,
            lambda: find_program(self.post_command, package=PACKAGE),
            lambda: self._files(symbols),
        ):
            try:
                look()
            except (EngineError, InputError) as error:
                missing.append(error)
        if missing:
            texts = dict.fromkeys(str(error) for error in missing)
            raise type(missing[-1])("\n".join(texts)) from missing[-1]

    def options(self) -> dict:
        """The recipe, pseudopotentials by their digest rather than where they lie."""
        files = {s: Path(p).expanduser() for s, p in self.pseudopotentials.items()}
        digests = {s: digest(path) for s, path in files.items() if path.is_file()}
        return {**super().options(), "pseudopotentials": digests}

    def cutoff(self, atoms: Atoms) -> float:
        """Plane-wave cutoff of the orbitals, Ry, for the elements of ``atoms``."""
        return self.ecutwfc or cutoff_for(atoms, get_recipe(self.recipe))

    def mesh(self, atoms: Atoms) -> tuple[int, int, int]:
        """Divisions of the k-mesh for the cell and density of ``atoms``."""
        if self.kpts is not None:
            return self.kpts
        spacing = self.kspacing or spacing_for(atoms, get_recipe(self.recipe))
        return divisions(atoms, spacing)

    def _shift(self, atoms: Atoms) -> tuple[int, int, int]:
        """Half a step along what is periodic: across a vacuum there is nothing to sample."""
        return tuple(int(self.kshift and periodic) for periodic in atoms.pbc)

    def compute(
        self,
        atoms: Atoms,
        *,
        points: np.ndarray | None = None,
        directory: Path | None = None,
        attempt: int = 0,
    ) -> ReferenceResult:
        """The ELF on the FFT grid of the density (see the base class for the parameters).

        With ``points`` the grid is interpolated, which the smoothness of a plane-wave field
        allows; the grid itself is returned as well.
        """
        check_structure(_in_its_box(atoms))
        points = None if points is None else check_points(points)
        self.check(set(atoms.symbols))
        misscaled = self._misscaled()
        files = self._files(set(atoms.symbols))
        with working_directory(directory) as folder:
            self._write_input(atoms, files, folder, attempt)
            summary = self._scf(folder)
            elf = self._field(folder, 8)
            density = self._field(folder, 0) / Bohr**3
            if directory is None:
                shutil.rmtree(folder / "scratch", ignore_errors=True)
        if misscaled:
            elf = rescaled(elf)
        provenance = Provenance(
            code="Quantum ESPRESSO",
            version=summary.version,
            functional=summary.functional,
            pseudopotentials={symbol: digest(path) for symbol, path in files.items()},
            cutoff_ry=self.cutoff(atoms),
            kpts=self.mesh(atoms),
            kshift=self._shift(atoms),
            smearing="none" if self.smearing == "none" else f"{self.smearing} {self.degauss} Ry",
            scf_error_ry=summary.error_ry,
            scf_steps=summary.steps,
            attempt=attempt,
            notes=("ELF rescaled, see elf_scaling",) if misscaled else (),
        )
        grid = ELFGrid(
            np.clip(elf, 0, 1).astype(np.float32),
            bare(atoms),
            {"provenance": provenance.as_dict()},
        )
        return ReferenceResult(
            provenance=provenance,
            grid=grid,
            points=points,
            values=None if points is None else grid.sample(points),
            density=density,
            energy=summary.energy,
            forces=summary.forces,
        )

    def _misscaled(self) -> bool:
        if self.elf_scaling != "auto":
            return self.elf_scaling == "misscaled"
        known = known_scaling(parse_version(self.version()))
        return _measured_scaling(self.command, self.post_command) if known is None else known

    def _files(self, symbols: set[str]) -> dict[str, Path]:
        if self.recipe == "many-elements":
            return find_pseudodojo(symbols, self.pseudopotentials, self.pseudo_folder)
        return find_pseudopotentials(symbols, self.pseudopotentials, ld1=self.ld1_command)

    def _write_input(self, atoms: Atoms, files: dict[str, Path], folder: Path, attempt: int) -> None:
        upf = folder / "pseudo"
        upf.mkdir(exist_ok=True)
        for symbol, path in files.items():
            shutil.copyfile(path, upf / f"{symbol}.UPF")
        settings = {
            "control": {
                "calculation": "scf",
                "prefix": "run",
                "outdir": "./scratch",
                "pseudo_dir": "./pseudo",
                "tprnfor": True,
                # The orbitals stay in memory and are written once, for pp.x.
                "disk_io": "low",
            },
            "system": {
                "ecutwfc": self.cutoff(atoms),
                "nosym": self.nosym,
                "tot_charge": atoms.info.get("charge", 0),
                **self._occupations(),
            },
            "electrons": {"conv_thr": self.conv_thr, **SAFER[min(attempt, len(SAFER) - 1)]},
        }
        with (folder / "scf.in").open("w") as target:
            write_espresso_in(
                target,
                bare(_in_its_box(atoms)),
                settings,
                pseudopotentials={symbol: f"{symbol}.UPF" for symbol in files},
                kpts=self.mesh(atoms),
                koffset=self._shift(atoms),
            )

    def _occupations(self) -> dict:
        if self.smearing == "none":
            return {"occupations": "fixed"}
        return {"occupations": "smearing", "smearing": self.smearing, "degauss": self.degauss}

    def _run(self, command: str, folder: Path, stem: str) -> str:
        return run_program(
            [*find_program(command, package=PACKAGE), "-in", f"{stem}.in"],
            directory=folder,
            output=f"{stem}.out",
            timeout=self.timeout,
            environment={
                "OMP_NUM_THREADS": str(self.threads),
                "OPENBLAS_NUM_THREADS": str(self.threads),
            },
        )

    def _scf(self, folder: Path):
        shutil.rmtree(folder / "scratch", ignore_errors=True)
        log = self._run(self.command, folder, "scf")
        if "convergence NOT achieved" in log:
            raise EngineError(
                "the self-consistency of pw.x did not converge. A further attempt mixes more "
                "carefully; a larger `degauss` helps too, but changes the recipe."
            )
        if "JOB DONE" not in log:
            raise EngineError(f"pw.x stopped with an error. It wrote:\n{_complaint(log)}")
        return read_summary(folder / "scratch" / "run.save" / "data-file-schema.xml")

    def _field(self, folder: Path, plot_num: int) -> np.ndarray:
        stem = f"plot{plot_num}"
        (folder / f"{stem}.in").write_text(
            "&inputpp\n prefix = 'run', outdir = './scratch',\n"
            f" filplot = '{stem}.dat', plot_num = {plot_num}\n/\n"
        )
        log = self._run(self.post_command, folder, stem)
        if "JOB DONE" not in log:
            raise EngineError(f"pp.x stopped with an error. It wrote:\n{_complaint(log)}")
        return read_plot(folder / f"{stem}.dat")


def _in_its_box(atoms: Atoms) -> Atoms:
    """``atoms`` as plane waves have them: periodic along the vacuum of a slab or molecule too."""
    boxed = atoms.copy()
    boxed.pbc = True
    return boxed


@cache
def _version(command: str) -> str:
    """Ask pw.x by giving it an empty input: it names itself before it complains."""
    words = find_program(command, package=PACKAGE)
    with working_directory(None) as folder:
        (folder / "empty.in").write_text("\n")
        log = run_program(
            [*words, "-in", "empty.in"],
            directory=folder,
            output="empty.out",
            timeout=60,
            environment={"OMP_NUM_THREADS": "1"},
        )
    _, found, rest = log.partition("Program PWSCF")
    if not found:
        raise EngineError(f"{command!r} does not name itself PWSCF; is it pw.x? {log[-500:]}")
    return rest.split()[0].removeprefix("v.")


@cache
def _measured_scaling(command: str, post_command: str) -> bool:
    from ase_elf_espresso.uniform_gas import is_misscaled, uniform_gas_elf

    engine = Espresso(ecutwfc=20.0, kpts=(1, 1, 1), command=command, post_command=post_command)
    return is_misscaled(uniform_gas_elf(engine))


def _complaint(log: str) -> str:
    """The message between QE's lines of percent signs, else the last lines."""
    framed = re.search(r"%{20,}\s*\n([\s\S]*?)\n\s*%{20,}", log)
    if framed:
        return "\n".join(line.strip() for line in framed[1].splitlines())
    return "\n".join(log.strip().splitlines()[-12:])
