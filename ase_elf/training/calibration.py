"""Making the predicted error honest on structures that were not trained on.

The σ head learns the errors of the training set, which are smaller than those elsewhere.
One factor, fitted on validation labels, puts that right.
"""

from __future__ import annotations

import math

import torch

from ase_elf.model import FieldNetwork
from ase_elf.training.fit import predict_pool
from ase_elf.training.samples import Pool

ONE_SIGMA = math.erf(1 / math.sqrt(2))
"""Fraction of Gaussian errors below one standard deviation, 0.683."""


@torch.no_grad()
def calibrate(network: FieldNetwork, pools: list[Pool]) -> float:
    """Scale σ so that it covers 68.3 % of the errors, pooled over structures.

    Parameters
    ----------
    network : FieldNetwork
        Changed in place: the bias of its σ head.
    pools : list of Pool
        Validation structures, of which the points that are scored count.

    Returns
    -------
    float
        The factor; above 1 where the network was too sure of itself.
    """
    ratios = []
    for pool in pools:
        elf, sigma = predict_pool(network, pool)
        ratios.append(((elf - pool.target).abs() / sigma)[pool.scored])
    factor = float(torch.cat(ratios).quantile(ONE_SIGMA))
    network.log_error[-1].bias += math.log(factor)
    return factor
