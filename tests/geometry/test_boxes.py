"""Boxes around molecules, wires and slabs."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule

from ase_elf.geometry.boxes import VACUUM, boxed


def gap(atoms, axis):
    """Å of vacuum along an axis of an orthorhombic box."""
    return atoms.cell.lengths()[axis] - np.ptp(atoms.positions[:, axis])


def test_a_molecule_without_a_cell_gets_one_and_stays_where_it_is():
    water = molecule("H2O")
    box = boxed(water)
    assert box.pbc.all()
    assert box.positions == pytest.approx(water.positions)
    assert [gap(box, k) for k in range(3)] == pytest.approx([2 * VACUUM] * 3)
    assert not water.pbc.any()
    assert water.cell.rank == 0


def test_a_crystal_is_left_alone():
    crystal = bulk("Si")
    assert boxed(crystal) is crystal


def test_a_cell_with_vacuum_enough_is_kept():
    slab = fcc111("Pt", (1, 1, 4), vacuum=6.0)
    assert boxed(slab).cell.array == pytest.approx(slab.cell.array)


def test_a_cell_with_too_little_vacuum_grows_along_its_open_direction_alone():
    slab = fcc111("Pt", (2, 1, 3), vacuum=1.0)
    box = boxed(slab)
    assert box.cell.array[:2] == pytest.approx(slab.cell.array[:2])
    assert gap(box, 2) == pytest.approx(2 * VACUUM)
    assert box.positions == pytest.approx(slab.positions)


def test_a_slab_without_a_third_vector_gets_one_across_it():
    slab = fcc111("Pt", (1, 1, 4))
    box = boxed(slab)
    assert box.cell.array[2, :2] == pytest.approx([0, 0])
    assert gap(box, 2) == pytest.approx(2 * VACUUM)


def test_a_wire_is_boxed_on_both_sides():
    wire = Atoms("Au2", [(0, 0, 0), (0, 0.5, 1.4)], cell=[0, 0, 2.8], pbc=(False, False, True))
    box = boxed(wire)
    assert box.cell.array[2] == pytest.approx([0, 0, 2.8])
    assert gap(box, 0) == pytest.approx(2 * VACUUM)
    assert gap(box, 1) == pytest.approx(2 * VACUUM)


def test_an_oblique_slab_is_measured_across_its_plane():
    slab = fcc111("Pt", (1, 1, 4), vacuum=6.0)
    sheared = slab.copy()
    sheared.cell[2] += 5 * slab.cell[0]
    assert boxed(sheared).cell.array == pytest.approx(sheared.cell.array)


def test_a_box_holds_points_far_from_the_atoms():
    hydrogen = molecule("H2")
    far = np.array([[20.0, 0, 0]])
    box = boxed(hydrogen, around=far)
    assert box.cell.lengths()[0] == pytest.approx(20 + 2 * VACUUM)
    assert len(box) == 2


def test_a_molecule_can_be_put_in_the_middle():
    box = boxed(molecule("CH4"), centre=True)
    middle = (box.positions.max(0) + box.positions.min(0)) / 2
    assert middle == pytest.approx(box.cell.lengths() / 2)
