"""The calculator in ASE's plugin listing (``ase info --plugins``).

That interface is experimental and moves; an error here would break the listing of every
package, so where it is not as expected there is simply nothing to list. The file format and
the viewer get into the listing by their own entry points.
"""

from __future__ import annotations

try:
    from ase._4.plugins.plugin import CalculatorPlugin

    __ase_plugins__ = {
        CalculatorPlugin(
            name="elf",
            citation="ase-elf: electron localization function from atomic positions",
            implementation="ase_elf.calculator.ELFCalculator",
        )
    }
except (ImportError, TypeError):
    __ase_plugins__ = set()
