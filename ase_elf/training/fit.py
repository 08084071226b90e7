"""Fitting a field network to labels: a resumable loop with step-based checkpoints.

Same configuration, labels, device and number of processes give the same weights on the same
machine, also when the run was interrupted. Reads labels, writes no weights for users.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ase_elf.errors import InputError
from ase_elf.model.network import Architecture, FieldInvariants, FieldNetwork
from ase_elf.training.critical import critical_point_loss
from ase_elf.training.loop import ALONE, FittingRun, Schedule
from ase_elf.training.processes import Processes
from ase_elf.training.samples import Pool, together

__all__ = [
    "FUSED_SINCE",
    "GROWING",
    "LEAST_LOG_SIGMA",
    "LEAST_SPREAD",
    "LOWEST",
    "OF_INVARIANTS",
    "PLATEAU",
    "Fit",
    "Recipe",
    "compiled",
    "drawing",
    "inherit",
    "losses",
    "objective",
    "predict_pool",
    "score",
    "shares",
    "standardise",
]

LOWEST = -6.9
"""Least z that is compared: an ELF of 0.001. The largest depends on the digits of a label (``Pool.highest``)."""

PLATEAU = 0.3
"""Weight of squared errors of z beside 100 times those of the ELF: a twentieth of the loss at ELF = 1/2, half of
it at 0.06 and 0.94, nearly all of it where molecules are flat and z, not the ELF, says where the maximum is."""

LEAST_SPREAD = 0.02
"""Of an invariant, in units of the largest one: in symmetric crystals invariants of vectors are zero but for
round-off, which must not be scaled up to 1."""

LEAST_LOG_SIGMA = -9.0
"""Of σ(ELF) in the likelihood, whose gradient would else be infinite where a fit begins far too sure."""

FUSED_SINCE = "2.12"
"""Version of torch. With 2.11.0 the gradients of what atoms read came out wrong by up to 40 %."""


@dataclass(frozen=True)
class Recipe(Schedule):
    """How to fit; everything here ends up on the model card.

    Parameters
    ----------
    structures, points : int
        Structures per step, and points of each.
    balance : float
        From 0, where every structure is drawn as often as any other, to 1, where every kind of structure is.
    pool : int
        Grid points kept per structure.
    critical_points : int
        Attractors and bond critical points of each, whose places and curvatures are part of the loss
        (:mod:`.critical`); of labels that say where theirs are. 0: none.
    critical_weight : float
        Of critical points that are not where or what they should be, in the loss of a structure that has some.
    unscored : float
        How often a point that is not scored (``scored`` of a configuration) is drawn, beside one that is.
    compile : bool
        Let ``torch.compile`` fuse a step: the same numbers to round-off in less than half the
        time, after two minutes of compilation. Needs a C++ compiler and torch 2.12.
    """

    steps: int = 40_000
    decay_steps: int = 10_000
    warmup_steps: int = 500
    rate: float = 3e-3
    weight_decay: float = 1e-4
    seed: int = 0
    checkpoint_every: int = 1000
    average_over: int = 500
    structures: int = 2
    points: int = 512
    pool: int = 16_384
    critical_points: int = 0
    critical_weight: float = 0.05
    balance: float = 0.0
    unscored: float = 1.0
    compile: bool = False


def standardise(network: FieldNetwork, pools: list[Pool], depths: Iterable[int] | None = None) -> None:
    """Set shift and scale of field invariants from data, before training, in the order of updates (all by default)."""
    stages = [*network.update_invariants, network.output_invariants]
    with torch.no_grad():
        for depth in range(len(stages)) if depths is None else depths:
            fields, found = stages[depth], []
            for pool in pools:
                atoms = pool.atoms(network.device)
                c = network.coefficients(*atoms, n_updates=depth)
                if depth < len(network.update_invariants):
                    _, index, vectors = atoms
                else:
                    some = torch.arange(min(256, len(pool.target)))
                    index, vectors, _ = pool.rows(some, network.device)
                found.append(fields.raw_invariants(fields.mixed(fields.gather(index, vectors, c))))
            everything = torch.cat(found)
            fields.shift.copy_(everything.mean(0))
            spread = everything.std(0)
            fields.scale.copy_(1 / spread.clamp(min=LEAST_SPREAD * spread.max()))
            if depth == len(network.update_invariants) and network.arch.n_orbital_features:
                orbital = torch.cat([pool.orbitals for pool in pools]).to(network.device)
                network.orbital_shift.copy_(orbital.mean(0))
                network.orbital_scale.copy_(1 / (orbital.std(0) + 1e-6))


def losses(
    network: FieldNetwork,
    atoms: tuple,
    points: tuple,
    target: torch.Tensor,
    highest: torch.Tensor,
    critical: tuple | None = None,
) -> tuple:
    """Squared errors of ELF and of z, the likelihood of the first under the predicted σ, and how far
    critical points are from where they should be.

    The σ head sees detached inputs, so that being wrong in a known way never pays.

    Parameters
    ----------
    network : FieldNetwork
    atoms : tuple of Tensor
        What :meth:`Pool.atoms` gives.
    points : tuple of Tensor
        What :meth:`Pool.rows` gives.
    target : Tensor, shape (n,)
        ELF there.
    highest : Tensor, shape () or (n,)
        Largest z that is compared.
    critical : tuple of Tensor, optional
        What :meth:`CriticalPlaces.of_some` gives.

    Returns
    -------
    tuple of Tensor
        Three means over the points, and one over the critical points, 0 without any.
    """

    def seen_at(index, vectors, orbitals) -> torch.Tensor:
        return network.inputs(network.output_invariants(index, vectors, coefficients), orbitals)

    coefficients = network.coefficients(*atoms)
    seen = seen_at(*points)
    z = network.value(seen)[:, 0]
    error = torch.sigmoid(z) - target
    error2 = error**2
    wanted = torch.logit(target, eps=1e-12)
    apart2 = (_between(z, highest) - _between(wanted, highest)) ** 2
    log_sigma = network.log_error(seen.detach())[:, 0].clamp(min=LEAST_LOG_SIGMA)
    likelihood = log_sigma + 0.5 * error2.detach() * torch.exp(-2 * log_sigma)
    lost = error.new_zeros(())
    if critical is not None:
        *places, curvatures = critical
        lost = critical_point_loss(network.value(seen_at(*places))[:, 0], curvatures).mean()
    return error2.mean(), apart2.mean(), likelihood.mean(), lost


def _between(z: torch.Tensor, highest: torch.Tensor) -> torch.Tensor:
    return torch.minimum(z.clamp(min=LOWEST), highest)


def objective(
    error2: torch.Tensor,
    apart2: torch.Tensor,
    nll: torch.Tensor,
    critical: torch.Tensor,
    critical_weight: float = Recipe.critical_weight,
) -> torch.Tensor:
    """What is minimised: the sum of the four means of :func:`losses`, each with its weight."""
    return 100 * error2 + PLATEAU * apart2 + 0.1 * nll + critical_weight * critical


def compiled(function: Callable) -> Callable:
    """``function`` fused by torch at its first call.

    Structures differ in the number of atoms and neighbours: one program is made for all of them.

    Raises
    ------
    InputError
        For a torch that compiles it wrongly; when called, where it cannot be compiled.
    """
    if torch.__version__ < FUSED_SINCE:
        raise InputError(
            f"torch.compile of torch {torch.__version__} gives wrong gradients here; install torch "
            f"{FUSED_SINCE} or newer, or set `compile: false` in the recipe."
        )
    fused = torch.compile(function, dynamic=True)

    def call(*arguments):
        try:
            return fused(*arguments)
        except RuntimeError as error:
            # The modules of its classes are private, and slow to import.
            if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
                raise
            raise InputError(
                f"torch.compile failed: {str(error).strip()[:300]} ... Set `compile: false` in the "
                "recipe; or, where a compilation was killed before, empty the cache of torch "
                "(TORCHINDUCTOR_CACHE_DIR, by default torchinductor_USER in the temporary folder) and start again."
            ) from error

    return call


@torch.no_grad()
def predict_pool(
    network: FieldNetwork, pool: Pool, points: int | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """ELF and σ at the first ``points`` of a pool (all of them by default), each (n,)."""
    c = network.coefficients(*pool.atoms(network.device))
    elf, sigma = [], []
    for rows in torch.arange(len(pool.target))[:points].split(1024):
        index, vectors, orbitals = pool.rows(rows, network.device)
        z, log_sigma = network(network.inputs(network.output_invariants(index, vectors, c), orbitals))
        elf.append(torch.sigmoid(z))
        sigma.append(log_sigma.exp())
    return torch.cat(elf).cpu(), torch.cat(sigma).cpu()


def score(network: FieldNetwork, pools: list[Pool], points: int = 4096) -> dict[str, dict]:
    """R², MAE and rmse per structure on those of the first ``points`` of its pool that are scored."""
    result = {}
    for pool in pools:
        elf, _ = predict_pool(network, pool, points)
        elf, target = (part[pool.scored[:points]] for part in (elf, pool.target[:points]))
        error = (elf - target).double()
        spread = target.double().var(unbiased=False)
        result[pool.label.name] = {
            "r2": float(1 - (error**2).mean() / spread),
            "mae": float(error.abs().mean()),
            "rmse": float((error**2).mean().sqrt()),
        }
    return result


GROWING = ("hidden", "n_updates", "n_vectors", "point_channels", "orbital_exponent")
"""What may be larger in a network than in the one it starts from."""

OF_INVARIANTS = ("output_invariants.shift", "output_invariants.scale", "value.0.weight", "log_error.0.weight")
"""Tensors whose last axis is what a point reads, and after that what orbitals say of it."""


def inherit(network: FieldNetwork, earlier: FieldNetwork) -> FieldNetwork:
    """Give ``network`` the parameters of one that knew less; what is new adds nothing at first.

    Parameters
    ----------
    network : FieldNetwork
    earlier : FieldNetwork
        Of the same shape, or of one that is smaller in some of :data:`GROWING`.

    Raises
    ------
    InputError
        The two differ in more than that, or the earlier one is larger.
    """
    now, before = network.arch, earlier.arch
    alike = replace(before, **{name: getattr(now, name) for name in GROWING}) == now
    alike &= before.orbital_exponent in (0, now.orbital_exponent)
    if (
        not alike
        or len(now.point_channels) != len(before.point_channels)
        or any(a < b for a, b in zip(_sizes(now), _sizes(before), strict=True))
    ):
        raise InputError(
            f"weights of {before} cannot start a fit of {now}; "
            f"only {', '.join(GROWING)} may differ, and be smaller."
        )
    for update in network.updates[before.n_updates :]:
        nn.init.zeros_(update[-1].weight)
        nn.init.zeros_(update[-1].bias)
    state, places = network.state_dict(), _places(earlier.output_invariants, network.output_invariants)
    for name, learned in earlier.state_dict().items():
        grown = state[name]
        at = [torch.arange(n) for n in learned.shape]
        if name in OF_INVARIANTS:
            orbital = torch.arange(learned.shape[-1] - len(places)) + network.output_invariants.n_invariants
            at[-1] = torch.cat([places, orbital])
        if name.startswith("updates.") and name.split(".")[2] == "4":
            grown.zero_()  # Scales of the vectors, which vanish at first.
        elif grown.ndim == 2:
            grown[at[0]] = 0  # Old outputs do not depend on new inputs.
        grown[torch.meshgrid(*at, indexing="ij")] = learned
    return network


def _sizes(arch: Architecture) -> list[int]:
    sizes = arch.hidden, arch.n_updates, arch.n_vectors
    return [*sizes, *arch.point_channels, arch.n_orbital_features]


def _places(before: FieldInvariants, now: FieldInvariants) -> torch.Tensor:
    """Positions of the field invariants of a network among those of a larger one."""
    places, first = [], 0
    for few, many in zip([*before.channels, before.n_cubic], [*now.channels, now.n_cubic], strict=True):
        places.append(torch.arange(first, first + few))
        first += many
    return torch.cat(places)


def shares(kinds: list[str], balance: float) -> np.ndarray | None:
    """How often each structure is drawn, given its kind: shape (n,), of sum 1; None for equally often.

    Raises
    ------
    InputError
        ``balance`` is not from 0 to 1.
    """
    if not 0 <= balance <= 1:
        raise InputError(f"recipe.balance = {balance}; a number from 0 to 1 is needed.")
    if not balance:
        return None
    count = Counter(kinds)
    weights = np.array([count[kind] ** -balance for kind in kinds])
    return weights / weights.sum()


def drawing(scored: np.ndarray, unscored: float) -> np.ndarray:
    """Cumulative probability of drawing each point: shape (n,), where a search for a random number finds one.

    Raises
    ------
    InputError
        ``unscored`` is negative, or 0 where no point is scored.
    """
    weights = np.where(scored, 1.0, unscored)
    if unscored < 0 or not weights.any():
        raise InputError(f"recipe.unscored = {unscored}; a positive number is needed.")
    return np.cumsum(weights)[:-1] / weights.sum()


class Fit(FittingRun):
    """A training run in a folder.

    Parameters
    ----------
    folder : Path
        Holds checkpoint and log; a run found there is continued.
    recipe : Recipe
    architecture : Architecture
    train, validation : list of Pool
    start : FieldNetwork, optional
        What a new run starts from (:func:`inherit`), instead of random parameters.
    device : torch.device or str
        Where the network is; labels stay in the memory of the host.
    processes : Processes
        Among which the structures of a step are shared out.
    """

    def __init__(
        self,
        folder: Path,
        recipe: Recipe,
        architecture: Architecture,
        train: list[Pool],
        validation: list[Pool],
        start: FieldNetwork | None = None,
        *,
        device: torch.device | str = "cpu",
        processes: Processes = ALONE,
    ) -> None:
        self.train, self.validation, self.start = train, validation, start
        self._losses = compiled(losses) if recipe.compile else losses
        self._shares = shares([pool.label.kind for pool in train], recipe.balance)
        self._draws = [drawing(pool.scored.numpy(), recipe.unscored) for pool in train]
        super().__init__(folder, recipe, lambda: FieldNetwork(architecture).to(device), processes)

    def standardise(self) -> None:
        """Shift and scale of every reading, with everything else where there is a start."""
        some = self.train[:: max(1, len(self.train) // 24)]
        if self.start is None:
            standardise(self.network, some)
            return
        inherit(self.network, self.start)
        now, before = self.network.arch, self.start.arch
        added = [*range(before.n_updates, now.n_updates)]
        if now.point_channels != before.point_channels or (now.orbital_exponent != before.orbital_exponent):
            added.append(now.n_updates)
        standardise(self.network, some, added)
        inherit(self.network, self.start)  # Shift and scale of what it had are its own.

    def batch(self, step: int) -> list[tuple[Pool, torch.Tensor]]:
        """Structures and rows of a step; depends on seed and step alone."""
        rng = np.random.default_rng([self.recipe.seed, step])
        count = min(self.recipe.structures, len(self.train))
        chosen = rng.choice(len(self.train), count, False, self._shares)
        return [
            (self.train[i], torch.from_numpy(self._draws[i].searchsorted(rng.random(self.recipe.points))))
            for i in chosen
        ]

    def advance(self) -> dict[str, float]:
        """One optimiser step; returns its losses, that of critical points where they are known."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.rate_at(self.step)
            group["weight_decay"] = self.recipe.weight_decay
        self.optimiser.zero_grad()
        batch = self.batch(self.step)
        sums = torch.zeros(4, dtype=torch.float64)
        if some := self.processes.share(batch):
            rng = np.random.default_rng([self.recipe.seed, self.step, 1])
            critical = [pool.some_critical(self.recipe.critical_points, rng) for pool, _ in some]
            parts = self._losses(
                self.network, *together(some, critical, self.network.arch.cutoff, self.network.device)
            )
            share = len(some) / len(batch)
            (objective(*parts, self.recipe.critical_weight) * share).backward()
            error2, _, nll, lost = (part.item() for part in parts)
            sums += torch.tensor([error2 * share, nll * share, lost, any(len(rows) for rows in critical)])
        squared, likelihood, lost, n_told = self.processes.sum(self.network.parameters(), sums).tolist()
        # Apart: where σ is far too small its gradients are huge, and would stop everything else.
        of_sigma = list(self.network.log_error.parameters())
        own = {id(parameter) for parameter in of_sigma}
        others = [parameter for parameter in self.network.parameters() if id(parameter) not in own]
        for some in (of_sigma, others):
            torch.nn.utils.clip_grad_norm_(some, 1.0)
        self.optimiser.step()
        self.stepped()
        losses = {"rmse": math.sqrt(squared), "nll": likelihood}
        return losses | {"critical_point_loss": lost / n_told} if n_told else losses

    def measure(self, mean: dict[str, float]) -> dict:
        """Losses, and scores on the validation structures."""
        scores = score(self.result, self.validation, 2048)
        return {
            "train": mean,
            "worst_r2": min((s["r2"] for s in scores.values()), default=None),
            "mean_r2": float(np.mean([s["r2"] for s in scores.values()])) if scores else None,
            "mean_mae": float(np.mean([s["mae"] for s in scores.values()])) if scores else None,
            "validation": scores,
        }
