"""`ase-elf evaluate`: accuracy of a domain pack, structure by structure."""

from __future__ import annotations

import csv
from pathlib import Path

import click

from ase_elf.cli import options, records


@click.command(name="evaluate", context_settings=options.CONTEXT)
@click.option(
    "--labels",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of labels: a store of `dataset build`, or one with a split.csv.",
)
@click.option("--split", default="test", help="Which labels.")
@options.together(options.domain, options.device)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path),
    help="Also write a CSV file, and beside it the options in force.",
)  # fmt: skip
@options.progress
@records.as_json
@options.config
@click.pass_context
def command(ctx: click.Context, labels: Path, split: str, output: Path | None, **given) -> None:
    """Compare predictions with reference ELF: R², errors, networking value, coverage."""
    import sys
    from dataclasses import asdict

    from tqdm import tqdm

    from ase_elf.domains import domain_for, get_domain
    from ase_elf.errors import InputError
    from ase_elf.training.evaluate import score_label
    from ase_elf.training.labels import read_labels

    chosen = read_labels(labels, split)
    if not chosen:
        raise InputError(f"{labels} has no label of split {split!r}.")
    symbols = {symbol for label in chosen for symbol in label.atoms.symbols}
    pack = get_domain(given["domain"]) if given["domain"] else domain_for(symbols)
    model = pack.load(device=given["device"])
    show = sys.stderr.isatty() if given["progress"] is None else given["progress"]
    scores = []
    with tqdm(chosen, unit="structure", disable=not show, file=sys.stderr) as bar:
        for label in bar:
            scores.append(score_label(model, label))
    rows = [asdict(score) for score in scores]
    if output:
        _write(output, rows)
        records.write_beside(ctx, output)
    record = {"domain": pack.name, "split": split, "structures": rows}
    records.say("\n".join(_lines(scores)), record, machine=given["as_json"])


def _lines(scores: list):
    yield f"{'structure':42s} {'kind':15s}  r_s      R²     MAE    rmse   Δφ      cover    s"
    for score in scores:
        yield (
            f"{score.name:42s} {score.kind:15s} {score.r_s:5.3f} {score.r2:8.5f} "
            f"{score.mae:.4f} {score.rmse:.4f} {score.phi_error:+.4f} "
            f"{score.coverage:6.2f} {score.seconds:6.2f}"
        )
    yield f"lowest R² {min(score.r2 for score in scores):.5f}"


def _write(path: Path, rows: list[dict]) -> None:
    from ase_elf.errors import OutputError

    try:
        with path.open("w", newline="") as handle:
            writer = csv.DictWriter(handle, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}.") from error
