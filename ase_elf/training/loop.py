"""FittingRun: a training run in a folder that can be killed and goes on where it was.

Owns the optimiser, the step counter and the folder (``checkpoint.pt``, ``log.jsonl``). What is
fitted, to what, and what a step does is for a subclass.
"""

from __future__ import annotations

import io
import json
import logging
import operator
import pickle
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from ase_elf.errors import FormatError, OutputError
from ase_elf.storage.atomic import replacing
from ase_elf.training.processes import Processes

ALONE = Processes()
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Schedule:
    """How long a run is, and how fast it learns.

    Parameters
    ----------
    steps, decay_steps : int
        Length of the run, and how many of its last steps let the rate fall to zero.
    warmup_steps : int
        Steps in which the rate rises to its plateau.
    rate : float
        Learning rate of AdamW after the warm-up.
    checkpoint_every : int
        Steps between checkpoints.
    average_over : int
        Steps that the kept parameters are a running mean over; 1 keeps the last ones. Such a
        mean generalises better than any one step (arXiv:1803.05407).
    """

    steps: int
    decay_steps: int
    warmup_steps: int
    rate: float
    weight_decay: float
    seed: int
    checkpoint_every: int
    average_over: int

    def rate_at(self, step: int) -> float:
        """Warm-up, plateau, then a linear decay to zero."""
        rising = min(1.0, (step + 1) / self.warmup_steps)
        falling = min(1.0, (self.steps - step) / max(1, self.decay_steps))
        return self.rate * rising * max(0.0, falling)


class FittingRun:
    """A network on its way through a schedule.

    Parameters
    ----------
    folder : Path
        Holds checkpoint and log; a run found there is continued.
    recipe : Schedule
    make : callable
        The untrained network; made with the seed of the recipe, global random state untouched.
        Steps change ``network``; what to keep of the run is :attr:`result`.
    processes : Processes
        Those that share the run. The first one writes its files.

    Raises
    ------
    FormatError
        The checkpoint or the log is damaged, or the checkpoint of another architecture.
    """

    memory = 0.98
    """Weight of the past in the running mean of the losses."""

    def __init__(
        self,
        folder: Path,
        recipe: Schedule,
        make: Callable[[], nn.Module],
        processes: Processes = ALONE,
    ) -> None:
        self.folder, self.recipe, self.processes = Path(folder), recipe, processes
        self.folder.mkdir(parents=True, exist_ok=True)
        with torch.random.fork_rng():
            torch.manual_seed(recipe.seed)
            self.network = make()
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=recipe.rate, weight_decay=recipe.weight_decay
        )
        self.step = 0
        self._mean: dict[str, float] = {}
        if self.checkpoint.is_file():
            self._resume()
        else:
            self._forget_lines_after(0)
            self.standardise()
            self._average = self._new_average()

    def standardise(self) -> None:
        """Set what is fixed by data before training."""
        raise NotImplementedError

    def advance(self) -> dict[str, float]:
        """One optimiser step; returns its losses."""
        raise NotImplementedError

    def measure(self, mean: dict[str, float]) -> dict:
        """What the log says at a checkpoint, beside step and seconds."""
        raise NotImplementedError

    def stepped(self) -> None:
        """Count a step of the optimiser, and let the average follow it."""
        self._average.update_parameters(self.network)
        self.step += 1

    def _new_average(self) -> AveragedModel:
        @torch.no_grad()
        def follow(kept: list, current: list, count: torch.Tensor) -> None:
            # A tenth of the way behind, while that is less than the recipe asks for.
            weight = max(1 / self.recipe.average_over, 10 / (10 + int(count)))
            torch._foreach_lerp_(kept, current, weight)

        return AveragedModel(self.network, multi_avg_fn=follow)

    @property
    def result(self) -> nn.Module:
        """What to keep: the average of the network over the last steps."""
        return self._average.module

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.pt"

    @property
    def log(self) -> Path:
        return self.folder / "log.jsonl"

    def run(self, progress: Callable[[int, dict], None] = lambda step, losses: None) -> None:
        """To the end of the recipe, with checkpoints and a JSON log on the way."""
        started, past = time.monotonic(), self.memory
        while self.step < self.recipe.steps:
            losses = self.advance()
            self._mean |= {k: past * self._mean.get(k, v) + (1 - past) * v for k, v in losses.items()}
            progress(self.step, self._mean)
            due = self.step % self.recipe.checkpoint_every == 0 or self.step == self.recipe.steps
            if due and self.processes.leads:
                # In this order: a line too many is dropped on resuming, a missing one is lost.
                self._write_line(time.monotonic() - started)
                self.save()

    def save(self) -> None:
        """Write the checkpoint so that a kill leaves either the old or the new one.

        Raises
        ------
        OutputError
            The disk is full; the old checkpoint is still there.
        """
        state = {
            "network": self.network.state_dict(),
            "average": self._average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "mean": self._mean,
        }
        buffer = io.BytesIO()
        torch.save(state, buffer)  # into a full disk it would fail with an error of its own
        with replacing(self.checkpoint) as part:
            part.write_bytes(buffer.getbuffer())

    def _resume(self) -> None:
        try:
            state = torch.load(self.checkpoint, weights_only=True, map_location="cpu")
            self.network.load_state_dict(state["network"])
            self._average = self._new_average()
            self._average.load_state_dict(state["average"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.step = operator.index(state["step"])
            self._mean = {name: float(value) for name, value in state.get("mean", {}).items()}
        except (ArithmeticError, AttributeError, EOFError, LookupError, OSError, RuntimeError,
                TypeError, ValueError, pickle.UnpicklingError) as error:  # fmt: skip
            raise FormatError(
                f"{self.checkpoint} is damaged, or of another architecture ({str(error)[:300]}). "
                "Choose another output folder, or remove it to start over."
            ) from error
        self._forget_lines_after(self.step)
        logger.info("continuing at step %d", self.step)

    def _forget_lines_after(self, step: int) -> None:
        """Drop lines of the log that a killed run wrote after its last checkpoint."""
        if not self.processes.leads:
            return
        lines = self.log.read_bytes().splitlines(keepends=True) if self.log.is_file() else []
        try:
            kept = [each for each in lines if each.endswith(b"\n") and json.loads(each)["step"] <= step]
        except (LookupError, RecursionError, TypeError, ValueError) as error:
            raise FormatError(
                f"{self.log} is damaged ({str(error)[:300]}). Remove it to go on, without the lines "
                "it holds, or choose another output folder."
            ) from error
        if kept != lines:
            with replacing(self.log) as part:
                part.write_bytes(b"".join(kept))

    def _write_line(self, seconds: float) -> None:
        entry = {"step": self.step, "seconds": round(seconds, 1), **self.measure(self._mean)}
        try:
            with self.log.open("a") as handle:
                handle.write(json.dumps(entry) + "\n")
        except OSError as error:
            raise OutputError(f"cannot add to {self.log}: {error.strerror or error}.") from error
