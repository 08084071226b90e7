"""`ase-elf predict`: structures to ELF files."""

from __future__ import annotations

from pathlib import Path

import click

from ase_elf.cli import options


@click.command(name="predict", context_settings=options.CONTEXT)
@click.argument("structures", type=click.Path(exists=True, path_type=Path))
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path),
    help="File to write: ELFCAR, *.cube, *.xsf, or a store for many frames.",
)  # fmt: skip
@options.together(*options.frames)
@options.together(options.domain, options.device, options.spacing, options.shape)
@options.progress
@options.config
def command(structures: Path, output: Path, **given) -> None:
    """Predict the ELF of every frame of STRUCTURES and write it.

    Of several frames each gets its own file, with the number of the frame before the suffix.
    """
    import sys

    from tqdm import tqdm

    source = options.open_trajectory(structures, given)
    show = sys.stderr.isatty() if given["progress"] is None else given["progress"]
    first = None
    written = 0
    with tqdm(total=source.count(), unit="frame", disable=not show, file=sys.stderr) as bar:
        for frame in source:
            # A single frame takes the name as it was given; that it is single shows late.
            if first is None:
                first = frame
                continue
            if written == 0:
                _write(first, _numbered(output, first.index), given)
                written = 1
            _write(frame, _numbered(output, frame.index), given)
            written += 1
            bar.update(written - bar.n)
        if written == 0:
            _write(first, output, given)
            written = 1
    click.echo(f"{written} ELF {'grid' if written == 1 else 'grids'} written as {output}")


def _write(frame, path: Path, given: dict) -> None:
    import warnings

    from ase_elf import ELFGrid, write_elf
    from ase_elf.domains import domain_for, get_domain
    from ase_elf.errors import ElfWarning
    from ase_elf.grid import fast_shape

    atoms = frame.atoms
    symbols = atoms.get_chemical_symbols()
    domain = get_domain(given["domain"]) if given["domain"] else domain_for(symbols)
    domain.check(atoms)
    for reason in domain.outside(atoms):
        warnings.warn(f"frame {frame.index}: {reason}", ElfWarning, stacklevel=2)
    shape = given["shape"] or fast_shape(atoms.cell[:], given["spacing"] or domain.spacing)
    found = domain.load(device=given["device"]).predict([atoms], [shape])[0]
    grid = ELFGrid(found.values, atoms, info={"domain": domain.name}, sigma=found.sigma)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_elf(path, grid)


def _numbered(path: Path, index: int) -> Path:
    return path.with_name(f"{path.stem}-{index:06d}{path.suffix}")
