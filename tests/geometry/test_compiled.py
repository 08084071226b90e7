"""Kernels are compiled when they are first called, and where nothing can be written too."""

import subprocess
import sys

import numpy as np
from numba.core import caching

from ase_elf.geometry.compiled import compiled


def halved(x):
    return x / 2


def test_a_kernel_works_where_no_folder_for_what_was_compiled_can_be_written(monkeypatch):
    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])
    kernel = compiled(halved)
    assert kernel(3) == 1.5
    assert np.array_equal(kernel(np.arange(3)), [0, 0.5, 1])


def test_numba_is_loaded_by_what_computes_and_not_by_imports():
    program = (
        "import sys, ase_elf.cli.analyze, ase_elf.topology, ase_elf.runs\n"
        "assert 'numba' not in sys.modules\n"
        "from ase_elf import ELFGrid\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
