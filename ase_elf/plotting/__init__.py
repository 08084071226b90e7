"""Drawing: arrays in, matplotlib axes out. Knows no result object; those draw themselves with it.

Every plot takes ``ax``, and as keyword arguments ``figsize``, ``style`` (what
:func:`matplotlib.style.use` takes), ``units`` where an axis is a length or a time, and whatever the artists of
matplotlib take that it is made of (``color``, ``lw``, ``cmap``, ...), in place of what it would give them.
"""

from ase_elf.plotting.figure import COLORS, drawing, new_axis, save, style, svg

__all__ = ["COLORS", "drawing", "new_axis", "save", "style", "svg"]
