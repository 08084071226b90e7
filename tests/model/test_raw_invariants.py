"""Compiled field invariants: those of the network, whatever its shape; and the ELF at points of many structures."""

from pathlib import Path

import numpy as np
import pytest
import torch
from ase.io import read

from ase_elf.domains import get_domain
from ase_elf.examples import au25
from ase_elf.model.neighbors import Surroundings
from ase_elf.model.network import FieldInvariants
from ase_elf.model.points import at_points
from ase_elf.model.raw_invariants import BLOCK, RawInvariants

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("channels", [(5,), (9, 3), (8, 8, 5), (16, 7, 6, 2), (48, 16, 12, 8, 4)])
def test_compiled_invariants_are_those_of_the_network(channels):
    rng = np.random.default_rng(len(channels))
    torch.manual_seed(0)
    fields = FieldInvariants(channels, 7, 5.0)
    atoms, coefficients = (
        rng.normal(scale=4, size=(30, 3)),
        rng.normal(size=(30, channels[0])).astype(np.float32),
    )
    points = np.concatenate([rng.normal(scale=4, size=(3 * BLOCK + 5, 3)), atoms, [[90.0, 0, 0]]])
    found = RawInvariants.of(fields)(points, atoms, coefficients)
    index, vectors = Surroundings.isolated(atoms, points, 5.0).around(points)
    with torch.no_grad():
        expected = fields.double().raw_invariants(fields.mixed(fields.gather(
            torch.from_numpy(index), torch.from_numpy(vectors), torch.from_numpy(coefficients).double()
        )))  # fmt: skip
    assert found.dtype == np.float32 and float(expected.abs().max()) > 1
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5 * float(expected.abs().max()))
    np.testing.assert_array_equal(found[-1], 0)  # nothing near


def test_many_structures_have_the_elf_of_each():
    model = get_domain("gold-thiolate").load(device="cpu")
    structures = [au25(), read(EXAMPLES / "gold-ring.extxyz", 0)]
    rng = np.random.default_rng(0)
    points = [atoms.positions[rng.integers(len(atoms), size=n)] + rng.normal(scale=0.7, size=(n, 3))
              for atoms, n in zip(structures, (200, 0), strict=True)]  # fmt: skip
    for atoms, xyz, seen in zip(structures, points, at_points(model, structures, points), strict=True):
        alone = model.predict_points(atoms, xyz)
        np.testing.assert_allclose(seen.values, alone.values, atol=2e-6)
        np.testing.assert_allclose(seen.invariants, model.invariants(atoms).numpy(), atol=3e-4)
        assert seen.distance == pytest.approx(alone.distance, rel=1e-4)
