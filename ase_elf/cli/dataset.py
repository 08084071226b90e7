"""`ase-elf dataset`: make label sets with a reference engine, and check them."""

from __future__ import annotations

from pathlib import Path

import click


@click.group(name="dataset")
def command() -> None:
    """Make and check sets of reference ELF labels."""


@command.command()
@click.argument("config", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--workers", type=click.IntRange(1), help="Structures computed at the same time.")
@click.option("--retry-failed", is_flag=True, help="Try again what failed before.")
@click.option("--progress/--no-progress", default=None, help="Default: only on a terminal.")
def build(config: Path, workers: int | None, retry_failed: bool, progress: bool | None) -> None:
    """Label the structures that CONFIG (YAML) names.

    Can be stopped at any moment; started again, it goes on.
    """
    import sys
    from dataclasses import replace

    from tqdm import tqdm

    from ase_elf.dataset import BuildConfig
    from ase_elf.dataset.build import build as build_labels
    from ase_elf.dataset.job import Failure

    settings = BuildConfig.read(config)
    if workers is not None:
        settings = replace(settings, workers=workers)
    with tqdm(unit="structure", disable=None if progress is None else not progress) as bar:

        def report(outcome, done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)
            if isinstance(outcome, Failure):
                text = f"failed: {outcome.name}: {outcome.problems[-1]}"
                tqdm.write(text, file=sys.stderr)

        summary = build_labels(settings, retry_failed=retry_failed, report=report)
    click.echo(
        f"{summary.built} labelled, {summary.present} were there already, "
        f"{summary.failed} without a label: {settings.output}"
    )
    if summary.failed:
        click.echo(f"Reasons are in {settings.output / 'failures.jsonl'}.", err=True)
