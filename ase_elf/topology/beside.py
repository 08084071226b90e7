"""The density of states that lies beside an ELF file."""

from __future__ import annotations

import re
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from ase_elf.errors import ElfError, FormatError
from ase_elf.formats import holds_elf
from ase_elf.formats.opening import bare_name, open_text, packed_or_not, unpacked
from ase_elf.formats.vasp_h5 import has_dos
from ase_elf.topology.dos import hydrogen_share
from ase_elf.topology.networking import HYDROGEN

if TYPE_CHECKING:
    from ase import Atoms

_TOTAL = ".pdos_tot"

_FERMI = re.compile(r"(?:the Fermi energy is|EFermi\s*=)\s*(-?\d+\.?\d*)", re.IGNORECASE)


def dos_beside(path: Path) -> Path | None:
    """The density of states of the same run as an ELF file; None where none is known to be.

    That is the projected one within ``vaspout.h5``; the one of the same name (``ELFCAR_x`` and
    ``DOSCAR_x``, ``x.cube`` and ``x.DOSCAR`` or ``x.pdos_tot``); and that of any name where the folder
    holds a single ELF and a single density of states. Of ``projwfc.x`` it is the prefix.
    """
    if bare_name(path).endswith(".h5") and _has_dos(path):
        return path
    for name in _names(bare_name(path)):
        if (found := packed_or_not(path.with_name(name))) is not None:
            return found if _TOTAL not in found.name else path.with_name(name.removesuffix(_TOTAL))
    every = _dos_files(path.parent)
    if len(every) == 1 and _is_only_elf(path.parent):
        return every[0]
    return None


def share_beside(path: Path, atoms: Atoms) -> tuple[float | None, tuple[str, ...]]:
    """Hydrogen's share of the density of states that lies beside an ELF file.

    Parameters
    ----------
    path : Path
        The ELF file.
    atoms : ase.Atoms

    Returns
    -------
    share : float or None
        At the Fermi level; None without hydrogen, without a density of states, or for an insulator.
    notes : tuple of str
        Why there is none although a density of states is there.
    """
    dos = dos_beside(path) if HYDROGEN in atoms.get_chemical_symbols() else None
    if dos is None:
        return None, ()
    name = dos.name
    try:
        fermi = None
        of_projwfc = packed_or_not(dos.with_name(name + _TOTAL)) is not None
        if of_projwfc and (fermi := fermi_beside(dos)) is None:
            return None, (f"no Tc: nothing beside {name}{_TOTAL} says where the Fermi level is",)
        share = hydrogen_share(dos, atoms.get_chemical_symbols(), fermi=fermi)
    except (ElfError, OSError) as error:
        return None, (f"no Tc: {error}",)
    if not share:
        what = "an insulator" if share is None else "no states of hydrogen at the Fermi level"
        return None, (f"no Tc: {what} by {name}",)
    return share, ()


def fermi_beside(prefix: Path) -> float | None:
    """The Fermi level (eV) of the run of ``projwfc.x`` with this prefix, if a file beside states one.

    Looked into are ``PREFIX.dos`` and outputs of ``pw.x`` that bear the prefix or, where the folder
    holds a single run, any; those of ``nscf`` runs first. None where they disagree.
    """
    folder = prefix.parent
    alone = len(_dos_files(folder)) == 1
    outputs = [p for p in sorted(folder.glob("*.out*"))
               if alone or re.match(re.escape(prefix.name) + r"[._-]", p.name)]  # fmt: skip
    nscf = [p for p in outputs if "nscf" in p.name.lower()]
    for group in ([prefix.with_name(prefix.name + ".dos")], nscf, outputs):
        stated = {level for p in group if p.is_file() and (level := _last_fermi(p)) is not None}
        if len(stated) == 1:
            return stated.pop()
        if stated:
            return None
    return None


def _last_fermi(path: Path) -> float | None:
    level = None
    with suppress(FormatError), open_text(path) as file:
        for line in file:
            if match := _FERMI.search(line):
                level = float(match[1])
    return level


def _names(name: str) -> list[str]:
    """What the density of states of the ELF file ``name`` may be called."""
    found = []
    if "ELFCAR" in name and name != "ELFCAR":
        found.append(name.replace("ELFCAR", "DOSCAR"))
    stem = re.sub(r"[-_.]?elf$", "", Path(name).stem, flags=re.IGNORECASE)
    if stem and "ELFCAR" not in stem:
        found += [f"{stem}.DOSCAR", f"DOSCAR.{stem}", f"DOSCAR_{stem}", f"{stem}{_TOTAL}"]
    return found


def _dos_files(folder: Path) -> list[Path]:
    """Densities of states in a folder: files of VASP and prefixes of ``projwfc.x``."""
    found = []
    for file in sorted(path.name for path in folder.iterdir()):
        name = bare_name(file)
        if name.endswith(_TOTAL):
            found.append(folder / name.removesuffix(_TOTAL))
        elif "DOSCAR" in name or (name == "vaspout.h5" and _has_dos(folder / file)):
            found.append(folder / file)
    return found


def _is_only_elf(folder: Path) -> bool:
    """Whether a folder holds the ELF of a single run."""
    names = {bare_name(p): p for p in folder.iterdir() if p.is_file()}
    if "ELFCAR" in names:
        names.pop("vaspout.h5", None)
    return len(list(islice(filter(holds_elf, names.values()), 2))) == 1


def _has_dos(path: Path) -> bool:
    with suppress(ElfError, OSError), unpacked(path) as plain:
        return has_dos(plain)
    return False
