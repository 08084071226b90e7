"""Fitting the networks that read images of bonds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from ase_elf.ruler.network import ImageReader, ReaderArchitecture
from ase_elf.training.calibration import ONE_SIGMA


@dataclass(frozen=True)
class ReadingRecipe:
    """How to fit readers; everything here ends up on the model card.

    Parameters
    ----------
    members : int
        Networks fitted independently and averaged.
    epochs : int
        Passes over the images.
    rate : float
        Highest learning rate of AdamW, reached after a tenth of the run.
    batch : int
        Images per step.
    noise : float
        Standard deviation of what is added to every pixel, so that a reader does not
        depend on differences smaller than the errors of predicted ELF.
    widths : tuple of int
        Channels of the convolutions.
    hidden : int
        Width of the layer behind the convolutions.
    """

    members: int = 4
    epochs: int = 60
    rate: float = 2e-3
    weight_decay: float = 0.01
    batch: int = 64
    noise: float = 0.005
    widths: tuple[int, ...] = (16, 32, 48)
    hidden: int = 64
    seed: int = 0


def fit_reader(
    images: np.ndarray,
    length: np.ndarray,
    recipe: ReadingRecipe,
    *,
    seed: int,
    progress: Callable[[float], None] = lambda error: None,
) -> ImageReader:
    """A network that reads lengths.

    Parameters
    ----------
    images : ndarray, shape (n, planes, size, size), float32
    length : ndarray, shape (n,), Å
    recipe : ReadingRecipe
    seed : int
    progress : callable
        Called after every epoch with the mean absolute error (Å) in it.
    """
    centre, spread = float(length.mean()), float(length.std()) or 1.0
    target = torch.from_numpy(length.astype(np.float32))

    def loss(network: ImageReader, batch: torch.Tensor, rows: torch.Tensor) -> tuple:
        read, log_error, _ = network(batch)
        error = read - target[rows]
        likelihood = log_error + 0.5 * error.detach() ** 2 * torch.exp(-2 * log_error)
        total = ((error / spread) ** 2).mean() + likelihood.mean()
        return total, float(error.detach().abs().mean())

    arch = ReaderArchitecture(images.shape[1:], recipe.widths, recipe.hidden, centre=centre, spread=spread)
    return _fit(arch, images, loss, recipe, seed, progress)


def fit_classifier(
    images: np.ndarray,
    classes: np.ndarray,
    recipe: ReadingRecipe,
    *,
    seed: int,
    progress: Callable[[float], None] = lambda error: None,
) -> ImageReader:
    """A network that tells types apart; rare classes count as much as common ones.

    Parameters
    ----------
    images : ndarray, shape (n, planes, size, size), float32
    classes : ndarray, shape (n,), int
    recipe : ReadingRecipe
    seed : int
    progress : callable
        Called after every epoch with the fraction told wrongly in it.
    """
    counts = np.bincount(classes)
    weight = torch.from_numpy(len(classes) / len(counts) / np.maximum(counts, 1)).float()
    target = torch.from_numpy(classes.astype(np.int64))

    def loss(network: ImageReader, batch: torch.Tensor, rows: torch.Tensor) -> tuple:
        logits = network(batch)[2]
        wrong = float((logits.detach().argmax(1) != target[rows]).float().mean())
        return nn.functional.cross_entropy(logits, target[rows], weight), wrong

    arch = ReaderArchitecture(images.shape[1:], recipe.widths, recipe.hidden, n_types=len(counts))
    return _fit(arch, images, loss, recipe, seed, progress)


def error_factor(length: np.ndarray, uncertainty: np.ndarray, truth: np.ndarray) -> float:
    """What uncertainties must be multiplied with to cover 68.3 % of the errors."""
    return float(np.quantile(np.abs(length - truth) / uncertainty, ONE_SIGMA))


def _fit(
    arch: ReaderArchitecture,
    images: np.ndarray,
    loss: Callable,
    recipe: ReadingRecipe,
    seed: int,
    progress: Callable[[float], None],
) -> ImageReader:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = ImageReader(arch)
    random = torch.Generator().manual_seed(seed)
    pixels = torch.from_numpy(images)
    optimiser = torch.optim.AdamW(network.parameters(), lr=recipe.rate, weight_decay=recipe.weight_decay)
    per_epoch = -(-len(pixels) // recipe.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.rate, total_steps=recipe.epochs * per_epoch, pct_start=0.1
    )
    for _ in range(recipe.epochs):
        errors = []
        for rows in torch.randperm(len(pixels), generator=random).split(recipe.batch):
            batch = pixels[rows]
            batch = batch + recipe.noise * torch.randn(batch.shape, generator=random)
            total, error = loss(network, batch, rows)
            optimiser.zero_grad()
            total.backward()
            optimiser.step()
            schedule.step()
            errors.append(error)
        progress(float(np.mean(errors)))
    return network.requires_grad_(False).eval()
