"""The command ``ase-elf``: a table of subcommands, loaded when they are called."""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from collections.abc import Callable
from importlib.util import find_spec

import click

from ase_elf import __version__

COMMANDS = {
    "analyze": "Network statistics, tables and a report of a trajectory.",
    "predict": "ELF of structures, written as ELFCAR, cube, XSF or a store.",
    "topology": "Critical points, basins and networking value of an ELF.",
    "ruler": "Bonds of a structure measured with the ELF.",
    "plot": "One figure of a run, a ranking or an ELF, as PNG, SVG or PDF.",
    "train": "Fit a field network to labels.",
    "evaluate": "Accuracy of a model against labels.",
    "dataset": "Label structures with a reference engine.",
    "compare": "Two ELF of one structure, or two analysed trajectories.",
    "merge": "Join the output directories of parts of one trajectory.",
    "info": "Versions, devices, installed domain packs and engines.",
}
"""Subcommand to the line that ``--help`` shows; the module is imported only when called."""

ENVIRONMENT = "ASE_ELF"
"""Prefix of environment variables: ``--isovalue`` reads ``ASE_ELF_ISOVALUE``."""


class LazyGroup(click.Group):
    """A group whose commands live in modules of this package called like them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name in COMMANDS if find_spec(f"{__name__}.{name}")]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in self.list_commands(ctx):
            return None
        return importlib.import_module(f"{__name__}.{name}").command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError:
            from difflib import get_close_matches

            close = get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            ctx.fail(f"No such command {args[0]!r}.{hint}")

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name]) for name in self.list_commands(ctx)])

    def invoke(self, ctx: click.Context) -> object:
        """Run, and turn what went wrong into a message and an exit code."""
        from ase_elf.errors import ElfError, ElfWarning, at_command_line

        try:
            with at_command_line(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                warnings.simplefilter("always", ElfWarning)
                warnings.showwarning = _shown_once()
                return super().invoke(ctx)
        except ElfError as error:
            _stop(str(error), 1)
        except KeyboardInterrupt:
            _stop("stopped by the user; the same command goes on where it was.", 130)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(0)
        except Exception as error:  # a bug or the machine; a traceback helps nobody else
            if os.environ.get(f"{ENVIRONMENT}_DEBUG"):
                raise
            _stop(
                f"{type(error).__name__}: {error}\nThis should not happen. Set "
                f"{ENVIRONMENT}_DEBUG=1 to see where it did.",
                1,
            )


def _stop(message: str, code: int) -> None:
    click.echo(f"error: {message}", err=True)
    sys.exit(code)


def _shown_once() -> Callable[..., None]:
    """Shows a warning as a line for the user, once: a file may be read more than once."""
    shown: set[str] = set()

    def show(message: Warning | str, *_: object, **__: object) -> None:
        if str(message) not in shown:
            shown.add(str(message))
            click.echo(f"warning: {message}", err=True)

    return show


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 stopped early or bad input, 2 wrong usage, 130 interrupted. "
    'Completion in bash: eval "$(_ASE_ELF_COMPLETE=bash_source ase-elf)"; zsh and fish likewise.',
)
@click.version_option(__version__, prog_name="ase-elf")
def main() -> None:
    """The electron localization function from atomic positions, and the network it forms."""
