"""What ASE is told about this package: a file format, a viewer, a calculator.

Loaded through entry points at ``import ase.io`` and ``import ase.visualize``, so it only
names modules, and imports none that is slow.
"""

from __future__ import annotations

from ase.calculators.calculator import external_calculators, register_calculator_class
from ase.utils.plugins import ExternalIOFormat, ExternalViewer

from ase_elf.calculator import ELFCalculator

elfcar = ExternalIOFormat(
    desc="VASP ELFCAR (electron localization function)",
    code="1F",
    module="ase_elf.formats.elfcar",
    glob=["*ELFCAR*"],
)

viewer = ExternalViewer(desc="ELF in three planes (matplotlib)", module="ase_elf.viewer")

# get_calculator_class("elf"): ASE has no entry point of its own for this yet.
if "elf" not in external_calculators:
    register_calculator_class("elf", ELFCalculator)
