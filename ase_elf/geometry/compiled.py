"""Numerical kernels, compiled by Numba when they are first called.

Importing this module loads Numba, a quarter of a second: modules of kernels are imported where they are
used, never when the package is. What was compiled is kept beside the module, or in the user's cache
folder where that cannot be written (``NUMBA_CACHE_DIR`` names another), and made anew in each process
where neither can.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, overload

import numba

__all__ = ["compiled"]

_Kernel = TypeVar("_Kernel", bound=Callable[..., object])


@overload
def compiled(function: _Kernel) -> _Kernel: ...
@overload
def compiled(*, contract: bool) -> Callable[[_Kernel], _Kernel]: ...
def compiled(function: Callable[..., object] | None = None, *, contract: bool = False) -> Any:
    """``function`` of arrays and numbers as machine code, which runs without the global lock of Python.

    Results are those of Python's arithmetic, nothing is reordered; with ``contract`` a product and a sum may be
    rounded once instead of twice, which halves the work.
    """
    if function is None:
        return lambda given: _compiled(given, {"contract"} if contract else False)
    return _compiled(function, False)


def _compiled(function: Callable[..., object], fastmath: Any) -> Any:
    options = {"nogil": True, "error_model": "numpy", "fastmath": fastmath}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no folder for the cache can be written
        return numba.njit(**options)(function)
