"""Tc of predicted hydrides: from the network and one-shot bands, with an error."""

import math

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111

from ase_elf.analysis import critical_temperature
from ase_elf.analysis.critical_temperature import one_shot_share, tc_by_bands
from ase_elf.analysis.quantities import TC, names_of
from ase_elf.grid import ELFGrid, fast_shape
from ase_elf.testing import GaussianModel
from ase_elf.topology import estimate_tc, networking
from ase_elf.topology.tc import SPREADS, error_of_tc

H3S = Atoms(
    "SH3",
    scaled_positions=[(0, 0, 0), (0.5, 0, 0), (0, 0.5, 0), (0, 0, 0.5)],
    cell=np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]]) * 1.492,
    pbc=True,
)


def network_of(atoms):
    """Of Gaussians at the nuclei."""
    shape = fast_shape(atoms.cell.array, 0.2)
    (found,) = GaussianModel().predict([atoms], [shape])
    return networking(ELFGrid(found.values, atoms, sigma=found.sigma))


def test_a_metallic_hydride_has_all_estimates_with_errors():
    network = network_of(H3S)
    values, _ = tc_by_bands(network)
    assert tuple(values) == names_of(TC)
    assert values["h_fraction"] == 0.75
    expected = estimate_tc(network.phi, network.phi_star, 0.75, values["h_dos"])
    assert values["tc_sr5"] == expected[3].kelvin
    assert values["tc_sr5_error"] >= SPREADS["SR5"]
    assert values["tc_leastsq_error"] >= SPREADS["leastsq"]


def test_a_hydride_with_a_gap_has_no_critical_temperature():
    values, notes = tc_by_bands(network_of(bulk("LiH", "rocksalt", a=4.08)))
    assert values == {}
    assert "an insulator by one-shot bands" in notes[0]


@pytest.mark.parametrize("atoms", [Atoms("H2", [(0, 0, 0), (0, 0, 0.75)], cell=[2] * 3, pbc=True),
                                   fcc111("Pt", (1, 1, 3), vacuum=3)])  # fmt: skip
def test_what_is_no_hydride_has_no_critical_temperature(atoms):
    atoms.pbc = True
    assert tc_by_bands(network_of(atoms)) == ({}, ())


def test_the_share_of_hydrogen_is_near_that_of_self_consistent_bands():
    """projwfc.x finds 0.47 for H3S and 0.53 for YH6."""
    assert one_shot_share(H3S)[0] == pytest.approx(0.47, abs=0.1)


def test_errors_of_descriptors_add_to_that_of_the_formula():
    given = {"phi": 0.7, "phi_star": 0.7, "h_fraction": 0.75, "h_dos": 0.5}
    assert error_of_tc(given, {}) == SPREADS
    slope = (
        estimate_tc(0.701, 0.7, 0.75, 0.5)[0].kelvin - estimate_tc(0.699, 0.7, 0.75, 0.5)[0].kelvin
    ) / 0.002
    total = error_of_tc(given, {"phi": 0.05})["leastsq"]
    assert total == pytest.approx(math.hypot(60, 0.05 * slope), rel=1e-6)


def test_a_saddle_beside_a_p_block_nucleus_is_marked(monkeypatch):
    network = network_of(H3S)
    monkeypatch.setattr(type(network), "decided_at", lambda *_: H3S.positions[0] + [0.5, 0, 0])
    near, notes = tc_by_bands(network)
    assert any("p-block" in note for note in notes)
    monkeypatch.setattr(type(network), "decided_at", lambda *_: None)
    far, notes = tc_by_bands(network)
    assert not any("p-block" in note for note in notes)
    assert near["tc_leastsq_error"] > far["tc_leastsq_error"]


def test_images_of_a_nucleus_count_as_near():
    assert critical_temperature._in_a_core(H3S, H3S.cell.array.sum(axis=0) + [0, 0, 0.9])
    assert not critical_temperature._in_a_core(H3S, H3S.positions[1])
