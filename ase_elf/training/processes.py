"""Processes: those of one training run, as ``torchrun`` starts them; one where it did not.

Each computes a share of every step; gradients are summed, so all hold the same parameters.
The first one leads: only it writes files and talks.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import distributed

T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """One process among those of a run.

    Parameters
    ----------
    rank, world : int
        Its number, and how many there are.
    """

    rank: int = 0
    world: int = 1

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def share(self, parts: Sequence[T]) -> Sequence[T]:
        """What this process computes of a step; nothing, where there are fewer parts than processes."""
        return parts[self.rank :: self.world]

    def sum(self, parameters: Iterable[torch.nn.Parameter], losses: torch.Tensor) -> torch.Tensor:
        """Sum gradients, in place, and losses, shape (n,), over all processes."""
        if self.world == 1:
            return losses
        parameters = list(parameters)
        for p in parameters:
            if p.grad is None:
                p.grad = torch.zeros_like(p)
        parts = [p.grad.flatten() for p in parameters]
        everything = torch.cat([*parts, losses.to(parts[0])])
        distributed.all_reduce(everything)
        *sums, losses = everything.split([*map(len, parts), len(losses)])
        for p, total in zip(parameters, sums, strict=True):
            p.grad.copy_(total.view_as(p))
        return losses


@contextmanager
def joined(device: torch.device) -> Iterator[tuple[Processes, torch.device]]:
    """The processes of this run, and the device of this one: without a number, each its own GPU."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Processes(), device
        return
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Processes(distributed.get_rank(), distributed.get_world_size()), device
    finally:
        distributed.destroy_process_group()
