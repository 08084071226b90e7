"""`ase-elf dataset`: make label sets with a reference engine, and check them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ase_elf.cli import options, records

if TYPE_CHECKING:
    from ase_elf.dataset import BuildConfig


@click.group(name="dataset")
def command() -> None:
    """Make and check sets of reference ELF labels."""


@command.command(context_settings=options.CONTEXT)
@click.argument("config", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--workers", type=click.IntRange(1), help="Structures computed at the same time.")
@click.option("--retry-failed", is_flag=True, help="Try again what failed before.")
@options.progress
@records.as_json
def build(
    config: Path, workers: int | None, retry_failed: bool, progress: bool | None, as_json: bool
) -> None:
    """Label the structures that CONFIG (YAML) names.

    Can be stopped at any moment; started again, it goes on.
    """
    from dataclasses import replace

    from ase_elf.dataset import BuildConfig

    settings = BuildConfig.read(config)
    if workers is not None:
        settings = replace(settings, workers=workers)
    _build(settings, retry_failed, progress, as_json)


@command.command(context_settings=options.CONTEXT)
@click.argument("store", type=click.Path(file_okay=False, path_type=Path))
@click.argument("structures", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--engine", required=True, metavar="NAME", help="The DFT engine: espresso, pyscf, cp2k, gpaw.")
@click.option("--index", default=":", show_default=True, help="Which frames, as ASE slices.")
@click.option("--split", type=click.Choice(("train", "validation", "test")), default="train", show_default=True,
              help="What the labels are for.")  # fmt: skip
@click.option("--kind", default="", help="What sort of structures they are, such as fluid.")
@click.option("--batch", default=None, help="Name of the recipe in STORE. [default: the engine's]")
@options.progress
@records.as_json
@options.config
def add(
    store: Path,
    structures: Path,
    engine: str,
    index: str,
    split: str,
    kind: str,
    batch: str | None,
    progress: bool | None,
    as_json: bool,
) -> None:
    """Compute frames of STRUCTURES by DFT and add them to the label STORE, a new one if it does not exist.

    With the options that `predict --engine` computes with. `train` takes the store as it is (`labels: [STORE]`).
    Can be stopped at any moment; started again, it goes on.
    """
    from ase_elf.dataset import BuildConfig
    from ase_elf.dataset.config import StructureSource
    from ase_elf.reference.engine import automatic_options

    source = StructureSource(structures, index=index, split=split, kind=kind)
    recipe = automatic_options(engine)
    settings = BuildConfig((source,), engine, store, recipe, density=True, batch=batch or engine)
    _build(settings, False, progress, as_json)


def _build(settings: BuildConfig, retry_failed: bool, progress: bool | None, as_json: bool) -> None:
    import sys

    from tqdm import tqdm

    from ase_elf.dataset.builder import build as build_labels
    from ase_elf.dataset.job import Failure

    with tqdm(unit="structure", disable=None if progress is None else not progress) as bar:

        def report(outcome, done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)
            if isinstance(outcome, Failure):
                text = f"failed: {outcome.name}: {outcome.problems[-1]}"
                tqdm.write(text, file=sys.stderr)

        summary = build_labels(settings, retry_failed=retry_failed, report=report)
    text = (
        f"{summary.built} labelled, {summary.present} were there already, "
        f"{summary.failed} without a label: {settings.output}"
    )
    numbers = {name: getattr(summary, name) for name in ("built", "present", "failed")}
    records.say(text, {**numbers, "output": settings.output}, machine=as_json)
    if summary.failed:
        click.echo(f"Reasons are in {settings.output / 'failures.jsonl'}.", err=True)


@command.command(context_settings=options.CONTEXT)
@click.argument("stores", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@options.geometries
@records.as_json
def check(stores: tuple[Path, ...], geometries: tuple[Path, ...], as_json: bool) -> None:
    """Look through label STORES: ranges, duplicates, leakage between splits, noise.

    Several stores count as one set; structures that two of them, or two batches of one, label
    with different recipes measure the noise. Exits with 1 where splits leak into each other.
    """
    import json

    from ase_elf.dataset import LabelStore
    from ase_elf.dataset.audit import check as check_labels

    opened = [LabelStore(folder) for folder in stores]
    for store in opened:
        store.verify()
    report = check_labels(*opened, geometries=geometries)
    if as_json:
        click.echo(json.dumps(report.as_dict(), indent=2))
    else:
        click.echo("\n".join(_as_text(report)))
    if report.leaks:
        raise SystemExit(1)


def _as_text(report):
    for name, split in report.splits.items():
        yield f"{name or '(no split)'}: {split.labels} labels, {split.values:,} values"
        for quantity in ("r_s_bohr", "shortest_distance", "elf"):
            spread = getattr(split, quantity)
            if spread is not None:
                yield (
                    f"  {quantity:18s}{spread.least:7.3f} to {spread.greatest:.3f}, median "
                    f"{spread.median:.3f}, 90 % within {spread.low:.3f} to {spread.high:.3f}"
                )
    for title, pairs in (("duplicates", report.duplicates), ("leaks", report.leaks)):
        yield f"{title}: {len(pairs)}"
        for pair in pairs[:20]:
            yield (
                f"  {pair.first} ({pair.splits[0] or '-'}) and {pair.second} "
                f"({pair.splits[1] or '-'}), distance {pair.distance:.4f}"
            )
    for noise in report.noise:
        yield f"noise: {noise.first}: rms {noise.rms:.4f}, bias {noise.bias:+.4f}"
    yield f"without a label: {report.failures}"
    if report.detached:
        yield f"not looked at, for their geometry is not stored and in no --geometries: {report.detached}"


@command.command(context_settings=options.CONTEXT)
@click.argument("trajectory", type=click.Path(exists=True, path_type=Path))
@click.option("-n", "--count", type=click.IntRange(1), required=True, help="Frames to pick.")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="extxyz file.")
@click.option("--index", default=":", show_default=True, help="Which frames, as ASE slices.")
@options.together(options.domain, options.device)
@click.option("--labelled", multiple=True, type=click.Path(exists=True, path_type=Path),
              help="Label stores whose structures need not be picked again.")  # fmt: skip
@options.geometries
@records.as_json
@options.config
@click.pass_context
def select(
    ctx: click.Context,
    trajectory: Path,
    count: int,
    output: Path,
    index: str,
    domain: str | None,
    device: str | None,
    labelled: tuple[Path, ...],
    geometries: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Pick the frames of TRAJECTORY that the model is least sure of, and write them.

    The first half of active learning; `dataset build` and `train` are the rest.
    """
    from ase.io import write

    from ase_elf.dataset import LabelStore, select_frames
    from ase_elf.dataset.config import StructureSource
    from ase_elf.domains import find_domain
    from ase_elf.errors import OutputError

    named = StructureSource(trajectory, index=index).read()
    frames = [atoms for _, atoms in named]
    symbols = {symbol for atoms in frames for symbol in atoms.symbols}
    pack = find_domain(domain, symbols)
    known = [label.atoms for folder in labelled for label in LabelStore(folder).select(geometries=geometries)]
    chosen = select_frames(frames, pack.load(device=device), count, labelled=known)
    for one in chosen:
        one.atoms.info["id"] = named[one.index][0]
        one.atoms.info["elf_sigma"] = one.sigma
        one.atoms.calc = None
    try:
        write(output, [one.atoms for one in chosen], format="extxyz")
    except OSError as error:
        raise OutputError(f"cannot write {output}: {error.strerror or error}.") from error
    records.write_beside(ctx, output)
    picked = [{"name": named[one.index][0], "sigma": one.sigma} for one in chosen]
    lines = [f"{len(chosen)} of {len(frames)} frames written to {output}"]
    lines += [f"  {one['name']}  sigma {one['sigma']:.4f}" for one in picked]
    records.say("\n".join(lines), {"output": output, "picked": picked}, machine=as_json)
