"""`ase-elf evaluate`: accuracy of a domain pack, structure by structure and by group."""

from __future__ import annotations

from pathlib import Path

import click

from ase_elf.cli import options, records


@click.command(name="evaluate", context_settings=options.CONTEXT)
@click.option(
    "--labels", multiple=True, required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of labels: a store of `dataset build`, or one with a split.csv. Repeatable.",
)  # fmt: skip
@options.geometries
@click.option("--split", default="test", help="Which labels; several as A,B.")
@options.together(options.domain, options.device)
@click.option(
    "--critical-points/--no-critical-points", default=False,
    help="Match critical points and bond graphs too: 3 s more for a grid of 72³.",
)  # fmt: skip
@click.option("--figures/--no-figures", default=True, help="Draw into --output.")
@click.option(
    "-o", "--output", type=click.Path(file_okay=False, path_type=Path),
    help="Directory for tables (CSV, JSON), figures (PNG) and the options in force.",
)  # fmt: skip
@options.progress
@records.as_json
@options.config
@click.pass_context
def command(ctx: click.Context, labels: tuple[Path, ...], split: str, **given) -> None:
    """Compare predictions with reference ELF, structure by structure and by kind.

    R² and errors; the networking value φ, which cannot err by more than the largest error of
    the ELF; the residual by wavelength (waves over 2 Å are the long ones; k = 0 is the bias)
    and its correlation length; what the predicted σ is worth; with --critical-points also
    which critical points and bonds are found.
    """
    from ase_elf.training.score_tables import tables

    output = given["output"]
    pack, scores = _scores(labels, options.split_elements(split) or (), given)
    found = tables(scores)
    if output:
        _write(output, found, scores if given["figures"] else [])
        records.write_options(ctx, output / "config.yaml")
    record = {"domain": pack.name, "weights": pack.card["weights"]["sha256"], "split": split}
    record |= {name: found[name] for name in ("structures", "groups")}
    text = "\n".join([*_structures(scores), "", *_groups(found["groups"])])
    records.say(text, record, machine=given["as_json"])


def _scores(labels: tuple[Path, ...], splits: tuple[str, ...], given: dict):
    """The domain pack, and one score per label."""
    import sys

    from tqdm import tqdm

    from ase_elf.dataset import read_labels
    from ase_elf.domains import domain_for, get_domain
    from ase_elf.errors import InputError
    from ase_elf.training.evaluate import score_label

    chosen = [
        label for folder in labels for label in read_labels(folder, *splits, geometries=given["geometries"])
    ]
    if not chosen:
        where = ", ".join(map(str, labels))
        raise InputError(f"{where}: no label of split {', '.join(map(repr, splits))}.")
    symbols = {symbol for label in chosen for symbol in label.atoms.symbols}
    pack = get_domain(given["domain"]) if given["domain"] else domain_for(symbols)
    model = pack.load(device=given["device"])
    show = sys.stderr.isatty() if given["progress"] is None else given["progress"]
    with tqdm(chosen, unit="structure", disable=not show, file=sys.stderr) as bar:
        topology = given["critical_points"]
        return pack, [score_label(model, label, topology=topology) for label in bar]


def _structures(scores: list):
    yield (
        f"{'structure':40s} {'kind':15s}  r_s       R²     MAE    rmse    bias       Δφ    max|ΔELF|"
        "   C(r)   long   cover  far     s"
    )
    for score in scores:
        spectrum = score.spectrum
        length, long = (spectrum.correlation_length, spectrum.long_fraction) if spectrum else (
            float("nan"), float("nan"))  # fmt: skip
        yield (
            f"{score.name:40.40s} {score.kind:15.15s} {score.r_s:5.3f} {score.r2:8.5f} "
            f"{score.mae:.4f} {score.rmse:.4f} {score.bias:+.4f} "
            f"{score.phi_error:+.4f} |Δφ| ≤ {score.max_error:.3f} "
            f"{length:6.2f} {long:6.3f} {score.coverage:6.2f} {score.distance:5.2f} "
            f"{score.seconds:5.2f}"
        )
    yield (
        "Δφ: predicted minus reference networking value, never more than max|ΔELF|; C(r): Å at "
        "which the residual's autocorrelation has fallen to 1/e; long: share of the residual in "
        "waves over 2 Å, k = 0 (bias) apart; cover: points within one σ; far: distance from what "
        "was trained on, 1 is as far as 99 % of the training structures."
    )


def _groups(rows: list[dict]):
    for row in rows:
        yield (
            f"{row['group']} ({row['structures']}): R² {row['r2_mean']:.5f}, worst "
            f"{row['r2_worst']:.5f}; MAE {row['mae_mean']:.4f}, worst {row['mae_worst']:.4f}; "
            f"|Δφ| {row['phi_error_mean']:.4f}, worst {row['phi_error_worst']:.4f}, within its "
            f"error bar {row['phi_within_uncertainty']:.0%}"
        )
        yield (
            f"  ELF values moved by {row['histogram_mean']:.4f}; long waves "
            f"{row['long_power_mean']:.2e} ELF², {row['long_fraction_mean']:.1%} of the residual; "
            f"correlation length {row['correlation_length_mean']:.2f} Å"
        )
        yield (
            f"  σ: covers {row['coverage_mean']:.2f} ({row['coverage_lowest']:.2f} to "
            f"{row['coverage_highest']:.2f}); likelihood against the best constant "
            f"{row['likelihood_gain_mean']:+.3f} (lowest {row['likelihood_gain_lowest']:+.3f}) per "
            f"point; Spearman {row['spearman_mean']:.2f} (lowest {row['spearman_lowest']:.2f})"
        )
        for kind in ("attractor", "bond", "ring", "cage"):
            if f"{kind}_recall" in row:
                yield (
                    f"  {kind:9s} {row[f'{kind}_reference']:5d}: recall {row[f'{kind}_recall']:.3f}, "
                    f"precision {row[f'{kind}_precision']:.3f} (present at all "
                    f"{row[f'{kind}_recall_any']:.3f}, {row[f'{kind}_precision_any']:.3f}), "
                    f"displaced {row[f'{kind}_displacement']:.4f} Å"
                )
        if "f1_mean" in row:
            yield f"  bond graphs: F1 {row['f1_mean']:.3f}, worst {row['f1_worst']:.3f}"


def _write(folder: Path, found: dict[str, list[dict]], scores: list) -> None:
    """Tables as CSV and together as JSON, and figures of ``scores``, into a directory."""
    from ase_elf.report.accuracy_plots import write_figures
    from ase_elf.report.tables import write_json, write_rows
    from ase_elf.storage.atomic import writing_into

    with writing_into(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name, rows in found.items():
            write_rows(folder / f"{name}.csv", rows)
        write_json(folder / "evaluation.json", found)
        if scores:
            write_figures(scores, folder)
