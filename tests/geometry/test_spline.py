"""Periodic cubic splines against SciPy's, and against what defines them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import CubicSpline
from scipy.ndimage import map_coordinates, spline_filter

from ase_elf.geometry import spline


@settings(max_examples=20, deadline=None)
@given(st.tuples(*[st.integers(1, 60)] * 3), st.integers(0, 1000), st.sampled_from(["f4", "f8"]))
def test_coefficients_and_values_are_those_of_scipy(shape, seed, kind):
    rng = np.random.default_rng(seed)
    values = rng.random(shape).astype(kind)
    expected = spline_filter(values, order=3, output=np.float64, mode="grid-wrap")
    coefficients = spline.coefficients(values)
    np.testing.assert_allclose(coefficients, expected, atol=1e-13)
    points = rng.uniform(-2, 2, (50, 3))
    index = (points % 1 * shape).T
    there = map_coordinates(expected, index, order=3, mode="grid-wrap", prefilter=False)
    np.testing.assert_allclose(spline.evaluate(coefficients, points), there, atol=1e-12)


@pytest.mark.parametrize("axis", range(3))
def test_derivatives_along_an_axis_are_those_of_a_periodic_spline_of_one_variable(axis):
    values = np.random.default_rng(axis).random(9)
    shape = np.roll([9, 1, 1], axis)
    coefficients = spline.coefficients(values.reshape(shape))
    line = CubicSpline(np.arange(10), np.append(values, values[0]), bc_type="periodic")
    u = np.random.default_rng(1).uniform(-20, 20, (40, 3))
    value, gradient, hessian = spline.derivatives(coefficients, u, 2)
    t = u[:, axis] % 9
    expected = np.zeros((40, 3))
    expected[:, axis] = line(t, 1)
    np.testing.assert_allclose(value, line(t), atol=1e-12)
    np.testing.assert_allclose(gradient, expected, atol=1e-12)
    expected[:, axis] = line(t, 2)
    np.testing.assert_allclose(hessian, expected[:, :, None] * np.eye(3)[axis], atol=1e-12)


def test_mixed_derivatives_are_differences_of_the_gradient():
    coefficients = spline.coefficients(np.random.default_rng(0).random((7, 8, 9)))
    u, step = np.random.default_rng(1).uniform(-10, 20, (40, 3)), 1e-5
    hessian = spline.derivatives(coefficients, u, 2)[2]
    for axis, one in enumerate(np.eye(3)):
        after, before = (spline.derivatives(coefficients, u + s * step * one, 1)[1] for s in (1, -1))
        np.testing.assert_allclose(hessian[:, axis], (after - before) / (2 * step), atol=1e-6)
    assert np.array_equal(hessian, hessian.transpose(0, 2, 1))
