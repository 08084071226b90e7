"""The uniform electron gas in pw.x, whose ELF must be 1/2: tells how a version scales it.

One electron in a small cubic cell, held by a nucleus whose charge is smeared out over more
than the cell: its periodic sum is constant to 1e-4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms
from ase.units import Bohr
from scipy.special import erf

from ase_elf.errors import EngineError
from ase_elf.reference.program import working_directory

if TYPE_CHECKING:
    from ase_elf_espresso.engine import Espresso

WIDTH = 3.0
"""bohr, of the nucleus; the cell is as long."""

MISSCALED_ELF = 1 / (1 + 2 ** (-4 / 3))
"""What versions 6.8 to 7.5 make of the uniform gas: 0.716."""


def smeared_nucleus() -> str:
    """A UPF file of a local potential −2 erf(r/WIDTH)/r Ry, which binds one electron."""
    r = np.linspace(0, 40, 2001)[1:]
    potential = -2 * erf(r / WIDTH) / r
    density = 4 * r**2 * np.exp(-((r / WIDTH) ** 2)) / (np.sqrt(np.pi) * WIDTH**3)
    flags = " ".join(
        f'{name}="false"'
        for name in (
            "is_ultrasoft", "is_paw", "is_coulomb", "has_so", "has_wfc", "has_gipaw",
            "paw_as_gipaw", "core_correction",
        )
    )  # fmt: skip
    header = (
        f'<PP_HEADER element="H" pseudo_type="NC" relativistic="no" {flags} functional="PBE" '
        f'z_valence="1.0" total_psenergy="0.0" wfc_cutoff="0.0" rho_cutoff="0.0" l_max="0" '
        f'l_max_rho="0" l_local="0" mesh_size="{len(r)}" number_of_wfc="0" number_of_proj="0"/>'
    )
    blocks = {
        "PP_R": r,
        "PP_RAB": np.full_like(r, r[0]),
        "PP_LOCAL": potential,
        "PP_RHOATOM": density,
    }
    text = {
        name: f"<{name}>\n" + "\n".join(f"{x:.15E}" for x in numbers) + f"\n</{name}>"
        for name, numbers in blocks.items()
    }
    return "\n".join(
        [
            '<UPF version="2.0.1">', "<PP_INFO>", "</PP_INFO>", header,
            f'<PP_MESH mesh="{len(r)}">', text["PP_R"], text["PP_RAB"], "</PP_MESH>",
            text["PP_LOCAL"], "<PP_NONLOCAL>", "</PP_NONLOCAL>", "<PP_PSWFC>", "</PP_PSWFC>",
            text["PP_RHOATOM"], "</UPF>", "",
        ]
    )  # fmt: skip


def uniform_gas_elf(engine: Espresso) -> float:
    """Mean ELF that the programs of ``engine`` give for the uniform gas (a few CPU seconds)."""
    from ase_elf_espresso.engine import Espresso

    with working_directory(None) as folder:
        (folder / "nucleus.UPF").write_text(smeared_nucleus())
        gas = Espresso(
            ecutwfc=20.0,
            smearing="gaussian",
            degauss=0.03,
            kpts=(8, 8, 8),
            pseudopotentials={"H": str(folder / "nucleus.UPF")},
            elf_scaling="right",
            command=engine.command,
            post_command=engine.post_command,
            timeout=engine.timeout,
        )
        atoms = Atoms("H", cell=[WIDTH * Bohr] * 3, pbc=True)
        return float(gas.compute(atoms).grid.values.mean())


def is_misscaled(elf: float) -> bool:
    """Whether this ELF of the uniform gas shows the known error; refuses what is neither."""
    # The k-mesh of 8×8×8 is worth 0.004.
    for expected, misscaled in ((0.5, False), (MISSCALED_ELF, True)):
        if abs(elf - expected) < 0.02:
            return misscaled
    raise EngineError(
        f"this Quantum ESPRESSO gives the uniform gas an ELF of {elf:.3f}; right is 0.5, and the "
        f"known error of versions 6.8 to 7.5 would give {MISSCALED_ELF:.3f}. Its ELF cannot be "
        "used."
    )
