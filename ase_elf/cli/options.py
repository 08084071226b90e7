"""Options that several commands share, and where their values come from.

Command line beats environment beats configuration file beats default.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click

from ase_elf.cli import ENVIRONMENT

RESERVED = ("provenance",)
"""Keys of a configuration file that are no options: what a finished run adds to its own."""

CONTEXT = {"auto_envvar_prefix": ENVIRONMENT, "show_default": True}
"""Context settings of every command."""


def _read_config(ctx: click.Context, _: click.Parameter, path: Path | None) -> Path | None:
    """Check the keys of a YAML file, and make its values the defaults."""
    if path is None:
        return None
    from ase_elf.errors import FormatError
    from ase_elf.storage.configuration import read_mapping

    try:
        content = read_mapping(path)
    except FormatError as error:
        raise click.UsageError(f"not YAML with 'option: value' lines: {error}") from error
    params = [p for p in ctx.command.params if isinstance(p, click.Option) and p.expose_value]
    known, repeated = [p.name for p in params], [p.name for p in params if p.multiple]
    values = {}
    for key, value in content.items():
        name = str(key).replace("-", "_")
        if name in RESERVED:
            continue
        if name not in known:
            close = get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}."
            raise click.UsageError(f"{path}: unknown key {key!r:.200}; {hint}")
        if name in repeated and isinstance(value, str):
            value = [value]  # or every letter would be a value
        if value is not None:
            values[name] = value
    ctx.default_map = {**(ctx.default_map or {}), **values}
    return path


config = click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    is_eager=True,
    expose_value=False,
    callback=_read_config,
    help="YAML file with options; keys are their long names.",
)

progress = click.option(
    "--progress/--no-progress", default=None, help="Progress on stderr. [default: on a terminal]"
)


class DomainType(click.ParamType):
    """The name of a domain pack, or the folder of one, which is made absolute: a run may be repeated elsewhere."""

    name = "NAME|FOLDER"

    def convert(self, value, param, ctx):
        """The name as it stands, or the absolute path."""
        engine = ctx.meta.get("engine") if ctx else None
        if engine and value != engine:
            self.fail("give --domain or --engine, not both.", param, ctx)
        from ase_elf.domains import ENTRY_POINTS
        from ase_elf.plugins import discover

        is_folder = str(value) not in discover(ENTRY_POINTS) and Path(value).is_dir()
        return str(Path(value).absolute()) if is_folder else value


domain = click.option(
    "--domain",
    type=DomainType(),
    help="Domain pack, by name or the folder of its card.json. [default: the one that knows the elements]",
)


def _take_engine(ctx: click.Context, _: click.Parameter, name: str | None) -> None:
    """Put the engine in the place of a domain pack."""
    if name is None:
        return
    from ase_elf.domains import ENGINES, of_engine
    from ase_elf.plugins import discover

    if name not in (known := discover(ENGINES)):
        raise click.BadParameter(f"no engine is called {name!r}; installed: {', '.join(known) or 'none'}.")
    ctx.meta["engine"] = of_engine(name)
    ctx.default_map = {**(ctx.default_map or {}), "domain": of_engine(name)}


engine = click.option(
    "--engine",
    metavar="NAME",
    is_eager=True,
    expose_value=False,
    callback=_take_engine,
    help="Compute the ELF by DFT (espresso, pyscf, cp2k) instead of predicting it.",
)

geometries = click.option(
    "--geometries", multiple=True, type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with frames (info['id']) that labels without a geometry of their own are on. Repeatable.",
)  # fmt: skip

device = click.option("--device", help="cpu or cuda[:N]. [default: cuda where there is one]")


class WorkersType(click.ParamType):
    """A number of processes, or the address of a Dask scheduler."""

    name = "N|ADDRESS"

    def convert(self, value, param, ctx):
        """The number, or the address as it stands."""
        if "://" in str(value):
            return value
        with suppress(ValueError):
            if int(value) >= 1:
                return int(value)
        return self.fail(f"{value!r} is neither a number of processes nor tcp://host:port.", param, ctx)


workers = click.option(
    "--workers",
    type=WorkersType(),
    help="Processes that share the work, or the address of a Dask scheduler (tcp://host:8786). "
    "With as many devices in --device (cuda:0,cuda:1) each has its own. [default: this process]",
)

spacing = click.option("--spacing", type=float, help="Grid spacing in Å. [default: that of the domain pack]")

shape = click.option(
    "--shape", type=int, nargs=3, help="Grid points along the cell vectors instead of --spacing."
)

frames = (
    click.option("--start", type=click.IntRange(min=0), default=0, help="First frame, from 0."),
    click.option("--stop", type=click.IntRange(min=0), help="Frame before which to stop."),
    click.option("--step", type=click.IntRange(min=1), default=1, help="Every n-th frame."),
    click.option(
        "--topology",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Topology file for formats without elements, read with MDAnalysis.",
    ),
    click.option(
        "--timestep",
        type=float,
        help="fs between the first two stored frames; steps counted in the file set the others. "
        "[default: the times the file states]",
    ),
    click.option(
        "--elements",
        help="Elements of atom types 1, 2, ... where a file knows only types, as A,B; or of "
        "single labels, as Hw=H,3=Au.",
    ),
    click.option(
        "--cell",
        help="Cell where a file states none: A,B,C or A,B,C,ALPHA,BETA,GAMMA in Å and degrees, "
        "or the nine numbers of three vectors.",
    ),
)
"""Options that choose frames of a trajectory."""

grids = (
    click.option("--spin", type=click.Choice(["up", "down"]),
                 help="Which ELF of a spin-polarised ELFCAR or vaspout.h5."),
    click.option("--grid", metavar="NAME|N",
                 help="Which of several grids of an XSF file, or values at a point of a cube file."),
    click.option("--end-plane", type=click.Choice(["drop", "keep"]),
                 help="Whether the last planes of a cube file repeat the first, and are dropped. "
                 "[default: keep, unless CASTEP wrote it]"),
)  # fmt: skip
"""Options that say what of an ELF file is read."""


def reading(given: dict[str, Any]) -> dict[str, Any]:
    """Arguments of :func:`ase_elf.read_elf` that the options in ``given`` stand for."""
    plane = {"drop": True, "keep": False}.get(given.get("end_plane"))
    elements = split_elements(given.get("elements"))
    wanted = {"spin": given.get("spin"), "grid": given.get("grid"), "repeated_end_plane": plane,
              "elements": elements}  # fmt: skip
    return {name: value for name, value in wanted.items() if value is not None}


def together(*options: Callable) -> Callable:
    """One decorator for several options, in the order given."""

    def decorate(function: Callable) -> Callable:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def open_trajectory(path: Path, given: dict[str, Any]):
    """The :class:`~ase_elf.structures.trajectory.Trajectory` that the shared reading options describe."""
    from ase_elf.structures.trajectory import Trajectory

    return Trajectory(
        path,
        start=given["start"],
        stop=given["stop"],
        step=given["step"],
        topology=given["topology"],
        timestep=given["timestep"],
        elements=split_elements(given["elements"]),
        cell=split_cell(given["cell"]),
    )


def split_cell(text: str | None) -> tuple[float, ...] | None:
    """``"3,3,4"`` as numbers; spaces separate as well as commas."""
    if not text:
        return None
    try:
        # A YAML file may hold a list.
        return tuple(float(word) for word in re.sub(r"[\[\](),]", " ", str(text)).split())
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is not A,B,C or A,B,C,ALPHA,BETA,GAMMA or nine numbers.", param_hint="--cell"
        ) from None


def split_elements(text: str | None) -> tuple[str, ...] | None:
    """``"Si,O"`` as a tuple."""
    if not text:
        return None
    return tuple(word.strip() for word in text.split(",") if word.strip())


def sources(ctx: click.Context, *leave_out: str) -> dict[str, str]:
    """Where the value of every option came from."""
    words = {"COMMANDLINE": "command line", "ENVIRONMENT": "environment", "DEFAULT_MAP": "file"}
    found = {}
    for parameter in ctx.command.params:
        source = ctx.get_parameter_source(parameter.name)
        if parameter.expose_value and source is not None and parameter.name not in leave_out:
            found[parameter.name] = words.get(source.name, "default")
    return found


def resolved(ctx: click.Context, *leave_out: str) -> dict[str, Any]:
    """Values of all options as plain YAML types."""
    options = {}
    for parameter in ctx.command.params:
        if isinstance(parameter, click.Option) and parameter.expose_value:
            value = ctx.params[parameter.name]
            if parameter.name not in leave_out:
                options[parameter.name] = _plain(value)
    return options


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
