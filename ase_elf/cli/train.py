"""`ase-elf train`: fit a field network to labels."""

from __future__ import annotations

from pathlib import Path

import click

from ase_elf.cli import options, records


@click.command(name="train", context_settings=options.CONTEXT)
@click.argument("config", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@options.progress
@records.as_json
def command(config: Path, progress: bool | None, as_json: bool) -> None:
    """Fit the network that CONFIG (YAML) describes.

    Can be stopped at any moment; started again, it goes on from the last checkpoint.
    """
    from tqdm import tqdm

    from ase_elf.training.config import TrainConfig
    from ase_elf.training.run import finish, prepare

    settings = TrainConfig.read(config)
    fit = prepare(settings)
    disable = None if progress is None else not progress
    with tqdm(total=settings.recipe.steps, initial=fit.step, unit="step", disable=disable) as bar:

        def show(step: int, losses: dict) -> None:
            bar.update(step - bar.n)
            bar.set_postfix(rmse=f"{losses['rmse']:.4f}", refresh=False)

        fit.run(show)
    card = finish(settings, fit)
    text = f"{fit.step} steps done; checkpoint and log in {settings.output}"
    digest = card["weights"]["sha256"] if card else None
    if card:
        text += f"\nweights and card in {settings.pack}: SHA-256 {digest}"
    record = {
        "steps": fit.step, "output": settings.output, "pack": settings.pack, "sha256": digest
    }  # fmt: skip
    records.say(text, record, machine=as_json)
