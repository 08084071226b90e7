"""The neighbor list is that of ASE, and leaves nothing behind."""

import ctypes
import gc
import sys

import numpy as np
import pytest
from ase import Atoms
from ase.neighborlist import neighbor_list as ase_neighbor_list

from ase_elf.geometry.neighbors import neighbor_list
from ase_elf.testing import molecular_fluid


@pytest.mark.parametrize("pbc", [True, False, (True, True, False)])
def test_pairs_are_those_of_ase(pbc):
    atoms = molecular_fluid(8, 1, length=3.0)[0]
    atoms.pbc = pbc
    i, j, length, vector, shift = neighbor_list("ijdDS", atoms, 2.5)
    known = ase_neighbor_list("ijdDS", atoms, 2.5)
    order, expected = (np.lexsort((*s.T, b, a)) for a, b, s in ((i, j, shift), (*known[:2], known[4])))
    for mine, theirs in zip((i, j, length, vector, shift), known, strict=True):
        np.testing.assert_allclose(mine[order], theirs[expected], atol=1e-9)


def test_nothing_is_kept_for_a_number_of_pairs():
    """Every frame has another number of pairs; a run of a million must not remember them."""
    line = Atoms("H400", [(0.7 * k, 0, 0) for k in range(400)])

    def blocks(first: int) -> int:
        for n in range(first, first + 100):
            neighbor_list("ijdDS", line[:n], 0.8)
        gc.collect()
        return sys.getallocatedblocks()

    blocks(50)
    before = blocks(150)
    assert blocks(250) - before < 200  # some 12,000 where the types are kept


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="ctypes keeps no such types since Python 3.14")
def test_types_of_others_stay():
    mine = ctypes.POINTER(ctypes.c_double * 987)
    neighbor_list("ij", molecular_fluid(8, 1, length=3.0)[0], 2.0)
    assert ctypes.POINTER(ctypes.c_double * 987) is mine
