"""`ase-elf info`: what is installed, and the card of a domain pack."""

from __future__ import annotations

import json

import click

from ase_elf.cli import options, records


@click.command(name="info", context_settings=options.CONTEXT)
@click.argument("pack", required=False)
@records.as_json
def command(pack: str | None, as_json: bool) -> None:
    """Versions, devices, domain packs and reference engines; or the model card of PACK."""
    if pack:
        from ase_elf.domains import get_domain

        click.echo(json.dumps(get_domain(pack).card, indent=1, ensure_ascii=False))
        return
    found = collect()
    if as_json:
        click.echo(json.dumps(found, indent=1, ensure_ascii=False))
        return
    for title, content in found.items():
        click.echo(f"{title}:")
        for name, value in content.items():
            if isinstance(value, dict):
                value = ", ".join(f"{k} {v}" for k, v in value.items())
            click.echo(f"  {name:18s} {value}")
        if not content:
            click.echo("  none")


def collect() -> dict[str, dict]:
    """Everything the command prints, as plain values."""
    from ase_elf.runs.provenance import versions

    return {
        "versions": versions(),
        "devices": _devices(),
        "domain packs": _packs(),
        "reference engines": _engines(),
    }


def _devices() -> dict[str, str]:
    import torch

    cuda = {f"cuda:{k}": torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())}
    return {"cpu": f"{torch.get_num_threads()} threads", **cuda}


def _packs() -> dict[str, dict | str]:
    from ase_elf.domains import ENTRY_POINTS
    from ase_elf.geometry.pairs import name_of
    from ase_elf.plugins import discover

    packs: dict[str, dict | str] = {}
    for name, point in discover(ENTRY_POINTS).items():
        try:
            pack = point.load()
            card, rulers = pack.card, [name_of(pair) for pair in pack.ruler_cards]
        except Exception as error:  # a broken pack of someone else must not hide the others
            packs[name] = f"cannot be loaded: {error}"
            continue
        packs[name] = {
            "elements": " ".join(card["elements"])
            + (f" (needs {' and '.join(pack.must_hold)})" if pack.must_hold else ""),
            "weights": card["weights"]["sha256"][:12],
            "rulers": " ".join(rulers) or "none",
            "licence": card.get("licence", "not stated"),
        }
    return packs


def _engines() -> dict[str, str]:
    from ase_elf.plugins import discover

    return {name: point.value for name, point in discover("ase_elf.references").items()}
