"""Classes of bonding that accuracy is told by."""

import pytest
from ase.build import bulk, molecule

from ase_elf.training.bonding_class import CLASSES, bonding_class


@pytest.mark.parametrize(("atoms", "kind"), [
    (molecule("CH4"), "molecular"), (bulk("Al"), "metallic"), (bulk("LiH", "rocksalt", a=4.0), "ionic"),
    (bulk("C"), "covalent"),
], ids=str)  # fmt: skip
def test_bonding_is_told_by_gap_and_elements(atoms, kind):
    assert bonding_class(atoms) == kind and kind in CLASSES
