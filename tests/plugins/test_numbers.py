"""The shipped weights give the numbers they gave, in every way of asking; nothing global changes."""

import json
import random

import numpy as np
import pytest
import recorded
import torch
from ase.io import read
from places import ROOT

from ase_elf import ELFCalculator
from ase_elf.domains import get_domain
from ase_elf.examples import hydrogen
from ase_elf.model import weights

RECORDED = json.loads(recorded.FILE.read_text())
"""Written by ``python tests/recorded.py``; ten decimals."""

SINGLE = 5e-6
"""Largest difference of float32 from float64: some hundred roundings of 6e-8 through slopes of
order one; 4e-7 was measured. A thousandth of what labels are good to."""


@pytest.fixture(scope="module")
def atoms():
    return recorded.example("dense-hydrogen")


def calculator(dtype="float64"):
    return ELFCalculator(domain="dense-hydrogen", dtype=dtype, device="cpu")


@pytest.mark.parametrize("name", RECORDED)
def test_todays_weights_give_the_recorded_values(name):
    known = RECORDED[name]
    if recorded.digests(get_domain(name)) != known["digests"]:
        pytest.fail(f"the weights of {name} are others: run tests/recorded.py, and say so in the changelog")
    today = recorded.measured(name)
    # Points are evaluated directly; what is summed up goes through single precision grids and
    # images. Energies are of the order of 1000 eV.
    tolerance = {"at_points": 1e-7, "means": 1e-6, "ruler": 1e-5, "energy": 1e-5}
    for what, values in today.items():
        np.testing.assert_allclose(values, known[what], rtol=0, atol=tolerance[what], err_msg=what)


def test_single_precision_differs_by_less_than_any_label_is_good_to(atoms):
    double, single = (calculator(dtype) for dtype in ("float64", "float32"))
    for options in ({"points": recorded.points(atoms)}, {"shape": (24, 25, 27)}):
        values = [calc.get_elf(atoms, **options) for calc in (double, single)]
        one, two = (getattr(value, "values", value) for value in values)
        np.testing.assert_allclose(one, two, rtol=0, atol=SINGLE)


def test_structures_predicted_together_are_those_predicted_alone(atoms):
    calc = calculator("float32")
    frames = read(ROOT / "examples" / "dense-hydrogen.extxyz", index="0:3")
    together = calc.predict(frames, shape=(20, 20, 20))
    for frame, grid in zip(frames, together, strict=True):
        alone = calculator("float32").get_elf(frame, shape=(20, 20, 20))
        assert np.array_equal(alone.values, grid.values)
        assert np.array_equal(alone.sigma, grid.sigma)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")
def test_a_gpu_gives_the_numbers_of_the_cpu(atoms):
    cpu = calculator().get_elf(atoms, shape=(24, 24, 24)).values
    for dtype in ("float64", "float32"):
        calc = ELFCalculator(domain="dense-hydrogen", dtype=dtype, device="cuda")
        gpu = calc.get_elf(atoms, shape=(24, 24, 24)).values
        np.testing.assert_allclose(gpu, cpu, rtol=0, atol=SINGLE)


def global_state():
    return {
        "dtype": torch.get_default_dtype(),
        "device": str(torch.get_default_device()),
        "threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "grad": torch.is_grad_enabled(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "matmul": torch.get_float32_matmul_precision(),
        "seed": torch.random.get_rng_state().numpy().tobytes(),
        "numpy": np.random.get_state()[1].tobytes(),  # noqa: NPY002 - it is the global one
        "python": random.getstate(),
        "errors": np.geterr(),
    }


def test_predicting_analysing_and_training_leave_global_state_alone(tmp_path, two_threads):
    from small_fits import ARCH, pools, recipe

    from ase_elf.analysis.frame import analyze, settings_for
    from ase_elf.structures.trajectory import Frame
    from ase_elf.training.fit import Fit

    atoms = hydrogen()[0]  # 64 atoms, so that two threads are soon done
    weights._load.cache_clear()  # loading is part of predicting
    before = global_state()
    calc = calculator()
    calc.get_elf(atoms, shape=(12, 12, 12))
    domain = get_domain("dense-hydrogen")
    list(analyze([Frame(0, 0.0, atoms)], domain, settings_for(atoms, domain, shape=(12, 12, 12))))
    Fit(tmp_path, recipe(10), ARCH, pools([0]), pools([1])).run()
    assert global_state() == before
