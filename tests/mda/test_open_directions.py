"""MDAnalysis knows periodic boxes only: open ones are refused at every door."""

import numpy as np
import pytest
from ase import Atoms
from ase.io import write

from ase_elf.errors import InputError

mda = pytest.importorskip("MDAnalysis")

from ase_elf.mda import NetworkAnalysis, to_atoms, to_universe  # noqa: E402
from ase_elf.testing import GaussianDomain  # noqa: E402

DUMP = """ITEM: TIMESTEP
0
ITEM: NUMBER OF ATOMS
2
ITEM: BOX BOUNDS pp pp {z}
0 4
0 4
0 4
ITEM: ATOMS id type x y z
1 1 0.1 0.1 0.1
2 1 0.1 0.1 1.1
"""


def slab(pbc, cell=(4, 4, 4)):
    return Atoms("H2", [(0, 0, 0), (0, 0, 0.74)], cell=cell, pbc=pbc)


@pytest.mark.parametrize("pbc", [(True, True, False), (False, False, True), (False, False, False)])
def test_open_boxes_are_refused_with_a_remedy(tmp_path, pbc):
    with pytest.raises(InputError, match="frame 1: the box is not periodic along .*atoms.pbc = True"):
        to_universe([slab(True), slab(pbc)])
    write(tmp_path / "slab.extxyz", slab(pbc))
    with pytest.raises(
        ValueError, match=r"(?s)slab.extxyz.*frame 0.*not periodic along"
    ):  # MDAnalysis raises it anew
        mda.Universe(str(tmp_path / "slab.extxyz"))


def test_the_remedy_works(tmp_path):
    atoms = slab((True, True, False))
    atoms.center(vacuum=5, axis=2)
    atoms.pbc = True
    assert to_atoms(to_universe(atoms)).cell[2, 2] == pytest.approx(10.74)


def test_periodic_directions_without_a_box_are_refused():
    with pytest.raises(InputError, match="not periodic along c"):
        to_universe(slab((True, True, False), cell=(4, 4, 0)))


def test_molecules_without_a_box_stay_without():
    assert to_universe(slab(False, cell=None)).dimensions is None


@pytest.mark.filterwarnings("ignore:Guessed all Masses", "ignore:Reader has no dt")
def test_dumps_that_say_so_are_refused_by_analyses(tmp_path):
    def universe(z):
        (tmp_path / "run.lammpsdump").write_text(DUMP.format(z=z))
        found = mda.Universe(
            str(tmp_path / "run.lammpsdump"), format="LAMMPSDUMP", topology_format="LAMMPSDUMP"
        )
        found.add_TopologyAttr("elements", ["H", "H"])
        return found

    with pytest.raises(InputError, match="not periodic along c"):
        NetworkAnalysis(universe("ff"), domain=GaussianDomain())
    with pytest.raises(InputError, match="not periodic along c"):
        to_atoms(universe("ss"))
    assert to_atoms(universe("pp")).pbc.all()


@pytest.mark.filterwarnings("ignore:Guessed all Masses", "ignore:Reader has no dt")
def test_types_without_elements_name_the_remedy_of_a_universe(tmp_path):
    (tmp_path / "run.lammpsdump").write_text(DUMP.format(z="pp"))
    universe = mda.Universe(
        str(tmp_path / "run.lammpsdump"), format="LAMMPSDUMP", topology_format="LAMMPSDUMP"
    )
    with pytest.raises(InputError, match=r"add_TopologyAttr\('elements'") as caught:
        to_atoms(universe)
    assert "--" not in str(caught.value)


def test_isotopes_in_extended_xyz_and_in_topologies(tmp_path):
    path = tmp_path / "d.extxyz"
    path.write_text('2\nLattice="4 0 0 0 4 0 0 0 4" Properties=species:S:1:pos:R:3\nD 0 0 0\nH1 0 0 1\n')
    assert to_atoms(mda.Universe(str(path))).get_chemical_formula() == "H2"
    path.write_text(
        "2\n# CELL(abcABC): 4 4 4 90 90 90 Step: 0 positions{angstrom} cell{angstrom}\nD 0 0 0\nD 0 0 1\n"
    )
    np.testing.assert_allclose(mda.Universe(str(path)).dimensions, [4, 4, 4, 90, 90, 90])
