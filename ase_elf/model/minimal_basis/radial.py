"""Functions of a distance, as cubic pieces of equal length."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Radial:
    """Zero from its end on.

    Parameters
    ----------
    step : float
        Length of a piece.
    pieces : Tensor, shape (n_pieces + 1, 4)
        Coefficients of the powers of the distance from a piece's start, in steps; those behind the end are 0.
    """

    step: float
    pieces: torch.Tensor

    @classmethod
    def of(cls, knots: np.ndarray, step: float) -> Radial:
        """From values and slopes on knots, shape (2, n), the first at 0."""
        values, slopes = torch.from_numpy(np.asarray(knots, np.float64))
        low, high, start, stop = values[:-1], values[1:], slopes[:-1] * step, slopes[1:] * step
        rise = high - low
        pieces = torch.stack([low, start, 3 * rise - 2 * start - stop, start + stop - 2 * rise], 1)
        return cls(step, torch.cat([pieces, torch.zeros_like(pieces[:1])]))

    @property
    def end(self) -> float:
        return self.step * (len(self.pieces) - 1)

    def to(self, like: torch.Tensor) -> Radial:
        """On the device and of the type of a tensor."""
        return Radial(self.step, self.pieces.to(like))

    def __call__(self, distances: torch.Tensor) -> torch.Tensor:
        """Values."""
        rows, t = self._place(distances)
        a, b, c, d = rows.unbind(-1)
        return ((d * t + c) * t + b) * t + a

    def with_slope(self, distances: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Values and slopes."""
        rows, t = self._place(distances)
        a, b, c, d = rows.unbind(-1)
        return ((d * t + c) * t + b) * t + a, ((3 * d * t + 2 * c) * t + b) / self.step

    def _place(self, distances: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        place = (distances / self.step).clamp(max=len(self.pieces) - 1)
        piece = place.long()
        rows = self.pieces.index_select(0, piece.reshape(-1)).reshape(*piece.shape, 4)
        return rows, place - piece
