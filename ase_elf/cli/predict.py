"""`ase-elf predict`: structures to ELF files."""

from __future__ import annotations

from pathlib import Path

import click

from ase_elf.cli import options, records


@click.command(name="predict", context_settings=options.CONTEXT)
@click.argument("structures", type=click.Path(exists=True, path_type=Path))
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path),
    help="File to write: ELFCAR, *.cube, *.xsf, or a store for many frames.",
)  # fmt: skip
@options.together(*options.frames)
@options.together(options.domain, options.device, options.spacing, options.shape)
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
                written.append(_write(first, _numbered(output, first.index), given))
            written.append(_write(frame, _numbered(output, frame.index), given))
            bar.update(len(written) - bar.n)
        if not written:
            written.append(_write(first, output, given))
            bar.update(1)
    records.write_beside(ctx, output)
    text = f"{len(written)} ELF {'grid' if len(written) == 1 else 'grids'} written as {output}"
    files = [str(path) for path in written]
    records.say(text, {"files": files}, machine=given["as_json"])


def _write(frame, path: Path, given: dict) -> Path:
    import warnings

    from ase_elf import ELFGrid, write_elf
    from ase_elf.domains import domain_for, get_domain
    from ase_elf.errors import ElfWarning, InputError
    from ase_elf.grid import fast_shape
    from ase_elf.storage.atomic import writing_into

    atoms = frame.atoms
    symbols = atoms.get_chemical_symbols()
    domain = get_domain(given["domain"]) if given["domain"] else domain_for(symbols)
    try:
        domain.check(atoms)
    except InputError as error:
        raise InputError(f"frame {frame.index} of {given['structures']}: {error}") from error
    shape = given["shape"] or fast_shape(atoms.cell[:], given["spacing"] or domain.spacing)
    found = domain.load(device=given["device"]).predict([atoms], [shape])[0]
    for reason in domain.outside(atoms, found.distance):
        warnings.warn(f"frame {frame.index}: {reason}", ElfWarning, stacklevel=2)
    info = {"domain": domain.name, "domain_distance": found.distance}
    grid = ELFGrid(found.values, atoms, info=info, sigma=found.sigma)
    with writing_into(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_elf(path, grid)
    return path


def _numbered(path: Path, index: int) -> Path:
    return path.with_name(f"{path.stem}-{index:06d}{path.suffix}")
