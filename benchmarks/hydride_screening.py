"""Hydrides ranked without DFT: whether those known to superconduct come first, and how Tc follows published ones.

    python benchmarks/hydride_screening.py [--count 496] [--table FILE.json] [-o FILE.json]

ranks prototype hydrides of many elements together with H3S, CaH6, YH6 and LaH10 at published cells by the Tc of
formula SR5, and, with a file of structures and predicted Tc (that of HTSC-2025, arXiv:2506.03837), gives the rank
correlation with a bootstrap interval. No compound of the four was trained on.
"""

from __future__ import annotations

import argparse
import io
import json
import platform
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import read
from ase_elf_many_elements.splits import reduced_formula
from ase_elf_many_elements.structures.hydrides import binary_hydrides
from ase_elf_many_elements.structures.trials import PUBLISHED, hydrides
from scipy.stats import spearmanr

from ase_elf.analysis.screening import Screened, rank
from ase_elf.formats.collection import Candidate
from ase_elf.runs.screening import Screener

KNOWN = {f"symmetric-{element}-{prototype}-0" for element, prototype in PUBLISHED}
SPACING = 0.12
"""Å of the grids."""

FIRST = 50


def prototypes(count: int) -> Iterator[Atoms]:
    """Symmetric binary hydrides, without the compounds that are looked for."""
    wanted = [atoms for atoms in hydrides("symmetric") if atoms.info["id"] in KNOWN]
    yield from wanted
    formulas = {reduced_formula(atoms) for atoms in wanted}
    others = (a for a in binary_hydrides("symmetric") if reduced_formula(a) not in formulas and len(a) <= 12)
    yield from islice(others, count)


def screened(structures: Iterator[Atoms]) -> list[Screened]:
    """Rows of all, ranked by Tc."""
    candidates = (Candidate(atoms.info["id"], atoms) for atoms in structures)
    groups = Screener(spacing=SPACING).screen(candidates)
    return rank((row for group in groups for row in group), by="tc")


def published(path: Path) -> tuple[list[Atoms], dict[str, float]]:
    """Hydrides of a file of CIFs with predicted Tc (K), by name."""
    found, kelvin = [], {}
    for name, entry in json.loads(path.read_text()).items():
        atoms = read(io.StringIO(entry["cif"]), format="cif")
        if 1 not in atoms.numbers:
            continue
        atoms.info["id"] = name
        found.append(atoms)
        kelvin[name] = float(entry["tc"])
    return found, kelvin


def correlation(rows: list[Screened], kelvin: dict[str, float], seed: int = 0) -> dict[str, object]:
    """Spearman's coefficient with its 90 % bootstrap interval; without an estimate a structure counts as 0 K."""
    mine = np.array([row.values.get("tc_sr5", 0.0) for row in rows])
    theirs = np.array([kelvin[row.name] for row in rows])
    random = np.random.default_rng(seed)
    draws = [random.integers(0, len(rows), len(rows)) for _ in range(2000)]
    spread = np.quantile([spearmanr(mine[d], theirs[d])[0] for d in draws], [0.05, 0.95])
    return {
        "structures": len(rows),
        "spearman": float(spearmanr(mine, theirs)[0]),
        "interval": spread.tolist(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=496)
    parser.add_argument("--table", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    given = parser.parse_args()
    began = time.process_time()
    rows = screened(prototypes(given.count))
    seconds = (time.process_time() - began) / len(rows)
    places = {row.name: place for place, row in enumerate(rows, 1) if row.name in KNOWN}
    result = {
        "structures": len(rows),
        "failed": sum(row.error is not None for row in rows),
        "places": places,
        f"among the first {FIRST}": sum(place <= FIRST for place in places.values()),
        "seconds of one thread for each": seconds,
        "machine": platform.processor() or platform.machine(),
        "ranking": [
            {"name": row.name, "outside": bool(row.outside), **{k: row.values.get(k) for k in SHOWN}}
            for row in rows[: 2 * FIRST]
        ],
    }
    if given.table:
        structures, kelvin = published(given.table)
        result["published"] = correlation(screened(iter(structures)), kelvin)
    text = json.dumps(result, indent=1)
    print(text)
    if given.output:
        given.output.write_text(text + "\n")


SHOWN = ("elf_phi", "elf_phi_star", "h_fraction", "h_dos", "tc_leastsq", "tc_sr5", "tc_sr5_error")

if __name__ == "__main__":
    main()
