"""Which domain packs are installed, and which of them knows a structure.

Packs are found through the entry-point group ``ase_elf.domains``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from ase_elf.domains.pack import Domain
from ase_elf.errors import DomainError, remedy
from ase_elf.plugins import discover

__all__ = [
    "ENGINES",
    "ENTRY_POINTS",
    "address",
    "domain_for",
    "find_domain",
    "get_domain",
    "installed",
    "of_engine",
]

ENTRY_POINTS = "ase_elf.domains"

ENGINES = "ase_elf.references"
"""Entry-point group of DFT engines, which messages name."""

_ENGINE = "engine:"

PERIODIC = (True, True, True)


def installed() -> dict[str, Domain]:
    """All domain packs found, by name."""
    return {name: point.load() for name, point in discover(ENTRY_POINTS).items()}


def get_domain(name: str | Path) -> Domain:
    """The domain pack called ``name``, or in the folder of that path, or a DFT engine in place of one.

    Parameters
    ----------
    name : str or Path
        An engine as :func:`of_engine` writes it.

    Raises
    ------
    DomainError
        If no pack or engine is installed under that name, and no folder of that path holds a
        ``card.json``.
    """
    if str(name).startswith(_ENGINE):
        return _engine_pack(str(name).removeprefix(_ENGINE))
    found = discover(ENTRY_POINTS)
    if name in found:
        return found[name].load()
    folder = Path(name).expanduser().absolute()
    if (folder / "card.json").is_file():
        # An installed pack brings code for its bonds, which its folder alone does not.
        known = (pack for pack in installed().values() if pack.folder.resolve() == folder.resolve())
        return next(known, Domain(folder))
    if folder.is_dir():
        raise DomainError(f"the folder {str(name)!r} is no domain pack: it holds no card.json.")
    raise DomainError(
        f"no domain pack is called {str(name)!r}, and no folder is; installed: {', '.join(found) or 'none'}. "
        "Give one of these names, or the folder that holds the card.json of a pack."
    )


def of_engine(name: str) -> str:
    """What :func:`get_domain` takes for the DFT engine of that name."""
    return _ENGINE + name


def _engine_pack(name: str) -> Domain:
    engines = discover(ENGINES)
    if name not in engines:
        raise DomainError(f"no engine is called {name!r}; installed: {', '.join(engines) or 'none'}.")
    return engines[name].load().pack()


def find_domain(
    domain: str | Path | Domain | None, symbols: Iterable[str] = (), pbc: Sequence[bool] = PERIODIC
) -> Domain:
    """The pack that is meant: by name, by folder, itself, or, for None, as :func:`domain_for` finds it."""
    from ase_elf import domains

    if domain is None:
        return domains.domain_for(symbols, pbc)
    return domains.get_domain(domain) if isinstance(domain, str | Path) else domain


def address(pack: Domain) -> str:
    """What :func:`get_domain` takes for this pack: its name, or the folder of one that is not installed."""
    if str(pack.folder).startswith(_ENGINE):
        return str(pack.folder)
    point = discover(ENTRY_POINTS).get(pack.name)
    folder = pack.folder.absolute()
    if not (folder / "card.json").is_file() or (point is not None and point.load().folder.samefile(folder)):
        return pack.name
    return str(folder)


def domain_for(symbols: Iterable[str], pbc: Sequence[bool] = PERIODIC) -> Domain:
    """The pack that describes structures of these elements, the most specific one if several do.

    Parameters
    ----------
    symbols : iterable of str
    pbc : sequence of bool, length 3
        Directions in which the structure repeats.

    Returns
    -------
    Domain
        Of those that fit the one with the fewest elements.

    Raises
    ------
    DomainError
        If none does; the message says how the ELF can be computed instead.
    """
    wanted = set(symbols)
    packs = installed()
    able = [pack for pack in packs.values() if set(pack.must_hold) <= wanted <= set(pack.elements)]
    fitting = [pack for pack in able if pack.takes(pbc)]
    if fitting:
        return min(fitting, key=lambda pack: len(pack.elements))
    if able:
        # Its own check says what is wrong with the cell.
        return min(able, key=lambda pack: len(pack.elements))
    known = "; ".join(f"{n}: {p.coverage}" for n, p in packs.items())
    raise DomainError(
        f"no installed domain pack covers {', '.join(sorted(wanted))} ({known or 'none installed'}). "
        f"Compute the ELF by DFT {_by_engine()}, or train a pack for this chemistry."
    )


def _by_engine() -> str:
    engines = list(discover(ENGINES))
    if not engines:
        return "with an engine, of which none is installed"
    return remedy(f"(engine={engines[0]!r}", f"(--engine {engines[0]}") + f"; there are {', '.join(engines)})"
