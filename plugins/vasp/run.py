"""A folder that VASP has run in (ELFCAR, vasprun.xml) as a reference result."""

from __future__ import annotations

import os
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from ase.units import Rydberg

from ase_elf.errors import FormatError, InputError
from ase_elf.formats import read_elf
from ase_elf.reference import Provenance, ReferenceResult


def read_run(folder: str | os.PathLike, *, spin: str | None = None) -> ReferenceResult:
    """ELF, energy and forces of a finished VASP run (made with LELF = .TRUE.).

    Parameters
    ----------
    folder : path-like
        Holds ELFCAR and vasprun.xml; or the ELFCAR itself, without energy and provenance.
    spin : str, optional
        "up" or "down", where the run was spin-polarised and the ELFCAR has two blocks.

    Raises
    ------
    InputError
        There is no ELFCAR.
    FormatError
        A file is malformed or cut off, or the run did not converge.
    """
    folder = Path(folder)
    elfcar = folder / "ELFCAR" if folder.is_dir() else folder
    if not elfcar.is_file():
        raise InputError(f"{elfcar} does not exist; VASP writes it with LELF = .TRUE. in INCAR.")
    grid = read_elf(elfcar, format="elfcar", spin=spin)
    notes = (f"spin {grid.info['spin']}",) if grid.info.get("spin") else ()
    summary = elfcar.with_name("vasprun.xml")
    if not summary.is_file():
        return ReferenceResult(Provenance("VASP", "unknown", "unknown", notes=notes), grid=grid)
    provenance, energy, forces = _read_summary(summary, notes)
    return ReferenceResult(provenance, grid=grid, energy=energy, forces=forces)


def _read_summary(path: Path, notes: tuple[str, ...]) -> tuple[Provenance, float, np.ndarray | None]:
    """Provenance, free energy (eV) and forces (eV/Å) of the last ionic step."""
    try:
        root = ElementTree.parse(path).getroot()
        step = root.findall("calculation")[-1]
        energy = float(step.find("energy/i[@name='e_fr_energy']").text)
        rows = step.findall("varray[@name='forces']/v")
        limit = int(_parameter(root, "NELM"))
    except (
        OSError, ElementTree.ParseError, AttributeError, IndexError, TypeError, ValueError
    ) as error:  # fmt: skip
        raise FormatError(f"{path} is malformed or was cut off ({error}).") from error
    steps = len(step.findall("scstep"))
    if steps >= limit:
        raise FormatError(
            f"the run in {path.parent} did not converge: its last step took all {limit} "
            "electronic steps (NELM). Converge it before its ELF is used."
        )
    divisions, listed = _mesh(root)
    provenance = Provenance(
        code="VASP",
        version=(root.findtext("generator/i[@name='version']") or "unknown").strip(),
        functional=(_parameter(root, "GGA") or "as in the POTCAR").strip(),
        pseudopotentials=_potentials(root),
        cutoff_ry=round(float(_parameter(root, "ENMAX") or "nan") / Rydberg, 6),
        kpts=divisions,
        smearing=f"ISMEAR {_parameter(root, 'ISMEAR')}, SIGMA {_parameter(root, 'SIGMA')} eV",
        scf_steps=steps,
        notes=(*notes, *listed),
    )
    forces = np.array([row.text.split() for row in rows], float) if rows else None
    return provenance, energy, forces


def _mesh(root: ElementTree.Element) -> tuple[tuple[int, int, int], tuple[str, ...]]:
    """Divisions of the k-mesh, and a note where points were listed instead."""
    stated = root.findtext("kpoints/generation/v[@name='divisions']")
    if stated:
        return tuple(int(n) for n in stated.split()[:3]), ()
    n = len(root.findall("kpoints/varray[@name='kpointlist']/v"))
    return (1, 1, 1), () if n == 1 else (f"{n or 'an unknown number of'} k-points, no mesh",)


def _parameter(root: ElementTree.Element, name: str) -> str | None:
    found = root.find(f"parameters//i[@name='{name}']")
    return None if found is None or found.text is None else found.text.strip()


def _potentials(root: ElementTree.Element) -> dict[str, str]:
    """POTCAR title per element, such as {"H": "PAW_PBE H 15Jun2001"}."""
    rows = root.findall("atominfo/array[@name='atomtypes']/set/rc")
    columns = [[cell.text or "" for cell in row.findall("c")] for row in rows]
    return {row[1].strip(): re.sub(r"\s+", " ", row[4]).strip() for row in columns if len(row) > 4}
