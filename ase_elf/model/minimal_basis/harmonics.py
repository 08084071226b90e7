"""Real solid harmonics r^l Y_lm to l = 3, and their gradients."""

from __future__ import annotations

import math

import torch

MOST = 3
"""Largest l."""

_C = math.sqrt(1 / (4 * math.pi))
_P = _C * math.sqrt(3)
_D = _C * math.sqrt(15)
_D0 = _C * math.sqrt(5) / 2
_F3, _F2, _F1, _F0 = (_C * math.sqrt(x) for x in (35 / 8, 105, 21 / 8, 7 / 4))


def solid(l: int, vectors: torch.Tensor) -> torch.Tensor:
    """Values.

    Parameters
    ----------
    l : int
        At most 3.
    vectors : Tensor, shape (..., 3)

    Returns
    -------
    Tensor, shape (..., 2 l + 1)
    """
    x, y, z = vectors.unbind(-1)
    if l == 0:
        parts = [torch.full_like(x, _C)]
    elif l == 1:
        parts = [_P * y, _P * z, _P * x]
    elif l == 2:
        parts = [
            _D * x * y, _D * y * z, _D0 * (2 * z * z - x * x - y * y), _D * x * z, _D / 2 * (x * x - y * y),
        ]  # fmt: skip
    else:
        xx, yy, zz = x * x, y * y, z * z
        parts = [
            _F3 * y * (3 * xx - yy), _F2 * x * y * z, _F1 * y * (4 * zz - xx - yy),
            _F0 * z * (2 * zz - 3 * xx - 3 * yy), _F1 * x * (4 * zz - xx - yy),
            _F2 / 2 * z * (xx - yy), _F3 * x * (xx - 3 * yy),
        ]  # fmt: skip
    return torch.stack(parts, -1)


def gradient(l: int, vectors: torch.Tensor) -> torch.Tensor:
    """Gradients, shape (3, ..., 2 l + 1)."""
    x, y, z = vectors.unbind(-1)
    nil = torch.zeros_like(x)
    if l == 0:
        return torch.stack([nil, nil, nil])[..., None]
    if l == 1:
        one = torch.full_like(x, _P)
        return torch.stack(
            [
                torch.stack([nil, nil, one], -1),
                torch.stack([one, nil, nil], -1),
                torch.stack([nil, one, nil], -1),
            ]
        )
    if l == 2:
        return torch.stack([
            torch.stack([_D * y, nil, -2 * _D0 * x, _D * z, _D * x], -1),
            torch.stack([_D * x, _D * z, -2 * _D0 * y, nil, -_D * y], -1),
            torch.stack([nil, _D * y, 4 * _D0 * z, _D * x, nil], -1),
        ])  # fmt: skip
    xx, yy, zz = x * x, y * y, z * z
    return torch.stack([
        torch.stack([
            6 * _F3 * x * y, _F2 * y * z, -2 * _F1 * x * y, -6 * _F0 * x * z,
            _F1 * (4 * zz - 3 * xx - yy), _F2 * x * z, 3 * _F3 * (xx - yy),
        ], -1),
        torch.stack([
            3 * _F3 * (xx - yy), _F2 * x * z, _F1 * (4 * zz - xx - 3 * yy), -6 * _F0 * y * z,
            -2 * _F1 * x * y, -_F2 * y * z, -6 * _F3 * x * y,
        ], -1),
        torch.stack([
            nil, _F2 * x * y, 8 * _F1 * y * z, 3 * _F0 * (2 * zz - xx - yy),
            8 * _F1 * x * z, _F2 / 2 * (xx - yy), nil,
        ], -1),
    ])  # fmt: skip
