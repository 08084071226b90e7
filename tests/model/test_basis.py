"""The basis: rotation behaviour of harmonics, smooth cut-off, exact Fourier transforms."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from ase_elf.model.basis import harmonics, radial, radial_transforms, symmetric_matrices


def random_vectors(n=50, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(3, n)))


def test_squares_of_one_degree_sum_to_one_on_the_unit_sphere():
    v = random_vectors()
    y = harmonics(v / v.norm(dim=0), 4, softening=0.0)
    for l in range(5):
        total = (y[l * l : (l + 1) ** 2] ** 2).sum(0)
        torch.testing.assert_close(total, torch.ones_like(total))


def test_dot_products_of_one_degree_are_legendre_polynomials():
    a, b = (v / v.norm(dim=0) for v in (random_vectors(seed=1), random_vectors(seed=2)))
    ya, yb = harmonics(a, 4, softening=0.0), harmonics(b, 4, softening=0.0)
    cosine = (a * b).sum(0).numpy()
    for l in range(5):
        part = slice(l * l, (l + 1) ** 2)
        expected = np.polynomial.legendre.Legendre.basis(l)(cosine)
        np.testing.assert_allclose((ya[part] * yb[part]).sum(0).numpy(), expected, atol=1e-12)


def test_cubic_invariant_does_not_change_under_rotation():
    v, t = random_vectors(1, seed=3), random_vectors(1, seed=4)
    matrices = torch.from_numpy(symmetric_matrices())
    turn = torch.from_numpy(Rotation.from_euler("zyx", [0.3, 1.1, -0.7]).as_matrix())

    def cubic(v, t):
        y1, y2 = harmonics(v, 1)[1:, 0], harmonics(t, 2)[4:, 0]
        return torch.einsum("i,m,mij,j->", y1, y2, matrices, y1)

    torch.testing.assert_close(cubic(turn @ v, turn @ t), cubic(v, t))


def test_radial_functions_vanish_at_and_beyond_the_cutoff():
    r = torch.tensor([5.999, 6.0, 6.1, 60.0], dtype=torch.float64)
    values = radial(r**2, 10, 6.0)
    assert values[:, 0].abs().max() < 1e-9
    assert (values[:, 1:] == 0).all()


def test_radial_functions_are_finite_with_finite_slope_at_the_nucleus():
    r2 = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    values = radial(r2, 10, 6.0)
    np.testing.assert_allclose(values[:, 0].detach().numpy(), np.arange(1, 11), rtol=1e-4)
    values.sum().backward()
    assert torch.isfinite(r2.grad).all()


@pytest.mark.parametrize("degree", [0, 1, 4])
def test_transforms_agree_with_numerical_integration_in_space(degree):
    # Along G = (0, 0, q) only m = 0 survives, with P_l(cos θ) in place of the harmonic.
    q, cutoff, a = 2.3, 6.0, 0.8
    r = np.linspace(0, cutoff, 3001)
    cosine, weight = np.polynomial.legendre.leggauss(60)
    f = radial(torch.from_numpy(r**2), 4, cutoff).numpy()
    soft = (r / np.sqrt(r**2 + a**2)) ** degree
    legendre = np.polynomial.legendre.Legendre.basis(degree)(cosine)
    angular = (np.exp(-1j * q * r[:, None] * cosine) * legendre * weight).sum(1)
    expected = 2 * np.pi * np.trapezoid(f * soft * r**2 * angular, r, axis=1)
    table = radial_transforms(np.array([q, 5.0]), 4, 4, cutoff, softening=a)
    np.testing.assert_allclose(expected, (-1j) ** degree * table[degree, :, 0], atol=2e-5)
