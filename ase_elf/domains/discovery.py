"""Which domain packs are installed, and which of them knows a structure.

Packs are found through the entry-point group ``ase_elf.domains``.
"""

from __future__ import annotations

from collections.abc import Iterable

from ase_elf.domains.pack import Domain
from ase_elf.errors import DomainError
from ase_elf.plugins import discover

ENTRY_POINTS = "ase_elf.domains"


def installed() -> dict[str, Domain]:
    """All domain packs found, by name."""
    return {name: point.load() for name, point in discover(ENTRY_POINTS).items()}


def get_domain(name: str) -> Domain:
    """The domain pack called ``name``; :class:`DomainError` names the installed ones."""
    found = discover(ENTRY_POINTS)
    if name not in found:
        raise DomainError(f"no domain pack is called {name!r}; installed: {', '.join(found) or 'none'}.")
    return found[name].load()


def domain_for(symbols: Iterable[str]) -> Domain:
    """The pack that knows every element in ``symbols``, the smallest one if several do."""
    wanted = set(symbols)
    packs = installed()
    fitting = [pack for pack in packs.values() if set(pack.must_hold) <= wanted <= set(pack.elements)]
    if not fitting:
        known = "; ".join(f"{n}: {p.coverage}" for n, p in packs.items())
        raise DomainError(
            f"no installed domain pack covers {', '.join(sorted(wanted))} "
            f"({known or 'none installed'}). Compute the ELF with a reference engine, "
            "or train a pack for this chemistry."
        )
    return min(fitting, key=lambda pack: len(pack.elements))
