"""`ase-elf evaluate`: accuracy of a domain pack, structure by structure."""

from __future__ import annotations

import csv
from pathlib import Path

import click


@click.command(name="evaluate")
@click.option("--domain", default="dense-hydrogen", show_default=True, help="Domain pack.")
@click.option(
    "--labels",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of labels with a split.csv.",
)
@click.option("--split", default="test", show_default=True, help="Which labels.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Also write a CSV file.")
def command(domain: str, labels: Path, split: str, output: Path | None) -> None:
    """Compare predictions with reference ELF: R², errors, networking value, coverage."""
    from dataclasses import asdict

    from ase_elf.domains import get_domain
    from ase_elf.errors import InputError
    from ase_elf.training.evaluate import score_label
    from ase_elf.training.labels import read_labels

    model = get_domain(domain).load()
    chosen = read_labels(labels, split)
    if not chosen:
        raise InputError(f"{labels}/split.csv has no label of split {split!r}.")
    click.echo(f"{'structure':42s} {'kind':15s}  r_s      R²     MAE    rmse   Δφ      cover    s")
    rows = []
    for label in chosen:
        score = score_label(model, label)
        rows.append(asdict(score))
        click.echo(
            f"{score.name:42s} {score.kind:15s} {score.r_s:5.3f} {score.r2:8.5f} "
            f"{score.mae:.4f} {score.rmse:.4f} {score.phi_error:+.4f} "
            f"{score.coverage:6.2f} {score.seconds:6.2f}"
        )
    click.echo(f"lowest R² {min(row['r2'] for row in rows):.5f}")
    if output:
        with output.open("w", newline="") as handle:
            writer = csv.DictWriter(handle, rows[0])
            writer.writeheader()
            writer.writerows(rows)
