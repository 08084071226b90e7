"""Numerical kernels, compiled by Numba when they are first called.

Importing this module loads Numba, a quarter of a second: modules of kernels are imported where they are
used, never when the package is. What was compiled is kept beside the module, or in the user's cache
folder where that cannot be written (``NUMBA_CACHE_DIR`` names another), and made anew in each process
where neither can.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numba

__all__ = ["compiled"]

_Kernel = TypeVar("_Kernel", bound=Callable[..., object])


def compiled(function: _Kernel) -> _Kernel:
    """``function`` of arrays and numbers as machine code, which runs without the global lock of Python.

    Results are those of Python's arithmetic: nothing is reordered or contracted.
    """
    try:
        return numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:  # no folder for the cache can be written
        return numba.njit(nogil=True, error_model="numpy")(function)
