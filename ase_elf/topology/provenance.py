"""Signs that the numbers in a file are not the ELF they are called."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ase_elf.errors import remedy

if TYPE_CHECKING:
    from ase_elf.grid import ELFGrid

__all__ = ["SUSPICIOUS_MEAN", "rescaled", "scaling_evidence"]

SUSPICIOUS_MEAN = 0.51
"""Mean ELF above which a file is suspected of the wrong scale. Measured: 0.40 to 0.47 on
hydrogen fluids and crystals from 100 GPa up and on three hydrides, 0.53 to 0.78 on the
same with the wrong scale. Only the densest alkali electrides come near it rightly."""

_TEXT_FORMATS = ("cube", "xsf")


def rescaled(values: np.ndarray) -> np.ndarray:
    """ELF from the mis-scaled ELF of Quantum ESPRESSO 6.8 to 7.5 without spin polarisation.

    ELF' = 1 / (1 + 2^(4/3) (1 / ELF - 1)): there the uniform-gas reference was that of one
    spin, and a uniform gas reads 0.716 instead of 0.5 (doi 10.1039/d4sc04465g, manual).

    Parameters
    ----------
    values : ndarray, dimensionless in [0, 1]

    Returns
    -------
    ndarray of the same shape and kind
    """
    values = np.asarray(values)
    scale = values.dtype.type(2 ** (4 / 3)) if values.dtype.kind == "f" else 2 ** (4 / 3)
    return values / (values + scale * (1 - values))


def scaling_evidence(grid: ELFGrid) -> str | None:
    """Why ``grid`` looks mis-scaled, or None.

    Looks at the mean ELF of grids read from files of a kind that program writes. It is
    evidence, not proof: a field is not changed because of it.
    """
    if grid.info.get("format") not in _TEXT_FORMATS:
        return None
    mean = float(grid.values.mean(dtype=float))
    if mean <= SUSPICIOUS_MEAN:
        return None
    after = float(rescaled(grid.values.astype(float)).mean())
    how = remedy("ase_elf.topology.rescaled", "`ase-elf topology --rescale`")
    return (
        f"the mean ELF is {mean:.3f}, where 0.40 to 0.50 is usual; this is how the ELF of "
        "Quantum ESPRESSO 6.8 to 7.5 without spin polarisation looks, in which a uniform gas "
        f"reads 0.716 instead of 0.5. Corrected ({how}) the mean would be {after:.3f}. If the file is "
        "from another program or version, ignore this."
    )
