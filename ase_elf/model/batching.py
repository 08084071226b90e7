"""Many structures through one model, in batches as large as the memory there is."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ase import Atoms

_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")
"""How torch words it: on CUDA, by the CPU allocator on Linux, on Windows."""


def predict_in_memory(model: Any, structures: list[Atoms], shapes: list[tuple[int, int, int]]) -> list[Any]:
    """``model.predict`` in batches that fit.

    Parameters
    ----------
    model : FieldModel
    structures : list of ase.Atoms
    shapes : list of tuple of int

    Returns
    -------
    list of Prediction
        In order. The first batch is everything; each time memory runs out, on the device or
        on the host, the batch is halved and tried again.

    Raises
    ------
    MemoryError
        If not even a single structure fits.
    """
    done: list[Any] = []
    batch = len(structures)
    while len(done) < len(structures):
        part = slice(len(done), len(done) + batch)
        failure = None
        try:
            done += model.predict(structures[part], shapes[part])
        except (MemoryError, RuntimeError) as error:
            if not _out_of_memory(error):
                raise
            # Kept as text: the exception holds on to the memory that ran out.
            failure = str(error)
        if failure is not None:
            if batch == 1:
                atoms, shape = structures[len(done)], shapes[len(done)]
                raise MemoryError(
                    f"one structure of {len(atoms)} atoms on a {shape} grid does not fit: "
                    f"{failure}. Ask for a smaller shape, or another device."
                )
            batch = (batch + 1) // 2
            _release_device_memory()
    return done


def _out_of_memory(error: BaseException) -> bool:
    """Whether an error means that a smaller batch may do; torch says so in words only."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    words = str(error).lower()
    return any(phrase in words for phrase in _OUT_OF_MEMORY)


def _release_device_memory() -> None:
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
