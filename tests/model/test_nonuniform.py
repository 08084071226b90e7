"""Fourier sums between places and waves, by two ways and as they are defined."""

import numpy as np
import pytest
import torch

from ase_elf.model import nonuniform
from ase_elf.model.nonuniform import box, directions, structure_factors, values_at

CELL = np.array([[7.0, 0.4, 0.0], [-0.6, 6.5, 0.8], [0.3, 0.2, 7.4]])
FREQUENCIES = box(CELL, 4.0)


def places(n: int = 40) -> torch.Tensor:
    """In and beyond the cell."""
    return torch.from_numpy(3 * np.random.default_rng(0).random((n, 3)) - 1)


def by_definition(fractional: torch.Tensor, sign: int) -> torch.Tensor:
    turns = fractional @ directions(FREQUENCIES).double().T
    return torch.exp(sign * 2j * torch.pi * turns)


def test_the_box_holds_the_sphere():
    g = 2 * np.pi * np.linalg.inv(CELL)
    whole = np.stack(np.meshgrid(*[np.arange(-9, 10)] * 3, indexing="ij"), -1).reshape(-1, 3)
    inside = whole[np.linalg.norm(whole @ g.T, axis=1) <= 4.0]
    kept = {tuple(w) for w in directions(FREQUENCIES).tolist()}
    assert all(tuple(w) in kept for w in inside[inside[:, 2] >= 0])


@pytest.fixture(params=["nufft", "products", "products in parts"])
def way(request, monkeypatch):
    many = 0 if request.param == "nufft" else 10**9
    monkeypatch.setattr(nonuniform, "MANY", {torch.float32: many, torch.float64: many})
    if request.param.endswith("parts"):
        monkeypatch.setattr(nonuniform, "AT_ONCE", 1000)
    return request.param


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("channels", [3, 4])
def test_structure_factors_are_the_sums_over_places(way, dtype, channels):
    coefficients = torch.randn(40, channels, dtype=dtype, generator=torch.manual_seed(0))
    found = structure_factors(FREQUENCIES, places(), coefficients)
    expected = coefficients.T.to(torch.complex128) @ by_definition(places(), -1)
    assert found.dtype == dtype
    # eps is relative to the norm of the sum, here about sqrt(40).
    tolerance = 1e-3 if dtype == torch.float32 else 1e-10
    torch.testing.assert_close(
        found.double(), torch.stack([expected.real, expected.imag], 1), atol=tolerance, rtol=0
    )


@pytest.mark.parametrize("n_fields", [1, 4, 5])
def test_values_at_places_are_the_sums_over_waves(way, n_fields):
    # Spectra of something real, so that the plane of no third frequency holds pairs that belong together.
    strengths = torch.randn(7, n_fields, dtype=torch.float64, generator=torch.manual_seed(1))
    spectra = structure_factors(FREQUENCIES, places(7) * 0.9, strengths)
    twice = torch.where(directions(FREQUENCIES)[:, 2] > 0, 2, 1)
    waves = torch.complex(spectra[:, 0], spectra[:, 1]) * twice
    expected = (waves @ by_definition(places(), 1).T).real
    torch.testing.assert_close(values_at(FREQUENCIES, spectra, places()), expected, atol=1e-8, rtol=0)


def test_no_place_has_no_values():
    assert values_at(
        FREQUENCIES, torch.zeros(5, 2, len(directions(FREQUENCIES))).double(), places(0)
    ).shape == (5, 0)
