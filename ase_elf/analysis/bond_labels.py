"""What rulers say of every bond, kept in the structure itself: what trajectories then hold.

One entry of ``atoms.info`` holds the bonds, columns as plain lists under their names: extended XYZ keeps
it as JSON, ``.traj`` and ``data=`` of ase.db as it is, whatever the number of bonds. (Arrays of their own
would come back from extended XYZ as a number where there is one bond, and as a matrix where there are nine.)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_elf.errors import InputError

if TYPE_CHECKING:
    from ase import Atoms

__all__ = [
    "ARRAYS",
    "BONDS",
    "COLUMNS",
    "PREFIX",
    "bonds_in",
    "clear_bonds",
    "database_entry",
    "per_atom",
    "put_bonds",
    "scalars",
]

PREFIX = "elf_ruler_"
"""Of every name that is written here."""

BONDS = f"{PREFIX}bonds"
"""In ``atoms.info``: the bonds, a list for every one of :data:`COLUMNS`."""

COLUMNS = (
    "i", "j", "S1", "S2", "S3", "length", "ruler_length", "deviation", "uncertainty", "label", "outside",
    "mode", "mode_confidence", "mode_agreement",
)  # fmt: skip
"""Of every bond, as in :class:`~ase_elf.ruler.BondTable` and :class:`~ase_elf.ruler.survey.BondSurvey`."""

ARRAYS = (f"{PREFIX}deviation", f"{PREFIX}number")
"""In ``atoms.arrays``: mean deviation (Å) of the bonds of an atom that were read, NaN where none was, and
how many these are."""


def put_bonds(atoms: Atoms, rows: np.ndarray) -> None:
    """Write the bonds into ``atoms``, with means by type and values per atom.

    Parameters
    ----------
    atoms : ase.Atoms
    rows : ndarray, dtype ``SURVEY_COLUMNS``
        As :class:`~ase_elf.ruler.survey.BondSurvey` has them; a column that a table lacks is left out.
    """
    clear_bonds(atoms)
    atoms.info[BONDS] = {name: _plain(rows[name]) for name in COLUMNS if name in rows.dtype.names}
    atoms.info.update(scalars(rows))
    mean, number = per_atom(rows, len(atoms))
    atoms.set_array(ARRAYS[0], mean, float, ())
    atoms.set_array(ARRAYS[1], number, int, ())


def clear_bonds(atoms: Atoms) -> None:
    """Remove all that :func:`put_bonds` wrote."""
    for name in [name for name in atoms.info if str(name).startswith(PREFIX)]:
        del atoms.info[name]
    for name in ARRAYS:
        if atoms.has(name):
            atoms.set_array(name, None)


def bonds_in(source: Atoms | Mapping[str, Any]) -> np.ndarray | None:
    """The bonds that a structure holds, as they were written.

    Parameters
    ----------
    source : ase.Atoms or mapping
        A frame that was read back; of ase.db ``row.data``.

    Returns
    -------
    ndarray, shape (n_bonds,), dtype ``SURVEY_COLUMNS``, or None
        None where there are none. Columns that were not written are NaN, "" or 0.

    Raises
    ------
    InputError
        The entry is damaged.

    Examples
    --------
    >>> from ase import Atoms
    >>> from ase_elf.ruler.table import SURVEY_COLUMNS
    >>> rows = np.zeros(1, SURVEY_COLUMNS)
    >>> rows["j"], rows["length"], rows["deviation"], rows["label"] = 1, 2.35, 0.01, "core"
    >>> atoms = Atoms("AuS", [(0, 0, 0), (0, 0, 2.35)])
    >>> put_bonds(atoms, rows)
    >>> bonds_in(atoms)["deviation"], atoms.info["elf_ruler_deviation_core"]
    (array([0.01]), 0.01)
    """
    from ase_elf.ruler.table import SURVEY_COLUMNS  # brings more than ase.io should load

    held = source.get(BONDS) if isinstance(source, Mapping) else source.info.get(BONDS)
    if held is None:
        return None
    try:
        rows = np.zeros(len(held["i"]), SURVEY_COLUMNS)
        for name in (
            "deviation",
            "uncertainty",
            "mode_confidence",
            "mode_agreement",
            "image_type_probability",
        ):
            rows[name] = np.nan
        for name, values in held.items():
            floats = np.issubdtype(SURVEY_COLUMNS[name], np.floating)
            rows[name] = [np.nan if v is None else v for v in values] if floats else values
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{BONDS} of this structure is no table of bonds ({error}).") from error
    return rows


def scalars(rows: np.ndarray) -> dict[str, float | int]:
    """Number of bonds by type, their mean deviation (Å), and the largest deviation of all.

    ``elf_ruler_n_TYPE`` counts all bonds of a type and ``elf_ruler_deviation_TYPE`` is the mean over those
    read, ``elf_ruler_read`` counts those, ``elf_ruler_outside`` those that the ruler was not fitted to, and
    ``elf_ruler_largest`` is the deviation, with its sign, that is farthest from zero. Characters that
    databases refuse in a name are underscores.
    """
    read = rows[np.isfinite(rows["deviation"])]
    found: dict[str, float | int] = {
        f"{PREFIX}read": len(read),
        f"{PREFIX}outside": int(rows["outside"].sum()),
    }
    if len(read):
        found[f"{PREFIX}largest"] = float(read["deviation"][np.abs(read["deviation"]).argmax()])
    for label in sorted(set(rows["label"].tolist())):
        name = re.sub(r"\W", "_", label)
        found[f"{PREFIX}n_{name}"] = int((rows["label"] == label).sum())
        mine = read["deviation"][read["label"] == label]
        if len(mine):
            found[f"{PREFIX}deviation_{name}"] = float(mine.mean())
    return found


def per_atom(rows: np.ndarray, n_atoms: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean deviation of the bonds of each atom that were read, NaN where none was, and their number."""
    read = rows[np.isfinite(rows["deviation"])]
    ends = np.concatenate([read["i"], read["j"]])
    number = np.bincount(ends, minlength=n_atoms)
    total = np.bincount(ends, np.tile(read["deviation"], 2), minlength=n_atoms)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan), number


def database_entry(atoms: Atoms) -> dict[str, Any]:
    """For ``data=`` of ase.db, which stores neither info nor arrays by itself: bonds and values per atom."""
    found: dict[str, Any] = {name: atoms.get_array(name) for name in ARRAYS if atoms.has(name)}
    if BONDS in atoms.info:
        found[BONDS] = atoms.info[BONDS]
    return found


def _plain(values: np.ndarray) -> list:
    if np.issubdtype(values.dtype, np.floating):
        return [None if np.isnan(v) else v for v in values.tolist()]
    return values.tolist()
