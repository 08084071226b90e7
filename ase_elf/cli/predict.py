"""`ase-elf predict`: structures to ELF files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ase_elf.cli import options, records

if TYPE_CHECKING:
    from ase import Atoms

    from ase_elf.domains import Domain
    from ase_elf.prediction import Predictor


@click.command(name="predict", context_settings=options.CONTEXT)
@click.argument("structures", type=click.Path(exists=True, path_type=Path))
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path),
    help="File to write: ELFCAR, *.cube, *.xsf, or a store for many frames.",
)  # fmt: skip
@options.together(*options.frames)
@options.together(options.domain, options.engine, options.device, options.spacing, options.shape)
@options.progress
@records.as_json
@options.config
@click.pass_context
def command(ctx: click.Context, structures: Path, output: Path, **given) -> None:
    """Predict the ELF of every frame of STRUCTURES and write it.

    Of several frames each gets its own file, with the number of the frame before the suffix.
    The options in force are written beside them, as OUTPUT.config.yaml.
    """
    import sys

    from tqdm import tqdm

    from ase_elf.prediction import Predictor

    predictor = Predictor(given["domain"], given["device"])
    source = options.open_trajectory(structures, given)
    given["structures"] = structures
    show = sys.stderr.isatty() if given["progress"] is None else given["progress"]
    first = None
    written: list[Path] = []
    with tqdm(total=source.count(), unit="frame", disable=not show, file=sys.stderr) as bar:
        for frame in source:
            # A single frame takes the name as it was given; that it is single shows late.
            if first is None:
                first = frame
                continue
            if not written:
                written.append(_write(first, _numbered(output, first.index), predictor, given))
            written.append(_write(frame, _numbered(output, frame.index), predictor, given))
            bar.update(len(written) - bar.n)
        if not written:
            written.append(_write(first, output, predictor, given))
            bar.update(1)
    records.write_beside(ctx, output)
    text = f"{len(written)} ELF {'grid' if len(written) == 1 else 'grids'} written as {output}"
    files = [str(path) for path in written]
    records.say(text, {"files": files}, machine=given["as_json"])


def _write(frame, path: Path, predictor: Predictor, given: dict) -> Path:
    import warnings

    from ase_elf import write_elf
    from ase_elf.errors import ElfWarning, InputError
    from ase_elf.geometry.neighbors import Neighbors
    from ase_elf.storage.atomic import writing_into

    near = Neighbors(frame.atoms)
    pack = predictor.domain_of(frame.atoms)
    try:
        pack.check(frame.atoms, near)
    except InputError as error:
        raise InputError(f"frame {frame.index} of {given['structures']}: {error}") from error
    atoms = _in_the_middle(frame.atoms, pack)
    spacing = None if given["shape"] else given["spacing"]  # of both the shape counts
    shapes = predictor.shapes([atoms], given["shape"] or None, spacing)
    (grid,) = predictor.grids([atoms], shapes, [near])
    predictor.say_open(frame.atoms)
    for reason in grid.info["out_of_domain"]:
        warnings.warn(f"frame {frame.index}: {reason}", ElfWarning, stacklevel=2)
    with writing_into(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_elf(path, grid)
    return path


def _in_the_middle(atoms: Atoms, pack: Domain) -> Atoms:
    """What is not periodic in the middle of its box, so that viewers do not show it in pieces."""
    if atoms.pbc.all():
        return atoms
    box = pack.boxed(atoms, centre=True)
    box.pbc = atoms.pbc
    return box


def _numbered(path: Path, index: int) -> Path:
    return path.with_name(f"{path.stem}-{index:06d}{path.suffix}")
