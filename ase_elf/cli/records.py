"""What a command says about its result: a line or JSON on stdout, and a file beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from ase_elf.cli import options

SUFFIX = ".config.yaml"

as_json = click.option("--json", "as_json", is_flag=True, help="Machine-readable result on stdout.")

NOT_IN_RECORD = ("progress", "device", "as_json")
"""Options that change no number."""


def say(text: str, record: dict[str, Any], *, machine: bool) -> None:
    """``text`` for people, or ``record`` for machines; paths become strings, NaN null."""
    if not machine:
        click.echo(text)
        return
    from ase_elf.report.tables import plain

    record = {k: str(v) if isinstance(v, Path) else v for k, v in record.items()}
    click.echo(json.dumps(plain(record), ensure_ascii=False, allow_nan=False))


def write_beside(ctx: click.Context, result: Path) -> Path:
    """:func:`write_options` as ``RESULT.config.yaml``."""
    return write_options(ctx, result.with_name(result.name + SUFFIX))


def write_options(ctx: click.Context, path: Path) -> Path:
    """Resolved options, where they came from, and versions.

    The file can be given to ``--config`` of the same command.
    """
    import yaml

    from ase_elf.errors import OutputError
    from ase_elf.runs.provenance import PROVENANCE, versions
    from ase_elf.storage.atomic import replacing

    inputs = {p.name: _text(ctx.params[p.name]) for p in ctx.command.params if isinstance(p, click.Argument)}
    provenance = {
        "command": ctx.info_name,
        **inputs,
        "sources": options.sources(ctx, *NOT_IN_RECORD, *inputs),
        "versions": versions(),
    }
    content = {**options.resolved(ctx, *NOT_IN_RECORD), PROVENANCE: provenance}
    try:
        with replacing(path) as part:
            part.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}.") from error
    return path


def _text(value: Any) -> Any:
    return [str(item) for item in value] if isinstance(value, tuple) else str(value)
