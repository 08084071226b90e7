"""`ase-elf merge`: parts of one trajectory, analysed anywhere, to one result."""

from __future__ import annotations

from pathlib import Path

import click

from ase_elf.cli import options, records


@click.command(name="merge", context_settings=options.CONTEXT)
@click.argument(
    "parts", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path)
)
@click.option(
    "-o", "--output", required=True, type=click.Path(file_okay=False, path_type=Path),
    help="Output directory; new or empty.",
)  # fmt: skip
@records.as_json
@options.config
def command(parts: tuple[Path, ...], output: Path, as_json: bool) -> None:
    """Join PARTS, output directories of `analyze` with different --start and --stop.

    The parts may come in any order, but must follow each other without a gap or an overlap
    and share all other options. The result is that of one run over all frames.
    """
    from ase_elf.runs.merge import merge_runs

    n = merge_runs(parts, output)
    report = output / "report.html"
    text = f"{n} frames of {len(parts)} parts: results in {report}"
    records.say(text, {"frames": n, "report": report}, machine=as_json)
