"""Structures to try the package on, which come with it.

python -m ase_elf.examples        # writes them into this folder, for the command line
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["NAMES", "au25", "hydrogen", "path"]

NAMES = ("hydrogen", "au25")
"""Of the examples: ``path`` of each is a file, and a function of that name reads it."""


def path(name: str) -> Path:
    """The extended XYZ file of an example, in the installed package.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    from ase_elf.errors import InputError

    if name not in NAMES:
        raise InputError(f"no example is called {name!r}; there are {', '.join(NAMES)}.")
    return Path(__file__).with_name(f"{name}.extxyz")


def hydrogen() -> list[Atoms]:
    """Fluid hydrogen at 1420 K and 186 GPa (r_s = 1.42 bohr): 40 frames of 64 atoms, 2 fs apart.

    From a DFT molecular dynamics run (PBE, Quantum ESPRESSO), described in ``examples/dense-hydrogen-md`` of
    the repository.

    Returns
    -------
    list of ase.Atoms
        Positions and cell in Å, ``info["time_fs"]``.

    Examples
    --------
    >>> from ase_elf.examples import hydrogen
    >>> frames = hydrogen()
    >>> len(frames), float(frames[1].info["time_fs"]), str(frames[0].symbols)
    (40, 2.0, 'H64')
    """
    from ase.io import read

    return read(path("hydrogen"), index=":")


def au25() -> Atoms:
    """The cluster Au25(SCH3)18-, relaxed with GFN1-xTB.

    Returns
    -------
    ase.Atoms
        Positions in Å; not periodic.

    Examples
    --------
    >>> from ase_elf.examples import au25
    >>> au25().get_chemical_formula()
    'C18H54Au25S18'
    """
    from ase.io import read

    return read(path("au25"))
