"""`ase-elf analyze`: a trajectory to tables, plots and a report."""

from __future__ import annotations

from pathlib import Path

import click

from ase_elf.cli import options


NOT_IN_CONFIG = ("output", "progress", "device", "report")
"""Options that do not change a number: a run may be continued with others."""


@click.command(name="analyze", context_settings=options.CONTEXT)
@click.argument("trajectory", type=click.Path(exists=True, path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(file_okay=False, path_type=Path),
    help="Output directory. [default: the name of the trajectory with -elf]",
)  # fmt: skip
@options.together(*options.frames)
@click.option("--isovalue", type=float, help="ELF at which domains are counted. [default: 0.8]")
@click.option(
    "--bond", "bond", multiple=True, metavar="A-B=LENGTH",
    help="Longest bond length in Å of a pair of elements, instead of the domain pack's.",
)  # fmt: skip
@click.option("--r-max", type=float, help="Range of g(r) in Å. [default: half the cell width]")
@click.option("--max-lag", type=click.IntRange(min=1), default=200,
              help="Longest lag of bond correlation functions, in frames.")  # fmt: skip
@options.together(options.domain, options.device, options.spacing, options.shape)
@click.option("--batch", type=click.IntRange(min=1), help="Frames predicted together.")
@click.option("--report/--no-report", default=True, help="Also plots and report.html.")
@options.progress
@options.config
@click.pass_context
def command(ctx: click.Context, trajectory: Path, output: Path | None, **given) -> None:
    """Analyse the ELF network along TRAJECTORY, any format of ASE or MDAnalysis.

    Writes summary.json, frames.csv, bonds.csv, plots, report.html and config.yaml. Can be
    killed at any moment: the same command goes on where it was.
    """
    from ase_elf.domains import domain_for, get_domain
    from ase_elf.run import AnalysisRun

    source = options.open_trajectory(trajectory, given)
    if given["domain"]:
        domain = get_domain(given["domain"])
    else:
        domain = domain_for(next(iter(source)).atoms.get_chemical_symbols())
    directory = output or Path(f"{trajectory.name.split('.')[0]}-elf")
    run = AnalysisRun(
        source,
        domain,
        directory,
        chosen={
            "isovalue": given["isovalue"],
            "r_max": given["r_max"],
            "spacing": given["spacing"],
            "shape": given["shape"],
            "bonds": {**domain.bonds, **_bonds(given["bond"])} if given["bond"] else None,
        },
        batch=given["batch"],
        max_lag=given["max_lag"],
        device=given["device"],
        report=given["report"],
        options=options.resolved(ctx, *NOT_IN_CONFIG),
        sources=options.sources(ctx, *NOT_IN_CONFIG),
    )
    _execute(run, given["progress"])
    click.echo(f"results in {directory / ('report.html' if given['report'] else 'summary.json')}")


def _execute(run, shown: bool | None) -> None:
    """Run with a progress bar on stderr: on a terminal, or when asked for."""
    import sys

    from tqdm import tqdm

    show = sys.stderr.isatty() if shown is None else shown
    total = run.trajectory.count() if show else None
    with tqdm(total=total, unit="frame", disable=not show, file=sys.stderr) as bar:

        def advance(done: int) -> None:
            if show and bar.n == 0 and bar.last_print_n == 0 and done:
                bar.initial = done
            bar.update(done - bar.n)

        run.execute(advance)


def _bonds(texts: tuple[str, ...]) -> dict[tuple[str, str], float]:
    """``A-B=1.2`` as a dictionary."""
    bonds = {}
    for text in texts:
        pair, _, length = text.partition("=")
        elements = tuple(pair.split("-"))
        try:
            bonds[elements] = float(length)
        except ValueError:
            bonds[elements] = -1.0
        if len(elements) != 2 or not bonds[elements] > 0:
            raise click.BadParameter(f"{text!r} is not of the form A-B=1.2", param_hint="--bond")
    return bonds
