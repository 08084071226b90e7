"""Hydrogen's share of the states at the Fermi level, from self-consistent bands: what one-shot bands are judged by.

    python -m ase_elf_many_elements.fermi_levels OUT.csv LIST.extxyz...

computes each structure with pw.x by the recipe "many-elements" on a denser k-mesh, projects with projwfc.x, and
adds a row to OUT.csv; structures that have one are left out, so that it can be stopped at any time.
"""

from __future__ import annotations

import csv
import re
import sys
import tempfile
from itertools import chain
from pathlib import Path

from ase import Atoms
from ase.io import iread
from ase_elf_espresso import Espresso
from ase_elf_many_elements.splits import reduced_formula, split_of

from ase_elf.errors import ElfError, EngineError
from ase_elf.model.minimal_basis import OccupiedOrbitals
from ase_elf.reference.program import find_program, run_program
from ase_elf.topology import hydrogen_share

KSPACING = 0.14
"""bohr⁻¹; the density of states wants a denser mesh than the ELF."""

BROADENING = 0.02
"""Ry, of a Gaussian on every band; that of projwfc.x."""

COLUMNS = ("id", "formula", "split", "self_consistent", "one_shot", "one_shot_gap")

PROJWFC = """&projwfc
 prefix = 'run', outdir = './scratch', filpdos = 'run'
 ngauss = 0, degauss = {degauss}, DeltaE = 0.05
/
"""


def self_consistent_share(atoms: Atoms, engine: Espresso, folder: Path) -> float | None:
    """Share of hydrogen by projwfc.x, of projections on the orbitals in the files of potentials.

    Parameters
    ----------
    atoms : ase.Atoms
    engine : Espresso
    folder : Path
        Empty; keeps the outputs.

    Returns
    -------
    float or None
        None for an insulator.
    """
    engine.compute(atoms, directory=folder)
    (folder / "projwfc.in").write_text(PROJWFC.format(degauss=BROADENING))
    command = find_program("projwfc.x", package="Quantum ESPRESSO (Debian: quantum-espresso)")
    environment = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    log = run_program(
        [*command, "-in", "projwfc.in"],
        directory=folder,
        output="projwfc.out",
        timeout=600,
        environment=environment,
    )
    level = re.search(r"the Fermi energy is\s+(-?[\d.]+)\s+ev", (folder / "scf.out").read_text())
    if "JOB DONE" not in log or level is None:
        raise EngineError(f"projwfc.x did not end well, or pw.x names no Fermi energy:\n{log[-500:]}")
    return hydrogen_share(folder / "run", atoms.get_chemical_symbols(), fermi=float(level[1]))


def row_of(atoms: Atoms, engine: Espresso) -> dict[str, object]:
    """Both shares of one structure; "" for an insulator."""
    one_shot = OccupiedOrbitals(atoms).fermi_level
    with tempfile.TemporaryDirectory() as folder:
        reference = self_consistent_share(atoms, engine, Path(folder))
    return {
        "id": atoms.info["id"],
        "formula": reduced_formula(atoms),
        "split": split_of(atoms),
        "self_consistent": "" if reference is None else f"{reference:.4f}",
        "one_shot": f"{one_shot.hydrogen_share_without_d:.4f}",
        "one_shot_gap": f"{one_shot.gap:.3f}",
    }


def main(out: str, *lists: str) -> None:
    """See the module."""
    path, engine = Path(out), Espresso(recipe="many-elements", kspacing=KSPACING, timeout=900)
    done = set()
    if path.is_file():
        with path.open(newline="") as file:
            done = {row["id"] for row in csv.DictReader(file)}
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        if not done:
            writer.writeheader()
        for atoms in chain.from_iterable(iread(name, index=":") for name in lists):
            if atoms.info["id"] in done:
                continue
            try:
                writer.writerow(row_of(atoms, engine))
            except ElfError as error:
                print(f"{atoms.info['id']}: {error}", file=sys.stderr)
            file.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
