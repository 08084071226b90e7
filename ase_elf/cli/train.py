"""`ase-elf train`: fit a field network to labels, or a ruler to images of bonds."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import click

from ase_elf.cli import options, records


class FieldByDefault(click.Group):
    """`train CONFIG` without a word before it means `train field CONFIG`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put in the word that was left out."""
        first = next((word for word in args if not word.startswith("-")), None)
        if first is not None and first not in self.commands:
            args = ["field", *args]
        return super().parse_args(ctx, args)


@click.group(name="train", cls=FieldByDefault, context_settings=options.CONTEXT)
def command() -> None:
    """Fit a field network (`train CONFIG` or `train field CONFIG`), or a ruler."""


@command.command(context_settings=options.CONTEXT)
@click.argument("config", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@options.device
@options.progress
@records.as_json
def field(config: Path, device: str | None, progress: bool | None, as_json: bool) -> None:
    """Fit the network that CONFIG (YAML) describes.

    Can be stopped at any moment; started again, it goes on from the last checkpoint. Several
    processes share the work where `torchrun --no-python ase-elf train CONFIG` starts them, each
    on a GPU of its own where there are some.
    """
    from tqdm import tqdm

    from ase_elf.model.weights import choose_device
    from ase_elf.storage.locks import locked
    from ase_elf.training.config import TrainConfig
    from ase_elf.training.processes import joined
    from ase_elf.training.run import finish, prepare

    settings = TrainConfig.read(config)
    with ExitStack() as stack:
        processes, own = stack.enter_context(joined(choose_device(device)))
        if processes.leads:
            stack.enter_context(locked(settings.output, "training"))
        fit = prepare(settings, own, processes)
        disable = not processes.leads or (None if progress is None else not progress)
        bar = tqdm(total=settings.recipe.steps, initial=fit.step, unit="step", disable=disable)

        def show(step: int, losses: dict) -> None:
            bar.update(step - bar.n)
            bar.set_postfix(rmse=f"{losses['rmse']:.4f}", refresh=False)

        with bar:
            fit.run(show)
        if not processes.leads:
            return
        card = finish(settings, fit)
    text = f"{fit.step} steps done; checkpoint and log in {settings.output}"
    digest = card["weights"]["sha256"] if card else None
    if card:
        text += f"\nweights and card in {settings.pack}: SHA-256 {digest}"
    record = {
        "steps": fit.step, "output": settings.output, "pack": settings.pack, "sha256": digest
    }  # fmt: skip
    records.say(text, record, machine=as_json)


@command.command(context_settings=options.CONTEXT)
@click.argument("config", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@options.progress
@records.as_json
def ruler(config: Path, progress: bool | None, as_json: bool) -> None:
    """Fit the ruler that CONFIG (YAML) describes, and write it into its domain pack."""
    from tqdm import tqdm

    from ase_elf.training.ruler import RulerConfig, train_ruler

    settings = RulerConfig.read(config)
    epochs = settings.recipe.members * settings.recipe.epochs
    if settings.type_image is not None:
        epochs += settings.type_recipe.members * settings.type_recipe.epochs
    disable = None if progress is None else not progress
    with tqdm(total=epochs, unit="epoch", disable=disable) as bar:

        def show(what: str, error: float) -> None:
            bar.update()
            bar.set_postfix({what: f"{error:.4f}"}, refresh=False)

        card = train_ruler(settings, show)
    test = card["test"]["all"]
    told = (
        f"{card['pair']} ruler in {settings.pack}: mean error {test['mae']:.4f} Å on "
        f"{test['n']} bonds not trained on; SHA-256 {card['sha256']}"
    )
    records.say(told, card, machine=as_json)
