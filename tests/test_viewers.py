"""Files open in OVITO with the right grid, cell and atoms; `pip install ovito` to run this."""

import json
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
from ase import Atoms
from ase.units import Bohr

from ase_elf import ELFGrid, write_elf

# In a process of its own: it brings a window system.
READER = """
import json, sys
import numpy as np
from ovito.io import import_file
data = import_file(sys.argv[1]).compute()
grid = next(iter(data.grids.values()))
values = np.array(grid[next(iter(grid.keys()))]).reshape(tuple(grid.shape)[::-1]).transpose(2, 1, 0)
print(json.dumps({
    "values": values.tolist(),
    "cell": np.array(grid.domain)[:, :3].T.tolist(),
    "positions": np.array(data.particles.positions).tolist(),
}))
"""


@pytest.mark.skipif(find_spec("ovito") is None, reason="the package ovito is not installed")
@pytest.mark.parametrize("name", ["elf.cube", "ELFCAR", "elf.xsf"])
def test_a_viewer_reads_the_grid_that_was_written(tmp_path, name):
    cell = np.array([[3.0, 0, 0], [0.4, 3.5, 0], [0.2, -0.3, 4.0]])
    atoms = Atoms("H2", [[0.2, 0.3, 0.4], [1.2, 1.0, 2.0]], cell=cell, pbc=True)
    values = np.random.default_rng(0).random((4, 5, 6)).astype(np.float32)
    write_elf(tmp_path / name, ELFGrid(values, atoms))
    done = subprocess.run(
        [sys.executable, "-c", READER, tmp_path / name], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    found = {key: np.array(value) for key, value in json.loads(done.stdout).items()}
    # It takes a cube for a density in 1/bohr³ and an ELFCAR for a density times the volume.
    scale = {"elf.cube": Bohr**3, "ELFCAR": atoms.get_volume(), "elf.xsf": 1.0}[name]
    seen = found["values"] * scale
    if name == "elf.xsf":  # a general grid repeats its first plane at the end
        np.testing.assert_allclose(seen[-1, :5, :6], seen[0, :5, :6], atol=1e-6)
        seen = seen[:4, :5, :6]
    np.testing.assert_allclose(seen, values, atol=2e-5)
    np.testing.assert_allclose(found["cell"], cell, atol=1e-4)
    np.testing.assert_allclose(found["positions"], atoms.positions, atol=1e-4)
