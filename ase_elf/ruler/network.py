"""The network that reads an image of a bond: its length, how sure it is, and its type.

Owns the parameters; knows nothing of structures, files or how an image was made.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class ReaderArchitecture:
    """What fixes the shape of the parameters.

    Parameters
    ----------
    shape : tuple of int
        (planes, rows, columns) of the images.
    widths : tuple of int
        Channels of the convolutions; each halves the image.
    hidden : int
        Width of the layer behind the convolutions.
    n_types : int
        Bond types told apart; 0 for none.
    centre, spread : float, Å
        Mean and standard deviation of the bond lengths, which the output is measured in.
    """

    shape: tuple[int, int, int]
    widths: tuple[int, ...] = (16, 32, 48)
    hidden: int = 64
    n_types: int = 0
    centre: float = 0.0
    spread: float = 1.0

    def to_dict(self) -> dict:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict) -> ReaderArchitecture:
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in data.items()})


class ImageReader(nn.Module):
    """Images to bond lengths.

    Convolutions keep where in the image something is (no pooling over it): at fixed pixels
    per Å, and in a frame that belongs to the bond, the place is the information.
    """

    def __init__(self, arch: ReaderArchitecture) -> None:
        super().__init__()
        self.arch = arch
        planes, *size = arch.shape
        layers, channels = [], planes
        for width in arch.widths:
            layers += [nn.Conv2d(channels, width, 3, stride=2, padding=1), nn.SiLU()]
            channels, size = width, [-(-n // 2) for n in size]
        layers += [nn.Flatten(), nn.Linear(channels * size[0] * size[1], arch.hidden), nn.SiLU()]
        self.body = nn.Sequential(*layers)
        self.value = nn.Linear(arch.hidden, 1)
        self.log_error = nn.Sequential(nn.Linear(arch.hidden, 32), nn.SiLU(), nn.Linear(32, 1))
        self.types = nn.Linear(arch.hidden, arch.n_types) if arch.n_types else None

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Length (Å) and the logarithm of its standard deviation, (n,), and type logits.

        Parameters
        ----------
        images : Tensor, shape (n, planes, rows, columns)
            ELF in [0, 1].
        """
        seen = self.body(images - 0.5)
        length = self.arch.centre + self.arch.spread * self.value(seen)[:, 0]
        # The error head sees detached features, so that being wrong in a known way never pays.
        log_error = math.log(0.1 * self.arch.spread) + self.log_error(seen.detach())[:, 0]
        return length, log_error, None if self.types is None else self.types(seen)
