"""Reading and writing ELF grids: ELFCAR, cube, XSF, VASP's HDF5 and the binary store.

The kind of a file is told by its content, when writing by its name. Whatever a file
declares about its size is believed only once that many values were read. Light to
import: ASE loads the entry points of this package at ``import ase.io``.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase_elf.errors import ElfWarning, FormatError, InputError, remedy
from ase_elf.formats.detection import FORMATS, detect, holds_elf, kind_by_name, known
from ase_elf.formats.opening import open_text, unpacked
from ase_elf.storage.atomic import replacing

if TYPE_CHECKING:
    import numpy as np
    from ase import Atoms

    from ase_elf.grid import ELFGrid

OPTIONS = {
    "spin": ("elfcar", "vasp-h5"),
    "repeated_end_plane": ("cube",),
    "grid": ("cube", "xsf", "vasp-h5"),
    "elements": ("elfcar",),
    "frame": ("store",),
}
"""Arguments of :func:`read_elf` and the formats they apply to."""

# What parsing raises on text that is not what it should be.
_PARSE_ERRORS = (
    ArithmeticError,
    AttributeError,
    IndexError,
    KeyError,
    RuntimeError,
    TypeError,
    ValueError,
)


def read_elf(
    path: str | os.PathLike[str],
    *,
    format: str | None = None,  # noqa: A002 - the name ASE uses
    spin: str | None = None,
    repeated_end_plane: bool | None = None,
    grid: int | str | None = None,
    elements: Sequence[str] | None = None,
    frame: int | None = None,
) -> ELFGrid:
    """The ELF in a file.

    Parameters
    ----------
    path : path-like
        An ELFCAR, cube or XSF file, VASP's ``vaspout.h5``, a frame of the binary store, also
        packed with gzip, bzip2 or xz; or a store (directory).
    format : str, optional
        One of ``FORMATS``. By default the content decides.
    spin : {"up", "down"}, optional
        Which ELF of a spin-polarised ELFCAR or ``vaspout.h5``. Without it, up is read, with
        a warning where the two differ.
    repeated_end_plane : bool, optional
        Cube files only: whether the last plane along each axis repeats the first, as
        CASTEP writes it, and is to be dropped. By default only where the comment names
        castep2cube; where the planes merely look repeated, a warning says so.
    grid : int or str, optional
        Which of several grids of an XSF file, or of several values at each point of a cube
        file: its name or its number, from 1. By default the grid of an XSF file that is
        called ELF, else the first that is not called a density, with a warning.
    elements : sequence of str, optional
        Elements of the species of an ELFCAR that names none, as VASP 4 wrote them.
    frame : int, optional
        Stores only: which frame. Needed where a store holds more than one.

    Returns
    -------
    ELFGrid
        Atoms periodic in three directions, shifted so that the grid starts at the
        origin; ``info`` holds ``source`` (path) and ``format``, and ``origin`` (Å) or
        ``spin`` where they apply.

    Raises
    ------
    FormatError
        If the file is truncated, malformed or of no known kind.
    InputError
        If its values are not an ELF, or an option does not apply to the format.
    OSError
        If it cannot be read at all.

    Examples
    --------
    >>> import numpy as np, tempfile, os
    >>> from ase.build import bulk
    >>> from ase_elf import ELFGrid, read_elf, write_elf
    >>> path = os.path.join(tempfile.mkdtemp(), "al.cube")
    >>> write_elf(path, ELFGrid(np.full((4, 4, 4), 0.5), bulk("Al")))
    >>> read_elf(path)
    ELFGrid(Al, shape=(4, 4, 4), ELF 0.500 to 0.500)
    """
    from ase_elf.grid import ELFGrid

    path = Path(path)
    kind = known(format) if format else detect(path)
    options = {"spin": spin, "repeated_end_plane": repeated_end_plane, "grid": grid,
               "elements": elements, "frame": frame}  # fmt: skip
    _refuse_stray_options(kind, options)
    if kind in ("hdf5", "store"):
        from ase_elf.formats import store

        return _read_frame(path) if kind == "hdf5" else store.read_store(path, frame)
    with _naming(path):
        atoms, values, info = _read(path, kind, options)
        try:
            return ELFGrid(values, atoms, {"source": str(path), "format": kind, **info})
        except InputError as error:
            raise InputError(f"{path}: {error}") from error


def iread_elf(
    path: str | os.PathLike[str], *, lenient: bool = False, **options: Any
) -> Iterator[tuple[int | None, ELFGrid]]:
    """Every ELF in a file or store, one at a time: (number of the frame, grid).

    The number is None where a file holds a single ELF. Parameters and errors as of
    :func:`read_elf`; with ``lenient`` options that do not apply to the format are left out.
    """
    kind = detect(path)
    if lenient:
        options = {name: value for name, value in options.items() if kind in OPTIONS[name]}
    if kind != "store":
        yield None, read_elf(path, format=kind, **options)
        return
    from ase_elf.formats.store import ELFStore

    _refuse_stray_options(kind, options)
    store = ELFStore(path)
    for frame in store.frames:
        yield frame, store[frame]


def write_elf(
    path: str | os.PathLike[str],
    grid: ELFGrid,
    *,
    format: str | None = None,  # noqa: A002 - the name ASE uses
    spin_down: ELFGrid | None = None,
) -> None:
    """Write an ELF; the file appears whole or not at all.

    Parameters
    ----------
    path : path-like
        ``*.cube``, ``*.xsf``, ``*.h5``, or a name containing ``ELFCAR``. For
        ``*.elfstore`` the grid becomes the next frame of that store.
    grid : ELFGrid
        Text formats keep every bit of the float32 values; HDF5 rounds to 1/65535, and to
        a 254th of that above 1 - 1/128.
    format : str, optional
        One of ``FORMATS``, where the name does not say.
    spin_down : ELFGrid, optional
        ELFCAR only: the second block, ``grid`` being spin up.

    Raises
    ------
    InputError
        If the name says no format, or ``spin_down`` does not fit.
    OutputError
        If ``path`` is in the way of a store.
    """
    path = Path(path)
    kind = known(format) if format else kind_by_name(path)
    if kind is None:
        raise InputError(
            f"the name {path.name!r} says no format; use ELFCAR, *.cube, *.xsf, *.h5 or "
            f"*.elfstore{remedy(', or pass format= one of ' + ', '.join(FORMATS), '')}."
        )
    if kind == "vasp-h5":
        raise InputError("VASP's HDF5 files are read here and not written; use ELFCAR.")
    if spin_down is not None and kind != "elfcar":
        raise InputError(f"spin_down= goes into an ELFCAR only, not into {FORMATS[kind]}.")
    if kind == "store":
        from ase_elf.formats.store import ELFStore

        ELFStore(path).append(grid)
        return
    with replacing(path) as part:
        if kind == "hdf5":
            from ase_elf.formats.store import write_frame

            write_frame(part, grid)
            return
        with part.open("w", encoding="utf-8") as fd:
            if kind == "elfcar":
                from ase_elf.formats.elfcar import write_elfcar

                write_elfcar(fd, grid.atoms, elf=grid, spin_down=spin_down)
            elif kind == "cube":
                from ase_elf.formats.cube import write_cube

                write_cube(fd, grid)
            else:
                from ase_elf.formats.xsf import write_xsf

                write_xsf(fd, grid)


def _read_frame(path: Path) -> ELFGrid:
    """One frame of a store, which may be packed."""
    from ase_elf.formats.store import read_frame

    with unpacked(path) as plain:
        try:
            grid = read_frame(plain)
        except FormatError as error:
            raise FormatError(str(error).replace(str(plain), str(path))) from error
    if grid.info["source"] == str(plain):
        grid.info["source"] = str(path)
    return grid


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Warnings from within name the file."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        finally:
            said = [(w.category, w.message) for w in caught]
    for category, message in said:
        text = f"{path}: {message}" if issubclass(category, ElfWarning) else str(message)
        warnings.warn(text, category, stacklevel=4)


def _read(path: Path, kind: str, options: dict[str, Any]) -> tuple[Atoms, np.ndarray, dict[str, Any]]:
    """Atoms, values and notes of one file; errors name it, and the line where it has any."""
    from ase_elf.formats.numbers import Lines

    lines = None
    try:
        if kind == "vasp-h5":
            from ase_elf.formats.vasp_h5 import read_grid

            with unpacked(path) as plain:
                try:
                    return read_grid(plain, spin=options["spin"], grid=options["grid"])
                except OSError as error:  # of HDF5
                    raise FormatError(f"the file is truncated or damaged ({error}).") from error
        with open_text(path) as fd:
            if kind == "xsf":
                from ase_elf.formats.xsf import read_xsf

                return read_xsf(fd, grid=options["grid"])
            lines = Lines(fd)
            if kind == "elfcar":
                from ase_elf.formats.elfcar import read_blocks, select_spin

                atoms, blocks = read_blocks(lines, options["elements"])
                return atoms, *select_spin(blocks, options["spin"])
            from ase_elf.formats.cube import read_cube

            return read_cube(lines, repeated_end_plane=options["repeated_end_plane"], grid=options["grid"])
    except (FormatError, InputError) as error:
        named = str(error) if str(error).startswith(str(path)) else f"{path}: {error}"
        raise type(error)(named) from error
    except _PARSE_ERRORS as error:
        where = f" in line {lines.number}" if lines is not None else ""
        raise FormatError(
            f"{path}: not a well-formed {FORMATS[kind]} ({error}{where}); it may be truncated "
            f"or of another kind{remedy(', which format= can say', '')}."
        ) from error


def _refuse_stray_options(kind: str, options: Mapping[str, object]) -> None:
    for name, value in options.items():
        if value is not None and kind not in OPTIONS[name]:
            kinds = " and ".join(FORMATS[k].split(" (")[0] for k in OPTIONS[name])
            said = remedy(f"{name}=", "--" + {"repeated_end_plane": "end-plane"}.get(name, name))
            raise InputError(f"{said} applies to {kinds}, not to {FORMATS[kind]}.")


__all__ = ["FORMATS", "detect", "holds_elf", "iread_elf", "read_elf", "replacing", "write_elf"]
