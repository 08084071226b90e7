"""Drawing: arrays in, matplotlib axes out. Knows no result object; those draw themselves with it."""

from ase_elf.plotting.figure import COLORS, new_axis, save, style, svg

__all__ = ["COLORS", "new_axis", "save", "style", "svg"]
