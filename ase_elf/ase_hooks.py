"""What ASE loads of this package: a file format, a viewer, a calculator.

Loaded through entry points at ``import ase.io`` and ``import ase.visualize``, so it only
names modules, and imports none that is slow. The entry point ``ase.plugins`` adds the calculator
to ASE's listing (``ase info --plugins``).
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


def __getattr__(name: str) -> object:
    """``__ase_plugins__``, when ASE makes its listing; `import ase.io` does not wait for it.

    That interface of ASE is experimental, and an error here would break the listing of every package:
    where it is not as expected, nothing is listed.
    """
    if name != "__ase_plugins__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from ase._4.plugins.plugin import CalculatorPlugin

        return {
            CalculatorPlugin(
                name="elf",
                citation="ase-elf: electron localization function from atomic positions",
                implementation="ase_elf.calculator.ELFCalculator",
            )
        }
    except (ImportError, TypeError):
        return set()
