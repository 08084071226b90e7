"""Fitting a field network to labels: a resumable loop with step-based checkpoints.

Same configuration, labels and number of processes give the same weights on the same
machine, also when the run was interrupted. Owns the optimiser and the run folder
(``checkpoint.pt``, ``log.jsonl``); reads labels, writes no weights for users.
"""

from __future__ import annotations

import io
import json
import logging
import math
import pickle
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ase_elf.errors import FormatError, OutputError
from ase_elf.formats import replacing
from ase_elf.model.network import Architecture, FieldNetwork
from ase_elf.training.samples import Pool

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recipe:
    """How to fit; everything here ends up on the model card.

    Parameters
    ----------
    steps, decay_steps : int
        Length of the run, and how many of its last steps let the rate fall to zero.
    rate : float
        Learning rate of AdamW after a warm-up.
    structures, points : int
        Structures per step, and points of each.
    pool : int
        Grid points kept per structure.
    """

    steps: int = 40_000
    decay_steps: int = 10_000
    warmup_steps: int = 500
    rate: float = 3e-3
    weight_decay: float = 1e-4
    structures: int = 2
    points: int = 512
    pool: int = 16_384
    seed: int = 0
    checkpoint_every: int = 1000

    def rate_at(self, step: int) -> float:
        """Warm-up, plateau, then a linear decay to zero."""
        rising = min(1.0, (step + 1) / self.warmup_steps)
        falling = min(1.0, (self.steps - step) / max(1, self.decay_steps))
        return self.rate * rising * max(0.0, falling)


def standardise(network: FieldNetwork, pools: list[Pool]) -> None:
    """Set shift and scale of every reading from data, first to last, before training."""
    with torch.no_grad():
        for depth, reading in enumerate([*network.readings, network.read]):
            seen = []
            for pool in pools:
                c = network.coefficients(
                    pool.species, pool.atom_index, pool.atom_vectors, n_updates=depth
                )
                if depth < len(network.readings):
                    index, vectors = pool.atom_index, pool.atom_vectors
                else:
                    index, vectors, _ = pool.rows(torch.arange(min(256, len(pool.target))))
                seen.append(reading.raw_invariants(reading.mixed(reading.gather(index, vectors, c))))
            everything = torch.cat(seen)
            reading.shift.copy_(everything.mean(0))
            reading.scale.copy_(1 / (everything.std(0) + 1e-6))


def loss_of(network: FieldNetwork, pool: Pool, rows: torch.Tensor) -> tuple:
    """Squared error of ELF, and the likelihood of that error under the predicted σ.

    The σ head sees detached inputs, so that being wrong in a known way never pays.
    """
    index, vectors, target = pool.rows(rows)
    c = network.coefficients(pool.species, pool.atom_index, pool.atom_vectors)
    invariants = network.read(index, vectors, c)
    elf = torch.sigmoid(network.value(invariants)[:, 0])
    error2 = (elf - target) ** 2
    log_sigma = network.log_error(invariants.detach())[:, 0]
    likelihood = log_sigma + 0.5 * error2.detach() * torch.exp(-2 * log_sigma)
    return error2.mean(), likelihood.mean()


@torch.no_grad()
def predict_pool(
    network: FieldNetwork, pool: Pool, points: int | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """ELF and σ at the first ``points`` of a pool (all of them by default), each (n,)."""
    c = network.coefficients(pool.species, pool.atom_index, pool.atom_vectors)
    elf, sigma = [], []
    for rows in torch.arange(len(pool.target))[:points].split(1024):
        index, vectors, _ = pool.rows(rows)
        z, log_sigma = network(network.read(index, vectors, c))
        elf.append(torch.sigmoid(z))
        sigma.append(log_sigma.exp())
    return torch.cat(elf), torch.cat(sigma)


def score(network: FieldNetwork, pools: list[Pool], points: int = 4096) -> dict[str, dict]:
    """R², MAE and rmse per structure on (up to) ``points`` of its pool."""
    result = {}
    for pool in pools:
        elf, _ = predict_pool(network, pool, points)
        target = pool.target[:points]
        error = (elf - target).double()
        spread = target.double().var(unbiased=False)
        result[pool.label.name] = {
            "r2": float(1 - (error**2).mean() / spread),
            "mae": float(error.abs().mean()),
            "rmse": float((error**2).mean().sqrt()),
        }
    return result


class Fit:
    """A training run in a folder.

    Parameters
    ----------
    folder : Path
        Holds checkpoint and log; a run found there is continued.
    recipe : Recipe
    architecture : Architecture
    train, validation : list of Pool
    """

    def __init__(
        self,
        folder: Path,
        recipe: Recipe,
        architecture: Architecture,
        train: list[Pool],
        validation: list[Pool],
    ) -> None:
        self.folder, self.recipe = Path(folder), recipe
        self.train, self.validation = train, validation
        self.folder.mkdir(parents=True, exist_ok=True)
        generator = torch.random.fork_rng()
        with generator:
            torch.manual_seed(recipe.seed)
            self.network = FieldNetwork(architecture)
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=recipe.rate, weight_decay=recipe.weight_decay
        )
        self.step = 0
        self._mean: dict[str, float] = {}
        if self.checkpoint.is_file():
            self._resume()
        else:
            self._forget_lines_after(0)
            standardise(self.network, train[:: max(1, len(train) // 24)])

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.pt"

    def _resume(self) -> None:
        try:
            state = torch.load(self.checkpoint, weights_only=True)
            self.network.load_state_dict(state["network"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.step, self._mean = state["step"], state.get("mean", {})
        except (OSError, EOFError, LookupError, RuntimeError, TypeError, ValueError,
                pickle.UnpicklingError) as error:  # fmt: skip
            raise FormatError(
                f"{self.checkpoint} is damaged, or of another architecture ({str(error)[:300]}). "
                "Choose another output folder, or remove it to start over."
            ) from error
        self._forget_lines_after(self.step)
        logger.info("continuing at step %d", self.step)

    def save(self) -> None:
        """Write the checkpoint so that a kill leaves either the old or the new one.

        Raises
        ------
        OutputError
            The disk is full; the old checkpoint is still there.
        """
        state = {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "mean": self._mean,
        }
        buffer = io.BytesIO()
        torch.save(state, buffer)  # into a full disk it would fail with an error of its own
        with replacing(self.checkpoint) as part:
            part.write_bytes(buffer.getbuffer())

    def batch(self, step: int) -> list[tuple[Pool, torch.Tensor]]:
        """Structures and rows of a step; depends on seed and step alone."""
        rng = np.random.default_rng([self.recipe.seed, step])
        chosen = rng.choice(len(self.train), min(self.recipe.structures, len(self.train)), False)
        pools = [self.train[i] for i in chosen]
        return [
            (pool, torch.from_numpy(rng.integers(0, len(pool.target), self.recipe.points)))
            for pool in pools
        ]

    def advance(self) -> dict[str, float]:
        """One optimiser step; returns its losses."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.rate_at(self.step)
            group["weight_decay"] = self.recipe.weight_decay
        self.optimiser.zero_grad()
        batch = self.batch(self.step)
        squared, likelihood = 0.0, 0.0
        for pool, rows in batch:
            error2, nll = loss_of(self.network, pool, rows)
            ((100 * error2 + 0.1 * nll) / len(batch)).backward()
            squared += error2.item() / len(batch)
            likelihood += nll.item() / len(batch)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        return {"rmse": math.sqrt(squared), "nll": likelihood}

    def run(self, progress=lambda step, losses: None) -> None:
        """To the end of the recipe, with checkpoints and a JSON log on the way."""
        started = time.monotonic()
        while self.step < self.recipe.steps:
            losses = self.advance()
            self._mean = {k: 0.98 * self._mean.get(k, v) + 0.02 * v for k, v in losses.items()}
            progress(self.step, self._mean)
            if self.step % self.recipe.checkpoint_every == 0 or self.step == self.recipe.steps:
                # In this order: a line too many is dropped on resuming, a missing one is lost.
                self._log(self._mean, time.monotonic() - started)
                self.save()

    @property
    def log(self) -> Path:
        return self.folder / "log.jsonl"

    def _forget_lines_after(self, step: int) -> None:
        """Drop lines of the log that a killed run wrote after its last checkpoint."""
        lines = self.log.read_text().splitlines(keepends=True) if self.log.is_file() else []
        kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step]
        if kept != lines:
            with replacing(self.log) as part:
                part.write_text("".join(kept))

    def _log(self, mean: dict, seconds: float) -> None:
        scores = score(self.network, self.validation, 2048)
        entry = {
            "step": self.step,
            "seconds": round(seconds, 1),
            "train": mean,
            "worst_r2": min((s["r2"] for s in scores.values()), default=None),
            "mean_r2": float(np.mean([s["r2"] for s in scores.values()])) if scores else None,
            "mean_mae": float(np.mean([s["mae"] for s in scores.values()])) if scores else None,
            "validation": scores,
        }
        try:
            with self.log.open("a") as handle:
                handle.write(json.dumps(entry) + "\n")
        except OSError as error:
            raise OutputError(f"cannot add to {self.log}: {error.strerror or error}.") from error
