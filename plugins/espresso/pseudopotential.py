"""The pseudopotentials: given as files, or for hydrogen made here with ld1.x."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import numpy as np

from ase_elf.errors import EngineError, FormatError, InputError
from ase_elf.reference.program import find_program, run_program, working_directory

# The all-electron hydrogen atom in PBE, pseudised after Troullier and Martins
# (PRB 43, 1993 (1991)) with r_c 0.90 bohr; the s potential is the local one.
HYDROGEN_INPUT = """\
 &input
   title = 'H', zed = 1.0, rel = 0, config = '1s1', iswitch = 3, dft = 'PBE'
 /
 &inputp
   pseudotype = 1, lloc = 0, tm = .true., file_pseudopw = 'H.UPF'
 /
 1
 1S 1 0 1.00 0.00 0.90 0.90 0.0
"""

HYDROGEN_DIGEST = "d3649916064d3c1e476378a1dbc1bc0fc530955276f94bf216edb5c7a90508a4"

FUNCTIONALS = {
    ("SLA", "PW", "PBX", "PBC"): "PBE",
    ("SLA", "PW", "PBE", "PBE"): "PBE",
    ("SLA", "PW", "PSX", "PSC"): "PBESOL",
    ("SLA", "PW", "RPB", "PBC"): "REVPBE",
    ("SLA", "PW", "GGX", "GGC"): "PW91",
    ("SLA", "LYP", "B88", "BLYP"): "BLYP",
    ("SLA", "PZ", "NOGX", "NOGC"): "PZ",
    ("SLA", "PW", "NOGX", "NOGC"): "PW",
    ("LDA",): "PZ",
}
"""Short names of Quantum ESPRESSO for what a header may spell out."""

HYDROGEN_MOMENTS = (
    (8.620579702, 20.772340889),
    (0.107757246, 0.259654261),
    (-4.829578767, 6.160902905),
    (0.166127752, 0.283831566),
    (0.080560358, 0.167369182),
)
"""Mean and root mean square of the blocks of hydrogen's UPF: mesh, its weights, local potential,
orbital, density. They tell it from others on any processor: r_c 0.92 changes the third by 0.1,
another processor by 5e-8."""


def digest(path: Path) -> str:
    """SHA-256 of the numbers in a UPF file: mesh, potentials, density.

    Author, date and comments do not count, and numbers are rounded to 1e-6 (Ry and bohr units).
    Hydrogen's file of the recipe has one digest wherever it was made: processors differ in the last
    digits. That moves the zero of energy by up to 0.3 meV per atom and no ELF by more than 1e-6.
    """
    text = path.read_text(errors="replace")
    body = text.partition("<PP_MESH")[2]
    if not body or "</UPF>" not in body:
        raise FormatError(
            f"{path} is no complete UPF version 2 file (no <PP_MESH> or no closing </UPF>); "
            "fetch or make it again."
        )
    numbers = [
        np.array(block.split(), dtype=float)
        for block in re.findall(r">([-+.\dEe\s]+)<", body)
        if block.strip()
    ]
    moments = [(block.mean(), np.sqrt(np.mean(block**2))) for block in numbers]
    alike = np.shape(moments) == np.shape(HYDROGEN_MOMENTS)
    if alike and np.allclose(moments, HYDROGEN_MOMENTS, rtol=0, atol=1e-6):
        return HYDROGEN_DIGEST
    rounded = np.round(np.concatenate(numbers), 6) + 0.0
    return hashlib.sha256(rounded.astype("<f8").tobytes()).hexdigest()


def hydrogen_pseudopotential(command: str = "ld1.x") -> Path:
    """The hydrogen UPF of the dense-hydrogen recipe, generated once and kept in the cache.

    The cache is ``$XDG_CACHE_HOME/ase_elf`` (by default ``~/.cache/ase_elf``).

    Raises
    ------
    EngineError
        ld1.x is missing or made something else than the recipe's pseudopotential.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ase_elf"
    path = cache / f"H.pbe-tm-rc0.90-{HYDROGEN_DIGEST[:8]}.UPF"
    if path.is_file() and _is_whole(path):
        return path
    words = find_program(command, package="Quantum ESPRESSO (Debian: quantum-espresso)")
    with working_directory(None) as scratch:
        (scratch / "ld1.in").write_text(HYDROGEN_INPUT)
        log = run_program([*words, "-in", "ld1.in"], directory=scratch, output="ld1.out")
        made = scratch / "H.UPF"
        if not made.is_file():
            raise EngineError(f"ld1.x made no pseudopotential. It wrote:\n{log[-1000:]}")
        if digest(made) != HYDROGEN_DIGEST:
            raise EngineError(
                "ld1.x made a hydrogen pseudopotential that differs from the recipe's "
                f"(digest {digest(made)[:12]} instead of {HYDROGEN_DIGEST[:12]}); "
                "labels made with it must not be mixed in. Use Quantum ESPRESSO 6.7, or "
                "give the file with the option `pseudopotentials`."
            )
        cache.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}")
        partial.write_bytes(made.read_bytes())
        partial.replace(path)
    return path


def _is_whole(path: Path) -> bool:
    """Whether the cached file is what was put there, and not what a full disk left of it."""
    try:
        return digest(path) == HYDROGEN_DIGEST
    except FormatError:
        return False


def find_pseudopotentials(symbols: set[str], given: dict[str, str], *, ld1: str = "ld1.x") -> dict[str, Path]:
    """A UPF file for every element, hydrogen's own where none is given.

    Raises
    ------
    InputError
        No file is given for an element, it does not exist, is damaged, is that of another
        element, or the files are made for unlike functionals; all of it in one message.
    """
    found, problems, headers = {}, [], {}
    absent = sorted(symbols - set(given) - {"H"})
    if absent:
        example = ", ".join(f"{symbol}: /path/to/{symbol}.UPF" for symbol in absent)
        problems.append(
            f"no pseudopotential is given for {', '.join(absent)}; add to the option "
            f"`pseudopotentials`, for example pseudopotentials: {{{example}}}"
        )
    for symbol in sorted(symbols - set(absent)):
        try:
            path = Path(given[symbol]).expanduser() if symbol in given else hydrogen_pseudopotential(ld1)
            headers[symbol] = read_header(path, symbol)
            found[symbol] = path.resolve()
        except (EngineError, FormatError, InputError) as error:
            problems.append(str(error).rstrip("."))
    if len(set(headers.values())) > 1:
        each = "; ".join(f"{found[s]}: {functional}" for s, functional in headers.items())
        own = "" if "H" in given or "H" not in symbols else " (hydrogen's own is one for PBE)"
        problems.append(
            f"the pseudopotentials are made for unlike functionals: {each}{own}. Give files of one "
            "functional for all elements"
        )
    if problems:
        raise InputError("; ".join(problems) + ".")
    return found


def read_header(path: Path, symbol: str) -> str:
    """Check the header of a UPF file; returns the functional it was made for.

    Raises
    ------
    InputError
        The file does not exist, or is that of another element than ``symbol``.
    FormatError
        It is no UPF version 2 file, or states no functional.
    """
    if not path.is_file():
        raise InputError(f"the pseudopotential of {symbol}, {path}, does not exist.")
    digest(path)
    header = path.read_text(errors="replace").partition("<PP_HEADER")[2].partition(">")[0]
    stated = dict(re.findall(r"""([\w-]+)\s*=\s*["']([^"']*)["']""", header))
    element, functional = stated.get("element", "").strip(), stated.get("functional", "").strip()
    if element and element.capitalize() != symbol:
        raise InputError(f"the pseudopotential given for {symbol}, {path}, is one of {element}.")
    if not functional:
        raise FormatError(f"{path} does not say which functional it was made for.")
    words = tuple(re.split(r"[\s+-]+", functional.upper()))
    return FUNCTIONALS.get(words, " ".join(words))
