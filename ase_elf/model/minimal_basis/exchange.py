"""Exchange and correlation of Perdew, Burke and Ernzerhof (doi 10.1103/PhysRevLett.77.3865), spin-paired."""

from __future__ import annotations

import math

import torch

LEAST = 1e-5
"""bohr⁻³, added to every density: potentials of gradients run wild in vacuum."""

KAPPA, MU = 0.804, 0.2195149727645171
BETA, GAMMA = 0.06672455060314922, (1 - math.log(2)) / math.pi**2


def energy_density(density: torch.Tensor, slope2: torch.Tensor) -> torch.Tensor:
    """Exchange-correlation energy per volume, hartree bohr⁻³.

    Parameters
    ----------
    density : Tensor, bohr⁻³
        Positive.
    slope2 : Tensor, bohr⁻⁸, of the same shape
        Squared gradient of the density.
    """
    fermi = (3 * math.pi**2 * density) ** (1 / 3)
    s2 = slope2 / (2 * fermi * density) ** 2
    exchange = -0.75 / math.pi * fermi * (1 + KAPPA - KAPPA / (1 + MU / KAPPA * s2))
    uniform = _uniform_correlation((3 / (4 * math.pi * density)) ** (1 / 3))
    t2 = slope2 * math.pi / (16 * fermi * density**2)
    a = BETA / GAMMA / torch.expm1(-uniform / GAMMA)
    at2 = a * t2
    gained = GAMMA * torch.log1p(BETA / GAMMA * t2 * (1 + at2) / (1 + at2 + at2 * at2))
    return density * (exchange + uniform + gained)


def derivatives(density: torch.Tensor, slope2: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Of :func:`energy_density` by the density (hartree) and by the squared gradient (hartree bohr⁵)."""
    with torch.enable_grad():
        density, slope2 = density.detach().requires_grad_(), slope2.detach().requires_grad_()
        total = energy_density(density, slope2).sum()
        by_density, by_slope2 = torch.autograd.grad(total, (density, slope2))
    return by_density, by_slope2


def _uniform_correlation(r_s: torch.Tensor) -> torch.Tensor:
    """Per electron, of Perdew and Wang (doi 10.1103/PhysRevB.45.13244)."""
    root = r_s.sqrt()
    series = root * (7.5957 + root * (3.5876 + root * (1.6382 + root * 0.49294)))
    return -0.0621814 * (1 + 0.21370 * r_s) * torch.log1p(1 / (0.0621814 * series))
