"""An ELF in whole numbers: 16 bits everywhere, and 8 more near 1.

In a molecule that its neighbours hardly touch, the ELF is 1 to five digits, and only what follows them
says where it is largest: of the attractors of 64 H at r_s 2.15, 16 bits alone put a third within
0.05 Å of where they are.
"""

from __future__ import annotations

import numpy as np

from ase_elf.errors import FormatError

FULL_SCALE = 65535
"""Whole number that means ELF = 1."""

NEAR = FULL_SCALE // 128
"""Steps from 1, within which the further bits are kept."""

PARTS = 254
"""Parts of a step, which the further 8 bits count from -127 to 127."""


def coarse(values: np.ndarray) -> np.ndarray:
    """ELF in [0, 1] as uint16, rounded to nearest: off by 7.6e-6 at most."""
    return np.round(_in_steps(values)).astype(np.uint16)


def fine(values: np.ndarray) -> np.ndarray:
    """What :func:`coarse` leaves of values near 1, as int8; 0 elsewhere."""
    exact = _in_steps(values)
    near = exact > FULL_SCALE - NEAR
    return np.where(near, np.round((exact - np.round(exact)) * PARTS), 0).astype(np.int8)


def restored(steps: np.ndarray, parts: np.ndarray | None = None) -> np.ndarray:
    """ELF as float32; within 6e-8 where the further bits were kept.

    Parameters
    ----------
    steps : ndarray, uint16
        From :func:`coarse`.
    parts : ndarray, int8, of the same shape, optional
        From :func:`fine`.

    Raises
    ------
    FormatError
        For any other type or shape.
    """
    if steps.dtype != np.uint16:
        raise FormatError(f"the ELF is stored as {steps.dtype}, expected uint16")
    if parts is None:
        return (steps / np.float32(FULL_SCALE)).astype(np.float32)
    if parts.dtype != np.int8 or parts.shape != steps.shape:
        raise FormatError(
            f"further bits of the ELF are {parts.dtype} of shape {parts.shape}, expected int8 of "
            f"shape {steps.shape}"
        )
    return ((steps + parts / PARTS) / FULL_SCALE).clip(0, 1).astype(np.float32)


def resolution(values: np.ndarray) -> float:
    """How far apart neighbouring values near 1 may be: the least that two of ``values`` are apart there, if that
    is less than the step of 16 bits.
    """
    near = np.unique(values[values > 1 - NEAR / FULL_SCALE])
    return float(min(np.diff(near).min(initial=np.inf), 1 / FULL_SCALE))


def _in_steps(values: np.ndarray) -> np.ndarray:
    return np.clip(values, 0, 1).astype(float) * FULL_SCALE
