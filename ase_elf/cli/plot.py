"""`ase-elf plot`: one figure of a run, a ranking or an ELF, as PNG, SVG or PDF."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ase_elf.cli import options

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RUN = (
    "phi", "networking", "molecular_fraction", "cluster_numbers", "bond_length", "gr", "resolved_rdf",
    "percolation", "clusters", "degrees", "elf", "midpoint", "bond_point", "orientation", "lifetime", "network",
)  # fmt: skip
RANKING = ("uncertainty", "density", "molecularity")
GRID = ("plane", "network", "domains", "critical", "bonds")

OF_AXES = ("title", "xlabel", "xlim", "xscale", "ylabel", "ylim", "yscale")
"""Keywords of --set that belong to the axes."""


@click.command(name="plot", context_settings=options.CONTEXT)
@click.argument("result", type=click.Path(exists=True, path_type=Path))
@click.option("--what", help="Which figure.  [default: the first of those listed above]")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path),
    help="File; its ending decides the format: .png, .svg, .pdf, .eps.  [default: WHAT.png]",
)  # fmt: skip
@click.option("--figsize", type=float, nargs=2, help="Width and height in inches.")
@click.option("--dpi", type=click.IntRange(30, 1200), default=200, help="Of pixels in the file.")
@click.option("--style", help="Style sheet of matplotlib, by name or file.")
@click.option("--units", help="Of lengths (Å, nm, pm, bohr) or times (fs, ps, ns) on the axis.")
@click.option("--cmap", help="Color map.")
@click.option("--color", help="Of lines, bars, points or the surface.")
@click.option("--through", type=int, nargs=3, help="Three atoms, from 0, that a plane goes through.")
@click.option("--normal", type=click.Choice(["a", "b", "c"]), default="c", help="Cell vector not in a plane.")
@click.option("--at", type=float, default=0.5, help="Fractional coordinate of a plane along it.")
@click.option("--isovalue", type=click.FloatRange(0, 1, min_open=True, max_open=True),
              help="Of the surface of a network.  [default: that of the run, or phi]")  # fmt: skip
@click.option("--view", type=float, nargs=2, help="Elevation and azimuth of the viewer, degrees.")
@click.option("--frame", type=click.IntRange(min=0), help="Of a store, or of a run whose network is drawn.")
@click.option("--set", "more", multiple=True, metavar="KEY=VALUE",
              help="Any other keyword: of the artists (lw=2, alpha=0.5), or of the axes (xlim=[0,3], "
              "title=...). Repeatable.")  # fmt: skip
@options.together(*options.grids)
@click.option("--elements", help="Elements of the species of an ELFCAR that names none, as A,B.")
@options.config
def command(
    result: Path, what: str | None, output: Path | None, dpi: int, more: tuple[str, ...], **given
) -> None:
    """Draw one figure of RESULT.

    \b
    Of an output directory of `analyze`, of a trajectory:
      phi, networking, molecular_fraction, cluster_numbers, bond_length, gr,
      resolved_rdf, percolation, clusters, degrees, elf, midpoint, bond_point,
      orientation, lifetime, network
    Of one of a collection:
      uncertainty, density, molecularity
    Of an ELF (ELFCAR, cube, XSF, vaspout.h5, store):
      plane, network, domains, critical, bonds
    """  # noqa: D301 - the mark of click for lines that are not filled
    from ase_elf.plotting.figure import style

    names, draw = _drawers(result, given)
    what = what or names[0]
    if what not in names:
        raise click.BadParameter(f"{what!r} cannot be drawn of {result}; choose from {', '.join(names)}.",
                                 param_hint="--what")  # fmt: skip
    wanted, of_axes = _keywords(given, more)
    output = output or Path(f"{what}.png")
    with _told(wanted | of_axes):
        ax = draw(what, wanted)
        ax.set(**of_axes)
        with style(given["style"] or {}):
            _save(ax, output, dpi)
    click.echo(str(output))


def _drawers(result: Path, given: dict[str, Any]) -> tuple[tuple[str, ...], Callable[[str, dict], Axes]]:
    """Names of figures that there are of a result, and what draws one of them."""
    from ase_elf.runs.opened import is_run, open_ranking, open_run

    if not is_run(result):
        return GRID, lambda what, wanted: _of_grid(result, what, given, wanted)
    ranking = open_ranking(result)
    if ranking is not None:
        return RANKING, lambda what, wanted: _of_ranking(ranking, what, wanted)
    if given["elements"] or given["spin"] or given["grid"]:
        raise click.UsageError("--elements, --spin and --grid are for ELF files.")
    return RUN, lambda what, wanted: _of_run(open_run(result), result, what, given, wanted)


def _of_run(results, directory: Path, what: str, given: dict[str, Any], wanted: dict[str, Any]) -> Axes:
    from ase_elf.report.results import SERIES

    if what == "network":
        return _of_snapshot(results, directory, given, wanted)
    if what in SERIES:
        return results.plot_series(what, **wanted)
    return results.results["rdf" if what == "gr" else what].plot(**wanted)


def _of_snapshot(results, directory: Path, given: dict[str, Any], wanted: dict[str, Any]) -> Axes:
    from ase_elf.plotting.solid import plot_solid
    from ase_elf.report.network_view import label, solid_of
    from ase_elf.runs.opened import snapshots_of

    kept = {snapshot.frame: snapshot for snapshot in snapshots_of(directory)}
    frame = given["frame"] if given["frame"] is not None else min(kept, default=None)
    if frame not in kept:
        raise click.BadParameter(f"the ELF of frame {frame} was not kept; there are {', '.join(map(str, kept))}.",
                                 param_hint="--frame")  # fmt: skip
    isovalue = given["isovalue"] or results.settings.isovalue
    solid = solid_of(kept[frame], results.bonds[frame].bonds, isovalue)
    return plot_solid(
        solid, **{"title": f"{label(kept[frame])}, ELF = {isovalue:g}"} | _viewed(given) | wanted
    )


def _of_ranking(rows, what: str, wanted: dict[str, Any]) -> Axes:
    from ase_elf.report import screening

    good = [row for row in rows if row.error is None]
    if not good:
        raise click.UsageError("nothing in this ranking could be analysed.")
    return getattr(screening, f"plot_{what}")(good, **wanted)


def _of_grid(path: Path, what: str, given: dict[str, Any], wanted: dict[str, Any]) -> Axes:
    from ase_elf.formats import read_elf
    from ase_elf.ruler import measure_bonds
    from ase_elf.topology import critical_points, networking
    from ase_elf.viewer import draw_network

    frame = {} if given["frame"] is None else {"frame": given["frame"]}
    grid = read_elf(path, **options.reading(given), **frame)
    if what == "plane":
        where = {
            "normal": "abc".index(given["normal"]),
            "at": given["at"],
            "through": given["through"] or None,
        }
        return grid.plot(**where, **wanted)
    if what == "network":
        return draw_network(grid, isovalue=given["isovalue"], **_viewed(given), **wanted)
    makers = {"domains": networking, "critical": critical_points,
              "bonds": lambda grid: measure_bonds(grid.atoms, grid)}  # fmt: skip
    return makers[what](grid).plot(**wanted)


def _viewed(given: dict[str, Any]) -> dict[str, Any]:
    return {"view": given["view"]} if given["view"] else {}


def _keywords(given: dict[str, Any], more: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Keyword arguments for the plot, and for its axes."""
    import yaml

    wanted = {name: given[name] for name in ("figsize", "style", "units", "cmap", "color") if given[name]}
    of_axes = {}
    for text in more:
        name, sign, value = text.partition("=")
        try:
            parsed = yaml.safe_load(value)
        except yaml.YAMLError:
            sign = ""
        if not sign or not name.isidentifier():
            raise click.BadParameter(f"{text!r} is not of the form KEY=VALUE.", param_hint="--set")
        (of_axes if name in OF_AXES else wanted)[name] = parsed
    return wanted, of_axes


@contextmanager
def _told(keywords: dict[str, Any]) -> Iterator[None]:
    """What matplotlib does not take becomes a message that names the keywords."""
    from ase_elf.errors import ElfError, InputError

    try:
        yield
    except (AttributeError, TypeError, ValueError, OSError) as error:
        if isinstance(error, ElfError) or not keywords:
            raise
        given = ", ".join(f"{name} = {value!r}" for name, value in keywords.items())
        raise InputError(f"matplotlib does not take one of {given}: {error}") from error


def _save(ax: Axes, output: Path, dpi: int) -> None:
    from ase_elf.errors import InputError, OutputError
    from ase_elf.storage.atomic import replacing

    figure, kind = ax.figure, output.suffix.removeprefix(".").lower()
    known = figure.canvas.get_supported_filetypes()
    if kind not in known:
        raise InputError(
            f"{output.name!r} does not end in a format that is drawn: {', '.join(sorted(known))}."
        )
    undated = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
    try:
        with replacing(output) as part:
            figure.savefig(part, format=kind, dpi=dpi, metadata=undated.get(kind))
    except OSError as error:
        raise OutputError(f"cannot write {output}: {error.strerror or error}.") from error
